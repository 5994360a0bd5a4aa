"""A document says what Pulumi's own json_dumps says, without making an output of every plain value in it."""

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
    monkeypatch.delitem(sys.modules, "documents", raising=False)
    from documents import document as made

    monkeypatch.delitem(sys.modules, "documents")
    return made


def told(make: Callable[[], pulumi.Output[str]]) -> tuple[str | None, bool, bool]:
    """Text, whether it is known, whether it is secret."""

    async def ask() -> tuple[str | None, bool, bool]:
        output = make()
        known = await output.is_known()
        return await output.future() if known else None, known, await output.is_secret()

    running: Coroutine[Any, Any, tuple[str | None, bool, bool]] = ask()
    return asyncio.run(running)


def unknown() -> pulumi.Output[str]:
    async def value(of: Any) -> Any:
        return of

    return pulumi.Output(set(), value("?"), value(False), value(False))


def tree() -> dict[str, Any]:
    arn = pulumi.Output.from_input("arn:a")
    return {
        "z": [arn, pulumi.Output.concat(arn, "/*"), {"deep": (arn, 1)}],
        "made": pulumi.Output.from_input({"b": arn, "a": [arn]}),
        "plain": {"n": 1.5, "none": None, "yes": True, "text": "é"},
    }


@pytest.mark.parametrize("sort_keys", [False, True])
def test_a_document_is_what_pulumi_makes_of_it(document: Any, sort_keys: bool) -> None:
    ours = told(lambda: document(tree(), sort_keys=sort_keys))
    assert ours == told(lambda: pulumi.Output.json_dumps(tree(), sort_keys=sort_keys))
    assert next(iter(json.loads(str(ours[0])))) == ("made" if sort_keys else "z")


def test_a_document_is_unknown_as_long_as_one_of_its_values_is(document: Any) -> None:
    assert told(lambda: document({"a": {"b": [unknown()]}, "c": 1})) == (None, False, False)


def test_a_document_with_a_secret_is_one(document: Any) -> None:
    assert told(lambda: document({"a": [pulumi.Output.secret("s")]})) == ('{"a": ["s"]}', True, True)


def test_a_document_of_plain_values_needs_no_output(document: Any) -> None:
    assert told(lambda: document({"a": [1]})) == ('{"a": [1]}', True, False)
