"""What callers rely on, as requests and their due answers: fitting rows answered, others refused by column."""

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
SINGLES = 8
_WRONG: Mapping[str, Any] = {"number": "much", "integer": "many", "boolean": "maybe", "string": 7, "timestamp": 7}
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One request. `same_as` are rows of the first case whose answers it must repeat; `refused_for` is a column.

    `refused` without a column is a request that is wrong as a whole.
    """

    kind: str
    name: str
    body: bytes
    content_type: str
    rows: int
    same_as: tuple[int, ...] | None = None
    refused: bool = False
    refused_for: str | None = None


@dataclass(frozen=True, slots=True)
class CaseResponse:
    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class CaseCheck:
    """All cases of one kind; a fault says which case, and what was answered."""

    kind: str
    cases: int
    faults: tuple[str, ...]


def cases(contract: DataContract, rows: Sequence[Row]) -> list[Case]:
    """The requests to send, first all rows as JSON Lines. `rows`, two or more, hold the features."""
    features = {name: contract.columns[name] for name in contract.features}
    every = tuple(range(len(rows)))
    found = [Case("schema", "all rows as JSON Lines", jsonlines(rows), JSON_LINES, len(rows), every)]
    found += [
        Case("content types", kind, body, kind, len(rows), every)
        for kind, body in ((JSON, json.dumps(list(rows)).encode()), (CSV, _csv(rows)))
    ]
    found.append(Case("same answer twice", "all rows again", jsonlines(rows), JSON_LINES, len(rows), every))
    found.append(Case("order kept", "all rows reversed", jsonlines(rows[::-1]), JSON_LINES, len(rows), every[::-1]))
    found += [
        Case("alone as in a batch", f"row {i + 1}", jsonlines([rows[i]]), JSON_LINES, 1, (i,)) for i in every[:SINGLES]
    ]
    more = [{"bedplate_unknown": "x", **row} for row in rows]
    found.append(Case("extra columns", "an unknown column", jsonlines(more), JSON_LINES, len(rows), every))
    for name, column in features.items():
        found += _of_column(name, column, rows[0])
    for name, body, kind in (
        ("no row", b"", JSON_LINES),
        ("no JSON", b"{", JSON_LINES),
        ("an unknown content type", jsonlines(rows[:1]), "application/x-unknown"),
    ):
        found.append(Case("bad requests", name, body, kind, 0, refused=True))
    return found


def _of_column(name: str, column: Column, row: Row) -> list[Case]:
    """What each column's declaration promises about requests."""

    def one(kind: str, changed: Row, *, refused: bool) -> Case:
        return Case(
            kind, name, jsonlines([changed]), JSON_LINES, 1, refused=refused, refused_for=name if refused else None
        )

    without = {key: value for key, value in row.items() if key != name}
    null = "null accepted" if column.nullable else "null refused"
    return [
        one("missing column", without, refused=True),
        one("wrong type", {**row, name: _WRONG[column.type]}, refused=True),
        one(null, {**row, name: None}, refused=not column.nullable),
    ]


def checks(
    asked: Sequence[Case], answers: Sequence[CaseResponse], *, probability: bool, tolerance: float = 1e-9
) -> tuple[CaseCheck, ...]:
    """One check a kind, in order of first appearance. `probability` says that answers lie between 0 and 1."""
    first = predictions(answers[0]) if answers[0].status == 200 else None
    if first is not None and len(first) != asked[0].rows:
        first = None
    faults: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for case, answer in zip(asked, answers, strict=True):
        counts[case.kind] = counts.get(case.kind, 0) + 1
        fault = _fault(case, answer, first, probability, tolerance)
        faults.setdefault(case.kind, []).extend([f"{case.name}: {fault}"] if fault else [])
    return tuple(CaseCheck(kind, count, tuple(faults[kind])) for kind, count in counts.items())


def predictions(answer: CaseResponse) -> list[float] | None:
    """The answers in a body of any of the three content types; None when it cannot be read.

    >>> predictions(CaseResponse(200, "application/jsonlines", b'{"prediction":0.5}'))
    [0.5]
    """
    try:
        if answer.content_type == JSON:
            return [float(v) for v in json.loads(answer.body)["predictions"]]
        if answer.content_type == CSV:
            return [float(line) for line in answer.body.decode().split()]
        return [float(json.loads(line)["prediction"]) for line in answer.body.splitlines()]
    except (ValueError, KeyError, TypeError):
        return None


def jsonlines(rows: Sequence[Row]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _fault(
    case: Case, answer: CaseResponse, first: Sequence[float] | None, probability: bool, tolerance: float
) -> str | None:
    if case.refused:
        return _unrefused(case, answer)
    if answer.status != 200:
        return f"answered {answer.status}: {answer.body[:160].decode('utf-8', 'replace').strip()}"
    if answer.content_type != case.content_type:
        return f"asked as {case.content_type}, answered as {answer.content_type or 'nothing'}"
    found = predictions(answer)
    if found is None:
        return f"an answer that cannot be read: {answer.body[:80]!r}"
    if len(found) != case.rows:
        return f"{case.rows} rows asked, {len(found)} answers"
    if not all(math.isfinite(value) for value in found):
        return "an answer is no finite number"
    if probability and not all(0 <= value <= 1 for value in found):
        return "an answer is no probability"
    if case.same_as is None or first is None:
        return None
    pairs = [(value, first[i]) for value, i in zip(found, case.same_as, strict=True)]
    if all(math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance) for a, b in pairs):
        return None
    return f"answers differ by up to {max(abs(a - b) for a, b in pairs):.3g}"


def _unrefused(case: Case, answer: CaseResponse) -> str | None:
    if answer.status != 400:
        return f"400 expected, answered {answer.status}"
    if case.refused_for is None:
        return None
    try:
        named = json.loads(answer.body).get("column")
    except (ValueError, AttributeError):
        return "400 without a JSON body"
    return None if named == case.refused_for else f"400 names column {named!r}"


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(list(rows[0]))
    for row in rows:
        writer.writerow([_field(value) for value in row.values()])
    return text.getvalue().encode()


def _field(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, float) else str(value)
