"""Resource types of IAM: roles, their inline policies, and managed policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from bedplate.engine.protocol import Properties
from bedplate.engine.provider.clients import AwsClients
from bedplate.engine.provider.resource_type import FollowUpCall, ResourceType, TagOperations, named_type, toggle_calls
from bedplate.engine.provider.shapes import prefer_declared

MAX_POLICY_VERSIONS = 5
"""IAM's limit of versions per managed policy."""


def _policy_text(document: str | Mapping[str, Any]) -> str:
    """Returns a policy document as JSON: IAM returns it URL-encoded, and botocore mostly decodes it to a mapping."""
    return json.dumps(document) if isinstance(document, Mapping) else unquote(document)


def _read_role(_aws: AwsClients, inputs: Properties, actual: Mapping[str, Any]) -> Properties:
    trust_policy = _policy_text(actual["AssumeRolePolicyDocument"])
    live_inputs = {"assumeRolePolicy": prefer_declared(inputs.get("assumeRolePolicy"), trust_policy)}
    if "permissionsBoundary" in inputs or "PermissionsBoundary" in actual:
        live_inputs["permissionsBoundary"] = actual.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    return live_inputs


def _detach_role_policies(aws: AwsClients, properties: Properties, _inputs: Properties) -> None:
    """Removes all policies of a role with `forceDetachPolicies`, because IAM does not delete a role that has any."""
    role = properties["name"]
    if (
        not properties.get("forceDetachPolicies")
        or aws.call_or_none("iam", "GetRole", "NoSuchEntity", RoleName=role) is None
    ):
        return
    for name in aws.call("iam", "ListRolePolicies", RoleName=role)["PolicyNames"]:
        aws.call("iam", "DeleteRolePolicy", RoleName=role, PolicyName=name)
    for policy in aws.call("iam", "ListAttachedRolePolicies", RoleName=role)["AttachedPolicies"]:
        aws.call("iam", "DetachRolePolicy", RoleName=role, PolicyArn=policy["PolicyArn"])


def _read_role_policy(_aws: AwsClients, inputs: Properties, actual: Mapping[str, Any]) -> Properties:
    return {"policy": prefer_declared(inputs.get("policy"), _policy_text(actual["PolicyDocument"]))}


def _read_policy(aws: AwsClients, inputs: Properties, actual: Mapping[str, Any]) -> Properties:
    version_id = actual["DefaultVersionId"]
    version = aws.call("iam", "GetPolicyVersion", PolicyArn=actual["Arn"], VersionId=version_id)["PolicyVersion"]
    return {"policy": prefer_declared(inputs.get("policy"), _policy_text(version["Document"]))}


def _list_old_versions(aws: AwsClients, arn: str) -> list[Mapping[str, Any]]:
    """Returns the versions of a managed policy that are not its default, none if the policy does not exist."""
    page = aws.call_or_none("iam", "ListPolicyVersions", "NoSuchEntity", PolicyArn=arn) or {"Versions": []}
    return [version for version in page["Versions"] if not version["IsDefaultVersion"]]


def _create_policy_version(aws: AwsClients, old: Properties, new: Properties) -> None:
    """Makes a changed policy the default version, and first deletes the oldest version if IAM's limit is reached."""
    if old.get("policy") == new.get("policy"):
        return
    old_versions = _list_old_versions(aws, new["arn"])
    if len(old_versions) >= MAX_POLICY_VERSIONS - 1:
        oldest = min(old_versions, key=lambda version: version["CreateDate"])
        aws.call("iam", "DeletePolicyVersion", PolicyArn=new["arn"], VersionId=oldest["VersionId"])
    aws.call("iam", "CreatePolicyVersion", PolicyArn=new["arn"], PolicyDocument=new["policy"], SetAsDefault=True)


def _delete_old_versions(aws: AwsClients, properties: Properties, _inputs: Properties) -> None:
    """Deletes the versions that are not the default, because IAM deletes only a policy with a single version."""
    for version in _list_old_versions(aws, properties["id"]):
        aws.call("iam", "DeletePolicyVersion", PolicyArn=properties["id"], VersionId=version["VersionId"])


RESOURCE_TYPES = (
    named_type(
        "aws:iam/role:Role",
        "iam",
        ("CreateRole", "GetRole", "DeleteRole"),
        max_name_length=64,
        member_paths={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument|PolicyDocument"},
        provider_only=("forceDetachPolicies",),
        read_path="Role",
        missing_codes=("NoSuchEntity",),
        outputs={"arn": "=Role.Arn|Arn", "uniqueId": "=Role.RoleId|RoleId"},
        update_calls=(
            FollowUpCall("UpdateAssumeRolePolicy", ("assumeRolePolicy",)),
            FollowUpCall("UpdateRole", ("description", "maxSessionDuration")),
            *toggle_calls("permissionsBoundary", "PutRolePermissionsBoundary", "DeleteRolePermissionsBoundary"),
        ),
        replaces=("name", "path"),
        tags=TagOperations({"RoleName": "{name}"}, "TagRole", "UntagRole", "ListRoleTags"),
        read_inputs=_read_role,
        before_delete=_detach_role_policies,
    ),
    ResourceType(
        "aws:iam/rolePolicy:RolePolicy",
        "iam",
        ("PutRolePolicy", "GetRolePolicy", "DeleteRolePolicy"),
        id_format="{role}:{name}",
        key_properties=("role", "name"),
        parse_id=lambda id: dict(zip(("role", "name"), id.split(":", 1), strict=True)),
        name_property="name",
        max_name_length=128,
        member_paths={"role": "RoleName", "name": "PolicyName", "policy": "PolicyDocument"},
        missing_codes=("NoSuchEntity",),
        update_calls=(FollowUpCall("PutRolePolicy", ("policy",)),),
        replaces=("role", "name"),
        read_inputs=_read_role_policy,
    ),
    named_type(
        "aws:iam/policy:Policy",
        "iam",
        ("CreatePolicy", "GetPolicy", "DeletePolicy"),
        id_format="{arn}",
        parse_id=lambda id: {"name": id.rsplit("/", 1)[1]},
        max_name_length=128,
        member_paths={"name": "PolicyName", "policy": "PolicyDocument"},
        fixed_params={"PolicyArn": "arn:aws:iam::{account}:policy/{name}"},
        read_path="Policy",
        missing_codes=("NoSuchEntity",),
        outputs={"arn": "arn:aws:iam::{account}:policy/{name}", "policyId": "=Policy.PolicyId|PolicyId"},
        replaces=("name", "path", "description"),
        on_update=_create_policy_version,
        on_update_properties=("policy",),
        tags=TagOperations({"PolicyArn": "{arn}"}, "TagPolicy", "UntagPolicy", "ListPolicyTags"),
        read_inputs=_read_policy,
        before_delete=_delete_old_versions,
    ),
)
