"""Converts property values from and to protobuf, and reveals, masks and marks the secrets in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bedplate.engine.protocol import UNKNOWN, Properties, Secret

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct, Value

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key that marks a special object (a secret, an output) in protobuf messages and in checkpoints."""
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT_SIGNATURE = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
MASK = "[secret]"
SCALARS = (str, int, float, type(None))
"""Types of values that contain no others. Most values are scalars, so the functions below test for them first."""


def from_struct(struct: Struct) -> Properties:
    """Returns a protobuf Struct as plain data: integral floats become int, secrets `Secret`, outputs their value."""
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
        return _decode_object(from_struct(value.struct_value))
    return None


def _decode_object(fields: Properties) -> Any:
    signature = fields.get(SIGNATURE)
    if signature == SECRET_SIGNATURE:
        return Secret(fields.get("value"))
    if signature == OUTPUT_SIGNATURE:
        inner = fields.get("value", UNKNOWN)
        return Secret(inner) if fields.get("secret") else inner
    return fields


def to_struct(properties: Mapping[str, Any]) -> Struct:
    """Returns plain data as a protobuf Struct in which secrets are marked objects.

    Raises TypeError for a value that has no protobuf form.
    """
    from google.protobuf import struct_pb2

    struct = struct_pb2.Struct()
    for key, value in properties.items():
        _set_value(struct.fields[key], value)
    return struct


def _set_value(target: Value, value: Any) -> None:
    if value is None:
        target.null_value = 0
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, Secret):
        _set_value(target, {SIGNATURE: SECRET_SIGNATURE, "value": value.value})
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        for key, item in value.items():
            _set_value(target.struct_value.fields[key], item)
    elif isinstance(value, Iterable):
        target.list_value.SetInParent()
        for item in value:
            _set_value(target.list_value.values.add(), item)
    else:
        raise TypeError(f"a property cannot hold a {type(value).__name__}")


def reveal(value: Any) -> Any:
    """Returns the same data with plain values in place of `Secret`, as a provider receives it.

    >>> reveal({"a": Secret({"b": [Secret(1)]})})
    {'a': {'b': [1]}}
    """
    if isinstance(value, SCALARS):
        return value
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def mask(value: Any) -> Any:
    """Returns the same data with `[secret]` in place of every secret, those in checkpoint format included.

    >>> mask({"a": Secret("x"), "b": [1]})
    {'a': '[secret]', 'b': [1]}
    """
    if isinstance(value, SCALARS):
        return value
    if isinstance(value, Secret) or (isinstance(value, dict) and value.get(SIGNATURE) == SECRET_SIGNATURE):
        return MASK
    if isinstance(value, dict):
        return {key: mask(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mask(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    """Returns whether the value contains `UNKNOWN` anywhere."""
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
    """Returns whether the value contains a `Secret` anywhere."""
    if isinstance(value, Secret):
        return True
    if isinstance(value, dict):
        return any(has_secret(item) for item in value.values())
    if isinstance(value, list):
        return any(has_secret(item) for item in value)
    return False


def mark_secrets(value: Any, like: Any) -> Any:
    """Returns `value` with those parts marked secret that are secret at the same path of `like`; keeps existing marks.

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
        return Secret(reveal(value))  # like Pulumi: elements of lists cannot be matched, so the whole list is secret
    return value


def mark_secret_keys(properties: Properties, keys: Iterable[str]) -> Properties:
    """Returns `properties` with the top-level properties `keys` marked secret (Pulumi's additionalSecretOutputs)."""
    secret = set(keys)
    return {k: Secret(v) if k in secret and not isinstance(v, Secret) else v for k, v in properties.items()}
