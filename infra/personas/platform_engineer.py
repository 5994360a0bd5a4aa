"""The platform engineer: creates, updates and destroys the environment with `bedplate up` and `destroy`."""

from __future__ import annotations

from iam import Scope, Statement, allow
from personas.shared import pass_role

EC2_DESCRIBE_ACTIONS = (
    *("Vpcs", "VpcAttribute", "Subnets", "RouteTables", "SecurityGroups", "SecurityGroupRules"),
    *("VpcEndpoints", "PrefixLists", "NetworkInterfaces", "DhcpOptions", "Tags"),
)
"""Suffixes of `ec2:Describe`."""
EC2_WRITE_ACTIONS = (
    *("CreateVpc", "DeleteVpc", "ModifyVpcAttribute", "CreateSubnet", "DeleteSubnet", "ModifySubnetAttribute"),
    *("CreateRouteTable", "DeleteRouteTable", "AssociateRouteTable", "DisassociateRouteTable"),
    *("CreateSecurityGroup", "DeleteSecurityGroup", "ModifySecurityGroupRules"),
    *(f"{verb}SecurityGroup{direction}" for verb in ("Authorize", "Revoke") for direction in ("Ingress", "Egress")),
    *("CreateVpcEndpoint", "ModifyVpcEndpoint", "DeleteVpcEndpoints", "CreateTags", "DeleteTags"),
)
TAG_ACTIONS = ("TagResource", "UntagResource", "ListTagsForResource")
SCALING_ACTIONS = (
    *("RegisterScalableTarget", "DeregisterScalableTarget", "PutScalingPolicy", "DeleteScalingPolicy"),
    *("PutScheduledAction", "DeleteScheduledAction", *TAG_ACTIONS),
)
ANOMALY_RESOURCES = ("Monitor", "Subscription")


def statements(scope: Scope) -> list[Statement]:
    return [
        *_named_resources(scope),
        *_cost_controls(scope),
        allow("EndpointLogs", "logs:*", scope.arn("logs", f"log-group:/aws/sagemaker/Endpoints/{scope.prefix}-*")),
        allow("Parameters", "ssm:*", scope.arn("ssm", f"parameter/{scope.project}/{scope.stack}/*")),
        allow(
            "Key",
            "kms:*",
            [
                scope.kms_key_arn,
                scope.signing_key_arn,
                *(scope.arn("kms", f"alias/{scope.prefix}{suffix}") for suffix in ("", "-signing")),
            ],
        ),
        # Application Auto Scaling generates the ids of its resources, so the actions are listed.
        allow(
            "Scaling",
            [f"application-autoscaling:{action}" for action in SCALING_ACTIONS],
            scope.arn("application-autoscaling", "scalable-target/*"),
        ),
        # Actions that create a resource, whose ARN does not exist yet, or that have no resource.
        allow(
            "CreateAndList",
            [
                "kms:CreateKey",
                "kms:ListAliases",
                "logs:DescribeLogGroups",
                "ecr:GetAuthorizationToken",
                *(
                    f"application-autoscaling:Describe{resources}"
                    for resources in ("ScalableTargets", "ScalingPolicies", "ScheduledActions")
                ),
                "ssm:DescribeParameters",
                "cloudwatch:DescribeAlarms",
            ],
            "*",
        ),
        *_roles(scope),
        pass_role("PassExecutionRole", scope.execution_roles, "sagemaker"),
        *(_network(scope) if scope.in_network else []),
    ]


def _named_resources(scope: Scope) -> list[Statement]:
    """Allows everything for resources whose names begin with the environment's prefix."""
    prefix, account = scope.prefix, scope.account_id
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
    ]


def _cost_controls(scope: Scope) -> list[Statement]:
    """Allows cost anomaly detection, and the policies that deny trainings when a budget is exhausted."""
    account, prefix, resources = scope.account_id, scope.prefix, ANOMALY_RESOURCES
    return [
        # Cost Explorer generates the ids of its resources, so the actions are listed.
        allow(
            "CostAnomalies",
            [
                *(f"ce:{verb}Anomaly{resource}" for verb in ("Create", "Update", "Delete") for resource in resources),
                *(f"ce:GetAnomaly{resource}s" for resource in resources),
                *(f"ce:{action}" for action in TAG_ACTIONS),
            ],
            [f"arn:aws:ce::{account}:anomaly{resource.lower()}/*" for resource in resources],
        ),
        allow(
            "StopPolicies",
            ["iam:CreatePolicy", "iam:TagPolicy", "iam:UntagPolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy"],
            f"arn:aws:iam::{account}:policy/{prefix}*-stop-training",
        ),
        pass_role("PassBudgetActionsRole", f"arn:aws:iam::{account}:role/{prefix}-budget-actions", "budgets"),
    ]


def _roles(scope: Scope) -> list[Statement]:
    """Allows to write roles only with the permissions boundary, so that no role can exceed it."""
    policies, roles = f"arn:aws:iam::{scope.account_id}:policy/{scope.prefix}", scope.all_roles
    reads = ("GetRole", "GetRolePolicy", "ListRolePolicies", "ListAttachedRolePolicies", "GetPolicy*")
    return [
        allow("ReadRoles", [f"iam:{action}" for action in reads], [*roles, f"{policies}-*"]),
        # `bedplate doctor` compares quotas, which have no resource, and simulates the personas' policies.
        allow("Quotas", ["servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas"], "*"),
        allow("Simulate", "iam:SimulatePrincipalPolicy", roles),
        allow(
            "WriteRoles",
            ["iam:CreateRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary"],
            roles,
            {"StringEquals": {"iam:PermissionsBoundary": f"{policies}-boundary"}},
        ),
        allow(
            "CareForRoles",
            ["iam:DeleteRole", "iam:TagRole", "iam:UntagRole", "iam:UpdateRole", "iam:UpdateAssumeRolePolicy"],
            roles,
        ),
    ]


def _network(scope: Scope) -> list[Statement]:
    """Allows to create and delete the VPC; EC2 generates the ids of its parts, so the actions are listed."""
    kinds = ("vpc", "subnet", "route-table", "security-group", "security-group-rule", "vpc-endpoint")
    writes = [f"ec2:{action}" for action in EC2_WRITE_ACTIONS]
    return [
        allow("Network", writes, [scope.arn("ec2", f"{kind}/*") for kind in kinds]),
        # EC2's Describe actions have no resource.
        allow("ReadNetwork", [f"ec2:Describe{resources}" for resources in EC2_DESCRIBE_ACTIONS], "*"),
    ]
