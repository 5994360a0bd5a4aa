"""The requests that the contract promises answers to, against a server that keeps it and ones that break it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from bedplate.container.application import written
from bedplate.container.requests import BadRequest, columns_of, content_type_of, features_of, rows_of
from bedplate.domain.evidence.inference_contract import CSV, Case, CaseCheck, CaseResponse, cases, checks
from builders import a_spec

SPEC = a_spec()
ROWS = [{"age": float(20 + i), "calls": i, "plan": "basic" if i % 2 else "pro"} for i in range(5)]
FEATURES = features_of(json.loads(SPEC.model_dump_json()))


def keeps(body: bytes, content_type: str) -> CaseResponse:
    """What `serve` does, without a process: its own reading and writing around a small model."""
    try:
        kind = content_type_of(content_type)
        columns = columns_of(rows_of(body, kind), FEATURES, text=kind == CSV)
        scores = [(age or 0) / 100 + calls / 50 for age, calls in zip(columns["age"], columns["calls"], strict=True)]
        return CaseResponse(200, kind, written(scores, kind))
    except BadRequest as bad:
        return CaseResponse(400, "application/json", orjson.dumps(bad.to_json()))


def asked(serve: Callable[[bytes, str], CaseResponse], **options: Any) -> dict[str, CaseCheck]:
    found = cases(SPEC.data, ROWS)
    answers = [serve(case.body, case.content_type) for case in found]
    return {check.kind: check for check in checks(found, answers, probability=True, **options)}


def test_a_server_that_keeps_the_contract_has_no_fault() -> None:
    found = asked(keeps)
    assert [check.faults for check in found.values()] == [()] * len(found)
    assert {kind: check.cases for kind, check in found.items()} == {
        "schema": 1,
        "content types": 2,
        "same answer twice": 1,
        "order kept": 1,
        "alone as in a batch": 5,
        "extra columns": 1,
        "missing column": 3,
        "wrong type": 3,
        "null accepted": 1,
        "null refused": 2,
        "bad requests": 3,
    }


def always(status: int, body: bytes, kind: str = "application/jsonlines") -> Callable[[bytes, str], CaseResponse]:
    return lambda *_: CaseResponse(status, kind, body)


def lines(scores: list[float]) -> bytes:
    return written(scores, "application/jsonlines")


def doubled(body: bytes, content_type: str) -> CaseResponse:
    """Every second answer is another one."""
    doubled.calls += 1  # type: ignore[attr-defined]
    told = keeps(body, content_type)
    if told.status != 200 or doubled.calls % 2:  # type: ignore[attr-defined]
        return told
    return CaseResponse(200, told.content_type, told.body.replace(b"0.", b"0.0"))


def sorting(body: bytes, content_type: str) -> CaseResponse:
    told = keeps(body, content_type)
    if told.status != 200 or told.content_type != "application/jsonlines":
        return told
    return CaseResponse(200, told.content_type, b"\n".join(sorted(told.body.splitlines())))


def depends_on_the_batch(body: bytes, content_type: str) -> CaseResponse:
    told = keeps(body, content_type)
    if told.status != 200 or told.content_type != "application/jsonlines" or len(told.body.splitlines()) > 1:
        return told
    return CaseResponse(200, told.content_type, lines([0.123]))


def accepts_nothing_unknown(body: bytes, content_type: str) -> CaseResponse:
    return CaseResponse(500, "", b"boom") if b"bedplate_unknown" in body else keeps(body, content_type)


def names_no_column(body: bytes, content_type: str) -> CaseResponse:
    told = keeps(body, content_type)
    return told if told.status == 200 else CaseResponse(400, "application/json", b"{}")


@pytest.mark.parametrize(
    ("serve", "kind", "fault"),
    [
        (always(500, b"boom"), "schema", "answered 500: boom"),
        (always(200, b"nonsense"), "schema", "cannot be read"),
        (always(200, lines([0.5])), "schema", "5 rows asked, 1 answers"),
        (always(200, lines([2.0] * 5)), "schema", "no probability"),
        (always(200, lines([0.5] * 5), "text/html"), "schema", "answered as text/html"),
        (always(200, lines([0.5])), "missing column", "400 expected, answered 200"),
        (always(200, lines([0.5])), "bad requests", "400 expected"),
        (sorting, "order kept", "differ"),
        (depends_on_the_batch, "alone as in a batch", "differ"),
        (accepts_nothing_unknown, "extra columns", "answered 500"),
        (names_no_column, "wrong type", "names column None"),
        (names_no_column, "null refused", "names column None"),
    ],
)
def test_each_way_of_breaking_it_is_a_fault_of_its_kind(serve: Any, kind: str, fault: str) -> None:
    found = asked(serve)[kind]
    assert found.faults
    assert fault in found.faults[0]


def test_an_answer_that_changes_from_call_to_call_is_a_fault() -> None:
    doubled.calls = 0  # type: ignore[attr-defined]
    found = asked(doubled)
    assert any(found[kind].faults for kind in ("same answer twice", "content types", "order kept"))


def test_answers_may_differ_by_the_tolerance() -> None:
    doubled.calls = 0  # type: ignore[attr-defined]
    assert not asked(doubled, tolerance=10.0)["content types"].faults


@pytest.mark.parametrize(("apart", "kept"), [(1e-4, True), (1.0, False)])
def test_answers_in_millions_may_differ_by_the_same_share_and_no_more(apart: float, kept: bool) -> None:
    def priced(body: bytes, content_type: str) -> CaseResponse:
        told = keeps(body, content_type)
        if told.status != 200 or told.content_type != "application/jsonlines":
            return told
        rows = [json.loads(line) for line in body.splitlines()]
        alone = apart if len(rows) == 1 else 0.0
        return CaseResponse(200, told.content_type, lines([1e6 + (row["age"] or 0) + alone for row in rows]))

    found = cases(SPEC.data, ROWS)
    told = checks(found, [priced(case.body, case.content_type) for case in found], probability=False)
    assert (next(check for check in told if check.kind == "alone as in a batch").faults == ()) is kept


def test_a_case_says_which_column_it_is_about() -> None:
    found: list[Case] = [c for c in cases(SPEC.data, ROWS) if c.kind == "null refused"]
    assert [c.refused_for for c in found] == ["calls", "plan"]
    assert json.loads(found[0].body)["calls"] is None
