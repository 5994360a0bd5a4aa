"""Builds the requests of a kind out of properties, and finds a resource in an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bedplate.engine.protocol import UNKNOWN
from bedplate.engine.provider.cloud import Cloud
from bedplate.engine.provider.kind import Props, ResourceType
from bedplate.engine.provider.shapes import UnknownMember, lift, lower, member_of

NEVER_SENT = ("tags", "region")
_SEGMENT = re.compile(r"^(?P<name>\w+)(?:\[(?:(?P<index>\d+)|(?P<key>\w+)=(?P<value>[^\]]*))\])?$")


def fields_of(cloud: Cloud, *props: Mapping[str, Any]) -> Props:
    """What a kind's formats can name."""
    known: Props = {"region": cloud.region}
    for each in props:
        known.update(each)
    return known


def fill(cloud: Cloud, text: str, fields: Mapping[str, Any]) -> str:
    """A format with its fields; the account is asked for only where it is named."""
    account = {"account": cloud.account_id} if "{account}" in text else {}
    return text.format_map({**account, **fields})


def request(cloud: Cloud, kind: ResourceType, operation: str, props: Props, *, strict: bool = False) -> Props:
    """The parameters of an operation: every property that it has a member for, and the kind's fixed ones.

    With `strict` a property that no operation of the kind has a member for raises UnknownMember.
    """
    shape = cloud.operation(kind.service, operation).input_shape
    params: Props = {}
    for key, value in props.items():
        if value is None or key in NEVER_SENT or key in kind.local:
            continue
        targets = list(_targets(kind, shape, key))
        for path in targets:
            _place(params, path, lower(value, _shape_at(shape, path), key))
        if not targets and strict and key not in _elsewhere(kind):
            raise UnknownMember(key, shape.members)
    for path, value in kind.fixed.items():
        if path.split(".")[0] in shape.members:
            _place(params, path, fill(cloud, value, fields_of(cloud, props)) if isinstance(value, str) else value)
    return params


def _targets(kind: ResourceType, shape: Any, key: str) -> Iterable[str]:
    if key in kind.rename:
        for path in kind.rename[key].split("|"):
            if path.split(".")[0].split("[")[0] in shape.members:
                yield path
        return
    payload = kind.payload if kind.payload.split(".")[0].split("[")[0] in shape.members else ""
    if payload and key not in kind.keys:
        member = member_of(_shape_at(shape, payload).members, key)
        if member is not None:
            yield f"{payload}.{member}"
        return
    member = member_of(shape.members, key)
    if member is not None:
        yield member


def _elsewhere(kind: ResourceType) -> set[str]:
    """Properties that belong to other operations than the create."""
    return {name for call in (*kind.extras, *kind.updates) for name in call.for_}


def _shape_at(shape: Any, path: str) -> Any:
    for segment in path.split("."):
        name, indexed = segment.split("[")[0], "[" in segment
        shape = shape.value if shape.type_name == "map" else shape.members[name]
        if indexed:
            shape = shape.member
    return shape


def _place(params: Props, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    here = params
    for segment in parents:
        name = segment.split("[")[0]
        here = here.setdefault(name, [{}])[0] if "[" in segment else here.setdefault(name, {})
    if "[" in last:
        here[last.split("[")[0]] = [value]
    else:
        here[last] = value


# --- answers ---------------------------------------------------------------------------------------------------------


def pick(answer: Any, path: str, fields: Mapping[str, Any] | None = None) -> Any:
    """What stands at a path, None where there is nothing: `a.b`, `a[0].b`, `a[Id={targetId}]`.

    >>> pick({"a": [{"Id": "x"}, {"Id": "y", "b": 2}]}, "a[Id={id}].b", {"id": "y"})
    2
    """
    for segment in path.split(".") if path else ():
        match = _SEGMENT.match(segment)
        assert match is not None, path
        answer = answer.get(match["name"]) if isinstance(answer, Mapping) else None
        if match["index"] is not None:
            answer = answer[int(match["index"])] if answer and len(answer) > int(match["index"]) else None
        elif match["key"] is not None:
            wanted = match["value"].format_map(fields or {})
            answer = next((item for item in answer or () if item.get(match["key"]) == wanted), None)
        if answer is None:
            return None
    return answer


def shape_found(cloud: Cloud, kind: ResourceType) -> Any:
    """botocore's shape of the resource in the answer to the kind's read."""
    shape = cloud.operation(kind.service, kind.read).output_shape
    for segment in kind.found.split(".") if kind.found else ():
        shape = shape.members[segment.split("[")[0]]
        if "[" in segment:
            shape = shape.member
    return shape


def lift_all(cloud: Cloud, kind: ResourceType, template: Props, found: Mapping[str, Any]) -> Props:
    """The properties of `template` as the world has them; those that the answer does not speak of stay as they are."""
    shape = shape_found(cloud, kind)
    lifted: Props = {}
    for key, said in template.items():
        target = kind.rename.get(key, key).split("|")[0].split(".")[-1]
        if key in kind.local or key in NEVER_SENT or key in kind.keys:
            lifted[key] = said
        elif shape.type_name == "map":
            value = lift(said, found.get(member_of(found, target) or ""), shape.value)
            if value is not None:
                lifted[key] = value
        else:
            member = member_of(shape.members, target)
            value = said if member is None else lift(said, found.get(member), shape.members[member])
            if value is not None:
                lifted[key] = value
    return lifted


def template_of(cloud: Cloud, kind: ResourceType, found: Mapping[str, Any]) -> Props:
    """For an import: what a program would have to say, as far as the create's own members tell."""
    shape = cloud.operation(kind.service, kind.create).input_shape
    if kind.payload:
        shape = _shape_at(shape, kind.payload)
    back = {path.split(".")[-1]: key for key, paths in kind.rename.items() for path in paths.split("|")}
    template: Props = {}
    for member, inner in shape.members.items():
        value = found.get(member)
        if value not in (None, "", [], {}):
            template[back.get(member, _camel(member))] = _generic(value, inner)
    return template


def _generic(value: Any, shape: Any) -> Any:
    if shape.type_name == "structure" and isinstance(value, Mapping):
        return {_camel(k): _generic(v, shape.members[k]) for k, v in value.items() if k in shape.members}
    if shape.type_name == "list" and isinstance(value, list):
        return [_generic(item, shape.member) for item in value]
    return value


def _camel(member: str) -> str:
    """
    >>> _camel("ModelName"), _camel("KMSMasterKeyID"), _camel("OKActions")
    ('modelName', 'kmsMasterKeyID', 'okActions')
    """
    head = re.match(r"^[A-Z]+(?=[A-Z][a-z])|^[A-Z]+$|^[A-Z]", member)
    return head[0].lower() + member[head.end() :] if head else member


def has_unknown(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(has_unknown, value.values()))
    if isinstance(value, list):
        return any(map(has_unknown, value))
    return bool(value == UNKNOWN)
