"""Property values: from the wire and back, secrets over plain data, what is unknown, and what a screen may show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bedplate.engine.protocol import UNKNOWN, Properties, Secret

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct, Value

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key by which Pulumi marks an object on the wire, and in a checkpoint, as more than an object."""
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT_SIGNATURE = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
MASK = "[secret]"
PLAIN = (str, int, float, type(None))
"""Values that hold no others; most are, so they are asked after first."""


def from_struct(struct: Struct) -> Properties:
    """A protobuf Struct as plain data: integral floats become int, marked objects `Secret` or what they hold."""
    return {key: from_value(value) for key, value in struct.fields.items()}


def from_value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [from_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _object(from_struct(value.struct_value))
    return None


def _object(fields: Properties) -> Any:
    mark = fields.get(SIGNATURE)
    if mark == SECRET_SIGNATURE:
        return Secret(fields.get("value"))
    if mark == OUTPUT_SIGNATURE:
        inner = fields.get("value", UNKNOWN)
        return Secret(inner) if fields.get("secret") else inner
    return fields


def to_struct(properties: Mapping[str, Any]) -> Struct:
    """Plain data as a protobuf Struct, secrets marked."""
    from google.protobuf import struct_pb2

    struct = struct_pb2.Struct()
    for key, value in properties.items():
        _fill(struct.fields[key], value)
    return struct


def _fill(target: Value, value: Any) -> None:
    if value is None:
        target.null_value = 0
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, Secret):
        _fill(target, {SIGNATURE: SECRET_SIGNATURE, "value": value.value})
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        for key, item in value.items():
            _fill(target.struct_value.fields[key], item)
    elif isinstance(value, Iterable):
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)
    else:
        raise TypeError(f"a property cannot hold a {type(value).__name__}")


def reveal(value: Any) -> Any:
    """The same data without secret marks: what a provider gets.

    >>> reveal({"a": Secret({"b": [Secret(1)]})})
    {'a': {'b': [1]}}
    """
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def mask(value: Any) -> Any:
    """The same data for a screen: `[secret]` in place of every secret, also of one as it stands in a checkpoint.

    >>> mask({"a": Secret("x"), "b": [1]})
    {'a': '[secret]', 'b': [1]}
    """
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Secret) or (isinstance(value, dict) and value.get(SIGNATURE) == SECRET_SIGNATURE):
        return MASK
    if isinstance(value, dict):
        return {key: mask(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mask(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    """Whether a value that is computed stands anywhere in it."""
    if isinstance(value, str):
        return value == UNKNOWN
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return False


def has_secret(value: Any) -> bool:
    if isinstance(value, Secret):
        return True
    if isinstance(value, dict):
        return any(has_secret(item) for item in value.values())
    if isinstance(value, list):
        return any(has_secret(item) for item in value)
    return False


def mark_secrets(value: Any, like: Any) -> Any:
    """Mark in `value` what is secret at the same place in `like`; marks that `value` has already are kept.

    >>> mark_secrets({"a": 1, "b": {"c": 2}, "d": 3}, {"a": Secret(9), "b": {"c": Secret(9)}})
    {'a': Secret(***), 'b': {'c': Secret(***)}, 'd': 3}
    """
    if isinstance(value, Secret):
        return value
    if isinstance(like, Secret):
        return Secret(value)
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: mark_secrets(item, like[key]) if key in like else item for key, item in value.items()}
    if isinstance(value, list) and isinstance(like, list) and has_secret(like):
        return Secret(reveal(value))  # as Pulumi: which element became which cannot be told, so all of it is secret
    return value


def mark_keys(properties: Properties, keys: Iterable[str]) -> Properties:
    """Mark whole top-level properties as secret (additionalSecretOutputs)."""
    wanted = set(keys)
    return {k: Secret(v) if k in wanted and not isinstance(v, Secret) else v for k, v in properties.items()}
