"""Who may come in: nobody from outside, and nobody with every right on everything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bedplate.domain.policy.rules import Finding, PlannedResource, PlannedStack, listed

_SWITCHES = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_ADMINISTRATORS = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess", "AmazonSageMakerFullAccess")
_EVERYWHERE = ("0.0.0.0/0", "::/0")
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


def buckets_shut(program: PlannedStack) -> Iterator[Finding]:
    """Every bucket has all four public-access switches on, and no ACLs."""
    shut = {b["bucket"]: b for b in program.of("s3/bucketPublicAccessBlock:BucketPublicAccessBlock")}
    owned = {
        b["bucket"]: b["rule.objectOwnership"] for b in program.of("s3/bucketOwnershipControls:BucketOwnershipControls")
    }
    for bucket in program.of("s3/bucket:Bucket"):
        name = bucket["bucket"]
        block = shut.get(name)
        off = [switch for switch in _SWITCHES if block is None or block[switch] is not True]
        if off:
            yield bucket, f"can become public: {', '.join(off)} not on"
        if owned.get(name) != "BucketOwnerEnforced":
            yield bucket, "ACLs are possible: objectOwnership is not BucketOwnerEnforced"


def strangers_out(program: PlannedStack) -> Iterator[Finding]:
    """No resource policy, security group or subnet lets in whoever comes."""
    for resource in program.of(*_RESOURCE_POLICIES):
        path = _POLICY_INPUT.get(resource.type, "policy")
        for statement in resource.statements(path) if resource.has(path) else ():
            anybody = "*" in _principals(statement)
            if statement.get("Effect") == "Allow" and anybody and not statement.get("Condition"):
                yield resource, f"statement {statement.get('Sid', '?')} allows {_short(statement)} to anybody"
    for group in program.of("ec2/securityGroup:SecurityGroup"):
        for rule in group["ingress"] or ():
            ranges = [*(rule.get("cidrBlocks") or ()), *(rule.get("ipv6CidrBlocks") or ())]
            if any(range in _EVERYWHERE for range in ranges):
                yield group, f"lets the whole internet in on port {rule.get('fromPort')}"
    for rule in program.of("vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
        if rule["cidrIpv4"] in _EVERYWHERE or rule["cidrIpv6"] in _EVERYWHERE:
            yield rule, f"lets the whole internet in on port {rule['fromPort']}"
    for subnet in program.of("ec2/subnet:Subnet"):
        if subnet["mapPublicIpOnLaunch"]:
            yield subnet, "gives public addresses (mapPublicIpOnLaunch)"


def no_wildcard_admin(program: PlannedStack) -> Iterator[Finding]:
    """No grant of a wildcard action on a wildcard resource, and none of AWS's administrator policies.

    All of a service's actions on all of a kind (`ec2:*` on `vpc/*`) are one too. A permission boundary grants nothing:
    it is the ceiling over what other policies grant, so a managed policy that is a boundary may be wide in services,
    but never `*`.
    """
    for policy in program.of("iam/rolePolicy:RolePolicy", "iam/policy:Policy", "iam/userPolicy:UserPolicy"):
        for statement in policy.statements():
            if statement.get("Effect") != "Allow":
                continue
            actions = statement.get("Action", [])
            if "*" in actions or "NotAction" in statement:
                yield policy, f"statement {statement.get('Sid', '?')} allows every action"
                continue
            if "iam:*" in actions and not _is_boundary(policy):
                yield policy, f"statement {statement.get('Sid', '?')} allows iam:*, with which one becomes anybody"
            if _is_boundary(policy):
                continue
            wild, resources = [action for action in actions if "*" in action], statement.get("Resource", [])
            if wild and "*" in resources:
                yield policy, f"statement {statement.get('Sid', '?')} allows {', '.join(wild)} on every resource"
            every = [action for action in actions if action.endswith(":*")]
            kinds = [resource for resource in resources if _is_whole_kind(str(resource))]
            if every and kinds:
                told = f"allows {', '.join(every)} on {', '.join(kinds)}"
                yield policy, f"statement {statement.get('Sid', '?')} {told}"
    for attachment in program.of("iam/rolePolicyAttachment:RolePolicyAttachment"):
        yield from _administrator(attachment, [attachment["policyArn"]])
    for role in program.of("iam/role:Role"):
        yield from _administrator(role, role["managedPolicyArns"] or [])


def roles_bounded(program: PlannedStack) -> Iterator[Finding]:
    """Every role is under a permission boundary and can be taken on only by whom a condition names."""
    for role in program.of("iam/role:Role"):
        if not role.has("permissionsBoundary"):
            yield role, "has no permissionsBoundary"
        for statement in role.statements("assumeRolePolicy"):
            if "*" in _principals(statement) and statement.get("Effect") == "Allow":
                yield role, "may be assumed by anybody"


def _is_whole_kind(arn: str) -> bool:
    """Whether an ARN names everything of a kind, as `vpc/*` does; of S3 the name before the slash is a bucket's.

    >>> _is_whole_kind("arn:aws:ec2:us-east-1:1:vpc/*"), _is_whole_kind("arn:aws:s3:::b/*")
    (True, False)
    >>> _is_whole_kind("arn:aws:sns:us-east-1:1:*"), _is_whole_kind("arn:aws:sns:us-east-1:1:b-dev-*")
    (True, False)
    """
    parts = arn.split(":", 5)
    return len(parts) == 6 and parts[2] != "s3" and re.fullmatch(r"([\w-]+[/:])?\*", parts[5]) is not None


def _is_boundary(policy: PlannedResource) -> bool:
    return policy.type == "aws:iam/policy:Policy" and policy.name.endswith("boundary")


def _administrator(resource: PlannedResource, arns: list[Any]) -> Iterator[Finding]:
    for arn in arns:
        name = str(arn).rsplit("/", 1)[-1]
        if name in _ADMINISTRATORS:
            yield resource, f"attaches {name}"


def _principals(statement: dict[str, Any]) -> list[str]:
    principal = statement.get("Principal", [])
    return listed(principal.get("AWS", [])) if isinstance(principal, dict) else listed(principal)


def _short(statement: dict[str, Any]) -> str:
    return ", ".join(statement.get("Action", ["?"])[:3])
