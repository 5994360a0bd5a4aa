"""What each persona's commands ask of AWS, as IAM actions on resources: what `doctor` has IAM simulate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bedplate.domain.names import BUCKET_PURPOSES, BucketPurpose, ModelNames, bucket, outputs_parameter, trail_arn

Context = tuple[tuple[str, str], ...]
_TO_SAGEMAKER: Context = (("iam:PassedToService", "sagemaker.amazonaws.com"),)
_APPROVED: Context = (("sagemaker:ModelApprovalStatus", "Approved"),)


@dataclass(frozen=True, slots=True)
class PermissionRequest:
    """Actions on one resource, with the condition keys that such a call carries."""

    actions: tuple[str, ...]
    resource: str
    context: Context = ()
    allowed: bool = True
    """False: the persona must not be able to, and a role that can is a hole."""


@dataclass(frozen=True, slots=True)
class Place:
    """What an environment's ARNs are made of; the keys' are known once it is up."""

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

    def bucket(self, purpose: BucketPurpose, below: str = "") -> str:
        name = bucket(self.project, self.stack, purpose, self.account_id)
        return f"arn:{self.partition}:s3:::{name}{below}"

    def names(self, model: str) -> ModelNames:
        return ModelNames(self.project, self.stack, model)


def asks(persona: str, at: Place) -> tuple[PermissionRequest, ...]:
    """What the commands of a persona need, and what it must not be able to do.

    The table holds what each command calls most, with one resource of each kind and for each model: a role that is
    allowed all of it can do the persona's work, short of what a policy of the organisation (SCP) takes away.
    Raises KeyError for an unknown persona.
    """
    return _TABLE[persona](at)


def _looking(at: Place) -> tuple[PermissionRequest, ...]:
    """`status`, `models`, `costs`: the commands that only show."""
    listed = ("ListEndpoints", "ListModelPackageGroups", "ListTrainingJobs", "ListMonitoringExecutions")
    shown = ("sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig")
    return (
        *_outputs(at),
        PermissionRequest(tuple(f"sagemaker:{verb}" for verb in listed), "*"),
        PermissionRequest(("cloudwatch:GetMetricData", "cloudwatch:DescribeAlarms"), "*"),
        PermissionRequest(("ce:GetCostAndUsage",), "*"),
        PermissionRequest(("logs:FilterLogEvents",), at.arn("logs", "log-group:/aws/sagemaker/TrainingJobs:*")),
        *(PermissionRequest(shown, at.arn("sagemaker", f"endpoint/{at.names(model).endpoint}")) for model in at.models),
        *(PermissionRequest(("budgets:ViewBudget",), _budget(at, at.names(model).budget)) for model in at.models),
    )


def _outputs(at: Place) -> tuple[PermissionRequest, ...]:
    return (
        PermissionRequest(("ssm:GetParameter",), at.arn("ssm", f"parameter{outputs_parameter(at.project, at.stack)}")),
    )


def _budget(at: Place, name: str) -> str:
    return at.arn("budgets", f"budget/{name}", region=False)


def _ledger(at: Place) -> tuple[PermissionRequest, ...]:
    record = at.bucket("ledger", "/ledger/0000000001.json")
    return (
        PermissionRequest(("s3:ListBucket",), at.bucket("ledger")),
        PermissionRequest(("s3:GetObject", "s3:PutObject"), record),
        PermissionRequest(("s3:DeleteObject", "s3:DeleteObjectVersion"), record, allowed=False),
    )


def _running(at: Place) -> tuple[PermissionRequest, ...]:
    """`train`, `evaluate`, `deploy`, `rollback`, `monitor`, `labels`."""
    found: list[PermissionRequest] = [*_looking(at), *_ledger(at)]
    read: tuple[BucketPurpose, ...] = ("artifacts", "data", "capture")
    for purpose in read:
        found += [
            PermissionRequest(("s3:ListBucket",), at.bucket(purpose)),
            PermissionRequest(("s3:GetObject",), at.bucket(purpose, "/any")),
        ]
    found += [PermissionRequest(("s3:PutObject",), at.bucket(purpose, "/any")) for purpose in read[:2]]
    found += [
        PermissionRequest(("kms:Decrypt", "kms:GenerateDataKey"), at.key),
        PermissionRequest(("kms:Sign", "kms:Verify"), at.signing_key),
    ]
    for model in at.models:
        names = at.names(model)
        release = names.release(1, "0" * 8)
        package = at.arn("sagemaker", f"model-package/{names.package_group}/1")
        found += [
            PermissionRequest(("sagemaker:CreateTrainingJob",), at.arn("sagemaker", f"training-job/{names.base}-1")),
            PermissionRequest(
                ("sagemaker:CreateProcessingJob",), at.arn("sagemaker", f"processing-job/{names.base}-1")
            ),
            PermissionRequest(("sagemaker:UpdateModelPackage", "sagemaker:DescribeModelPackage"), package),
            PermissionRequest(("sagemaker:UpdateModelPackage",), package, _APPROVED, allowed=False),
            PermissionRequest(
                ("sagemaker:CreateModel", "sagemaker:DeleteModel"), at.arn("sagemaker", f"model/{release}")
            ),
            PermissionRequest(("sagemaker:CreateEndpointConfig",), at.arn("sagemaker", f"endpoint-config/{release}")),
            PermissionRequest(
                ("sagemaker:UpdateEndpoint", "sagemaker:InvokeEndpoint"),
                at.arn("sagemaker", f"endpoint/{names.endpoint}"),
            ),
            PermissionRequest(("sagemaker:CreateEndpoint",), at.arn("sagemaker", f"endpoint/{names.copy(1)}")),
            PermissionRequest(
                ("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"),
                at.arn("cloudwatch", f"alarm:{names.guard_alarm(release)}"),
            ),
            PermissionRequest(
                ("iam:PassRole",), at.arn("iam", f"role/{names.execution_role}", region=False), _TO_SAGEMAKER
            ),
        ]
    return tuple(found)


def _engineer(at: Place) -> tuple[PermissionRequest, ...]:
    """`up`, `preview`, `drift`, `destroy`."""
    boundary = at.arn("iam", f"policy/{at.prefix}-boundary", region=False)
    role = at.arn("iam", f"role/{at.prefix}-data-scientist", region=False)
    under: Context = (("iam:PermissionsBoundary", boundary),)
    found: list[PermissionRequest] = [*_outputs(at)]
    for purpose in BUCKET_PURPOSES:
        on_bucket = ("CreateBucket", "PutBucketPolicy", "PutBucketVersioning", "PutEncryptionConfiguration")
        found.append(PermissionRequest(tuple(f"s3:{verb}" for verb in on_bucket), at.bucket(purpose)))
    found += [
        PermissionRequest(
            ("kms:CreateKey", "kms:ListAliases", "logs:DescribeLogGroups", "ecr:GetAuthorizationToken"), "*"
        ),
        PermissionRequest(("kms:PutKeyPolicy", "kms:EnableKeyRotation", "kms:DescribeKey"), at.key),
        PermissionRequest(("kms:CreateAlias",), at.arn("kms", f"alias/{at.prefix}")),
        PermissionRequest(("ecr:CreateRepository", "ecr:PutImage"), at.arn("ecr", f"repository/{at.prefix}")),
        PermissionRequest(("sns:CreateTopic", "sns:Subscribe"), at.arn("sns", f"{at.prefix}-alerts")),
        PermissionRequest(("events:PutRule", "events:PutTargets"), at.arn("events", f"rule/{at.prefix}-approved")),
        PermissionRequest(("cloudtrail:CreateTrail",), trail_arn(at.project, at.stack, at.region, at.account_id)),
        PermissionRequest(("budgets:ModifyBudget", "budgets:ViewBudget"), _budget(at, at.prefix)),
        PermissionRequest(("ssm:PutParameter",), at.arn("ssm", f"parameter{outputs_parameter(at.project, at.stack)}")),
        PermissionRequest(("iam:GetRole", "iam:DeleteRole", "iam:TagRole", "iam:SimulatePrincipalPolicy"), role),
        PermissionRequest(("servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas"), "*"),
        PermissionRequest(("iam:CreateRole", "iam:PutRolePolicy"), role, under),
        PermissionRequest(("iam:DeleteRolePermissionsBoundary",), role, allowed=False),
        PermissionRequest(("s3:DeleteObjectVersion",), at.bucket("ledger", "/ledger/0000000001.json"), allowed=False),
    ]
    for model in at.models:
        names = at.names(model)
        verbs = ("CreateEndpoint", "UpdateEndpoint", "DeleteEndpoint")
        found += [
            PermissionRequest(
                tuple(f"sagemaker:{verb}" for verb in verbs), at.arn("sagemaker", f"endpoint/{names.endpoint}")
            ),
            PermissionRequest(
                ("sagemaker:CreateModelPackageGroup",),
                at.arn("sagemaker", f"model-package-group/{names.package_group}"),
            ),
            PermissionRequest(
                ("sagemaker:CreateMonitoringSchedule",),
                at.arn("sagemaker", f"monitoring-schedule/{names.monitoring_schedule}"),
            ),
            PermissionRequest(("cloudwatch:PutMetricAlarm",), at.arn("cloudwatch", f"alarm:{names.errors_alarm}")),
            PermissionRequest(
                ("iam:PassRole",), at.arn("iam", f"role/{names.execution_role}", region=False), _TO_SAGEMAKER
            ),
        ]
    return tuple(found)


def _approver(at: Place) -> tuple[PermissionRequest, ...]:
    found: list[PermissionRequest] = [
        *_looking(at),
        *_ledger(at),
        PermissionRequest(("s3:GetObject",), at.bucket("artifacts", "/any")),
    ]
    for model in at.models:
        names = at.names(model)
        package = at.arn("sagemaker", f"model-package/{names.package_group}/1")
        found += [
            PermissionRequest(("sagemaker:UpdateModelPackage",), package, _APPROVED),
            PermissionRequest(
                ("sagemaker:UpdateEndpoint",), at.arn("sagemaker", f"endpoint/{names.endpoint}"), allowed=False
            ),
        ]
    return tuple(found)


def _finance(at: Place) -> tuple[PermissionRequest, ...]:
    data = PermissionRequest(("s3:GetObject",), at.bucket("data", "/any"), allowed=False)
    return (
        *_outputs(at),
        PermissionRequest(("ce:GetCostAndUsage",), "*"),
        PermissionRequest(("budgets:ViewBudget",), _budget(at, at.prefix)),
        data,
    )


def _auditor(at: Place) -> tuple[PermissionRequest, ...]:
    return (
        *_looking(at),
        PermissionRequest(("s3:ListBucket",), at.bucket("ledger")),
        PermissionRequest(("s3:GetObject",), at.bucket("ledger", "/ledger/0000000001.json")),
        PermissionRequest(("cloudtrail:LookupEvents",), "*"),
        PermissionRequest(("kms:Decrypt",), at.key),
        PermissionRequest(("s3:PutObject",), at.bucket("ledger", "/ledger/0000000001.json"), allowed=False),
        PermissionRequest(("s3:GetObject",), at.bucket("data", "/any"), allowed=False),
    )


_TABLE = {
    "platform-engineer": _engineer,
    "data-scientist": _running,
    "approver": _approver,
    "finance": _finance,
    "auditor": _auditor,
    "reconciler": _running,
}


def persona_of(arn: str, project: str, stack: str) -> str | None:
    """The persona whose role an ARN of STS names; None for anybody else.

    >>> persona_of("arn:aws:sts::123456789012:assumed-role/bedplate-dev-approver/ada", "bedplate", "dev")
    'approver'
    """
    kind, _, rest = arn.rpartition(":")[2].partition("/")
    persona = rest.partition("/")[0].removeprefix(f"{project}-{stack}-")
    return persona if kind == "assumed-role" and persona in _TABLE and rest.startswith(f"{project}-{stack}-") else None


def wrong(
    asked: Sequence[PermissionRequest], allowed: Mapping[tuple[str, str, Context], bool]
) -> tuple[list[str], list[str]]:
    """(actions that lack, actions that ought to be shut), each as `action on resource`.

    >>> read = PermissionRequest(("s3:GetObject",), "arn:b/k")
    >>> delete = PermissionRequest(("s3:DeleteObject",), "arn:b/k", allowed=False)
    >>> wrong([read, delete], {("s3:GetObject", "arn:b/k", ()): False, ("s3:DeleteObject", "arn:b/k", ()): True})
    (['s3:GetObject on arn:b/k'], ['s3:DeleteObject on arn:b/k'])
    """
    lacking: list[str] = []
    open_: list[str] = []
    for ask in asked:
        for action in ask.actions:
            is_allowed = allowed[(action, ask.resource, ask.context)]
            if is_allowed is not ask.allowed:
                (lacking if ask.allowed else open_).append(f"{action} on {ask.resource}")
    return lacking, open_
