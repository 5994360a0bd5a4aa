"""Cases of budgets, cost anomalies, scheduled scaling, tracking servers, pipelines, queues; for `test_tables.py`."""

from __future__ import annotations

import json
from typing import Any

from .cases import SHARED_VARIANT, Case, SharedResources, policy_text


def _budget_action(shared: SharedResources) -> dict[str, Any]:
    return {
        "budgetName": "shared",
        "actionType": "APPLY_IAM_POLICY",
        "approvalModel": "AUTOMATIC",
        "notificationType": "ACTUAL",
        "actionThreshold": {"actionThresholdType": "PERCENTAGE", "actionThresholdValue": 100},
        "definition": {"iamActionDefinition": {"policyArn": shared["stop_policy"], "roles": [shared["role_name"]]}},
        "executionRoleArn": shared["role"],
        "subscribers": [
            {"subscriptionType": "SNS", "address": shared["topic"]},
            {"subscriptionType": "EMAIL", "address": "a@example.com"},
        ],
    }


def _send_policy(shared: SharedResources, service: str) -> str:
    principal = {"Service": f"{service}.amazonaws.com"}
    return policy_text({"Effect": "Allow", "Principal": principal, "Action": "sqs:SendMessage", "Resource": "*"})


def _filter_expression(usage_types: list[str]) -> dict[str, Any]:
    return {
        "ands": [
            {"tags": {"key": "user:Model", "values": ["churn"], "matchOptions": ["EQUALS"]}},
            {"dimensions": {"key": "USAGE_TYPE", "values": usage_types, "matchOptions": ["CONTAINS"]}},
        ]
    }


def _impact_expression(usd: str) -> dict[str, Any]:
    return {
        "dimension": {
            "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
            "values": [usd],
            "matchOptions": ["GREATER_THAN_OR_EQUAL"],
        }
    }


def _pipeline_definition(name: str) -> str:
    return json.dumps({"Version": "2020-12-01", "Steps": [{"Name": name, "Type": "Processing", "Arguments": {}}]})


CASES: tuple[Case, ...] = (
    Case(
        "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer",
        lambda shared: {
            "trackingServerName": "case",
            "artifactStoreUri": "s3://shared/tracking",
            "roleArn": shared["role"],
            "trackingServerSize": "Small",
        },
        lambda shared: {"trackingServerSize": "Medium"},
        {"trackingServerName": "another", "roleArn": "another"},
        has_tags=True,
    ),
    Case(
        "aws:sagemaker/pipeline:Pipeline",
        lambda shared: {
            "pipelineName": "case",
            "pipelineDisplayName": "case",
            "pipelineDefinition": _pipeline_definition("a"),
            "roleArn": shared["role"],
        },
        lambda shared: {"pipelineDefinition": _pipeline_definition("b"), "pipelineDisplayName": "other"},
        {"pipelineName": "another"},
        has_tags=True,
    ),
    Case(
        "aws:sqs/queue:Queue",
        lambda shared: {"name": "case", "messageRetentionSeconds": 1209600, "sqsManagedSseEnabled": True},
        lambda shared: {"messageRetentionSeconds": 86400},
        {"name": "another"},
        has_tags=True,
    ),
    Case(
        "aws:sqs/queuePolicy:QueuePolicy",
        lambda shared: {"queueUrl": shared["queue"], "policy": _send_policy(shared, "events")},
        lambda shared: {"policy": _send_policy(shared, "sns")},
        {"queueUrl": "another"},
    ),
    Case(
        "aws:s3/bucketObjectv2:BucketObjectv2",
        lambda shared: {
            "bucket": shared["bucket"],
            "key": "project/snapshot.tar.gz",
            "contentBase64": "b25l",
            "contentType": "application/gzip",
        },
        lambda shared: {"contentBase64": "dHdv"},
        {"bucket": "another", "key": "other"},
        has_tags=True,
    ),
    Case(
        "aws:cloudwatch/eventTarget:EventTarget",
        lambda shared: {
            "rule": shared["rule"],
            "targetId": "reconciler",
            "arn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/shared",
            "roleArn": shared["role"],
            "sagemakerPipelineTarget": {"pipelineParameterLists": [{"name": "Reason", "value": "alarm"}]},
            "deadLetterConfig": {"arn": "arn:aws:sqs:us-east-1:123456789012:shared"},
            "retryPolicy": {"maximumEventAgeInSeconds": 3600, "maximumRetryAttempts": 10},
        },
        lambda shared: {
            "sagemakerPipelineTarget": {"pipelineParameterLists": [{"name": "Reason", "value": "approval"}]}
        },
        {"rule": "another"},
    ),
    Case(
        "aws:appautoscaling/scheduledAction:ScheduledAction",
        lambda shared: {
            **SHARED_VARIANT,
            "name": "case-morning",
            "schedule": "cron(0 7 ? * MON-FRI *)",
            "timezone": "UTC",
            "scalableTargetAction": {"minCapacity": 3, "maxCapacity": 6},
        },
        lambda shared: {
            "schedule": "cron(0 6 ? * MON-FRI *)",
            "scalableTargetAction": {"minCapacity": 2, "maxCapacity": 6},
        },
        {"name": "another", "resourceId": "another"},
    ),
    Case(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        lambda shared: {
            "name": "case-serverless",
            "productionVariants": [
                {
                    "variantName": "live",
                    "modelName": shared["model"],
                    "initialVariantWeight": 1,
                    "serverlessConfig": {"memorySizeInMb": 2048, "maxConcurrency": 5},
                }
            ],
        },
        None,
        {"productionVariants": []},
        has_tags=True,
    ),
    Case(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        lambda shared: {
            "name": "case-async",
            "productionVariants": [
                {
                    "variantName": "live",
                    "modelName": shared["model"],
                    "initialVariantWeight": 1,
                    "instanceType": "ml.m5.large",
                    "initialInstanceCount": 1,
                }
            ],
            "asyncInferenceConfig": {
                "outputConfig": {
                    "s3OutputPath": "s3://shared/out",
                    "s3FailurePath": "s3://shared/failed",
                    "kmsKeyId": shared["key"],
                    "notificationConfig": {"errorTopic": shared["topic"]},
                },
                "clientConfig": {"maxConcurrentInvocationsPerInstance": 4},
            },
        },
        None,
        {"asyncInferenceConfig": {}},
        has_tags=True,
    ),
    Case(
        "aws:budgets/budget:Budget",
        lambda shared: {
            "name": "case.training",
            "budgetType": "COST",
            "timeUnit": "MONTHLY",
            "limitAmount": "5.00",
            "limitUnit": "USD",
            "filterExpression": _filter_expression(["Train:"]),
            "metrics": "UnblendedCost",
        },
        lambda shared: {"filterExpression": _filter_expression(["Train:", "Tuning:"])},
        {"name": "another"},
        has_tags=True,
    ),
    Case(
        "aws:budgets/budgetAction:BudgetAction",
        _budget_action,
        lambda shared: {"actionThreshold": {"actionThresholdType": "PERCENTAGE", "actionThresholdValue": 90}},
        {"budgetName": "another", "actionType": "RUN_SSM_DOCUMENTS"},
        has_tags=True,
    ),
    Case(
        "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
        lambda shared: {
            "name": "case",
            "monitorType": "CUSTOM",
            "monitorSpecification": json.dumps({"Tags": {"Key": "Project", "Values": ["shop"]}}),
        },
        lambda shared: {"name": "another"},
        {"monitorType": "DIMENSIONAL", "monitorSpecification": "{}"},
        has_tags=True,
    ),
    Case(
        "aws:costexplorer/anomalySubscription:AnomalySubscription",
        lambda shared: {
            "name": "case",
            "frequency": "IMMEDIATE",
            "monitorArnLists": [shared["anomaly_monitor"]],
            "subscribers": [{"type": "SNS", "address": shared["topic"]}],
            "thresholdExpression": _impact_expression("10"),
        },
        lambda shared: {"thresholdExpression": _impact_expression("25")},
        {"name": "another"},
        has_tags=True,
    ),
)
