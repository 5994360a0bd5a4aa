"""Resource types of KMS: keys and aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.protocol import INTENT_TAG, Properties
from bedplate.engine.provider.clients import AwsClients, Params
from bedplate.engine.provider.resource_type import FollowUpCall, ResourceType, TagOperations, named_type, toggle_calls
from bedplate.engine.provider.shapes import prefer_declared


def _read_key(aws: AwsClients, inputs: Properties, _actual: Mapping[str, Any]) -> Properties:
    key = inputs["id"]
    live_inputs: Properties = {}
    if "policy" in inputs:
        policy = aws.call("kms", "GetKeyPolicy", KeyId=key, PolicyName="default")["Policy"]
        live_inputs["policy"] = prefer_declared(inputs["policy"], policy)
    if "enableKeyRotation" in inputs:
        live_inputs["enableKeyRotation"] = aws.call("kms", "GetKeyRotationStatus", KeyId=key)["KeyRotationEnabled"]
    return live_inputs


def _find_key_by_intent(aws: AwsClients, intent: str, _inputs: Properties) -> str | None:
    """Returns the key with the intent's tag: KMS assigns a new id at every create."""
    params: Params = {}
    while True:
        page = aws.call("kms", "ListKeys", **params)
        for key in page["Keys"]:
            tags = aws.call_or_none("kms", "ListResourceTags", "NotFoundException", KeyId=key["KeyId"]) or {}
            if {"TagKey": INTENT_TAG, "TagValue": intent} in tags.get("Tags", ()):
                return str(key["KeyId"])
        if not page.get("Truncated"):
            return None
        params = {"Marker": page["NextMarker"]}


def _key_params(_aws: AwsClients, operation: str, properties: Properties, params: Params) -> Params:
    if operation == "ScheduleKeyDeletion":
        params["PendingWindowInDays"] = int(properties.get("deletionWindowInDays") or 30)
    return params


RESOURCE_TYPES = (
    ResourceType(
        "aws:kms/key:Key",
        "kms",
        ("CreateKey", "DescribeKey", "ScheduleKeyDeletion"),
        id_format="{keyId}",
        key_properties=("id",),
        member_paths={"id": "KeyId"},
        provider_only=("deletionWindowInDays", "isEnabled"),
        read_path="KeyMetadata",
        is_alive=lambda actual: actual.get("KeyState") != "PendingDeletion",
        missing_codes=("NotFoundException", "KMSInvalidStateException"),
        outputs={"keyId": "=KeyMetadata.KeyId|KeyId", "arn": "=KeyMetadata.Arn|Arn"},
        create_follow_ups=(FollowUpCall("EnableKeyRotation", ("enableKeyRotation",)),),
        update_calls=(
            FollowUpCall("UpdateKeyDescription", ("description",)),
            FollowUpCall("PutKeyPolicy", ("policy",)),
            *toggle_calls("enableKeyRotation", "EnableKeyRotation", "DisableKeyRotation"),
        ),
        fixed_params={"PolicyName": "default"},
        replaces=("keyUsage", "customerMasterKeySpec", "multiRegion"),
        tags=TagOperations({"KeyId": "{id}"}, list="ListResourceTags"),
        has_generated_id=True,
        adjust_params=_key_params,
        read_inputs=_read_key,
        find_id=_find_key_by_intent,
    ),
    named_type(
        "aws:kms/alias:Alias",
        "kms",
        ("CreateAlias", "ListAliases", "DeleteAlias"),
        max_name_length=256,
        member_paths={"name": "AliasName"},
        read_path="Aliases[AliasName={name}]",
        missing_codes=("NotFoundException",),
        outputs={
            "arn": "arn:aws:kms:{region}:{account}:{name}",
            "targetKeyArn": "arn:aws:kms:{region}:{account}:key/{targetKeyId}",
        },
        update_calls=(FollowUpCall("UpdateAlias", ("targetKeyId",)),),
    ),
)
