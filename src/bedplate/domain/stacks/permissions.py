"""Lists what each persona's commands need of AWS as IAM actions on resources, for `doctor` to simulate with IAM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bedplate.domain.names import BUCKET_PURPOSES, BucketPurpose, ModelNames, bucket, outputs_parameter, trail_arn

ConditionKeys = tuple[tuple[str, str], ...]
_TO_SAGEMAKER: ConditionKeys = (("iam:PassedToService", "sagemaker.amazonaws.com"),)
_APPROVED: ConditionKeys = (("sagemaker:ModelApprovalStatus", "Approved"),)


@dataclass(frozen=True, slots=True)
class Permission:
    """Actions on one resource, with the IAM condition keys that such a call has."""

    actions: tuple[str, ...]
    resource: str
    condition_keys: ConditionKeys = ()
    is_allowed: bool = True
    """False means that the persona must be denied these actions; a role that allows them is too wide."""


@dataclass(frozen=True, slots=True)
class StackArns:
    """Builds the ARNs of a stack's resources. The keys' ARNs are known once the stack is up."""

    project: str
    stack: str
    region: str
    account_id: str
    models: Sequence[str]
    kms_key_arn: str | None = None
    signing_key_arn: str | None = None
    partition: str = "aws"

    @property
    def prefix(self) -> str:
        return f"{self.project}-{self.stack}"

    @property
    def key(self) -> str:
        return self.kms_key_arn or self.arn("kms", "key/00000000-0000-0000-0000-000000000000")

    @property
    def signing_key(self) -> str:
        return self.signing_key_arn or self.key

    def arn(self, service: str, resource: str, *, region: bool = True) -> str:
        return f"arn:{self.partition}:{service}:{self.region if region else ''}:{self.account_id}:{resource}"

    def sagemaker(self, resource: str) -> str:
        return self.arn("sagemaker", resource)

    def endpoint(self, model: str) -> str:
        return self.sagemaker(f"endpoint/{self.names(model).endpoint}")

    def bucket(self, purpose: BucketPurpose, suffix: str = "") -> str:
        """Returns the ARN of the bucket of a purpose, or with `suffix` of an object in it."""
        name = bucket(self.project, self.stack, purpose, self.account_id)
        return f"arn:{self.partition}:s3:::{name}{suffix}"

    def names(self, model: str) -> ModelNames:
        return ModelNames(self.project, self.stack, model)


def list_permissions(persona: str, arns: StackArns) -> tuple[Permission, ...]:
    """Returns what the commands of a persona need, and what the persona must be denied.

    The table lists the main calls of each command, with one resource of each kind and for each model. A role that is
    allowed all of them can do the persona's work, unless a service control policy (SCP) of the organisation denies it.
    Raises KeyError for an unknown persona.
    """
    return _BY_PERSONA[persona](arns)


def _read_permissions(arns: StackArns) -> tuple[Permission, ...]:
    """Returns the permissions of `status`, `models` and `costs`, which only read."""
    list_actions = ("ListEndpoints", "ListModelPackageGroups", "ListTrainingJobs", "ListMonitoringExecutions")
    describe_actions = ("sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig")
    return (
        _outputs_permission(arns),
        Permission(tuple(f"sagemaker:{verb}" for verb in list_actions), "*"),
        Permission(("cloudwatch:GetMetricData", "cloudwatch:DescribeAlarms"), "*"),
        Permission(("ce:GetCostAndUsage",), "*"),
        Permission(("logs:FilterLogEvents",), arns.arn("logs", "log-group:/aws/sagemaker/TrainingJobs:*")),
        *(Permission(describe_actions, arns.endpoint(model)) for model in arns.models),
        *(Permission(("budgets:ViewBudget",), _budget_arn(arns, arns.names(model).budget)) for model in arns.models),
    )


def _outputs_permission(arns: StackArns, verb: str = "Get") -> Permission:
    parameter = arns.arn("ssm", f"parameter{outputs_parameter(arns.project, arns.stack)}")
    return Permission((f"ssm:{verb}Parameter",), parameter)


def _budget_arn(arns: StackArns, name: str) -> str:
    return arns.arn("budgets", f"budget/{name}", region=False)


def _pass_role(arns: StackArns, names: ModelNames) -> Permission:
    role = arns.arn("iam", f"role/{names.execution_role}", region=False)
    return Permission(("iam:PassRole",), role, _TO_SAGEMAKER)


def _ledger_permissions(arns: StackArns) -> tuple[Permission, ...]:
    record = arns.bucket("ledger", "/ledger/0000000001.json")
    return (
        Permission(("s3:ListBucket",), arns.bucket("ledger")),
        Permission(("s3:GetObject", "s3:PutObject"), record),
        Permission(("s3:DeleteObject", "s3:DeleteObjectVersion"), record, is_allowed=False),
    )


def _data_scientist(arns: StackArns) -> tuple[Permission, ...]:
    """Returns the permissions of `train`, `evaluate`, `deploy`, `rollback`, `monitor` and `labels`."""
    permissions: list[Permission] = [*_read_permissions(arns), *_ledger_permissions(arns)]
    readable: tuple[BucketPurpose, ...] = ("artifacts", "data", "capture")
    permissions += [Permission(("s3:ListBucket",), arns.bucket(purpose)) for purpose in readable]
    permissions += [Permission(("s3:GetObject",), arns.bucket(purpose, "/any")) for purpose in readable]
    permissions += [Permission(("s3:PutObject",), arns.bucket(purpose, "/any")) for purpose in readable[:2]]
    permissions += [
        Permission(("kms:Decrypt", "kms:GenerateDataKey"), arns.key),
        Permission(("kms:Sign", "kms:Verify"), arns.signing_key),
    ]
    for model in arns.models:
        names = arns.names(model)
        release = names.release(1, "0" * 8)
        alarm = arns.arn("cloudwatch", f"alarm:{names.guard_alarm(release)}")
        package = arns.sagemaker(f"model-package/{names.package_group}/1")
        permissions += [
            Permission(("sagemaker:CreateTrainingJob",), arns.sagemaker(f"training-job/{names.base}-1")),
            Permission(("sagemaker:CreateProcessingJob",), arns.sagemaker(f"processing-job/{names.base}-1")),
            Permission(("sagemaker:UpdateModelPackage", "sagemaker:DescribeModelPackage"), package),
            Permission(("sagemaker:UpdateModelPackage",), package, _APPROVED, is_allowed=False),
            Permission(("sagemaker:CreateModel", "sagemaker:DeleteModel"), arns.sagemaker(f"model/{release}")),
            Permission(("sagemaker:CreateEndpointConfig",), arns.sagemaker(f"endpoint-config/{release}")),
            Permission(("sagemaker:UpdateEndpoint", "sagemaker:InvokeEndpoint"), arns.endpoint(model)),
            Permission(("sagemaker:CreateEndpoint",), arns.sagemaker(f"endpoint/{names.copy_endpoint(1)}")),
            Permission(("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"), alarm),
            _pass_role(arns, names),
        ]
    return tuple(permissions)


def _platform_engineer(arns: StackArns) -> tuple[Permission, ...]:
    """Returns the permissions of `up`, `preview`, `drift` and `destroy`."""
    boundary = arns.arn("iam", f"policy/{arns.prefix}-boundary", region=False)
    role = arns.arn("iam", f"role/{arns.prefix}-data-scientist", region=False)
    with_boundary: ConditionKeys = (("iam:PermissionsBoundary", boundary),)
    permissions: list[Permission] = [_outputs_permission(arns)]
    for purpose in BUCKET_PURPOSES:
        bucket_actions = ("CreateBucket", "PutBucketPolicy", "PutBucketVersioning", "PutEncryptionConfiguration")
        permissions.append(Permission(tuple(f"s3:{verb}" for verb in bucket_actions), arns.bucket(purpose)))
    permissions += [
        Permission(("kms:CreateKey", "kms:ListAliases", "logs:DescribeLogGroups", "ecr:GetAuthorizationToken"), "*"),
        Permission(("kms:PutKeyPolicy", "kms:EnableKeyRotation", "kms:DescribeKey"), arns.key),
        Permission(("kms:CreateAlias",), arns.arn("kms", f"alias/{arns.prefix}")),
        Permission(("ecr:CreateRepository", "ecr:PutImage"), arns.arn("ecr", f"repository/{arns.prefix}")),
        Permission(("sns:CreateTopic", "sns:Subscribe"), arns.arn("sns", f"{arns.prefix}-alerts")),
        Permission(("events:PutRule", "events:PutTargets"), arns.arn("events", f"rule/{arns.prefix}-approved")),
        Permission(("cloudtrail:CreateTrail",), trail_arn(arns.project, arns.stack, arns.region, arns.account_id)),
        Permission(("budgets:ModifyBudget", "budgets:ViewBudget"), _budget_arn(arns, arns.prefix)),
        _outputs_permission(arns, "Put"),
        Permission(("iam:GetRole", "iam:DeleteRole", "iam:TagRole", "iam:SimulatePrincipalPolicy"), role),
        Permission(("servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas"), "*"),
        Permission(("iam:CreateRole", "iam:PutRolePolicy"), role, with_boundary),
        Permission(("iam:DeleteRolePermissionsBoundary",), role, is_allowed=False),
        Permission(("s3:DeleteObjectVersion",), arns.bucket("ledger", "/ledger/0000000001.json"), is_allowed=False),
    ]
    for model in arns.models:
        names = arns.names(model)
        verbs = ("CreateEndpoint", "UpdateEndpoint", "DeleteEndpoint")
        group = arns.sagemaker(f"model-package-group/{names.package_group}")
        schedule = arns.sagemaker(f"monitoring-schedule/{names.monitoring_schedule}")
        permissions += [
            Permission(tuple(f"sagemaker:{verb}" for verb in verbs), arns.endpoint(model)),
            Permission(("sagemaker:CreateModelPackageGroup",), group),
            Permission(("sagemaker:CreateMonitoringSchedule",), schedule),
            Permission(("cloudwatch:PutMetricAlarm",), arns.arn("cloudwatch", f"alarm:{names.errors_alarm}")),
            _pass_role(arns, names),
        ]
    return tuple(permissions)


def _approver(arns: StackArns) -> tuple[Permission, ...]:
    permissions: list[Permission] = [
        *_read_permissions(arns),
        *_ledger_permissions(arns),
        Permission(("s3:GetObject",), arns.bucket("artifacts", "/any")),
    ]
    for model in arns.models:
        package = arns.sagemaker(f"model-package/{arns.names(model).package_group}/1")
        permissions += [
            Permission(("sagemaker:UpdateModelPackage",), package, _APPROVED),
            Permission(("sagemaker:UpdateEndpoint",), arns.endpoint(model), is_allowed=False),
        ]
    return tuple(permissions)


def _finance(arns: StackArns) -> tuple[Permission, ...]:
    return (
        _outputs_permission(arns),
        Permission(("ce:GetCostAndUsage",), "*"),
        Permission(("budgets:ViewBudget",), _budget_arn(arns, arns.prefix)),
        Permission(("s3:GetObject",), arns.bucket("data", "/any"), is_allowed=False),
    )


def _auditor(arns: StackArns) -> tuple[Permission, ...]:
    return (
        *_read_permissions(arns),
        Permission(("s3:ListBucket",), arns.bucket("ledger")),
        Permission(("s3:GetObject",), arns.bucket("ledger", "/ledger/0000000001.json")),
        Permission(("cloudtrail:LookupEvents",), "*"),
        Permission(("kms:Decrypt",), arns.key),
        Permission(("s3:PutObject",), arns.bucket("ledger", "/ledger/0000000001.json"), is_allowed=False),
        Permission(("s3:GetObject",), arns.bucket("data", "/any"), is_allowed=False),
    )


_BY_PERSONA = {
    "platform-engineer": _platform_engineer,
    "data-scientist": _data_scientist,
    "approver": _approver,
    "finance": _finance,
    "auditor": _auditor,
    "reconciler": _data_scientist,
}


def find_persona(arn: str, project: str, stack: str) -> str | None:
    """Returns the persona whose role the ARN of an STS identity names; None for any other identity.

    >>> find_persona("arn:aws:sts::123456789012:assumed-role/bedplate-dev-approver/ada", "bedplate", "dev")
    'approver'
    """
    kind, _, name = arn.rpartition(":")[2].partition("/")
    persona = name.partition("/")[0].removeprefix(f"{project}-{stack}-")
    return (
        persona
        if kind == "assumed-role" and persona in _BY_PERSONA and name.startswith(f"{project}-{stack}-")
        else None
    )


def find_mismatches(
    expected: Sequence[Permission], decisions: Mapping[tuple[str, str, ConditionKeys], bool]
) -> tuple[list[str], list[str]]:
    """Returns the actions that are denied but needed, and those that are allowed but must be denied, as `action on
    resource`.

    >>> read = Permission(("s3:GetObject",), "arn:b/k")
    >>> delete = Permission(("s3:DeleteObject",), "arn:b/k", is_allowed=False)
    >>> decisions = {("s3:GetObject", "arn:b/k", ()): False, ("s3:DeleteObject", "arn:b/k", ()): True}
    >>> find_mismatches([read, delete], decisions)
    (['s3:GetObject on arn:b/k'], ['s3:DeleteObject on arn:b/k'])
    """
    missing: list[str] = []
    excess: list[str] = []
    for permission in expected:
        for action in permission.actions:
            is_allowed = decisions[(action, permission.resource, permission.condition_keys)]
            if is_allowed is not permission.is_allowed:
                (missing if permission.is_allowed else excess).append(f"{action} on {permission.resource}")
    return missing, excess
