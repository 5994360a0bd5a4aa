"""Translates between pulumi-aws properties and AWS requests, directed by botocore's model of the operation.

Names meet when they are equal but for case and separators, in singular or plural, or as `...Arn` and `...Id`. Values
meet by the shape that AWS expects: a mapping becomes a list of key-value pairs (tags, dimensions), a single object a
list of one, a list of one an object. What finds no member is an error; nothing is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bedplate.engine.protocol import UNKNOWN

PAIRS = (("Key", "Value"), ("key", "value"), ("Name", "Value"), ("TagKey", "TagValue"))


class UnknownMember(Exception):
    """A property that AWS's operation has no member for."""

    def __init__(self, path: str, among: Iterable[str]) -> None:
        super().__init__(f"{path} is not known (there are: {', '.join(sorted(among))})")
        self.path = path


def member_of(members: Iterable[str], name: str) -> str | None:
    """The member that a Pulumi property means, None when there is none.

    >>> member_of(["KMSMasterKeyID", "SSEAlgorithm"], "kmsMasterKeyId")
    'KMSMasterKeyID'
    >>> member_of(["Rules"], "rule"), member_of(["KmsKeyId"], "kmsKeyArn"), member_of(["A"], "b")
    ('Rules', 'KmsKeyId', None)
    """
    known = {_plain(member): member for member in members}
    plain = _plain(name)
    for candidate in (plain, f"{plain}s", plain.removesuffix("s"), f"{plain.removesuffix('y')}ies", _id_of(plain)):
        if candidate in known:
            return known[candidate]
    return None


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _id_of(plain: str) -> str:
    return f"{plain.removesuffix('arn')}id" if plain.endswith("arn") else plain


# --- towards AWS -----------------------------------------------------------------------------------------------------


def lower(value: Any, shape: Any, path: str) -> Any:
    """A Pulumi value as AWS's shape wants it. Raises UnknownMember for a property without a member.

    Unknown values (in a preview) pass as they are.
    """
    if value is None or value == UNKNOWN:
        return value
    if shape.type_name == "structure":
        return _lower_structure(value, shape, path)
    if shape.type_name == "list":
        return _lower_list(value, shape, path)
    if shape.type_name == "map":
        return {str(k): lower(v, shape.value, f"{path}.{k}") for k, v in value.items()}
    return scalar(value, shape.type_name)


def _lower_structure(value: Any, shape: Any, path: str) -> Any:
    if isinstance(value, list):
        if len(value) != 1:
            raise UnknownMember(f"{path}[{len(value)} of 1]", shape.members)
        return lower(value[0], shape, path)
    if not isinstance(value, Mapping):
        raise UnknownMember(f"{path}={value!r}", shape.members)
    lowered = {}
    for key, inner in value.items():
        if inner is None:
            continue
        member = member_of(shape.members, key)
        if member is None:
            raise UnknownMember(f"{path}.{key}", shape.members)
        lowered[member] = lower(inner, shape.members[member], f"{path}.{key}")
    return lowered


def _lower_list(value: Any, shape: Any, path: str) -> Any:
    pair = pair_of(shape)
    if pair and isinstance(value, Mapping):
        return [{pair[0]: str(k), pair[1]: scalar(v, "string")} for k, v in value.items()]
    items = value if isinstance(value, list) else [value]
    return [lower(item, shape.member, f"{path}[{i}]") for i, item in enumerate(items)]


def pair_of(shape: Any) -> tuple[str, str] | None:
    """The two members of a list's elements when these are key-value pairs, else None."""
    if shape.type_name != "list" or shape.member.type_name != "structure":
        return None
    members = set(shape.member.members)
    return next((pair for pair in PAIRS if set(pair) == members), None)


def scalar(value: Any, type_name: str) -> Any:
    """
    >>> scalar("5", "integer"), scalar(7, "string"), scalar(True, "string"), scalar("true", "boolean")
    (5, '7', 'true', True)
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
        return (
            str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
        )
    return value


# --- back from AWS ---------------------------------------------------------------------------------------------------


def lift(template: Any, found: Any, shape: Any) -> Any:
    """What AWS answered, in the words and shapes of `template` (what the program said); None where there is nothing.

    Only what the template names is looked at, except in mappings (tags, environments) and lists, which come whole.
    A value that means the same as the template's is returned as the template has it.
    """
    if found is None:
        return None if template else template
    lifted = _lift(template, found, shape)
    return template if same(template, lifted) else lifted


def _lift(template: Any, found: Any, shape: Any) -> Any:
    if shape.type_name == "structure":
        if isinstance(template, list):
            return [lift(template[0] if template else {}, found, shape)]
        if not isinstance(template, Mapping):
            return found
        lifted = {}
        for key, inner in template.items():
            member = member_of(shape.members, key)
            if member is not None:
                value = lift(inner, found.get(member), shape.members[member])
                if value is not None:
                    lifted[key] = value
        return lifted
    if shape.type_name == "list":
        pair = pair_of(shape)
        if pair and isinstance(template, Mapping):
            return {item[pair[0]]: item.get(pair[1], "") for item in found}
        if not isinstance(template, list):
            return lift(template, found[0], shape.member) if found else None
        return _lift_items(template, found, shape.member)
    if shape.type_name == "map":
        return dict(found)
    if isinstance(template, str) and isinstance(found, int | float) and not isinstance(found, bool):
        return scalar(found, "string")
    return found


def _lift_items(template: list[Any], found: list[Any], shape: Any) -> list[Any]:
    """Elements that mean the same keep the template's order: most lists of AWS are sets, in any order."""
    pattern = template[0] if template else {}
    rest = list(found)
    kept = []
    for wanted in template:
        match = next((item for item in rest if same(wanted, lift(wanted, item, shape))), None)
        if match is not None:
            rest.remove(match)
            kept.append(wanted)
    return kept + [lift(pattern, item, shape) for item in rest]


# --- what means the same ---------------------------------------------------------------------------------------------


def same(one: Any, other: Any) -> bool:
    """Equal, or two spellings of one thing: JSON texts, numbers as text, a list of one and its element in a policy.

    >>> same('{"a": [1], "b": 2}', '{"b":2,"a":1}'), same("2500.00", "2500.0"), same("a", "b"), same(1, 1.0)
    (True, True, False, True)
    """
    if one == other:
        return True
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, str) and isinstance(other, str):
        first, second = _meaning(one), _meaning(other)
        return first is not None and first == second
    return False


def _meaning(text: str) -> Any:
    if text[:1] in "{[":
        try:
            return ("json", _unwrapped(json.loads(text)))
        except ValueError:
            return None
    try:
        return ("number", float(text)) if text[:1].isdigit() and "." in text else None
    except ValueError:
        return None


def _unwrapped(value: Any) -> Any:
    """In policies `"Action": "x"` and `"Action": ["x"]` are one, and the order of a list of texts means nothing."""
    if isinstance(value, Mapping):
        return {k: _unwrapped(v) for k, v in value.items()}
    if isinstance(value, list):
        items = [_unwrapped(v) for v in value]
        if len(items) == 1:
            return items[0]
        return sorted(items) if all(isinstance(item, str) for item in items) else items
    return value
