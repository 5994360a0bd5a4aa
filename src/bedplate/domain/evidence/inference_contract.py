"""Builds requests that test a serving entry point against the data contract, and checks the responses.

Rows that fit the contract must be predicted; other rows must be rejected with status 400 and the column's name.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedplate.settings import Column, DataContract

JSON_LINES, JSON, CSV = "application/jsonlines", "application/json", "text/csv"
SINGLE_ROW_CASES = 8
_WRONG_TYPE_VALUES: Mapping[str, Any] = {
    "number": "much",
    "integer": "many",
    "boolean": "maybe",
    "string": 7,
    "timestamp": 7,
}
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ContractCase:
    """One request and the response that the contract requires.

    The predictions must equal those of the rows `same_rows` of the first case. With `is_rejected` the status must be
    400 and the body must name `rejected_column`, which is None for a request that is wrong as a whole.
    """

    kind: str
    name: str
    body: bytes
    content_type: str
    rows: int
    same_rows: tuple[int, ...] | None = None
    is_rejected: bool = False
    rejected_column: str | None = None


@dataclass(frozen=True, slots=True)
class CaseResponse:
    """The HTTP response to one case."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class CaseCheck:
    """The result for all cases of one kind; each fault names a case and says how its response is wrong."""

    kind: str
    cases: int
    faults: tuple[str, ...]


def build_cases(contract: DataContract, rows: Sequence[Row]) -> list[ContractCase]:
    """Returns the requests to send; the first one sends all rows as JSON Lines.

    `rows` are two or more rows with the contract's features.
    """
    order = tuple(range(len(rows)))
    body = encode_jsonlines(rows)
    cases = [
        ContractCase(kind, name, request_body, content_type, len(rows), same_rows)
        for kind, name, request_body, content_type, same_rows in (
            ("schema", "all rows as JSON Lines", body, JSON_LINES, order),
            ("content types", JSON, json.dumps(list(rows)).encode(), JSON, order),
            ("content types", CSV, _encode_csv(rows), CSV, order),
            ("same prediction twice", "all rows again", body, JSON_LINES, order),
            ("row order", "all rows reversed", encode_jsonlines(rows[::-1]), JSON_LINES, order[::-1]),
        )
    ]
    cases += [
        ContractCase("single row as in a batch", f"row {i + 1}", encode_jsonlines([rows[i]]), JSON_LINES, 1, (i,))
        for i in order[:SINGLE_ROW_CASES]
    ]
    wider = encode_jsonlines([{"bedplate_unknown": "x", **row} for row in rows])
    cases.append(ContractCase("extra columns", "an unknown column", wider, JSON_LINES, len(rows), order))
    for name in contract.features:
        cases += _column_cases(name, contract.columns[name], rows[0])
    for name, bad_body, content_type in (
        ("no row", b"", JSON_LINES),
        ("no JSON", b"{", JSON_LINES),
        ("an unknown content type", encode_jsonlines(rows[:1]), "application/x-unknown"),
    ):
        cases.append(ContractCase("bad requests", name, bad_body, content_type, 0, is_rejected=True))
    return cases


def _column_cases(name: str, column: Column, row: Row) -> list[ContractCase]:
    """Returns the requests that test one column's declaration: column missing, of a wrong type, null."""

    def build_case(kind: str, request_row: Row, *, is_rejected: bool) -> ContractCase:
        body, rejected_column = encode_jsonlines([request_row]), name if is_rejected else None
        return ContractCase(kind, name, body, JSON_LINES, 1, None, is_rejected, rejected_column)

    row_without_column = {key: value for key, value in row.items() if key != name}
    null_kind = "null accepted" if column.nullable else "null rejected"
    return [
        build_case("missing column", row_without_column, is_rejected=True),
        build_case("wrong type", {**row, name: _WRONG_TYPE_VALUES[column.type]}, is_rejected=True),
        build_case(null_kind, {**row, name: None}, is_rejected=not column.nullable),
    ]


def check_responses(
    cases: Sequence[ContractCase], responses: Sequence[CaseResponse], *, probability: bool, tolerance: float = 1e-9
) -> tuple[CaseCheck, ...]:
    """Returns one check per kind of case, in order of first appearance.

    `cases` and `responses` have the same order. With `probability`, predictions must be between 0 and 1; `tolerance`
    is the largest difference, relative or absolute, of predictions that must be equal.
    """
    expected = parse_predictions(responses[0]) if responses[0].status == 200 else None
    if expected is not None and len(expected) != cases[0].rows:
        expected = None
    faults: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for case, response in zip(cases, responses, strict=True):
        counts[case.kind] = counts.get(case.kind, 0) + 1
        fault = _fault(case, response, expected, probability, tolerance)
        faults.setdefault(case.kind, []).extend([f"{case.name}: {fault}"] if fault else [])
    return tuple(CaseCheck(kind, count, tuple(faults[kind])) for kind, count in counts.items())


def parse_predictions(response: CaseResponse) -> list[float] | None:
    """Returns the predictions in a response of any of the three content types; None when it cannot be parsed.

    >>> parse_predictions(CaseResponse(200, "application/jsonlines", b'{"prediction":0.5}'))
    [0.5]
    """
    try:
        if response.content_type == JSON:
            return [float(v) for v in json.loads(response.body)["predictions"]]
        if response.content_type == CSV:
            return [float(line) for line in response.body.decode().split()]
        return [float(json.loads(line)["prediction"]) for line in response.body.splitlines()]
    except (ValueError, KeyError, TypeError):
        return None


def encode_jsonlines(rows: Sequence[Row]) -> bytes:
    """Returns the rows as JSON Lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _fault(
    case: ContractCase, response: CaseResponse, expected: Sequence[float] | None, probability: bool, tolerance: float
) -> str | None:
    if case.is_rejected:
        return _rejection_fault(case, response)
    if response.status != 200:
        return f"status {response.status}: {response.body[:160].decode('utf-8', 'replace').strip()}"
    if response.content_type != case.content_type:
        return f"requested as {case.content_type}, response is {response.content_type or 'without a content type'}"
    predictions = parse_predictions(response)
    if predictions is None:
        return f"the response cannot be parsed: {response.body[:80]!r}"
    if len(predictions) != case.rows:
        return f"{case.rows} rows sent, {len(predictions)} predictions returned"
    if not all(math.isfinite(value) for value in predictions):
        return "a prediction is not a finite number"
    if probability and not all(0 <= value <= 1 for value in predictions):
        return "a prediction is not a probability"
    if case.same_rows is None or expected is None:
        return None
    pairs = [(value, expected[i]) for value, i in zip(predictions, case.same_rows, strict=True)]
    if all(math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance) for a, b in pairs):
        return None
    return f"predictions differ by up to {max(abs(a - b) for a, b in pairs):.3g}"


def _rejection_fault(case: ContractCase, response: CaseResponse) -> str | None:
    if response.status != 400:
        return f"expected status 400, found {response.status}"
    if case.rejected_column is None:
        return None
    try:
        column = json.loads(response.body).get("column")
    except (ValueError, AttributeError):
        return "status 400 without a JSON body"
    return None if column == case.rejected_column else f"status 400 names column {column!r}"


def _encode_csv(rows: Sequence[Row]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(list(rows[0]))
    for row in rows:
        writer.writerow([_format_csv_field(value) for value in row.values()])
    return buffer.getvalue().encode()


def _format_csv_field(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, float) else str(value)
