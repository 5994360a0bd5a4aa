"""The ceiling over every role of an environment: which services there are at all, and what nobody may undo."""

from __future__ import annotations

from policies import Scope, Statement, allow

PLATFORM_SERVICES = (
    *("s3", "kms", "sagemaker", "sagemaker-mlflow", "ecr", "logs", "cloudwatch", "cloudtrail", "sns", "events"),
    *("budgets", "ce", "ssm", "application-autoscaling", "iam", "sts", "sqs", "servicequotas"),
)


def statements(scope: Scope) -> list[Statement]:
    """Not a grant: the ceiling over every role's own statements. Services that the platform has no use for are shut,
    and what would undo the record or the boundary itself is denied even to the platform engineer."""
    account, prefix, roles = scope.account_id, scope.prefix, scope.every_role
    return [
        allow(
            "OnlyTheseServices",
            [f"{service}:*" for service in (*PLATFORM_SERVICES, *(["ec2"] if scope.in_network else []))],
            "*",  # a ceiling, not a grant: each role's own policy names its resources
            {"StringEquals": {"aws:PrincipalAccount": account}},
        ),
        {
            "Sid": "LedgerStays",
            "Effect": "Deny",
            "Action": [
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:BypassGovernanceRetention",
                "s3:PutObjectRetention",
            ],
            "Resource": scope.objects("ledger"),
        },
        {
            "Sid": "TrailStays",
            "Effect": "Deny",
            "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion", "cloudtrail:DeleteTrail", "cloudtrail:StopLogging"],
            "Resource": [*scope.records, scope.trail_arn],
        },
        {
            "Sid": "BoundaryStays",
            "Effect": "Deny",
            "Action": [
                "iam:CreatePolicyVersion",
                "iam:DeletePolicy",
                "iam:DeletePolicyVersion",
                "iam:SetDefaultPolicyVersion",
                "iam:DeleteRolePermissionsBoundary",
            ],
            "Resource": [f"arn:aws:iam::{account}:policy/{prefix}-boundary", *roles],
        },
    ]
