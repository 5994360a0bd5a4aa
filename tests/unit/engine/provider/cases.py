"""Cases of storage, identity, SageMaker, monitoring and budgets, for `test_tables.py`: what each type creates, which
changes it makes in place, and which force a replacement."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SharedResources = dict[str, str]
"""Names, ids and ARNs of the resources in the fixture `shared_resources`."""
BuildInputs = Callable[[SharedResources], dict[str, Any]]

DENY = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::shared/*"}
TLS = {**DENY, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
READ = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::shared/*"}
TRUST = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
TAGS = {"Owner": "a@b.example", "Stack": "test"}


def policy_text(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclass(frozen=True)
class Case:
    """One resource to create, update, replace and delete."""

    type: str
    inputs: BuildInputs
    update: BuildInputs | None = None
    """Changed inputs that the provider updates in place."""
    replacements: dict[str, Any] = field(default_factory=dict)
    """Changed inputs, each of which alone forces a replacement."""
    has_tags: bool = False
    survives_delete: bool = False
    """AWS has no delete operation for it, so that it exists after the delete as well."""

    def __str__(self) -> str:
        return self.type.rsplit(":", 1)[1] if "appautoscaling" not in self.type else f"Scaling{self.type[-6:]}"


def _lifecycle_rule(days: int) -> dict[str, Any]:
    return {"id": "old", "status": "Enabled", "filter": {"prefix": "capture/"}, "expiration": {"days": days}}


NONCURRENT = {
    "id": "noncurrent",
    "status": "Enabled",
    "filter": {"prefix": ""},
    "noncurrentVersionExpiration": {"noncurrentDays": 7},
}


def _encryption_rule(algorithm: str, shared: SharedResources) -> dict[str, Any]:
    default = {"sseAlgorithm": algorithm} | ({"kmsMasterKeyId": shared["key"]} if algorithm == "aws:kms" else {})
    return {"applyServerSideEncryptionByDefault": default, "bucketKeyEnabled": algorithm == "aws:kms"}


def _alarm(shared: SharedResources) -> dict[str, Any]:
    return {
        "name": "case-errors",
        "namespace": "AWS/SageMaker",
        "metricName": "Invocation5XXErrors",
        "dimensions": {"EndpointName": "shared", "VariantName": "live"},
        "statistic": "Average",
        "period": 60,
        "evaluationPeriods": 1,
        "comparisonOperator": "GreaterThanThreshold",
        "threshold": 0.01,
        "treatMissingData": "notBreaching",
        "alarmActions": [shared["topic"]],
        "okActions": [shared["topic"]],
    }


def _budget(shared: SharedResources) -> dict[str, Any]:
    def build_notification(type: str, threshold_pct: float) -> dict[str, Any]:
        return {
            "notificationType": type,
            "comparisonOperator": "GREATER_THAN",
            "threshold": threshold_pct,
            "thresholdType": "PERCENTAGE",
            "subscriberSnsTopicArns": [shared["topic"]],
            "subscriberEmailAddresses": ["b@example.com", "a@example.com"],
        }

    return {
        "name": "case",
        "budgetType": "COST",
        "timeUnit": "MONTHLY",
        "limitAmount": "0.01",
        "limitUnit": "USD",
        "costFilters": [{"name": "TagKeyValue", "values": ["user:Model$churn"]}],
        "notifications": [
            build_notification("ACTUAL", 50),
            build_notification("ACTUAL", 80),
            build_notification("FORECASTED", 100),
        ],
    }


def _budget_changed(shared: SharedResources) -> dict[str, Any]:
    unchanged, changed, _ = _budget(shared)["notifications"]
    email_only = {k: v for k, v in changed.items() if k != "subscriberSnsTopicArns"}
    return {"limitAmount": "12.50", "notifications": [unchanged, email_only, {**unchanged, "threshold": 90}]}


def _variant(shared: SharedResources, weight: float = 1) -> dict[str, Any]:
    return {
        "variantName": "live",
        "modelName": shared["model"],
        "instanceType": "ml.m5.large",
        "initialInstanceCount": 2,
        "initialVariantWeight": weight,
    }


def _capture(shared: SharedResources) -> dict[str, Any]:
    return {
        "enableCapture": True,
        "initialSamplingPercentage": 100,
        "destinationS3Uri": "s3://shared/capture",
        "kmsKeyId": shared["key"],
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


def _schedule(shared: SharedResources, cron: str) -> dict[str, Any]:
    return {
        "monitoringType": "DataQuality",
        "monitoringJobDefinitionName": shared["definition"],
        "scheduleConfig": {"scheduleExpression": cron},
    }


def job_definition(image: str, role: str, endpoint: str) -> dict[str, Any]:
    """The inputs, without a name, of a data quality job definition."""
    cluster = {"instanceType": "ml.m5.large", "instanceCount": 1, "volumeSizeInGb": 20}
    output = {"s3Uri": "s3://shared/monitoring", "localPath": "/opt/ml/processing/output"}
    return {
        "roleArn": role,
        "dataQualityAppSpecification": {"imageUri": image, "environment": {"A": "1"}},
        "dataQualityBaselineConfig": {"statisticsResource": {"s3Uri": "s3://shared/baseline/statistics.json"}},
        "dataQualityJobInput": {"endpointInput": {"endpointName": endpoint, "localPath": "/opt/ml/processing/input"}},
        "dataQualityJobOutputConfig": {"monitoringOutputs": {"s3Output": output}},
        "jobResources": {"clusterConfig": cluster},
        "networkConfig": {"enableNetworkIsolation": True},
        "stoppingCondition": {"maxRuntimeInSeconds": 3600},
    }


SCALED = {"serviceNamespace": "sagemaker", "scalableDimension": "sagemaker:variant:DesiredInstanceCount"}
SHARED_VARIANT = {**SCALED, "resourceId": "endpoint/shared/variant/live"}


def _target_tracking(target: float) -> dict[str, Any]:
    metric = {"predefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    return {"predefinedMetricSpecification": metric, "targetValue": target, "scaleInCooldown": 300}


CASES = (
    Case(
        "aws:s3/bucket:Bucket",
        lambda shared: {"bucket": "case-bucket", "forceDestroy": True},
        lambda shared: {"forceDestroy": False},
        {"bucket": "another", "objectLockEnabled": True},
        has_tags=True,
    ),
    Case(
        "aws:s3/bucketVersioning:BucketVersioning",
        lambda shared: {"bucket": shared["bucket"], "versioningConfiguration": {"status": "Enabled"}},
        lambda shared: {"versioningConfiguration": {"status": "Suspended"}},
        {"bucket": "another"},
        survives_delete=True,
    ),
    Case(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        lambda shared: {"bucket": shared["bucket"], "rules": [_encryption_rule("aws:kms", shared)]},
        lambda shared: {"rules": [_encryption_rule("AES256", shared)]},
        {"bucket": "another"},
        survives_delete=True,
    ),
    Case(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        lambda shared: {"bucket": shared["bucket"], "blockPublicAcls": True, "blockPublicPolicy": True},
        lambda shared: {"blockPublicPolicy": False, "restrictPublicBuckets": True},
        {"bucket": "another"},
    ),
    Case(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        lambda shared: {"bucket": shared["bucket"], "rule": {"objectOwnership": "BucketOwnerEnforced"}},
        lambda shared: {"rule": {"objectOwnership": "BucketOwnerPreferred"}},
        {"bucket": "another"},
    ),
    Case(
        "aws:s3/bucketPolicy:BucketPolicy",
        lambda shared: {"bucket": shared["bucket"], "policy": policy_text(TLS)},
        lambda shared: {"policy": policy_text(TLS, {**DENY, "Action": "s3:DeleteBucket"})},
        {"bucket": "another"},
    ),
    Case(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        lambda shared: {"bucket": shared["bucket"], "rules": [_lifecycle_rule(30)]},
        lambda shared: {"rules": [_lifecycle_rule(60), NONCURRENT]},
        {"bucket": "another"},
    ),
    Case(
        "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        lambda shared: {"bucket": shared["locked"], "rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 10}}},
        lambda shared: {"rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 20}}},
        {"bucket": "another"},
        survives_delete=True,
    ),
    Case(
        "aws:ecr/repository:Repository",
        lambda shared: {
            "name": "case",
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": shared["key"]}],
            "forceDelete": True,
        },
        lambda shared: {"imageTagMutability": "MUTABLE", "imageScanningConfiguration": {"scanOnPush": False}},
        {"name": "another", "encryptionConfigurations": [{"encryptionType": "AES256"}]},
        has_tags=True,
    ),
    Case(
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        lambda shared: {"repository": shared["repository"], "policy": json.dumps({"rules": [_expiry_rule(14)]})},
        lambda shared: {"policy": json.dumps({"rules": [_expiry_rule(7)]})},
        {"repository": "another"},
    ),
    Case(
        "aws:kms/key:Key",
        lambda shared: {
            "description": "first",
            "enableKeyRotation": True,
            "deletionWindowInDays": 7,
            "policy": policy_text(
                {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*"}
                | {"Resource": "*"}
            ),
        },
        lambda shared: {"description": "second", "enableKeyRotation": False, "deletionWindowInDays": 10},
        {"keyUsage": "SIGN_VERIFY"},
        has_tags=True,
    ),
    Case(
        "aws:kms/alias:Alias",
        lambda shared: {"name": "alias/case", "targetKeyId": shared["key_id"]},
        None,
        {"name": "alias/another"},
    ),
    Case(
        "aws:iam/role:Role",
        lambda shared: {
            "name": "case",
            "description": "first",
            "assumeRolePolicy": policy_text(TRUST),
            "maxSessionDuration": 3600,
            "permissionsBoundary": "arn:aws:iam::123456789012:policy/case-boundary",
        },
        lambda shared: {
            "description": "second",
            "maxSessionDuration": 7200,
            "assumeRolePolicy": policy_text({**TRUST, "Condition": {"StringEquals": {"aws:SourceAccount": "1"}}}),
        },
        {"name": "another", "path": "/x/"},
        has_tags=True,
    ),
    Case(
        "aws:iam/rolePolicy:RolePolicy",
        lambda shared: {"role": shared["role_name"], "name": "case", "policy": policy_text(READ)},
        lambda shared: {"policy": policy_text({**READ, "Action": ["s3:GetObject", "s3:PutObject"]})},
        {"role": "another", "name": "other"},
    ),
    Case(
        "aws:iam/policy:Policy",
        lambda shared: {"name": "case", "description": "d", "policy": policy_text(READ)},
        lambda shared: {"policy": policy_text({**READ, "Effect": "Deny"})},
        {"name": "another", "description": "e"},
        has_tags=True,
    ),
    Case(
        "aws:ssm/parameter:Parameter",
        lambda shared: {
            "name": "/case/outputs",
            "type": "String",
            "value": "{}",
            "description": "d",
            "tier": "Intelligent-Tiering",
        },
        lambda shared: {"value": '{"a": 1}', "description": "e"},
        {"name": "/another"},
        has_tags=True,
    ),
    Case(
        "aws:sagemaker/model:Model",
        lambda shared: {
            "name": "case",
            "executionRoleArn": shared["role"],
            "primaryContainer": {"image": shared["image"], "environment": {"A": "1"}},
            "enableNetworkIsolation": True,
        },
        None,
        {"primaryContainer": {"image": "x"}, "enableNetworkIsolation": False, "name": "another"},
        has_tags=True,
    ),
    Case(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        lambda shared: {
            "name": "case",
            "productionVariants": [_variant(shared)],
            "dataCaptureConfig": _capture(shared),
            "kmsKeyArn": shared["key"],
        },
        None,
        {"productionVariants": [], "kmsKeyArn": "x"},
        has_tags=True,
    ),
    Case(
        "aws:sagemaker/endpoint:Endpoint",
        lambda shared: {"name": "case", "endpointConfigName": shared["config"], "deploymentConfig": _deployment(0)},
        lambda shared: {"endpointConfigName": shared["config_2"]},
        {"name": "another"},
        has_tags=True,
    ),
    Case(
        "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition",
        lambda shared: {"name": "case", **job_definition(shared["image"], shared["role"], shared["endpoint"])},
        None,
        {"roleArn": "x", "stoppingCondition": {"maxRuntimeInSeconds": 60}},
        has_tags=True,
    ),
    Case(
        "aws:sagemaker/monitoringSchedule:MonitoringSchedule",
        lambda shared: {"name": "case", "monitoringScheduleConfig": _schedule(shared, "cron(0 * ? * * *)")},
        lambda shared: {"monitoringScheduleConfig": _schedule(shared, "cron(0 6 ? * * *)")},
        {"name": "another"},
        has_tags=True,
    ),
    Case(
        "aws:sagemaker/modelPackageGroup:ModelPackageGroup",
        lambda shared: {"modelPackageGroupName": "case", "modelPackageGroupDescription": "d"},
        None,
        {"modelPackageGroupName": "another", "modelPackageGroupDescription": "e"},
        has_tags=True,
    ),
    Case(
        "aws:appautoscaling/target:Target",
        lambda shared: {**SHARED_VARIANT, "minCapacity": 1, "maxCapacity": 4},
        lambda shared: {"minCapacity": 2, "maxCapacity": 8},
        {"resourceId": "another"},
        has_tags=True,
    ),
    Case(
        "aws:appautoscaling/policy:Policy",
        lambda shared: {
            **SHARED_VARIANT,
            "name": "case",
            "policyType": "TargetTrackingScaling",
            "targetTrackingScalingPolicyConfiguration": _target_tracking(1000),
        },
        lambda shared: {"targetTrackingScalingPolicyConfiguration": _target_tracking(50.5)},
        {"name": "another", "resourceId": "another"},
    ),
    Case(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        _alarm,
        lambda shared: {"threshold": 0.05, "alarmActions": [], "datapointsToAlarm": 1, "evaluationPeriods": 2},
        {"name": "another"},
        has_tags=True,
    ),
    Case(
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        lambda shared: {
            "alarmName": "case",
            "alarmRule": 'ALARM("shared-a") OR ALARM("shared-b")',
            "alarmDescription": "d",
        },
        lambda shared: {"alarmRule": 'ALARM("shared-a")', "alarmDescription": "e"},
        {"alarmName": "another"},
        has_tags=True,
    ),
    Case(
        "aws:cloudwatch/dashboard:Dashboard",
        lambda shared: {"dashboardName": "case", "dashboardBody": '{"widgets": []}'},
        lambda shared: {"dashboardBody": '{"widgets": [], "start": "-PT3H"}'},
        {"dashboardName": "another"},
    ),
    Case(
        "aws:cloudwatch/logGroup:LogGroup",
        lambda shared: {"name": "/aws/sagemaker/Endpoints/case", "retentionInDays": 90, "kmsKeyId": shared["key"]},
        lambda shared: {"retentionInDays": 30},
        {"name": "another", "kmsKeyId": "another"},
        has_tags=True,
    ),
    Case(
        "aws:cloudwatch/eventRule:EventRule",
        lambda shared: {"name": "case", "description": "d", "eventPattern": '{"source": ["aws.sagemaker"]}'},
        lambda shared: {"description": "e", "eventPattern": '{"source": ["aws.cloudwatch"]}'},
        {"name": "another"},
        has_tags=True,
    ),
    Case(
        "aws:cloudwatch/eventTarget:EventTarget",
        lambda shared: {"rule": shared["rule"], "targetId": "alerts", "arn": shared["topic"]},
        lambda shared: {"inputPath": "$.detail"},
        {"rule": "another", "targetId": "other"},
    ),
    Case(
        "aws:sns/topic:Topic",
        lambda shared: {"name": "case", "kmsMasterKeyId": shared["key"]},
        lambda shared: {"displayName": "Alerts"},
        {"name": "another"},
        has_tags=True,
    ),
    Case(
        "aws:sns/topicPolicy:TopicPolicy",
        lambda shared: {"arn": shared["topic"], "policy": _publish_policy(shared, "cloudwatch")},
        lambda shared: {"policy": _publish_policy(shared, "events")},
        {"arn": "another"},
        survives_delete=True,
    ),
    Case(
        "aws:sns/topicSubscription:TopicSubscription",
        lambda shared: {"topic": shared["topic"], "protocol": "email", "endpoint": "a@example.com"},
        None,
        {"endpoint": "b@example.com", "topic": "another", "protocol": "sms"},
    ),
    Case("aws:budgets/budget:Budget", _budget, _budget_changed, {"name": "another"}, has_tags=True),
)


def _expiry_rule(days: int) -> dict[str, Any]:
    selection = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days}
    return {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}


def _publish_policy(shared: SharedResources, service: str) -> str:
    principal = {"Service": f"{service}.amazonaws.com"}
    return policy_text(
        {"Sid": "P", "Effect": "Allow", "Principal": principal, "Action": "sns:Publish", "Resource": shared["topic"]}
    )
