"""Requests of the inference contract are sent to a correct server and to servers that violate the contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from bedplate.container.application import format_predictions
from bedplate.container.requests import BadRequest, extract_columns, parse_content_type, parse_rows, read_features
from bedplate.domain.evidence.inference_contract import (
    CSV,
    CaseCheck,
    CaseResponse,
    ContractCase,
    build_cases,
    check_responses,
)
from builders import a_spec

SPEC = a_spec()
ROWS = [{"age": float(20 + i), "calls": i, "plan": "basic" if i % 2 else "pro"} for i in range(5)]
FEATURES = read_features(json.loads(SPEC.model_dump_json()))


def serve_correctly(body: bytes, content_type: str) -> CaseResponse:
    """What `serve` does, without a process: its own reading and writing around a small model."""
    try:
        kind = parse_content_type(content_type)
        columns = extract_columns(parse_rows(body, kind), FEATURES, is_text=kind == CSV)
        scores = [(age or 0) / 100 + calls / 50 for age, calls in zip(columns["age"], columns["calls"], strict=True)]
        return CaseResponse(200, kind, format_predictions(scores, kind))
    except BadRequest as bad:
        return CaseResponse(400, "application/json", orjson.dumps(bad.to_json()))


def check_serving(serve: Callable[[bytes, str], CaseResponse], **options: Any) -> dict[str, CaseCheck]:
    cases = build_cases(SPEC.data, ROWS)
    responses = [serve(case.body, case.content_type) for case in cases]
    return {check.kind: check for check in check_responses(cases, responses, probability=True, **options)}


def test_a_correct_server_has_no_violation() -> None:
    checks = check_serving(serve_correctly)
    assert [check.faults for check in checks.values()] == [()] * len(checks)
    assert {kind: check.cases for kind, check in checks.items()} == {
        "schema": 1,
        "content types": 2,
        "same prediction twice": 1,
        "row order": 1,
        "single row as in a batch": 5,
        "extra columns": 1,
        "missing column": 3,
        "wrong type": 3,
        "null accepted": 1,
        "null rejected": 2,
        "bad requests": 3,
    }


def always_respond(
    status: int, body: bytes, kind: str = "application/jsonlines"
) -> Callable[[bytes, str], CaseResponse]:
    return lambda *_: CaseResponse(status, kind, body)


def encode(scores: list[float]) -> bytes:
    return format_predictions(scores, "application/jsonlines")


def change_every_second_response(body: bytes, content_type: str) -> CaseResponse:
    """Changes the predictions of every second response."""
    change_every_second_response.calls += 1  # type: ignore[attr-defined]
    response = serve_correctly(body, content_type)
    if response.status != 200 or change_every_second_response.calls % 2:  # type: ignore[attr-defined]
        return response
    return CaseResponse(200, response.content_type, response.body.replace(b"0.", b"0.0"))


def sort_predictions(body: bytes, content_type: str) -> CaseResponse:
    response = serve_correctly(body, content_type)
    if response.status != 200 or response.content_type != "application/jsonlines":
        return response
    return CaseResponse(200, response.content_type, b"\n".join(sorted(response.body.splitlines())))


def depend_on_the_batch(body: bytes, content_type: str) -> CaseResponse:
    response = serve_correctly(body, content_type)
    if (
        response.status != 200
        or response.content_type != "application/jsonlines"
        or len(response.body.splitlines()) > 1
    ):
        return response
    return CaseResponse(200, response.content_type, encode([0.123]))


def fail_on_unknown_columns(body: bytes, content_type: str) -> CaseResponse:
    return CaseResponse(500, "", b"boom") if b"bedplate_unknown" in body else serve_correctly(body, content_type)


def name_no_column(body: bytes, content_type: str) -> CaseResponse:
    response = serve_correctly(body, content_type)
    return response if response.status == 200 else CaseResponse(400, "application/json", b"{}")


@pytest.mark.parametrize(
    ("serve", "kind", "fault"),
    [
        (always_respond(500, b"boom"), "schema", "status 500: boom"),
        (always_respond(200, b"nonsense"), "schema", "cannot be parsed"),
        (always_respond(200, encode([0.5])), "schema", "5 rows sent, 1 predictions"),
        (always_respond(200, encode([2.0] * 5)), "schema", "not a probability"),
        (always_respond(200, encode([0.5] * 5), "text/html"), "schema", "response is text/html"),
        (always_respond(200, encode([0.5])), "missing column", "expected status 400, found 200"),
        (always_respond(200, encode([0.5])), "bad requests", "expected status 400"),
        (sort_predictions, "row order", "differ"),
        (depend_on_the_batch, "single row as in a batch", "differ"),
        (fail_on_unknown_columns, "extra columns", "status 500"),
        (name_no_column, "wrong type", "names column None"),
        (name_no_column, "null rejected", "names column None"),
    ],
)
def test_each_violation_is_reported_as_its_kind(serve: Any, kind: str, fault: str) -> None:
    checks = check_serving(serve)[kind]
    assert checks.faults
    assert fault in checks.faults[0]


def test_a_prediction_that_changes_between_calls_is_a_violation() -> None:
    change_every_second_response.calls = 0  # type: ignore[attr-defined]
    checks = check_serving(change_every_second_response)
    assert any(checks[kind].faults for kind in ("same prediction twice", "content types", "row order"))


def test_predictions_may_differ_by_the_tolerance() -> None:
    change_every_second_response.calls = 0  # type: ignore[attr-defined]
    assert not check_serving(change_every_second_response, tolerance=10.0)["content types"].faults


@pytest.mark.parametrize(("difference", "is_equal"), [(1e-4, True), (1.0, False)])
def test_large_predictions_may_differ_by_the_relative_tolerance(difference: float, is_equal: bool) -> None:
    def predict_price(body: bytes, content_type: str) -> CaseResponse:
        response = serve_correctly(body, content_type)
        if response.status != 200 or response.content_type != "application/jsonlines":
            return response
        rows = [json.loads(line) for line in body.splitlines()]
        alone = difference if len(rows) == 1 else 0.0
        return CaseResponse(200, response.content_type, encode([1e6 + (row["age"] or 0) + alone for row in rows]))

    cases = build_cases(SPEC.data, ROWS)
    responses = [predict_price(case.body, case.content_type) for case in cases]
    checks = check_responses(cases, responses, probability=False)
    assert (next(check for check in checks if check.kind == "single row as in a batch").faults == ()) is is_equal


def test_a_case_names_its_column() -> None:
    cases: list[ContractCase] = [c for c in build_cases(SPEC.data, ROWS) if c.kind == "null rejected"]
    assert [c.rejected_column for c in cases] == ["calls", "plan"]
    assert json.loads(cases[0].body)["calls"] is None
