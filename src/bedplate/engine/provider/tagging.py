"""Adds, removes and lists the tags of a resource with its service's tag operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.provider.clients import AwsClients, Params
from bedplate.engine.provider.parameters import fill_format
from bedplate.engine.provider.resource_type import ResourceType
from bedplate.engine.provider.shapes import to_aws

_TAG_MEMBERS = ("Tags", "tags", "TagSet", "TagList", "TagsList", "ResourceTags")
"""The names that services give to the tags in the response of their list operation."""


def build_tag_params(aws: AwsClients, resource_type: ResourceType, tags: Mapping[str, str]) -> Params:
    """Returns the parameters of the create operation that carry the tags."""
    assert resource_type.tags is not None
    member = resource_type.tags.tags_member
    if resource_type.tags.ec2_resource_type:
        specification = {"ResourceType": resource_type.tags.ec2_resource_type, "Tags": _pairs(tags)}
        return {"TagSpecifications": [specification]}
    shape = aws.operation_model(resource_type.service, resource_type.create).input_shape
    return {member: to_aws(tags, shape.members[member], "tags")}


def list_tags(aws: AwsClients, resource_type: ResourceType, outputs: Mapping[str, Any]) -> dict[str, str]:
    """Returns all tags of the resource, including the intent tag; empty if the resource does not exist."""
    assert resource_type.tags is not None
    codes = ("NoSuchTagSet", *resource_type.missing_codes)
    operation = resource_type.tags.list
    target = _target_params(aws, resource_type, operation, outputs)
    response = aws.call_or_none(resource_type.service, operation, *codes, **target) or {}
    response = next(iter(response.get("ResourceTagList", ())), response)  # CloudTrail lists tags by resource
    tags: Any = next((response[member] for member in _TAG_MEMBERS if member in response), [])
    if isinstance(tags, Mapping):
        return dict(tags)
    return {
        str(_first_of(tag, "Key", "TagKey", "key")): str(_first_of(tag, "Value", "TagValue", "value")) for tag in tags
    }


def update_tags(
    aws: AwsClients,
    resource_type: ResourceType,
    outputs: Mapping[str, Any],
    old: Mapping[str, str],
    new: Mapping[str, str],
) -> None:
    """Adds and removes the tags that differ between the declared tags `old` and `new`.

    S3's operation replaces all tags, so it gets `new` and the current tags that the program never declared.
    """
    tags, service = resource_type.tags, resource_type.service
    assert tags is not None
    target = _target_params(aws, resource_type, tags.add, outputs)
    if tags.add in ("PutBucketTagging", "PutObjectTagging"):
        current = {**list_tags(aws, resource_type, outputs), **new}
        remaining = {k: v for k, v in current.items() if k in new or k not in old}
        aws.call(service, tags.add, **target, Tagging={"TagSet": _pairs(remaining)})
        return
    if added := {k: v for k, v in new.items() if old.get(k) != v}:
        shape = aws.operation_model(service, tags.add).input_shape.members[tags.tags_member]
        aws.call(service, tags.add, **target, **{tags.tags_member: to_aws(added, shape, "tags")})
    if removed := [k for k in old if k not in new]:
        shape = aws.operation_model(service, tags.remove).input_shape.members[tags.keys_member]
        keys = removed if shape.member.type_name == "string" else [{"Key": key} for key in removed]
        target = _target_params(aws, resource_type, tags.remove, outputs)
        aws.call(service, tags.remove, **target, **{tags.keys_member: keys})


def _target_params(aws: AwsClients, resource_type: ResourceType, operation: str, outputs: Mapping[str, Any]) -> Params:
    """Returns the parameters of a tag operation that identify the resource."""
    assert resource_type.tags is not None
    members = aws.operation_model(resource_type.service, operation).input_shape.members
    target = resource_type.tags.target
    return {name: _fill_formats(aws, value, outputs) for name, value in target.items() if name in members}


def _fill_formats(aws: AwsClients, value: Any, outputs: Mapping[str, Any]) -> Any:
    """Returns a parameter with every format in it filled from the outputs, such as `{arn}`."""
    if isinstance(value, str):
        return fill_format(aws, value, outputs)
    if isinstance(value, Mapping):
        return {key: _fill_formats(aws, inner, outputs) for key, inner in value.items()}
    return [_fill_formats(aws, item, outputs) for item in value]


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _first_of(tag: Mapping[str, Any], *names: str) -> Any:
    return next(tag[name] for name in names if name in tag)
