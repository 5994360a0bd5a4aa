"""`document` returns what Pulumi's json_dumps returns."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pulumi
import pytest

from repository import ROOT


@pytest.fixture
def document(monkeypatch: pytest.MonkeyPatch) -> Callable[..., pulumi.Output[str]]:
    monkeypatch.syspath_prepend(str(ROOT / "infra"))
    monkeypatch.delitem(sys.modules, "outputs", raising=False)
    from outputs import document

    monkeypatch.delitem(sys.modules, "outputs")
    return document


def resolve(build: Callable[[], pulumi.Output[str]]) -> tuple[str | None, bool, bool]:
    """Return the text of an output, whether it is known, and whether it is secret."""

    async def await_output() -> tuple[str | None, bool, bool]:
        output = build()
        resolved = await output.is_known()
        return await output.future() if resolved else None, resolved, await output.is_secret()

    coroutine: Coroutine[Any, Any, tuple[str | None, bool, bool]] = await_output()
    return asyncio.run(coroutine)


def unknown() -> pulumi.Output[str]:
    async def value(result: Any) -> Any:
        return result

    return pulumi.Output(set(), value("?"), value(False), value(False))


def tree() -> dict[str, Any]:
    arn = pulumi.Output.from_input("arn:a")
    return {
        "z": [arn, pulumi.Output.concat(arn, "/*"), {"deep": (arn, 1)}],
        "made": pulumi.Output.from_input({"b": arn, "a": [arn]}),
        "plain": {"n": 1.5, "none": None, "yes": True, "text": "é"},
    }


@pytest.mark.parametrize("sort_keys", [False, True])
def test_a_document_equals_pulumis_json_dumps(document: Any, sort_keys: bool) -> None:
    text = resolve(lambda: document(tree(), sort_keys=sort_keys))
    assert text == resolve(lambda: pulumi.Output.json_dumps(tree(), sort_keys=sort_keys))
    assert next(iter(json.loads(str(text[0])))) == ("made" if sort_keys else "z")


def test_a_document_with_an_unknown_value_is_unknown(document: Any) -> None:
    assert resolve(lambda: document({"a": {"b": [unknown()]}, "c": 1})) == (None, False, False)


def test_a_document_with_a_secret_value_is_secret(document: Any) -> None:
    assert resolve(lambda: document({"a": [pulumi.Output.secret("s")]})) == ('{"a": ["s"]}', True, True)


def test_a_document_of_plain_values_needs_no_output(document: Any) -> None:
    assert resolve(lambda: document({"a": [1]})) == ('{"a": [1]}', True, False)
