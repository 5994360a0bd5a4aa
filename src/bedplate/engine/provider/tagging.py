"""Tags of any service, in the words of its kind's row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.provider.cloud import Cloud
from bedplate.engine.provider.kind import Props, ResourceType
from bedplate.engine.provider.requests import fields_of, fill
from bedplate.engine.provider.shapes import lower

_MEMBERS = ("Tags", "tags", "TagSet", "TagList", "TagsList", "ResourceTags")


def tag_params(cloud: Cloud, kind: ResourceType, tags: Mapping[str, str]) -> Props:
    """The part of the create's request that carries the tags."""
    assert kind.tags is not None
    member = kind.tags.member
    if kind.tags.specification:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        return {"TagSpecifications": [{"ResourceType": kind.tags.specification, "Tags": pairs}]}
    return {member: lower(tags, cloud.operation(kind.service, kind.create).input_shape.members[member], "tags")}


def tags_of(cloud: Cloud, kind: ResourceType, outputs: Mapping[str, Any]) -> dict[str, str]:
    """All tags that the service has for the resource, the intent's among them; none where it has no such resource."""
    assert kind.tags is not None
    gone = ("NoSuchTagSet", *kind.gone)
    answer = cloud.attempt(kind.service, kind.tags.list, *gone, **_target(cloud, kind, kind.tags.list, outputs)) or {}
    answer = next(iter(answer.get("ResourceTagList", ())), answer)
    found: Any = next((answer[k] for k in _MEMBERS if k in answer), [])
    if isinstance(found, Mapping):
        return dict(found)
    return {str(_first(tag, "Key", "TagKey", "key")): str(_first(tag, "Value", "TagValue", "value")) for tag in found}


def change_tags(
    cloud: Cloud, kind: ResourceType, outputs: Mapping[str, Any], old: Mapping[str, str], new: Mapping[str, str]
) -> None:
    """Add and remove what differs. Services that replace the whole set (S3) get the whole set."""
    tags = kind.tags
    assert tags is not None
    target = _target(cloud, kind, tags.add, outputs)
    if tags.add in ("PutBucketTagging", "PutObjectTagging"):
        whole = {**tags_of(cloud, kind, outputs), **new}
        kept = {k: v for k, v in whole.items() if k in new or k not in old}
        cloud.call(
            kind.service, tags.add, **target, Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in kept.items()]}
        )
        return
    added = {k: v for k, v in new.items() if old.get(k) != v}
    removed = [k for k in old if k not in new]
    if added:
        shape = cloud.operation(kind.service, tags.add).input_shape.members[tags.member]
        cloud.call(kind.service, tags.add, **target, **{tags.member: lower(added, shape, "tags")})
    if removed:
        member = cloud.operation(kind.service, tags.remove).input_shape.members[tags.keys].member
        keys = removed if member.type_name == "string" else [{"Key": key} for key in removed]
        cloud.call(kind.service, tags.remove, **_target(cloud, kind, tags.remove, outputs), **{tags.keys: keys})


def _target(cloud: Cloud, kind: ResourceType, operation: str, outputs: Mapping[str, Any]) -> Props:
    """The parameters that name the resource: those of the row that this operation has."""
    assert kind.tags is not None
    members = cloud.operation(kind.service, operation).input_shape.members
    fields = fields_of(cloud, outputs)
    return {name: _filled(cloud, said, fields) for name, said in kind.tags.target.items() if name in members}


def _filled(cloud: Cloud, said: Any, fields: Mapping[str, Any]) -> Any:
    if isinstance(said, str):
        return fill(cloud, said, fields)
    if isinstance(said, Mapping):
        return {key: _filled(cloud, value, fields) for key, value in said.items()}
    return [_filled(cloud, value, fields) for value in said]


def _first(tag: Mapping[str, Any], *names: str) -> Any:
    return next(tag[name] for name in names if name in tag)
