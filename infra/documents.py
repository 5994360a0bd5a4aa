"""A JSON document (a policy, a dashboard, a pipeline) of which some values are known only once something exists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi


def document(tree: Mapping[str, Any], *, sort_keys: bool = False) -> pulumi.Output[str]:
    """The text of a tree of mappings, lists, plain values and outputs; unknown as long as one of the outputs is.

    What `pulumi.Output.json_dumps` says too, which makes an output of every value in the tree, plain ones included:
    with fifty models that was a third of the program's seconds.
    """

    def text(known: list[Any]) -> str:
        return json.dumps(_filled(tree, iter(known)), sort_keys=sort_keys)

    return pulumi.Output.all(*_outputs(tree)).apply(text)


def policy_document(*statements: Mapping[str, Any]) -> pulumi.Output[str]:
    """A policy of these statements, as IAM and every policy of a resource read it."""
    return document({"Version": "2012-10-17", "Statement": list(statements)})


def _outputs(value: Any) -> Iterator[pulumi.Output[Any]]:
    if isinstance(value, pulumi.Output):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _outputs(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _outputs(item)


def _filled(value: Any, known: Iterator[Any]) -> Any:
    """The tree with what became of its outputs, in the order in which `_outputs` names them."""
    if isinstance(value, pulumi.Output):
        return next(known)
    if isinstance(value, Mapping):
        return {key: _filled(item, known) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item, known) for item in value]
    return value
