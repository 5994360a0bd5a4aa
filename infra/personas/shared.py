"""Statements that several personas share."""

from __future__ import annotations

from iam import Scope, Statement, allow


def read_objects(scope: Scope, *purposes: str) -> list[Statement]:
    list_actions = ["s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketLocation"]
    return [
        allow("FindObjects", list_actions, scope.buckets(*purposes)),
        allow("ReadObjects", ["s3:GetObject", "s3:GetObjectVersion"], scope.objects(*purposes)),
    ]


def encrypt(scope: Scope) -> Statement:
    return allow("Encrypt", ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"], scope.kms_key_arn)


def append_ledger(scope: Scope) -> list[Statement]:
    """Allows to add and read ledger records. No role may delete one, see boundary.py."""
    return [
        allow("FindLedger", "s3:ListBucket", scope.buckets("ledger")),
        allow("AppendLedger", ["s3:GetObject", "s3:PutObject"], scope.objects("ledger")),
    ]


def read_outputs(scope: Scope) -> Statement:
    parameter = scope.arn("ssm", f"parameter/{scope.project}/{scope.stack}/*")
    return allow("ReadPlatformOutputs", ["ssm:GetParameter", "ssm:GetParameters"], parameter)


def read_spend(scope: Scope) -> list[Statement]:
    return [
        allow("ReadBudgets", "budgets:ViewBudget", f"arn:aws:budgets::{scope.account_id}:budget/{scope.prefix}*"),
        # Cost Explorer's actions have no resource.
        allow("ReadSpend", ["ce:GetCostAndUsage", "ce:GetCostForecast", "ce:GetTags"], "*"),
    ]


def read_platform(scope: Scope) -> list[Statement]:
    """Allows the commands that only read: status, models, monitor report, costs and the like."""
    describe = ["sagemaker:Describe*", "sagemaker:ListTags", "sagemaker:ListModelPackages"]
    lists = (
        *("Endpoints", "EndpointConfigs", "Models", "ModelPackageGroups", "TrainingJobs", "ProcessingJobs"),
        *("MonitoringSchedules", "MonitoringExecutions"),
    )
    metrics = ("GetMetricData", "GetMetricStatistics", "ListMetrics", "DescribeAlarms")
    return [
        read_outputs(scope),
        allow("DescribeModels", describe, scope.sagemaker("*")),
        # SageMaker's List actions and CloudWatch's metrics have no resource.
        allow(
            "ListModels",
            [
                *(f"sagemaker:List{resources}" for resources in lists),
                "sagemaker:Search",
                *(f"cloudwatch:{action}" for action in metrics),
            ],
            "*",
        ),
        allow(
            "ReadJobLogs",
            ["logs:GetLogEvents", "logs:FilterLogEvents", "logs:DescribeLogStreams"],
            scope.arn("logs", "log-group:/aws/sagemaker/*"),
        ),
        *read_spend(scope),
    ]


def pass_role(sid: str, role_arn: str, service: str) -> Statement:
    return allow(sid, "iam:PassRole", role_arn, {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}})
