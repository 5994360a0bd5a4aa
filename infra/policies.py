"""The statements of every role, each with its reason. No statement has both a wildcard action and a wildcard resource.

Resource "*" stands only where AWS knows no resource for the action, and the comment beside it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from bedplate.domain import names

Statement = dict[str, Any]
PERSONA_TAG = "bedplate-persona"

DESCRIBED = (
    *("Vpcs", "VpcAttribute", "Subnets", "RouteTables", "SecurityGroups", "SecurityGroupRules"),
    *("VpcEndpoints", "PrefixLists", "NetworkInterfaces", "DhcpOptions", "Tags"),
)

LAID = (
    *("CreateVpc", "DeleteVpc", "ModifyVpcAttribute", "CreateSubnet", "DeleteSubnet", "ModifySubnetAttribute"),
    *("CreateRouteTable", "DeleteRouteTable", "AssociateRouteTable", "DisassociateRouteTable"),
    *("CreateSecurityGroup", "DeleteSecurityGroup", "ModifySecurityGroupRules"),
    *(f"{verb}SecurityGroup{side}" for verb in ("Authorize", "Revoke") for side in ("Ingress", "Egress")),
    *("CreateVpcEndpoint", "ModifyVpcEndpoint", "DeleteVpcEndpoints", "CreateTags", "DeleteTags"),
)
"""What making, changing and taking down a network calls."""
SCALING = (
    *("RegisterScalableTarget", "DeregisterScalableTarget", "PutScalingPolicy", "DeleteScalingPolicy"),
    *("PutScheduledAction", "DeleteScheduledAction"),
)
ANOMALIES = ("Monitor", "Subscription")
TAGGING = ("TagResource", "UntagResource", "ListTagsForResource")

PURPOSE = {
    "platform-engineer": "Creates and updates the environment; reads the ledger, cannot shorten it",
    "data-scientist": "Trains, compares, releases, watches and rolls back; cannot approve",
    "approver": "Reads the evidence and approves or rejects a model version; cannot train or release",
    "finance": "Reads spend and budgets",
    "auditor": "Reads everything, changes nothing",
    "reconcile-job": "The reconciler as a SageMaker job, started by events",
    "reconciler": "Brings what runs to what was approved: retrains, deploys, rolls back; cannot approve",
}


@dataclass(frozen=True)
class Scope:
    """What an environment's statements may name."""

    project: str
    stack: str
    region: str
    account_id: str
    bucket_arns: Mapping[str, pulumi.Input[str]]
    kms_key_arn: pulumi.Input[str]
    signing_key_arn: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    in_network: bool

    @property
    def prefix(self) -> str:
        return f"{self.project}-{self.stack}"

    @property
    def roles_of_models(self) -> str:
        """The execution role of every model, see names.ModelNames.execution_role."""
        return f"arn:aws:iam::{self.account_id}:role/{self.prefix}.*"

    @property
    def trail_arn(self) -> str:
        return names.trail_arn(self.project, self.stack, self.region, self.account_id)

    @property
    def records(self) -> list[str]:
        """The buckets of access logs and of the trail, and their objects."""
        held = [names.bucket(self.project, self.stack, purpose, self.account_id) for purpose in ("logs", "trail")]
        return [f"arn:aws:s3:::{bucket}{below}" for bucket in held for below in ("", "/*")]

    @property
    def every_role(self) -> list[str]:
        return [f"arn:aws:iam::{self.account_id}:role/{self.prefix}-*", self.roles_of_models]

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"

    def sagemaker(self, *kinds: str) -> list[str]:
        """Everything of these kinds that bears the environment's prefix."""
        return [self.arn("sagemaker", f"{kind}/{self.prefix}-*") for kind in kinds]

    def buckets(self, *purposes: str) -> list[pulumi.Input[str]]:
        return [self.bucket_arns[purpose] for purpose in purposes]

    def objects(self, *purposes: str, below: str = "*") -> list[pulumi.Input[str]]:
        return [pulumi.Output.concat(self.bucket_arns[purpose], "/", below) for purpose in purposes]


def service_trust(account_id: str) -> Statement:
    """SageMaker, and only on behalf of this account (the confused-deputy guard)."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": account_id}},
    }


def persona_trust(account_id: str, persona: str) -> Statement:
    """People of this account whose principal carries the persona's tag: set it in the identity provider, not here."""
    return {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account_id}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {f"aws:PrincipalTag/{PERSONA_TAG}": persona}},
    }


# --- what several roles share ----------------------------------------------------------------------------------------


def _read_objects(scope: Scope, *purposes: str) -> list[Statement]:
    return [
        allow(
            "FindObjects", ["s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketLocation"], scope.buckets(*purposes)
        ),
        allow("ReadObjects", ["s3:GetObject", "s3:GetObjectVersion"], scope.objects(*purposes)),
    ]


def _decrypt(scope: Scope) -> Statement:
    return allow("Decrypt", ["kms:Decrypt", "kms:DescribeKey"], scope.kms_key_arn)


def encrypt(scope: Scope) -> Statement:
    return allow("Encrypt", ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"], scope.kms_key_arn)


def _sign_datasets(scope: Scope) -> Statement:
    """Who registers data signs it, who trains asks whether the signature holds."""
    return allow("SignDatasets", ["kms:Sign", "kms:Verify", "kms:DescribeKey"], scope.signing_key_arn)


def _append_ledger(scope: Scope) -> list[Statement]:
    """Add records and read them. Nobody is given a way to delete one."""
    return [
        allow("FindLedger", "s3:ListBucket", scope.buckets("ledger")),
        allow("AppendLedger", ["s3:GetObject", "s3:PutObject"], scope.objects("ledger")),
    ]


def _platform_outputs(scope: Scope) -> Statement:
    parameter = scope.arn("ssm", f"parameter/{scope.project}/{scope.stack}/*")
    return allow("ReadPlatformOutputs", ["ssm:GetParameter", "ssm:GetParameters"], parameter)


def _look(scope: Scope) -> list[Statement]:
    """What the commands that only show things ask for."""
    everything = scope.sagemaker("*")
    return [
        _platform_outputs(scope),
        allow(
            "DescribeModels", ["sagemaker:Describe*", "sagemaker:ListTags", "sagemaker:ListModelPackages"], everything
        ),
        # SageMaker's and CloudWatch's lists and metrics know no resource.
        allow(
            "ListModels",
            [
                "sagemaker:ListEndpoints",
                "sagemaker:ListEndpointConfigs",
                "sagemaker:ListModels",
                "sagemaker:ListModelPackageGroups",
                "sagemaker:ListTrainingJobs",
                "sagemaker:ListProcessingJobs",
                "sagemaker:ListMonitoringSchedules",
                "sagemaker:ListMonitoringExecutions",
                "sagemaker:Search",
                "cloudwatch:GetMetricData",
                "cloudwatch:GetMetricStatistics",
                "cloudwatch:ListMetrics",
                "cloudwatch:DescribeAlarms",
            ],
            "*",
        ),
        allow(
            "ReadJobLogs", ["logs:GetLogEvents", "logs:FilterLogEvents", "logs:DescribeLogStreams"], _log_groups(scope)
        ),
        allow("ReadBudgets", "budgets:ViewBudget", f"arn:aws:budgets::{scope.account_id}:budget/{scope.prefix}*"),
        # Cost Explorer knows no resource.
        allow("ReadSpend", ["ce:GetCostAndUsage", "ce:GetCostForecast", "ce:GetTags"], "*"),
    ]


def _pass_execution_role(scope: Scope) -> Statement:
    return allow(
        "PassExecutionRole",
        "iam:PassRole",
        scope.roles_of_models,
        {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    )


def _log_groups(scope: Scope) -> str:
    return scope.arn("logs", "log-group:/aws/sagemaker/*")


def _run_models(scope: Scope) -> list[Statement]:
    """Train, register, release and roll back: what the command line and the reconciler do every day."""
    return [
        *_read_objects(scope, "artifacts", "data", "capture"),
        allow("WriteObjects", "s3:PutObject", scope.objects("artifacts", "data")),
        encrypt(scope),
        _sign_datasets(scope),
        *_append_ledger(scope),
        *_look(scope),
        allow(
            "RunJobs",
            [
                "sagemaker:CreateTrainingJob",
                "sagemaker:StopTrainingJob",
                "sagemaker:CreateProcessingJob",
                "sagemaker:StopProcessingJob",
                "sagemaker:AddTags",
            ],
            scope.sagemaker("training-job", "processing-job"),
        ),
        allow(
            "Tune",
            [
                "sagemaker:CreateHyperParameterTuningJob",
                "sagemaker:StopHyperParameterTuningJob",
                "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
                "sagemaker:AddTags",
            ],
            scope.sagemaker("hyper-parameter-tuning-job"),
        ),
        # Of MLflow's REST operations those that keep runs and read them (`tracking.enabled`).
        allow(
            "KeepRuns",
            [
                f"sagemaker-mlflow:{operation}"
                for operation in (
                    *("CreateExperiment", "GetExperimentByName", "SearchExperiments"),
                    *("CreateRun", "UpdateRun", "GetRun", "SearchRuns", "LogBatch"),
                )
            ],
            scope.sagemaker("mlflow-tracking-server"),
        ),
        allow(
            "RegisterVersions",
            ["sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage", "sagemaker:AddTags"],
            scope.sagemaker("model-package", "model-package-group"),
        ),
        allow("Cards", ["sagemaker:CreateModelCard", "sagemaker:UpdateModelCard"], scope.sagemaker("model-card")),
        allow(
            "Release",
            [
                "sagemaker:CreateModel",
                "sagemaker:DeleteModel",
                "sagemaker:CreateEndpointConfig",
                "sagemaker:DeleteEndpointConfig",
                "sagemaker:UpdateEndpoint",
                "sagemaker:UpdateEndpointWeightsAndCapacities",
                "sagemaker:InvokeEndpoint",
                "sagemaker:AddTags",
            ],
            scope.sagemaker("model", "endpoint", "endpoint-config"),
        ),
        # A rollback has its target answer on a copy first, and a drill rehearses on one.
        allow(
            "Copies",
            ["sagemaker:CreateEndpoint", "sagemaker:DeleteEndpoint"],
            [
                *scope.sagemaker("endpoint-config"),
                scope.arn("sagemaker", f"endpoint/{scope.prefix}-*-copy-v*"),
            ],
        ),
        # A release brings its guard alarm and takes it along when it goes.
        allow(
            "GuardAlarms",
            ["cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms", "cloudwatch:TagResource"],
            scope.arn("cloudwatch", f"alarm:{scope.prefix}-*-answers"),
        ),
        *_schedules(scope),
        _pass_execution_role(scope),
        _never_approve(scope),
    ]


def _schedules(scope: Scope) -> list[Statement]:
    """What `bedplate monitor schedule` makes: the kinds of monitoring that the program has no resource for."""
    definitions = ("ModelQuality", "ModelBias", "ModelExplainability")
    kinds = names.SCHEDULE_KINDS
    return [
        allow(
            "ScheduleDefinitions",
            [f"sagemaker:{verb}{kind}JobDefinition" for kind in definitions for verb in ("Create", "Delete")]
            + ["sagemaker:AddTags"],
            scope.sagemaker(
                "model-quality-job-definition", "model-bias-job-definition", "model-explainability-job-definition"
            ),
        ),
        allow(
            "Schedules",
            [*(f"sagemaker:{verb}MonitoringSchedule" for verb in ("Create", "Update", "Delete")), "sagemaker:AddTags"],
            [scope.arn("sagemaker", f"monitoring-schedule/{scope.prefix}-*-{kind}") for kind in kinds],
        ),
        allow(
            "ScheduleAlarms",
            ["cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms", "cloudwatch:TagResource"],
            [scope.arn("cloudwatch", f"alarm:{scope.prefix}-*-{kind}") for kind in kinds],
        ),
    ]


def _never_approve(scope: Scope) -> Statement:
    """Evaluation updates a model package's record, approval its status: the first is theirs, the second is not."""
    return {
        "Sid": "NeverApprove",
        "Effect": "Deny",
        "Action": ["sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage"],
        "Resource": scope.sagemaker("model-package", "model-package-group"),
        "Condition": {"StringEquals": {"sagemaker:ModelApprovalStatus": "Approved"}},
    }


# --- the roles -------------------------------------------------------------------------------------------------------


def platform_engineer(scope: Scope) -> list[Statement]:
    """What `bedplate up` and `destroy` need, for what bears the environment's prefix."""
    prefix, account, roles = scope.prefix, scope.account_id, scope.every_role
    aliases = [scope.arn("kms", f"alias/{prefix}"), scope.arn("kms", f"alias/{prefix}-signing")]
    return [
        allow("Trail", "cloudtrail:*", scope.trail_arn),
        allow("Buckets", "s3:*", [f"arn:aws:s3:::{prefix}-*-{account}", f"arn:aws:s3:::{prefix}-*-{account}/*"]),
        allow("Models", "sagemaker:*", scope.sagemaker("*")),
        allow("Images", "ecr:*", scope.arn("ecr", f"repository/{prefix}")),
        allow("Topics", "sns:*", scope.arn("sns", f"{prefix}-*")),
        allow("Alarms", "cloudwatch:*", scope.arn("cloudwatch", f"alarm:{prefix}-*")),
        allow("Dashboards", "cloudwatch:*", f"arn:aws:cloudwatch::{account}:dashboard/{prefix}-*"),
        allow("EventRules", "events:*", scope.arn("events", f"rule/{prefix}-*")),
        allow("Queues", "sqs:*", scope.arn("sqs", f"{prefix}-*")),
        allow("Budgets", "budgets:*", f"arn:aws:budgets::{account}:budget/{prefix}*"),
        # Cost Explorer and Application Auto Scaling name what they make themselves, so their actions are listed.
        allow(
            "CostAnomalies",
            [f"ce:{verb}Anomaly{what}" for verb in ("Create", "Update", "Delete") for what in ANOMALIES]
            + [f"ce:GetAnomaly{what}s" for what in ANOMALIES]
            + [f"ce:{verb}" for verb in TAGGING],
            [f"arn:aws:ce::{account}:anomaly{what.lower()}/*" for what in ANOMALIES],
        ),
        # What a used-up budget attaches to the trainers' roles: policies that deny.
        allow(
            "StopPolicies",
            ["iam:CreatePolicy", "iam:TagPolicy", "iam:UntagPolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy"],
            f"arn:aws:iam::{account}:policy/{prefix}*-stop-training",
        ),
        allow(
            "PassBudgetActionsRole",
            "iam:PassRole",
            f"arn:aws:iam::{account}:role/{prefix}-budget-actions",
            {"StringEquals": {"iam:PassedToService": "budgets.amazonaws.com"}},
        ),
        allow("EndpointLogs", "logs:*", scope.arn("logs", f"log-group:/aws/sagemaker/Endpoints/{prefix}-*")),
        allow("Parameters", "ssm:*", scope.arn("ssm", f"parameter/{scope.project}/{scope.stack}/*")),
        allow("Key", "kms:*", [scope.kms_key_arn, scope.signing_key_arn, *aliases]),
        allow(
            "Scaling",
            [f"application-autoscaling:{verb}" for verb in (*SCALING, *TAGGING)],
            scope.arn("application-autoscaling", "scalable-target/*"),
        ),
        # These have no resource before the thing exists, or never.
        allow(
            "CreateAndList",
            [
                "kms:CreateKey",
                "kms:ListAliases",
                "logs:DescribeLogGroups",
                "ecr:GetAuthorizationToken",
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
                "application-autoscaling:DescribeScheduledActions",
                "ssm:DescribeParameters",
                "cloudwatch:DescribeAlarms",
            ],
            "*",
        ),
        allow(
            "ReadRoles",
            [
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListRolePolicies",
                "iam:ListAttachedRolePolicies",
                "iam:GetPolicy*",
            ],
            [*roles, f"arn:aws:iam::{account}:policy/{prefix}-*"],
        ),
        # What `bedplate doctor` asks; quotas' lists know no resource.
        allow("Quotas", ["servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas"], "*"),
        allow("Simulate", "iam:SimulatePrincipalPolicy", roles),
        # Roles may be made and changed only under the boundary, so nobody writes a way out of it.
        allow(
            "WriteRoles",
            ["iam:CreateRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary"],
            roles,
            {"StringEquals": {"iam:PermissionsBoundary": f"arn:aws:iam::{account}:policy/{prefix}-boundary"}},
        ),
        allow(
            "CareForRoles",
            ["iam:DeleteRole", "iam:TagRole", "iam:UntagRole", "iam:UpdateRole", "iam:UpdateAssumeRolePolicy"],
            roles,
        ),
        _pass_execution_role(scope),
        *(_lay_network(scope) if scope.in_network else []),
    ]


def _lay_network(scope: Scope) -> list[Statement]:
    """A network's parts have ids of EC2's, no names that bear the environment's prefix: so the actions are listed."""
    kinds = ("vpc", "subnet", "route-table", "security-group", "security-group-rule", "vpc-endpoint")
    return [
        allow("Network", [f"ec2:{verb}" for verb in LAID], [scope.arn("ec2", f"{kind}/*") for kind in kinds]),
        # EC2's descriptions know no resource.
        allow("ReadNetwork", [f"ec2:Describe{what}" for what in DESCRIBED], "*"),
    ]


def data_scientist(scope: Scope) -> list[Statement]:
    return _run_models(scope)


def reconciler(scope: Scope) -> list[Statement]:
    return _run_models(scope)


def approver(scope: Scope) -> list[Statement]:
    """Reads the evidence, says yes or no, and the ledger keeps it."""
    return [
        *_read_objects(scope, "artifacts"),
        encrypt(scope),
        *_append_ledger(scope),
        *_look(scope),
        allow("Approve", "sagemaker:UpdateModelPackage", scope.sagemaker("model-package")),
    ]


def finance(scope: Scope) -> list[Statement]:
    """Spend and budgets; no data, no models."""
    return [
        _platform_outputs(scope),
        allow("ReadBudgets", "budgets:ViewBudget", f"arn:aws:budgets::{scope.account_id}:budget/{scope.prefix}*"),
        # Cost Explorer knows no resource.
        allow("ReadSpend", ["ce:GetCostAndUsage", "ce:GetCostForecast", "ce:GetTags"], "*"),
    ]


def auditor(scope: Scope) -> list[Statement]:
    """Ledger, registry, evidence and the trail; not training data or captured requests, which may be personal."""
    return [
        *_read_objects(scope, "ledger", "artifacts"),
        _decrypt(scope),
        *_look(scope),
        allow("ReadLedgerLock", "s3:GetObjectRetention", scope.objects("ledger")),
        # CloudTrail's event history knows no resource.
        allow("ReadTrail", "cloudtrail:LookupEvents", "*"),
        allow("ReadRecords", ["s3:ListBucket", "s3:GetObject", "s3:GetObjectVersion"], scope.records),
    ]


PERSONAS: dict[str, Callable[[Scope], list[Statement]]] = {
    "platform-engineer": platform_engineer,
    "data-scientist": data_scientist,
    "approver": approver,
    "finance": finance,
    "auditor": auditor,
    "reconciler": reconciler,
}


def allow(sid: str, action: str | list[str], resource: Any, condition: dict[str, Any] | None = None) -> Statement:
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement
