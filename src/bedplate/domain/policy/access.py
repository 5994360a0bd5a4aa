"""Policies on access: nothing is public, and no identity has all permissions on all resources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bedplate.domain.policy.rules import PlannedResource, PlannedStack, PolicyFinding, as_list

_PUBLIC_ACCESS_FLAGS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_ADMIN_POLICIES = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess", "AmazonSageMakerFullAccess")
_ANY_ADDRESS = ("0.0.0.0/0", "::/0")
_RESOURCE_POLICIES = (
    "s3/bucketPolicy:BucketPolicy",
    "sns/topicPolicy:TopicPolicy",
    "sqs/queuePolicy:QueuePolicy",
    "ecr/repositoryPolicy:RepositoryPolicy",
    "kms/key:Key",
    "kms/keyPolicy:KeyPolicy",
    "secretsmanager/secretPolicy:SecretPolicy",
    "sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
)
_POLICY_INPUT = {"aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy": "resourcePolicy"}


def no_public_buckets(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every bucket has all four public-access flags set, and no ACLs."""
    blocks = {b["bucket"]: b for b in program.of_type("s3/bucketPublicAccessBlock:BucketPublicAccessBlock")}
    controls = program.of_type("s3/bucketOwnershipControls:BucketOwnershipControls")
    ownership = {control["bucket"]: control["rule.objectOwnership"] for control in controls}
    for bucket in program.of_type("s3/bucket:Bucket"):
        name = bucket["bucket"]
        block = blocks.get(name)
        missing = [flag for flag in _PUBLIC_ACCESS_FLAGS if block is None or block[flag] is not True]
        if missing:
            yield bucket, f"can become public: {', '.join(missing)} is not true"
        if ownership.get(name) != "BucketOwnerEnforced":
            yield bucket, "allows ACLs: objectOwnership is not BucketOwnerEnforced"


def no_public_access(program: PlannedStack) -> Iterator[PolicyFinding]:
    """No resource policy, security group or subnet is open to everyone."""
    for resource in program.of_type(*_RESOURCE_POLICIES):
        path = _POLICY_INPUT.get(resource.type, "policy")
        for statement in resource.statements(path) if resource.has(path) else ():
            is_public = "*" in _principals(statement)
            if statement.get("Effect") == "Allow" and is_public and not statement.get("Condition"):
                yield resource, f"statement {statement.get('Sid', '?')} allows {_format_actions(statement)} to everyone"
    for group in program.of_type("ec2/securityGroup:SecurityGroup"):
        for rule in group["ingress"] or ():
            ranges = [*(rule.get("cidrBlocks") or ()), *(rule.get("ipv6CidrBlocks") or ())]
            if any(range in _ANY_ADDRESS for range in ranges):
                yield group, f"is open to the internet on port {rule.get('fromPort')}"
    for rule in program.of_type("vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
        if rule["cidrIpv4"] in _ANY_ADDRESS or rule["cidrIpv6"] in _ANY_ADDRESS:
            yield rule, f"is open to the internet on port {rule['fromPort']}"
    for subnet in program.of_type("ec2/subnet:Subnet"):
        if subnet["mapPublicIpOnLaunch"]:
            yield subnet, "assigns public addresses (mapPublicIpOnLaunch)"


def no_wildcard_admin(program: PlannedStack) -> Iterator[PolicyFinding]:
    """No policy grants wildcard actions on all resources, and no AWS administrator policy is attached.

    All actions of a service on all resources of a kind (`ec2:*` on `vpc/*`) count as well. A permission boundary grants
    nothing and only limits what other policies grant, so a boundary policy may be wide in services, but never `*`.
    """
    for policy in program.of_type("iam/rolePolicy:RolePolicy", "iam/policy:Policy", "iam/userPolicy:UserPolicy"):
        for statement in policy.statements():
            if statement.get("Effect") != "Allow":
                continue
            actions = statement.get("Action", [])
            if "*" in actions or "NotAction" in statement:
                yield policy, f"statement {statement.get('Sid', '?')} allows every action"
                continue
            if "iam:*" in actions and not _is_boundary(policy):
                yield policy, f"statement {statement.get('Sid', '?')} allows iam:*, which can grant any permission"
            if _is_boundary(policy):
                continue
            wildcards, resources = [action for action in actions if "*" in action], statement.get("Resource", [])
            if wildcards and "*" in resources:
                yield policy, f"statement {statement.get('Sid', '?')} allows {', '.join(wildcards)} on every resource"
            service_wide = [action for action in actions if action.endswith(":*")]
            whole_kinds = [resource for resource in resources if _is_whole_kind(str(resource))]
            if service_wide and whole_kinds:
                grant = f"allows {', '.join(service_wide)} on {', '.join(whole_kinds)}"
                yield policy, f"statement {statement.get('Sid', '?')} {grant}"
    for attachment in program.of_type("iam/rolePolicyAttachment:RolePolicyAttachment"):
        yield from _admin_policies(attachment, [attachment["policyArn"]])
    for role in program.of_type("iam/role:Role"):
        yield from _admin_policies(role, role["managedPolicyArns"] or [])


def bounded_roles(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every role has a permission boundary, and no role can be assumed by everyone."""
    for role in program.of_type("iam/role:Role"):
        if not role.has("permissionsBoundary"):
            yield role, "has no permissionsBoundary"
        for statement in role.statements("assumeRolePolicy"):
            if "*" in _principals(statement) and statement.get("Effect") == "Allow":
                yield role, "can be assumed by everyone"


def _is_whole_kind(arn: str) -> bool:
    """Returns whether an ARN covers all resources of a kind, as `vpc/*` does; in S3 ARNs the part before the slash is a
    bucket.

    >>> _is_whole_kind("arn:aws:ec2:us-east-1:1:vpc/*"), _is_whole_kind("arn:aws:s3:::b/*")
    (True, False)
    >>> _is_whole_kind("arn:aws:sns:us-east-1:1:*"), _is_whole_kind("arn:aws:sns:us-east-1:1:b-dev-*")
    (True, False)
    """
    parts = arn.split(":", 5)
    return len(parts) == 6 and parts[2] != "s3" and re.fullmatch(r"([\w-]+[/:])?\*", parts[5]) is not None


def _is_boundary(policy: PlannedResource) -> bool:
    return policy.type == "aws:iam/policy:Policy" and policy.name.endswith("boundary")


def _admin_policies(resource: PlannedResource, arns: list[Any]) -> Iterator[PolicyFinding]:
    for arn in arns:
        name = str(arn).rsplit("/", 1)[-1]
        if name in _ADMIN_POLICIES:
            yield resource, f"attaches {name}"


def _principals(statement: dict[str, Any]) -> list[str]:
    principal = statement.get("Principal", [])
    return as_list(principal.get("AWS", [])) if isinstance(principal, dict) else as_list(principal)


def _format_actions(statement: dict[str, Any]) -> str:
    return ", ".join(statement.get("Action", ["?"])[:3])
