"""Cases of the types that watch, tell and act: money, scaling, tracking, automation."""

from __future__ import annotations

import json
from typing import Any

from .cases import GROUND_VARIANT, Case, Ground, text


def _action(g: Ground) -> dict[str, Any]:
    return {
        "budgetName": "ground",
        "actionType": "APPLY_IAM_POLICY",
        "approvalModel": "AUTOMATIC",
        "notificationType": "ACTUAL",
        "actionThreshold": {"actionThresholdType": "PERCENTAGE", "actionThresholdValue": 100},
        "definition": {"iamActionDefinition": {"policyArn": g["stop_policy"], "roles": [g["role_name"]]}},
        "executionRoleArn": g["role"],
        "subscribers": [
            {"subscriptionType": "SNS", "address": g["topic"]},
            {"subscriptionType": "EMAIL", "address": "a@example.com"},
        ],
    }


def _sending(g: Ground, service: str) -> str:
    who = {"Service": f"{service}.amazonaws.com"}
    return text({"Effect": "Allow", "Principal": who, "Action": "sqs:SendMessage", "Resource": "*"})


def _filtered(words: list[str]) -> dict[str, Any]:
    return {
        "ands": [
            {"tags": {"key": "user:Model", "values": ["churn"], "matchOptions": ["EQUALS"]}},
            {"dimensions": {"key": "USAGE_TYPE", "values": words, "matchOptions": ["CONTAINS"]}},
        ]
    }


def _impact(usd: str) -> dict[str, Any]:
    return {
        "dimension": {
            "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
            "values": [usd],
            "matchOptions": ["GREATER_THAN_OR_EQUAL"],
        }
    }


def _definition(name: str) -> str:
    return json.dumps({"Version": "2020-12-01", "Steps": [{"Name": name, "Type": "Processing", "Arguments": {}}]})


CASES: tuple[Case, ...] = (
    Case(
        "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer",
        lambda g: {
            "trackingServerName": "case",
            "artifactStoreUri": "s3://ground/tracking",
            "roleArn": g["role"],
            "trackingServerSize": "Small",
        },
        lambda g: {"trackingServerSize": "Medium"},
        {"trackingServerName": "another", "roleArn": "another"},
        tags=True,
    ),
    Case(
        "aws:sagemaker/pipeline:Pipeline",
        lambda g: {
            "pipelineName": "case",
            "pipelineDisplayName": "case",
            "pipelineDefinition": _definition("a"),
            "roleArn": g["role"],
        },
        lambda g: {"pipelineDefinition": _definition("b"), "pipelineDisplayName": "other"},
        {"pipelineName": "another"},
        tags=True,
    ),
    Case(
        "aws:sqs/queue:Queue",
        lambda g: {"name": "case", "messageRetentionSeconds": 1209600, "sqsManagedSseEnabled": True},
        lambda g: {"messageRetentionSeconds": 86400},
        {"name": "another"},
        tags=True,
    ),
    Case(
        "aws:sqs/queuePolicy:QueuePolicy",
        lambda g: {"queueUrl": g["queue"], "policy": _sending(g, "events")},
        lambda g: {"policy": _sending(g, "sns")},
        {"queueUrl": "another"},
    ),
    Case(
        "aws:s3/bucketObjectv2:BucketObjectv2",
        lambda g: {
            "bucket": g["bucket"],
            "key": "project/snapshot.tar.gz",
            "contentBase64": "b25l",
            "contentType": "application/gzip",
        },
        lambda g: {"contentBase64": "dHdv"},
        {"bucket": "another", "key": "other"},
        tags=True,
    ),
    Case(
        "aws:cloudwatch/eventTarget:EventTarget",
        lambda g: {
            "rule": g["rule"],
            "targetId": "reconciler",
            "arn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/ground",
            "roleArn": g["role"],
            "sagemakerPipelineTarget": {"pipelineParameterLists": [{"name": "Reason", "value": "alarm"}]},
            "deadLetterConfig": {"arn": "arn:aws:sqs:us-east-1:123456789012:ground"},
            "retryPolicy": {"maximumEventAgeInSeconds": 3600, "maximumRetryAttempts": 10},
        },
        lambda g: {"sagemakerPipelineTarget": {"pipelineParameterLists": [{"name": "Reason", "value": "approval"}]}},
        {"rule": "another"},
    ),
    Case(
        "aws:appautoscaling/scheduledAction:ScheduledAction",
        lambda g: {
            **GROUND_VARIANT,
            "name": "case-morning",
            "schedule": "cron(0 7 ? * MON-FRI *)",
            "timezone": "UTC",
            "scalableTargetAction": {"minCapacity": 3, "maxCapacity": 6},
        },
        lambda g: {"schedule": "cron(0 6 ? * MON-FRI *)", "scalableTargetAction": {"minCapacity": 2, "maxCapacity": 6}},
        {"name": "another", "resourceId": "another"},
    ),
    Case(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        lambda g: {
            "name": "case-serverless",
            "productionVariants": [
                {
                    "variantName": "live",
                    "modelName": g["model"],
                    "initialVariantWeight": 1,
                    "serverlessConfig": {"memorySizeInMb": 2048, "maxConcurrency": 5},
                }
            ],
        },
        None,
        {"productionVariants": []},
        tags=True,
    ),
    Case(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        lambda g: {
            "name": "case-async",
            "productionVariants": [
                {
                    "variantName": "live",
                    "modelName": g["model"],
                    "initialVariantWeight": 1,
                    "instanceType": "ml.m5.large",
                    "initialInstanceCount": 1,
                }
            ],
            "asyncInferenceConfig": {
                "outputConfig": {
                    "s3OutputPath": "s3://ground/out",
                    "s3FailurePath": "s3://ground/failed",
                    "kmsKeyId": g["key"],
                    "notificationConfig": {"errorTopic": g["topic"]},
                },
                "clientConfig": {"maxConcurrentInvocationsPerInstance": 4},
            },
        },
        None,
        {"asyncInferenceConfig": {}},
        tags=True,
    ),
    Case(
        "aws:budgets/budget:Budget",
        lambda g: {
            "name": "case.training",
            "budgetType": "COST",
            "timeUnit": "MONTHLY",
            "limitAmount": "5.00",
            "limitUnit": "USD",
            "filterExpression": _filtered(["Train:"]),
            "metrics": "UnblendedCost",
        },
        lambda g: {"filterExpression": _filtered(["Train:", "Tuning:"])},
        {"name": "another"},
        tags=True,
    ),
    Case(
        "aws:budgets/budgetAction:BudgetAction",
        _action,
        lambda g: {"actionThreshold": {"actionThresholdType": "PERCENTAGE", "actionThresholdValue": 90}},
        {"budgetName": "another", "actionType": "RUN_SSM_DOCUMENTS"},
        tags=True,
    ),
    Case(
        "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
        lambda g: {
            "name": "case",
            "monitorType": "CUSTOM",
            "monitorSpecification": json.dumps({"Tags": {"Key": "Project", "Values": ["shop"]}}),
        },
        lambda g: {"name": "another"},
        {"monitorType": "DIMENSIONAL", "monitorSpecification": "{}"},
        tags=True,
    ),
    Case(
        "aws:costexplorer/anomalySubscription:AnomalySubscription",
        lambda g: {
            "name": "case",
            "frequency": "IMMEDIATE",
            "monitorArnLists": [g["anomaly_monitor"]],
            "subscribers": [{"type": "SNS", "address": g["topic"]}],
            "thresholdExpression": _impact("10"),
        },
        lambda g: {"thresholdExpression": _impact("25")},
        {"name": "another"},
        tags=True,
    ),
)
