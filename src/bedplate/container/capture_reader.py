"""Reads captured requests and late labels into columns, in the order of the data contract's time."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bedplate.container.requests import CONTENT_TYPES, CSV, JSON, JSON_LINES, BadRequest, rows_of
from bedplate.domain.drift.analysis import Categories, Sample, Values
from bedplate.domain.drift.report import ContractViolation
from bedplate.settings import Column, ModelSpec

Row = Mapping[str, Any]
FALLBACK_VERSION = "0"
_NUMBERS, _TEXTS = frozenset({int, float}), frozenset({str})


@dataclass(frozen=True, slots=True)
class CaptureRecord:
    """One captured request. `answers` has as many entries as `rows`, NaN where none can be read; CSV is all `text`.

    `truth` holds a label a row where SageMaker merged its ground truth in, NaN for a row without one; else it is empty.
    """

    at: datetime
    release: str
    version: str
    rows: Sequence[Row]
    answers: Sequence[float]
    text: bool = False
    event: str = ""
    truth: Sequence[float] = ()


def records(folder: Path, *, start: datetime | None = None, end: datetime | None = None) -> Iterator[CaptureRecord]:
    """Requests below a folder whose answer was given from `start` on and before `end`.

    What cannot be read is passed over: a record of another shape, a request that was refused.
    """
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            record = _record(line)
            if record is None or (start and record.at < start) or (end and record.at >= end):
                continue
            yield record


def labels_below(folder: Path, keys: Sequence[str]) -> dict[tuple[Any, ...], float]:
    """Key -> label of every row below a folder; of several for one key, the one observed last counts."""
    found: dict[tuple[Any, ...], tuple[str, float]] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                row = orjson.loads(line)
                key, label = tuple(row[name] for name in keys), float(row["label"])
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                continue
            observed = str(row.get("observed_at") or "")
            if key not in found or found[key][0] <= observed:
                found[key] = (observed, label)
    return {key: label for key, (_, label) in found.items()}


def sample_of(
    spec: ModelSpec,
    found: Iterable[CaptureRecord],
    labels: Mapping[tuple[Any, ...], float],
    *,
    version: str | None = None,
) -> Sample:
    """Columns of all captured rows. Answers and labels count for `version` only, or for all but the fallback's.

    A row's time is the contract's time column, or when it was answered where there is none or it cannot be read.
    """
    rows: list[Row] = []
    times: list[datetime] = []
    answers: list[float] = []
    releases: Counter[str] = Counter()
    events: list[str] = []
    merged: list[float] = []
    time = spec.data.time
    for record in found:
        counts = record.version == version if version else record.version != FALLBACK_VERSION
        asked = typed_rows(record, spec)
        rows += asked
        events += [record.event] * len(asked)
        times += [_time(row, time, record.at) for row in asked]
        answers += record.answers if counts else [float("nan")] * len(record.rows)
        merged += record.truth or [float("nan")] * len(record.rows)
        releases[record.release] += len(record.rows)
    moments = np.array(times, dtype="M8[us]")
    order = np.argsort(moments, kind="stable")
    keys = spec.data.keys
    known = [labels.get(tuple(row.get(key) for key in keys), float("nan")) for row in rows] if labels else merged
    errors: dict[str, int] = {}
    columns: dict[str, Values] = {}
    for name in spec.data.watched:
        column = spec.data.columns[name]
        values, wrong = _column([row.get(name) for row in rows], column)
        columns[name] = _ordered(values, order)
        if wrong:
            errors[name] = wrong
    return Sample(
        columns=columns,
        times=moments[order],
        predictions=np.array(answers, dtype=np.float64)[order],
        labels=np.array(known, dtype=np.float64)[order] if known else np.full(len(rows), np.nan),
        type_errors=errors,
        releases=dict(releases),
        contract=broken_rules(spec, rows, events),
    )


def typed_rows(record: CaptureRecord, spec: ModelSpec) -> Sequence[Row]:
    """A request's rows with their columns' types, also where it came as CSV."""
    return [_typed(row, spec.data.columns) for row in record.rows] if record.text else record.rows


def broken_rules(spec: ModelSpec, rows: Sequence[Row], events: Sequence[str]) -> tuple[ContractViolation, ...]:
    """Rules of the data contract that captured rows break, by the schema that training data is held to.

    Only of features that may be monitored; `events` say which request each row was of.
    """
    import pandas as pd

    from bedplate.domain.data.contract import BATCH_ROWS, TableCheck, failed

    features = [n for n in spec.data.features if "monitoring" in spec.data.columns[n].purposes]
    check = TableCheck(spec.data, features, only=features)
    for start in range(0, len(rows), BATCH_ROWS):
        part = rows[start : start + BATCH_ROWS]
        index = pd.RangeIndex(start, start + len(part))
        check.add_frame(pd.DataFrame({n: _series([row.get(n) for row in part], index) for n in features}, index=index))
    return tuple(
        ContractViolation(
            fault.column,
            fault.rule,
            fault.expected,
            fault.count,
            tuple(e.value if e.row is None else f"{e.value} in event {events[e.row]}" for e in fault.examples),
        )
        for fault in failed(check.results())
    )


def _series(values: list[Any], index: Any) -> Any:
    """As pandas infers it; as objects where whole numbers are too large for it."""
    import pandas as pd

    try:
        return pd.Series(values, index=index)
    except OverflowError:
        return pd.Series(values, index=index, dtype=object)


def _record(line: bytes) -> CaptureRecord | None:
    try:
        found = orjson.loads(line)
        data, meta = found["captureData"], found["eventMetadata"]
        if str(meta.get("inferenceId") or "").startswith("bedplate-"):  # asked by a deploy or a status, by no customer
            return None
        asked = data["endpointInput"]
        kind = _kind(asked)
        rows = rows_of(_body(asked), kind)
        answers = _answers(data.get("endpointOutput"), len(rows))
        attributes = _attributes(meta.get("customAttributes"))
        at = _utc(meta["inferenceTime"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, BadRequest):
        return None
    release, version = attributes.get("release", "unknown"), attributes.get("version", "")
    truth = _truth(found.get("groundTruthData"), len(rows))
    event = str(meta.get("eventId") or "")
    return CaptureRecord(at, release, version, rows, answers, text=kind == CSV, event=event, truth=truth)


def _kind(side: Mapping[str, Any]) -> str:
    kind = str(side.get("observedContentType") or "").partition(";")[0].strip().lower()
    if kind in CONTENT_TYPES:
        return kind
    return CSV if side.get("encoding") == "CSV" else JSON_LINES


def _body(side: Mapping[str, Any]) -> bytes:
    data = side["data"]
    return base64.b64decode(data) if side.get("encoding") == "BASE64" else str(data).encode()


def _answers(side: Mapping[str, Any] | None, expected: int) -> Sequence[float]:
    nothing = [float("nan")] * expected
    if not side:
        return nothing
    body, kind = _body(side), _kind(side)
    try:
        if kind == CSV:
            found = [float(line) for line in body.split()]
        elif kind == JSON:
            found = [float(value) for value in orjson.loads(body)["predictions"]]
        else:
            found = [float(orjson.loads(line)["prediction"]) for line in body.splitlines() if line.strip()]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return nothing
    return found if len(found) == expected else nothing


def _truth(side: Mapping[str, Any] | None, expected: int) -> Sequence[float]:
    """A line a row, empty where its label is not known.

    >>> _truth({"data": "1\\n\\n0", "encoding": "CSV"}, 3)
    [1.0, nan, 0.0]
    """
    if not side:
        return ()
    try:
        found = [float(line) if line.strip() else float("nan") for line in _body(side).decode().split("\n")]
    except (ValueError, KeyError):
        return ()
    return found if len(found) == expected else ()


def _attributes(found: object) -> dict[str, str]:
    text = ";".join(map(str, found)) if isinstance(found, list) else str(found or "")
    return dict(part.split("=", 1) for part in text.split(";") if "=" in part)


def _typed(row: Row, columns: Mapping[str, Column]) -> Row:
    """A CSV row's fields as their columns' types, where they fit."""
    return {name: _field(text, columns[name].type) if name in columns else text for name, text in row.items()}


def _field(text: Any, kind: str) -> Any:
    if text is None or kind in ("string", "timestamp"):
        return text
    if kind == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}.get(str(text).lower(), text)
    try:
        return int(text) if kind == "integer" else float(text)
    except ValueError:
        return text


def _time(row: Row, name: str | None, answered: datetime) -> datetime:
    value = row.get(name) if name else None
    try:
        found = _utc(value) if isinstance(value, str) else answered
    except ValueError:
        found = answered
    return found.replace(tzinfo=None)


def _utc(text: str) -> datetime:
    """
    >>> _utc("2013-07-01T05:00:00Z") == _utc("2013-07-01T07:00:00+02:00") == _utc("2013-07-01T05:00:00")
    True
    """
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _column(values: list[Any], column: Column) -> tuple[Values, int]:
    """A column and how many of its values are of another type, which become nulls."""
    text = column.type in ("string", "boolean")
    expected = _TEXTS if column.type == "string" else frozenset({bool}) if text else _NUMBERS
    wrong = 0
    if not set(map(type, values)) <= expected | {type(None)}:
        fits = [value is None or type(value) in expected for value in values]
        wrong = fits.count(False)
        values = [value if fit else None for value, fit in zip(values, fits, strict=True)]
    if not text:
        return np.array(values, dtype=np.float64), wrong
    codes: dict[Any, int] = {None: -1}
    names: list[str] = []
    for value in set(values) - {None}:
        codes[value] = len(names)
        names.append(value if isinstance(value, str) else str(value).lower())
    return Categories(tuple(names), np.array([codes[value] for value in values], dtype=np.int64)), wrong


def _ordered(values: Values, order: Any) -> Values:
    return Categories(values.names, values.codes[order]) if isinstance(values, Categories) else values[order]
