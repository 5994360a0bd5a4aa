"""Helpers for Pulumi outputs: JSON documents that contain outputs, and outputs that wait for other resources."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi


def document(tree: Mapping[str, Any], *, sort_keys: bool = False) -> pulumi.Output[str]:
    """Returns the JSON text of a tree of mappings, lists, plain values and outputs; unknown while an output is unknown.

    It equals `pulumi.Output.json_dumps`, which turns every value of the tree into an output, plain ones included. With
    fifty models that took a third of the program's time.
    """

    def dump(values: list[Any]) -> str:
        return json.dumps(_resolve(tree, iter(values)), sort_keys=sort_keys)

    return pulumi.Output.all(*_outputs(tree)).apply(dump)


def output_after(value: pulumi.Input[str], *dependencies: pulumi.Output[Any]) -> pulumi.Output[str]:
    """Returns `value` as an output that becomes known only after the resources of `dependencies` exist."""
    return pulumi.Output.all(value, *dependencies).apply(lambda values: str(values[0]))


def _outputs(value: Any) -> Iterator[pulumi.Output[Any]]:
    if isinstance(value, pulumi.Output):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _outputs(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _outputs(item)


def _resolve(value: Any, values: Iterator[Any]) -> Any:
    """Returns the tree with its outputs replaced by `values`, which are in the order of `_outputs`."""
    if isinstance(value, pulumi.Output):
        return next(values)
    if isinstance(value, Mapping):
        return {key: _resolve(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolve(item, values) for item in value]
    return value
