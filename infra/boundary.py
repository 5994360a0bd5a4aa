"""The permissions boundary of an environment's roles: the services that they may use, and what no role may delete."""

from __future__ import annotations

from iam import Scope, Statement, allow, deny

PLATFORM_SERVICES = (
    *("s3", "kms", "sagemaker", "sagemaker-mlflow", "ecr", "logs", "cloudwatch", "cloudtrail", "sns", "events"),
    *("budgets", "ce", "ssm", "application-autoscaling", "iam", "sts", "sqs", "servicequotas"),
)


def statements(scope: Scope) -> list[Statement]:
    """Returns the boundary's statements.

    A boundary grants nothing: a role may do what both its own policy and the boundary allow. This one allows only the
    services that the platform uses, and denies everyone, even the platform engineer, to delete the ledger, the trail or
    the boundary.
    """
    boundary = f"arn:aws:iam::{scope.account_id}:policy/{scope.prefix}-boundary"
    return [
        allow(
            "OnlyTheseServices",
            [f"{service}:*" for service in (*PLATFORM_SERVICES, *(["ec2"] if scope.in_network else []))],
            "*",  # not a grant: each role's own policy names its resources
            {"StringEquals": {"aws:PrincipalAccount": scope.account_id}},
        ),
        deny(
            "ProtectLedger",
            [
                *("s3:DeleteObject", "s3:DeleteObjectVersion"),
                *("s3:BypassGovernanceRetention", "s3:PutObjectRetention"),
            ],
            scope.objects("ledger"),
        ),
        deny(
            "ProtectTrail",
            ["s3:DeleteObject", "s3:DeleteObjectVersion", "cloudtrail:DeleteTrail", "cloudtrail:StopLogging"],
            [*scope.audit_buckets, scope.trail_arn],
        ),
        deny(
            "ProtectBoundary",
            [
                *("iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion"),
                *("iam:SetDefaultPolicyVersion", "iam:DeleteRolePermissionsBoundary"),
            ],
            [boundary, *scope.all_roles],
        ),
    ]
