"""Tags of any service, in the words of its kind's row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.provider.cloud import Cloud
from bedplate.engine.provider.kind import Kind, Props
from bedplate.engine.provider.requests import fields_of, fill
from bedplate.engine.provider.shapes import lower


def tag_params(cloud: Cloud, kind: Kind, tags: Mapping[str, str]) -> Props:
    """The part of the create's request that carries the tags."""
    assert kind.tags is not None
    member = kind.tags.member
    return {member: lower(tags, cloud.operation(kind.service, kind.create).input_shape.members[member], "tags")}


def tags_of(cloud: Cloud, kind: Kind, outputs: Mapping[str, Any]) -> dict[str, str]:
    """All tags that the service has for the resource, the intent's among them; none where it has no such resource."""
    assert kind.tags is not None
    gone = ("NoSuchTagSet", *kind.gone)
    answer = cloud.attempt(kind.service, kind.tags.list, *gone, **_target(cloud, kind, outputs)) or {}
    found: Any = next((answer[k] for k in ("Tags", "tags", "TagSet", "TagList", "ResourceTags") if k in answer), [])
    if isinstance(found, Mapping):
        return dict(found)
    return {str(_first(tag, "Key", "TagKey", "key")): str(_first(tag, "Value", "TagValue", "value")) for tag in found}


def change_tags(
    cloud: Cloud, kind: Kind, outputs: Mapping[str, Any], old: Mapping[str, str], new: Mapping[str, str]
) -> None:
    """Add and remove what differs. Services that replace the whole set (S3) get the whole set."""
    tags = kind.tags
    assert tags is not None
    target = _target(cloud, kind, outputs)
    if tags.add == "PutBucketTagging":
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
        cloud.call(kind.service, tags.remove, **target, **{tags.keys: removed})


def _target(cloud: Cloud, kind: Kind, outputs: Mapping[str, Any]) -> Props:
    assert kind.tags is not None
    return {name: fill(cloud, text, fields_of(cloud, outputs)) for name, text in kind.tags.target.items()}


def _first(tag: Mapping[str, Any], *names: str) -> Any:
    return next(tag[name] for name in names if name in tag)
