"""KMS, IAM and SSM: keys, roles, policies and parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from bedplate.engine.protocol import INTENT_TAG
from bedplate.engine.provider.cloud import Cloud
from bedplate.engine.provider.kind import FollowUpCall, Props, ResourceType, Tags

MAX_POLICY_VERSIONS = 5  # IAM's limit: the oldest makes room


# --- KMS -------------------------------------------------------------------------------------------------------------


def _found_key(cloud: Cloud, inputs: Props, _found: Mapping[str, Any]) -> Props:
    key = inputs["id"]
    seen: Props = {}
    if "policy" in inputs:
        policy = cloud.call("kms", "GetKeyPolicy", KeyId=key, PolicyName="default")["Policy"]
        seen["policy"] = _as_said(inputs["policy"], policy)
    if "enableKeyRotation" in inputs:
        seen["enableKeyRotation"] = cloud.call("kms", "GetKeyRotationStatus", KeyId=key)["KeyRotationEnabled"]
    return seen


def _key_of_intent(cloud: Cloud, intent: str, _inputs: Props) -> str | None:
    """The key that carries the intent's tag: KMS gives every create a new id."""
    params: Props = {}
    while True:
        page = cloud.call("kms", "ListKeys", **params)
        for key in page["Keys"]:
            tags = cloud.attempt("kms", "ListResourceTags", "NotFoundException", KeyId=key["KeyId"]) or {}
            if {"TagKey": INTENT_TAG, "TagValue": intent} in tags.get("Tags", ()):
                return str(key["KeyId"])
        if not page.get("Truncated"):
            return None
        params = {"Marker": page["NextMarker"]}


def _key_params(_cloud: Cloud, operation: str, known: Props, params: Props) -> Props:
    if operation == "ScheduleKeyDeletion":
        params["PendingWindowInDays"] = int(known.get("deletionWindowInDays") or 30)
    return params


# --- IAM -------------------------------------------------------------------------------------------------------------


def _found_role(_cloud: Cloud, inputs: Props, found: Mapping[str, Any]) -> Props:
    seen: Props = {"assumeRolePolicy": _as_said(inputs.get("assumeRolePolicy"), found["AssumeRolePolicyDocument"])}
    if "permissionsBoundary" in inputs or "PermissionsBoundary" in found:
        seen["permissionsBoundary"] = found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    return seen


def _strip_role(cloud: Cloud, known: Props, _inputs: Props) -> None:
    """IAM deletes only a role without policies; others than the program's may have been put on it."""
    role = known["name"]
    if cloud.attempt("iam", "GetRole", "NoSuchEntity", RoleName=role) is None or not known.get("forceDetachPolicies"):
        return
    for name in cloud.call("iam", "ListRolePolicies", RoleName=role)["PolicyNames"]:
        cloud.call("iam", "DeleteRolePolicy", RoleName=role, PolicyName=name)
    for policy in cloud.call("iam", "ListAttachedRolePolicies", RoleName=role)["AttachedPolicies"]:
        cloud.call("iam", "DetachRolePolicy", RoleName=role, PolicyArn=policy["PolicyArn"])


def _change_role(cloud: Cloud, old: Props, new: Props) -> None:
    if old.get("permissionsBoundary") and not new.get("permissionsBoundary"):
        cloud.call("iam", "DeleteRolePermissionsBoundary", RoleName=new["name"])


def _found_role_policy(_cloud: Cloud, inputs: Props, found: Mapping[str, Any]) -> Props:
    return {"policy": _as_said(inputs.get("policy"), found["PolicyDocument"])}


def _found_policy(cloud: Cloud, inputs: Props, found: Mapping[str, Any]) -> Props:
    version = cloud.call("iam", "GetPolicyVersion", PolicyArn=found["Arn"], VersionId=found["DefaultVersionId"])
    return {"policy": _as_said(inputs.get("policy"), version["PolicyVersion"]["Document"])}


def _new_policy_version(cloud: Cloud, old: Props, new: Props) -> None:
    if old.get("policy") == new.get("policy"):
        return
    arn = new["arn"]
    others = [
        v for v in cloud.call("iam", "ListPolicyVersions", PolicyArn=arn)["Versions"] if not v["IsDefaultVersion"]
    ]
    if len(others) >= MAX_POLICY_VERSIONS - 1:
        oldest = min(others, key=lambda version: version["CreateDate"])
        cloud.call("iam", "DeletePolicyVersion", PolicyArn=arn, VersionId=oldest["VersionId"])
    cloud.call("iam", "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=new["policy"], SetAsDefault=True)


def _drop_policy_versions(cloud: Cloud, known: Props, _inputs: Props) -> None:
    versions = cloud.attempt("iam", "ListPolicyVersions", "NoSuchEntity", PolicyArn=known["id"]) or {"Versions": []}
    for version in versions["Versions"]:
        if not version["IsDefaultVersion"]:
            cloud.call("iam", "DeletePolicyVersion", PolicyArn=known["id"], VersionId=version["VersionId"])


def _as_said(said: Any, document: Any) -> str:
    """A policy's text: the program's where it means the same. IAM answers URL-encoded, botocore mostly a mapping."""
    from bedplate.engine.provider.shapes import same

    text = json.dumps(document) if isinstance(document, Mapping) else unquote(document)
    return said if isinstance(said, str) and same(said, text) else text


# --- SSM -------------------------------------------------------------------------------------------------------------


def _parameter_params(_cloud: Cloud, operation: str, known: Props, params: Props) -> Props:
    """A create never overwrites; an update (which alone comes with an id) always does."""
    if operation == "PutParameter" and "id" in known:
        params["Overwrite"] = True
    if operation == "GetParameter":
        params["WithDecryption"] = True
    return params


def _found_parameter(cloud: Cloud, inputs: Props, _found: Mapping[str, Any]) -> Props:
    named = [{"Key": "Name", "Option": "Equals", "Values": [inputs["name"]]}]
    listed = cloud.call("ssm", "DescribeParameters", ParameterFilters=named)["Parameters"]
    seen: Props = {"tier": inputs.get("tier")}  # Intelligent-Tiering is never told back: AWS answers with its choice
    if listed and "description" in inputs:
        seen["description"] = listed[0].get("Description")
    return seen


KINDS = (
    ResourceType(
        type="aws:kms/key:Key",
        service="kms",
        create="CreateKey",
        read="DescribeKey",
        delete="ScheduleKeyDeletion",
        id="{keyId}",
        keys=("id",),
        rename={"id": "KeyId"},
        local=("deletionWindowInDays", "isEnabled"),
        found="KeyMetadata",
        alive=lambda found: found.get("KeyState") != "PendingDeletion",
        gone=("NotFoundException", "KMSInvalidStateException"),
        outputs={"keyId": "=KeyMetadata.KeyId|KeyId", "arn": "=KeyMetadata.Arn|Arn"},
        extras=(FollowUpCall("EnableKeyRotation", ("enableKeyRotation",)),),
        updates=(
            FollowUpCall("UpdateKeyDescription", ("description",)),
            FollowUpCall("PutKeyPolicy", ("policy",)),
            FollowUpCall(
                "EnableKeyRotation", ("enableKeyRotation",), when=lambda new: bool(new.get("enableKeyRotation"))
            ),
            FollowUpCall(
                "DisableKeyRotation", ("enableKeyRotation",), when=lambda new: not new.get("enableKeyRotation")
            ),
        ),
        fixed={"PolicyName": "default"},
        replaces=("keyUsage", "customerMasterKeySpec", "multiRegion"),
        tags=Tags("TagResource", "UntagResource", "ListResourceTags", {"KeyId": "{id}"}),
        server_named=True,
        to_params=_key_params,
        to_inputs=_found_key,
        find=_key_of_intent,
    ),
    ResourceType(
        type="aws:kms/alias:Alias",
        service="kms",
        create="CreateAlias",
        read="ListAliases",
        delete="DeleteAlias",
        id="{name}",
        keys=("name",),
        named="name",
        max_name=256,
        rename={"name": "AliasName"},
        found="Aliases[AliasName={name}]",
        gone=("NotFoundException",),
        outputs={
            "arn": "arn:aws:kms:{region}:{account}:{name}",
            "targetKeyArn": "arn:aws:kms:{region}:{account}:key/{targetKeyId}",
        },
        updates=(FollowUpCall("UpdateAlias", ("targetKeyId",)),),
        replaces=("name",),
    ),
    ResourceType(
        type="aws:iam/role:Role",
        service="iam",
        create="CreateRole",
        read="GetRole",
        delete="DeleteRole",
        id="{name}",
        keys=("name",),
        named="name",
        max_name=64,
        rename={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument|PolicyDocument"},
        local=("forceDetachPolicies",),
        found="Role",
        gone=("NoSuchEntity",),
        outputs={"arn": "=Role.Arn|Arn", "uniqueId": "=Role.RoleId|RoleId"},
        updates=(
            FollowUpCall("UpdateAssumeRolePolicy", ("assumeRolePolicy",)),
            FollowUpCall("UpdateRole", ("description", "maxSessionDuration")),
            FollowUpCall(
                "PutRolePermissionsBoundary",
                ("permissionsBoundary",),
                when=lambda new: bool(new.get("permissionsBoundary")),
            ),
        ),
        on_update=_change_role,
        replaces=("name", "path"),
        tags=Tags("TagRole", "UntagRole", "ListRoleTags", {"RoleName": "{name}"}),
        to_inputs=_found_role,
        before_delete=_strip_role,
    ),
    ResourceType(
        type="aws:iam/rolePolicy:RolePolicy",
        service="iam",
        create="PutRolePolicy",
        read="GetRolePolicy",
        delete="DeleteRolePolicy",
        id="{role}:{name}",
        keys=("role", "name"),
        from_id=lambda id: dict(zip(("role", "name"), id.split(":", 1), strict=True)),
        named="name",
        max_name=128,
        rename={"role": "RoleName", "name": "PolicyName", "policy": "PolicyDocument"},
        gone=("NoSuchEntity",),
        updates=(FollowUpCall("PutRolePolicy", ("policy",)),),
        replaces=("role", "name"),
        to_inputs=_found_role_policy,
    ),
    ResourceType(
        type="aws:iam/policy:Policy",
        service="iam",
        create="CreatePolicy",
        read="GetPolicy",
        delete="DeletePolicy",
        id="{arn}",
        keys=("name",),
        from_id=lambda id: {"name": id.rsplit("/", 1)[1]},
        named="name",
        max_name=128,
        rename={"name": "PolicyName", "policy": "PolicyDocument"},
        fixed={"PolicyArn": "arn:aws:iam::{account}:policy/{name}"},
        found="Policy",
        gone=("NoSuchEntity",),
        outputs={"arn": "arn:aws:iam::{account}:policy/{name}", "policyId": "=Policy.PolicyId|PolicyId"},
        replaces=("name", "path", "description"),
        on_update=_new_policy_version,
        by_hand=("policy",),
        tags=Tags("TagPolicy", "UntagPolicy", "ListPolicyTags", {"PolicyArn": "{arn}"}),
        to_inputs=_found_policy,
        before_delete=_drop_policy_versions,
    ),
    ResourceType(
        type="aws:ssm/parameter:Parameter",
        service="ssm",
        create="PutParameter",
        read="GetParameter",
        delete="DeleteParameter",
        id="{name}",
        keys=("name",),
        named="name",
        max_name=512,
        found="Parameter",
        gone=("ParameterNotFound",),
        outputs={"arn": "arn:aws:ssm:{region}:{account}:parameter{name}", "version": "=Version"},
        updates=(FollowUpCall("PutParameter", ("value", "description", "type", "tier", "keyId", "allowedPattern")),),
        replaces=("name", "dataType"),
        tags=Tags(
            "AddTagsToResource",
            "RemoveTagsFromResource",
            "ListTagsForResource",
            {"ResourceType": "Parameter", "ResourceId": "{name}"},
        ),
        to_params=_parameter_params,
        to_inputs=_found_parameter,
    ),
)
