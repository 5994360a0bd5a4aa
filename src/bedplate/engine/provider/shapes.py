"""Converts values between pulumi-aws properties and AWS members, by botocore's model of the operation.

A property and a member match when their names are equal apart from case and separators, in singular or plural, or as
`...Arn` and `...Id`. A value is converted to the shape that AWS expects: a mapping to a list of key-value pairs (tags,
dimensions), an object to a list of one element, a list of one element to an object. A property without a member is an
error; nothing is dropped silently.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from bedplate.engine.protocol import UNKNOWN

_PAIRS = (("Key", "Value"), ("key", "value"), ("Name", "Value"), ("TagKey", "TagValue"))
_Item = TypeVar("_Item")


class UnknownMember(Exception):
    """An AWS operation has no member for a property; `path` is the property's path."""

    def __init__(self, path: str, members: Iterable[str]) -> None:
        super().__init__(f"{path} does not exist in AWS's API; its members are {', '.join(sorted(members))}")
        self.path = path


def find_member(members: Iterable[str], name: str) -> str | None:
    """Returns the member that corresponds to a Pulumi property, or None.

    >>> find_member(["KMSMasterKeyID", "SSEAlgorithm"], "kmsMasterKeyId")
    'KMSMasterKeyID'
    >>> find_member(["Rules"], "rule"), find_member(["KmsKeyId"], "kmsKeyArn"), find_member(["A"], "b")
    ('Rules', 'KmsKeyId', None)
    """
    members_by_name = {_normalize(member): member for member in members}
    plain = _normalize(name)
    forms = [plain, f"{plain}s", plain.removesuffix("s"), f"{plain.removesuffix('y')}ies"]
    if plain.endswith("arn"):
        forms.append(f"{plain.removesuffix('arn')}id")
    return next((members_by_name[form] for form in forms if form in members_by_name), None)


def _normalize(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


# --- to AWS ----------------------------------------------------------------------------------------------------------


def to_aws(value: Any, shape: Any, path: str) -> Any:
    """Converts a Pulumi value to AWS's shape. Unknown values (in a preview) stay as they are.

    Raises UnknownMember for a property without a member.
    """
    if value is None or value == UNKNOWN:
        return value
    if shape.type_name == "structure":
        return _to_structure(value, shape, path)
    if shape.type_name == "list":
        return _to_list(value, shape, path)
    if shape.type_name == "map":
        return {str(k): to_aws(v, shape.value, f"{path}.{k}") for k, v in value.items()}
    return convert_scalar(value, shape.type_name)


def _to_structure(value: Any, shape: Any, path: str) -> Any:
    if isinstance(value, list):
        if len(value) != 1:
            raise UnknownMember(f"{path}[{len(value)} of 1]", shape.members)
        return to_aws(value[0], shape, path)
    if not isinstance(value, Mapping):
        raise UnknownMember(f"{path}={value!r}", shape.members)
    structure = {}
    for key, inner in value.items():
        if inner is None:
            continue
        member = find_member(shape.members, key)
        if member is None:
            raise UnknownMember(f"{path}.{key}", shape.members)
        structure[member] = to_aws(inner, shape.members[member], f"{path}.{key}")
    return structure


def _to_list(value: Any, shape: Any, path: str) -> Any:
    pair = pair_members(shape)
    if pair and isinstance(value, Mapping):
        return [{pair[0]: str(k), pair[1]: convert_scalar(v, "string")} for k, v in value.items()]
    items = value if isinstance(value, list) else [value]
    return [to_aws(item, shape.member, f"{path}[{i}]") for i, item in enumerate(items)]


def pair_members(shape: Any) -> tuple[str, str] | None:
    """Returns the names of both members if a list consists of key-value pairs, else None."""
    if shape.type_name != "list" or shape.member.type_name != "structure":
        return None
    members = set(shape.member.members)
    return next((pair for pair in _PAIRS if set(pair) == members), None)


def convert_scalar(value: Any, type_name: str) -> Any:
    """Converts a text, number or boolean to a scalar type of botocore.

    >>> convert_scalar("5", "integer"), convert_scalar(7, "string"), convert_scalar(True, "string")
    (5, '7', 'true')
    >>> convert_scalar("true", "boolean")
    True
    """
    if value == UNKNOWN:
        return value
    if type_name in ("integer", "long"):
        return int(value)
    if type_name in ("double", "float"):
        return float(value)
    if type_name == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if type_name == "string" and not isinstance(value, str):
        if isinstance(value, float):
            return f"{value:g}"
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


# --- from AWS --------------------------------------------------------------------------------------------------------


def from_aws(declared: Any, actual: Any, shape: Any) -> Any:
    """Converts an AWS value to the names and shapes of `declared`, the program's value; None if there is no value.

    Only properties of `declared` are converted, except in mappings (tags, environments) and lists, which are returned
    whole. A value equivalent to the declared one is returned as declared.
    """
    if actual is None:
        return None if declared else declared
    return prefer_declared(declared, _convert_from_aws(declared, actual, shape))


def _convert_from_aws(declared: Any, actual: Any, shape: Any) -> Any:
    if shape.type_name == "structure":
        if isinstance(declared, list):
            return [from_aws(declared[0] if declared else {}, actual, shape)]
        if not isinstance(declared, Mapping):
            return actual
        converted = {}
        for key, inner in declared.items():
            member = find_member(shape.members, key)
            if member is not None:
                value = from_aws(inner, actual.get(member), shape.members[member])
                if value is not None:
                    converted[key] = value
        return converted
    if shape.type_name == "list":
        pair = pair_members(shape)
        if pair and isinstance(declared, Mapping):
            return {item[pair[0]]: item.get(pair[1], "") for item in actual}
        if not isinstance(declared, list):
            return from_aws(declared, actual[0], shape.member) if actual else None
        return _items_from_aws(declared, actual, shape.member)
    if shape.type_name == "map":
        return dict(actual)
    if isinstance(declared, str) and isinstance(actual, int | float) and not isinstance(actual, bool):
        return convert_scalar(actual, "string")
    return actual


def _items_from_aws(declared: list[Any], actual: list[Any], shape: Any) -> list[Any]:
    """Converts the elements of a list; equivalent elements keep the declared order, since most AWS lists are sets."""
    matched, unmatched = match_items(
        declared, actual, lambda item, candidate: is_equivalent(item, from_aws(item, candidate, shape))
    )
    return matched + [from_aws(declared[0] if declared else {}, item, shape) for item in unmatched]


def match_items(
    declared: list[_Item], actual: list[_Item], is_match: Callable[[_Item, _Item], bool]
) -> tuple[list[_Item], list[_Item]]:
    """Returns the declared elements that match one of `actual`, in declared order, and the actual ones without one."""
    unmatched = list(actual)
    matched = []
    for item in declared:
        candidate = next((candidate for candidate in unmatched if is_match(item, candidate)), None)
        if candidate is not None:
            unmatched.remove(candidate)
            matched.append(item)
    return matched, unmatched


# --- equivalence -----------------------------------------------------------------------------------------------------


def prefer_declared(declared: Any, actual: Any) -> Any:
    """Returns `declared` if both are equivalent, so that the program's spelling stays; else `actual`."""
    return declared if is_equivalent(declared, actual) else actual


def is_equivalent(first: Any, second: Any) -> bool:
    """Returns whether two values are equal or spell the same value differently.

    JSON texts are compared by content, decimal numbers in texts as numbers, and within JSON a list of one element
    equals the element (as in policies).

    >>> is_equivalent('{"a": [1], "b": 2}', '{"b":2,"a":1}'), is_equivalent("2500.00", "2500.0")
    (True, True)
    >>> is_equivalent("a", "b"), is_equivalent(1, 1.0)
    (False, True)
    """
    if first == second:
        return True
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(is_equivalent(v, second[k]) for k, v in first.items())
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(is_equivalent, first, second))
    if isinstance(first, str) and isinstance(second, str):
        canonical = _parse_text(first)
        return canonical is not None and canonical == _parse_text(second)
    return False


def _parse_text(text: str) -> tuple[str, Any] | None:
    """Returns the content of a text that is JSON or a decimal number, with its kind; None for any other text."""
    if text[:1] in "{[":
        try:
            return ("json", _canonical_json(json.loads(text)))
        except ValueError:
            return None
    try:
        return ("number", float(text)) if text[:1].isdigit() and "." in text else None
    except ValueError:
        return None


def _canonical_json(value: Any) -> Any:
    """Returns a JSON value in which lists of one element are unwrapped and lists of texts are sorted.

    In policies `"Action": "x"` equals `"Action": ["x"]`, and the order of a list of texts has no effect.
    """
    if isinstance(value, Mapping):
        return {k: _canonical_json(v) for k, v in value.items()}
    if isinstance(value, list):
        items = [_canonical_json(v) for v in value]
        if len(items) == 1:
            return items[0]
        return sorted(items) if all(isinstance(item, str) for item in items) else items
    return value
