"""Builds the parameters of AWS requests from Pulumi properties, and reads properties out of AWS responses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bedplate.engine.protocol import UNKNOWN, Properties
from bedplate.engine.provider.clients import AwsClients, Params
from bedplate.engine.provider.resource_type import ResourceType
from bedplate.engine.provider.shapes import UnknownMember, find_member, from_aws, to_aws

NEVER_SENT = ("tags", "region")
_SEGMENT = re.compile(r"^(?P<name>\w+)(?:\[(?:(?P<index>\d+)|(?P<key>\w+)=(?P<value>[^\]]*))\])?$")


def fill_format(aws: AwsClients, template: str, *fields: Mapping[str, Any]) -> str:
    """Fills a format with the region, the account and `fields`; looks up the account only if the format names it."""
    values: Properties = {"region": aws.region}
    if "{account}" in template:
        values["account"] = aws.account_id
    for mapping in fields:
        values.update(mapping)
    return template.format_map(values)


def build_request(
    aws: AwsClients, resource_type: ResourceType, operation: str, properties: Properties, *, strict: bool = False
) -> Params:
    """Returns the parameters of an operation: each property that it has a member for, and the type's fixed parameters.

    With `strict`, raises UnknownMember for a property that no operation of the resource type has a member for.
    """
    shape = aws.operation_model(resource_type.service, operation).input_shape
    params: Params = {}
    for name, value in properties.items():
        if value is None or name in NEVER_SENT or name in resource_type.provider_only:
            continue
        paths = list(_target_paths(resource_type, shape, name))
        for path in paths:
            _set_value(params, path, to_aws(value, _shape_at(shape, path), name))
        if not paths and strict and name not in _call_properties(resource_type):
            raise UnknownMember(name, shape.members)
    for path, value in resource_type.fixed_params.items():
        if _top_member(path) in shape.members:
            _set_value(params, path, fill_format(aws, value, properties) if isinstance(value, str) else value)
    return params


def _target_paths(resource_type: ResourceType, shape: Any, name: str) -> Iterable[str]:
    """Returns the member paths of an operation's input that take a property."""
    if name in resource_type.member_paths:
        paths = resource_type.member_paths[name].split("|")
        yield from (path for path in paths if _top_member(path) in shape.members)
        return
    payload = resource_type.payload_path if _top_member(resource_type.payload_path) in shape.members else ""
    if payload and name not in resource_type.key_properties:
        member = find_member(_shape_at(shape, payload).members, name)
        if member is not None:
            yield f"{payload}.{member}"
    elif (member := find_member(shape.members, name)) is not None:
        yield member


def _top_member(path: str) -> str:
    return path.split(".")[0].split("[")[0]


def _call_properties(resource_type: ResourceType) -> set[str]:
    """Returns the properties that other operations than the create take."""
    calls = (*resource_type.create_follow_ups, *resource_type.update_calls)
    return {name for call in calls for name in call.properties}


def _shape_at(shape: Any, path: str) -> Any:
    for segment in path.split("."):
        shape = shape.value if shape.type_name == "map" else shape.members[segment.split("[")[0]]
        if "[" in segment:
            shape = shape.member
    return shape


def _set_value(params: Params, path: str, value: Any) -> None:
    """Sets the value at a member path; `name[0]` makes a list of one element."""
    *parents, last = path.split(".")
    for segment in parents:
        name = segment.split("[")[0]
        params = params.setdefault(name, [{}])[0] if "[" in segment else params.setdefault(name, {})
    params[last.split("[")[0]] = [value] if "[" in last else value


# --- responses -------------------------------------------------------------------------------------------------------


def value_at(value: Any, path: str, fields: Mapping[str, Any] | None = None) -> Any:
    """Returns the value at a path (`a.b`, `a[0].b`, `a[Id={targetId}]`), or None if there is none.

    >>> value_at({"a": [{"Id": "x"}, {"Id": "y", "b": 2}]}, "a[Id={id}].b", {"id": "y"})
    2
    """
    for segment in path.split(".") if path else ():
        match = _SEGMENT.match(segment)
        assert match is not None, path
        value = value.get(match["name"]) if isinstance(value, Mapping) else None
        if match["index"] is not None:
            value = value[int(match["index"])] if value and len(value) > int(match["index"]) else None
        elif match["key"] is not None:
            expected = match["value"].format_map(fields or {})
            value = next((item for item in value or () if item.get(match["key"]) == expected), None)
        if value is None:
            return None
    return value


def read_properties(
    aws: AwsClients, resource_type: ResourceType, declared: Properties, actual: Mapping[str, Any]
) -> Properties:
    """Returns the values that the properties of `declared` have at AWS.

    A property that the response does not contain keeps its declared value.
    """
    shape = aws.operation_model(resource_type.service, resource_type.read).output_shape
    if resource_type.read_path:
        shape = _shape_at(shape, resource_type.read_path)
    properties: Properties = {}
    for name, value in declared.items():
        if name not in (*resource_type.provider_only, *NEVER_SENT, *resource_type.key_properties):
            target = resource_type.member_paths.get(name, name).split("|")[0].split(".")[-1]
            if shape.type_name == "map":
                value = from_aws(value, actual.get(find_member(actual, target) or ""), shape.value)
            elif (member := find_member(shape.members, target)) is not None:
                value = from_aws(value, actual.get(member), shape.members[member])
            if value is None:
                continue
        properties[name] = value
    return properties


def import_inputs(aws: AwsClients, resource_type: ResourceType, actual: Mapping[str, Any]) -> Properties:
    """Returns the inputs that a program must declare for an import: all for which the create operation has a member."""
    shape = aws.operation_model(resource_type.service, resource_type.create).input_shape
    if resource_type.payload_path:
        shape = _shape_at(shape, resource_type.payload_path)
    property_of = {
        path.split(".")[-1]: name for name, paths in resource_type.member_paths.items() for path in paths.split("|")
    }
    return {
        property_of.get(member, _camel_case(member)): _to_camel_case(actual[member], inner)
        for member, inner in shape.members.items()
        if actual.get(member) not in (None, "", [], {})
    }


def _to_camel_case(value: Any, shape: Any) -> Any:
    """Renames the members of an AWS value's structures to camelCase."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        return {_camel_case(k): _to_camel_case(v, shape.members[k]) for k, v in value.items() if k in shape.members}
    if shape.type_name == "list" and isinstance(value, list):
        return [_to_camel_case(item, shape.member) for item in value]
    return value


def _camel_case(member: str) -> str:
    """Returns the property name of an AWS member.

    >>> _camel_case("ModelName"), _camel_case("KMSMasterKeyID"), _camel_case("OKActions")
    ('modelName', 'kmsMasterKeyID', 'okActions')
    """
    head = re.match(r"^[A-Z]+(?=[A-Z][a-z])|^[A-Z]+$|^[A-Z]", member)
    return head[0].lower() + member[head.end() :] if head else member


def has_unknown(value: Any) -> bool:
    """Returns whether a value is or contains `UNKNOWN`."""
    if isinstance(value, Mapping):
        return any(map(has_unknown, value.values()))
    if isinstance(value, list):
        return any(map(has_unknown, value))
    return bool(value == UNKNOWN)
