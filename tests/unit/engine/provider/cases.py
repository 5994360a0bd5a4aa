"""One case for every resource type: what is created, what changes in place, what makes a replacement."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Ground = dict[str, str]
Make = Callable[[Ground], dict[str, Any]]

DENY = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::ground/*"}
TLS = {**DENY, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
READ = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::ground/*"}
TRUST = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
TAGS = {"Owner": "a@b.example", "Stack": "test"}


def text(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclass(frozen=True)
class Case:
    """`replace` are changes of which each alone must replace; `tags` says whether the type takes them."""

    type: str
    inputs: Make
    update: Make | None = None
    replace: dict[str, Any] = field(default_factory=dict)
    tags: bool = False
    survives: bool = False
    """Cannot be deleted for good."""

    def __str__(self) -> str:
        return self.type.rsplit(":", 1)[1] if "appautoscaling" not in self.type else f"Scaling{self.type[-6:]}"


def _rule(days: int) -> dict[str, Any]:
    return {"id": "old", "status": "Enabled", "filter": {"prefix": "capture/"}, "expiration": {"days": days}}


NONCURRENT = {
    "id": "noncurrent",
    "status": "Enabled",
    "filter": {"prefix": ""},
    "noncurrentVersionExpiration": {"noncurrentDays": 7},
}


def _sse(algorithm: str, g: Ground) -> dict[str, Any]:
    default = {"sseAlgorithm": algorithm} | ({"kmsMasterKeyId": g["key"]} if algorithm == "aws:kms" else {})
    return {"applyServerSideEncryptionByDefault": default, "bucketKeyEnabled": algorithm == "aws:kms"}


def _alarm(g: Ground) -> dict[str, Any]:
    return {
        "name": "case-errors",
        "namespace": "AWS/SageMaker",
        "metricName": "Invocation5XXErrors",
        "dimensions": {"EndpointName": "ground", "VariantName": "live"},
        "statistic": "Average",
        "period": 60,
        "evaluationPeriods": 1,
        "comparisonOperator": "GreaterThanThreshold",
        "threshold": 0.01,
        "treatMissingData": "notBreaching",
        "alarmActions": [g["topic"]],
        "okActions": [g["topic"]],
    }


def _budget(g: Ground) -> dict[str, Any]:
    def told(kind: str, pct: float) -> dict[str, Any]:
        return {
            "notificationType": kind,
            "comparisonOperator": "GREATER_THAN",
            "threshold": pct,
            "thresholdType": "PERCENTAGE",
            "subscriberSnsTopicArns": [g["topic"]],
            "subscriberEmailAddresses": ["b@example.com", "a@example.com"],
        }

    return {
        "name": "case",
        "budgetType": "COST",
        "timeUnit": "MONTHLY",
        "limitAmount": "0.01",
        "limitUnit": "USD",
        "costFilters": [{"name": "TagKeyValue", "values": ["user:Model$churn"]}],
        "notifications": [told("ACTUAL", 50), told("ACTUAL", 80), told("FORECASTED", 100)],
    }


def _budget_changed(g: Ground) -> dict[str, Any]:
    before = _budget(g)["notifications"]
    extra = {**before[0], "threshold": 90}
    fewer = {k: v for k, v in before[1].items() if k != "subscriberSnsTopicArns"}
    return {"limitAmount": "12.50", "notifications": [before[0], fewer, extra]}


def _variant(g: Ground, weight: float = 1) -> dict[str, Any]:
    return {
        "variantName": "live",
        "modelName": g["model"],
        "instanceType": "ml.m5.large",
        "initialInstanceCount": 2,
        "initialVariantWeight": weight,
    }


def _capture(g: Ground) -> dict[str, Any]:
    return {
        "enableCapture": True,
        "initialSamplingPercentage": 100,
        "destinationS3Uri": "s3://ground/capture",
        "kmsKeyId": g["key"],
        "captureOptions": [{"captureMode": "Input"}, {"captureMode": "Output"}],
        "captureContentTypeHeader": {"jsonContentTypes": ["application/json"], "csvContentTypes": ["text/csv"]},
    }


def _deployment(bake_s: int) -> dict[str, Any]:
    step = {"type": "CAPACITY_PERCENT", "value": 10}
    routing = {"type": "CANARY", "waitIntervalInSeconds": bake_s, "canarySize": step}
    return {
        "blueGreenUpdatePolicy": {"trafficRoutingConfiguration": routing, "terminationWaitInSeconds": 0},
        "autoRollbackConfiguration": {"alarms": [{"alarmName": "case-rollback"}]},
    }


def _schedule(g: Ground, cron: str) -> dict[str, Any]:
    return {
        "monitoringType": "DataQuality",
        "monitoringJobDefinitionName": g["definition"],
        "scheduleConfig": {"scheduleExpression": cron},
    }


def _job(g: Ground) -> dict[str, Any]:
    from .conftest import job_definition

    return job_definition(g["image"], g["role"], g["endpoint"])


SCALED = {"serviceNamespace": "sagemaker", "scalableDimension": "sagemaker:variant:DesiredInstanceCount"}
GROUND_VARIANT = {**SCALED, "resourceId": "endpoint/ground/variant/live"}


def _tracking(target: float) -> dict[str, Any]:
    metric = {"predefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    return {"predefinedMetricSpecification": metric, "targetValue": target, "scaleInCooldown": 300}


CASES = (
    Case(
        "aws:s3/bucket:Bucket",
        lambda g: {"bucket": "case-bucket", "forceDestroy": True},
        lambda g: {"forceDestroy": False},
        {"bucket": "another", "objectLockEnabled": True},
        tags=True,
    ),
    Case(
        "aws:s3/bucketVersioning:BucketVersioning",
        lambda g: {"bucket": g["bucket"], "versioningConfiguration": {"status": "Enabled"}},
        lambda g: {"versioningConfiguration": {"status": "Suspended"}},
        {"bucket": "another"},
        survives=True,
    ),
    Case(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        lambda g: {"bucket": g["bucket"], "rules": [_sse("aws:kms", g)]},
        lambda g: {"rules": [_sse("AES256", g)]},
        {"bucket": "another"},
        survives=True,
    ),
    Case(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        lambda g: {"bucket": g["bucket"], "blockPublicAcls": True, "blockPublicPolicy": True},
        lambda g: {"blockPublicPolicy": False, "restrictPublicBuckets": True},
        {"bucket": "another"},
    ),
    Case(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        lambda g: {"bucket": g["bucket"], "rule": {"objectOwnership": "BucketOwnerEnforced"}},
        lambda g: {"rule": {"objectOwnership": "BucketOwnerPreferred"}},
        {"bucket": "another"},
    ),
    Case(
        "aws:s3/bucketPolicy:BucketPolicy",
        lambda g: {"bucket": g["bucket"], "policy": text(TLS)},
        lambda g: {"policy": text(TLS, {**DENY, "Action": "s3:DeleteBucket"})},
        {"bucket": "another"},
    ),
    Case(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        lambda g: {"bucket": g["bucket"], "rules": [_rule(30)]},
        lambda g: {"rules": [_rule(60), NONCURRENT]},
        {"bucket": "another"},
    ),
    Case(
        "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        lambda g: {"bucket": g["locked"], "rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 10}}},
        lambda g: {"rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 20}}},
        {"bucket": "another"},
        survives=True,
    ),
    Case(
        "aws:ecr/repository:Repository",
        lambda g: {
            "name": "case",
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": g["key"]}],
            "forceDelete": True,
        },
        lambda g: {"imageTagMutability": "MUTABLE", "imageScanningConfiguration": {"scanOnPush": False}},
        {"name": "another", "encryptionConfigurations": [{"encryptionType": "AES256"}]},
        tags=True,
    ),
    Case(
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        lambda g: {"repository": g["repository"], "policy": json.dumps({"rules": [_expire(14)]})},
        lambda g: {"policy": json.dumps({"rules": [_expire(7)]})},
        {"repository": "another"},
    ),
    Case(
        "aws:kms/key:Key",
        lambda g: {
            "description": "first",
            "enableKeyRotation": True,
            "deletionWindowInDays": 7,
            "policy": text(
                {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*"}
                | {"Resource": "*"}
            ),
        },
        lambda g: {"description": "second", "enableKeyRotation": False, "deletionWindowInDays": 10},
        {"keyUsage": "SIGN_VERIFY"},
        tags=True,
    ),
    Case(
        "aws:kms/alias:Alias",
        lambda g: {"name": "alias/case", "targetKeyId": g["key_id"]},
        None,
        {"name": "alias/another"},
    ),
    Case(
        "aws:iam/role:Role",
        lambda g: {
            "name": "case",
            "description": "first",
            "assumeRolePolicy": text(TRUST),
            "maxSessionDuration": 3600,
            "permissionsBoundary": "arn:aws:iam::123456789012:policy/case-boundary",
        },
        lambda g: {
            "description": "second",
            "maxSessionDuration": 7200,
            "assumeRolePolicy": text({**TRUST, "Condition": {"StringEquals": {"aws:SourceAccount": "1"}}}),
        },
        {"name": "another", "path": "/x/"},
        tags=True,
    ),
    Case(
        "aws:iam/rolePolicy:RolePolicy",
        lambda g: {"role": g["role_name"], "name": "case", "policy": text(READ)},
        lambda g: {"policy": text({**READ, "Action": ["s3:GetObject", "s3:PutObject"]})},
        {"role": "another", "name": "other"},
    ),
    Case(
        "aws:iam/policy:Policy",
        lambda g: {"name": "case", "description": "d", "policy": text(READ)},
        lambda g: {"policy": text({**READ, "Effect": "Deny"})},
        {"name": "another", "description": "e"},
        tags=True,
    ),
    Case(
        "aws:ssm/parameter:Parameter",
        lambda g: {
            "name": "/case/outputs",
            "type": "String",
            "value": "{}",
            "description": "d",
            "tier": "Intelligent-Tiering",
        },
        lambda g: {"value": '{"a": 1}', "description": "e"},
        {"name": "/another"},
        tags=True,
    ),
    Case(
        "aws:sagemaker/model:Model",
        lambda g: {
            "name": "case",
            "executionRoleArn": g["role"],
            "primaryContainer": {"image": g["image"], "environment": {"A": "1"}},
            "enableNetworkIsolation": True,
        },
        None,
        {"primaryContainer": {"image": "x"}, "enableNetworkIsolation": False, "name": "another"},
        tags=True,
    ),
    Case(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        lambda g: {
            "name": "case",
            "productionVariants": [_variant(g)],
            "dataCaptureConfig": _capture(g),
            "kmsKeyArn": g["key"],
        },
        None,
        {"productionVariants": [], "kmsKeyArn": "x"},
        tags=True,
    ),
    Case(
        "aws:sagemaker/endpoint:Endpoint",
        lambda g: {"name": "case", "endpointConfigName": g["config"], "deploymentConfig": _deployment(0)},
        lambda g: {"endpointConfigName": g["config_2"]},
        {"name": "another"},
        tags=True,
    ),
    Case(
        "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition",
        lambda g: {"name": "case", **_job(g)},
        None,
        {"roleArn": "x", "stoppingCondition": {"maxRuntimeInSeconds": 60}},
        tags=True,
    ),
    Case(
        "aws:sagemaker/monitoringSchedule:MonitoringSchedule",
        lambda g: {"name": "case", "monitoringScheduleConfig": _schedule(g, "cron(0 * ? * * *)")},
        lambda g: {"monitoringScheduleConfig": _schedule(g, "cron(0 6 ? * * *)")},
        {"name": "another"},
        tags=True,
    ),
    Case(
        "aws:sagemaker/modelPackageGroup:ModelPackageGroup",
        lambda g: {"modelPackageGroupName": "case", "modelPackageGroupDescription": "d"},
        None,
        {"modelPackageGroupName": "another", "modelPackageGroupDescription": "e"},
        tags=True,
    ),
    Case(
        "aws:appautoscaling/target:Target",
        lambda g: {**GROUND_VARIANT, "minCapacity": 1, "maxCapacity": 4},
        lambda g: {"minCapacity": 2, "maxCapacity": 8},
        {"resourceId": "another"},
        tags=True,
    ),
    Case(
        "aws:appautoscaling/policy:Policy",
        lambda g: {
            **GROUND_VARIANT,
            "name": "case",
            "policyType": "TargetTrackingScaling",
            "targetTrackingScalingPolicyConfiguration": _tracking(1000),
        },
        lambda g: {"targetTrackingScalingPolicyConfiguration": _tracking(50.5)},
        {"name": "another", "resourceId": "another"},
    ),
    Case(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        _alarm,
        lambda g: {"threshold": 0.05, "alarmActions": [], "datapointsToAlarm": 1, "evaluationPeriods": 2},
        {"name": "another"},
        tags=True,
    ),
    Case(
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        lambda g: {"alarmName": "case", "alarmRule": 'ALARM("ground-a") OR ALARM("ground-b")', "alarmDescription": "d"},
        lambda g: {"alarmRule": 'ALARM("ground-a")', "alarmDescription": "e"},
        {"alarmName": "another"},
        tags=True,
    ),
    Case(
        "aws:cloudwatch/dashboard:Dashboard",
        lambda g: {"dashboardName": "case", "dashboardBody": '{"widgets": []}'},
        lambda g: {"dashboardBody": '{"widgets": [], "start": "-PT3H"}'},
        {"dashboardName": "another"},
    ),
    Case(
        "aws:cloudwatch/logGroup:LogGroup",
        lambda g: {"name": "/aws/sagemaker/Endpoints/case", "retentionInDays": 90, "kmsKeyId": g["key"]},
        lambda g: {"retentionInDays": 30},
        {"name": "another", "kmsKeyId": "another"},
        tags=True,
    ),
    Case(
        "aws:cloudwatch/eventRule:EventRule",
        lambda g: {"name": "case", "description": "d", "eventPattern": '{"source": ["aws.sagemaker"]}'},
        lambda g: {"description": "e", "eventPattern": '{"source": ["aws.cloudwatch"]}'},
        {"name": "another"},
        tags=True,
    ),
    Case(
        "aws:cloudwatch/eventTarget:EventTarget",
        lambda g: {"rule": g["rule"], "targetId": "alerts", "arn": g["topic"]},
        lambda g: {"inputPath": "$.detail"},
        {"rule": "another", "targetId": "other"},
    ),
    Case(
        "aws:sns/topic:Topic",
        lambda g: {"name": "case", "kmsMasterKeyId": g["key"]},
        lambda g: {"displayName": "Alerts"},
        {"name": "another"},
        tags=True,
    ),
    Case(
        "aws:sns/topicPolicy:TopicPolicy",
        lambda g: {"arn": g["topic"], "policy": _publish(g, "cloudwatch")},
        lambda g: {"policy": _publish(g, "events")},
        {"arn": "another"},
        survives=True,
    ),
    Case(
        "aws:sns/topicSubscription:TopicSubscription",
        lambda g: {"topic": g["topic"], "protocol": "email", "endpoint": "a@example.com"},
        None,
        {"endpoint": "b@example.com", "topic": "another", "protocol": "sms"},
    ),
    Case("aws:budgets/budget:Budget", _budget, _budget_changed, {"name": "another"}, tags=True),
)


def _expire(days: int) -> dict[str, Any]:
    selection = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days}
    return {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}


def _publish(g: Ground, service: str) -> str:
    principal = {"Service": f"{service}.amazonaws.com"}
    return text(
        {"Sid": "P", "Effect": "Allow", "Principal": principal, "Action": "sns:Publish", "Resource": g["topic"]}
    )
