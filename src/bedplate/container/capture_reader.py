"""Reads captured requests and late labels into a Sample: columns ordered by the data contract's time."""

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

from bedplate.container.requests import CONTENT_TYPES, CSV, JSON, JSON_LINES, BadRequest, Row, parse_rows
from bedplate.domain.drift.analysis import CategoryColumn, ColumnValues, Sample
from bedplate.domain.drift.report import ContractViolation
from bedplate.settings import Column, ModelSpec

FALLBACK_VERSION = "0"
_NUMBER_TYPES, _TEXT_TYPES = frozenset({int, float}), frozenset({str})


@dataclass(frozen=True, slots=True)
class Capture:
    """One captured request.

    `predictions` has one entry per row, NaN where none can be read. With `is_csv` all values of `rows` are text.
    Where SageMaker merged ground truth into the record, `ground_truth` has one label per row, NaN for an unlabelled
    row; otherwise it is empty.
    """

    inference_time: datetime
    release: str
    version: str
    rows: Sequence[Row]
    predictions: Sequence[float]
    is_csv: bool = False
    event_id: str = ""
    ground_truth: Sequence[float] = ()


def read_captures(folder: Path, *, start: datetime | None = None, end: datetime | None = None) -> Iterator[Capture]:
    """Yields the captured requests in a folder with an inference time in [start, end).

    Skips records that cannot be read: those of another format and rejected requests.
    """
    for line in _read_lines(folder):
        record = _parse_capture(line)
        if record is None or (start and record.inference_time < start) or (end and record.inference_time >= end):
            continue
        yield record


def read_labels(folder: Path, keys: Sequence[str]) -> dict[tuple[Any, ...], float]:
    """Returns the label of each key in a folder's files; of several labels for a key, the one observed last."""
    latest: dict[tuple[Any, ...], tuple[str, float]] = {}
    for line in _read_lines(folder):
        try:
            row = orjson.loads(line)
            key, label = tuple(row[name] for name in keys), float(row["label"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            continue
        observed_at = str(row.get("observed_at") or "")
        if key not in latest or latest[key][0] <= observed_at:
            latest[key] = (observed_at, label)
    return {key: label for key, (_, label) in latest.items()}


def build_sample(
    spec: ModelSpec,
    captures: Iterable[Capture],
    labels: Mapping[tuple[Any, ...], float],
    *,
    version: str | None = None,
) -> Sample:
    """Returns the columns of all captured rows, with the predictions of `version` or, without one, of every version
    except the fallback's.

    A row's time comes from the contract's time column, or is the inference time where the contract has no time column
    or its value cannot be read. `labels` maps keys to labels; without them the merged ground truth is used.
    """
    rows: list[Row] = []
    times: list[datetime] = []
    predictions: list[float] = []
    releases: Counter[str] = Counter()
    event_ids: list[str] = []
    ground_truth: list[float] = []
    time_column = spec.data.time
    for capture in captures:
        is_counted = capture.version == version if version else capture.version != FALLBACK_VERSION
        capture_rows = typed_rows(capture, spec)
        rows += capture_rows
        event_ids += [capture.event_id] * len(capture_rows)
        times += [_row_time(row, time_column, capture.inference_time) for row in capture_rows]
        predictions += capture.predictions if is_counted else [float("nan")] * len(capture.rows)
        ground_truth += capture.ground_truth or [float("nan")] * len(capture.rows)
        releases[capture.release] += len(capture.rows)
    row_times = np.array(times, dtype="M8[us]")
    order = np.argsort(row_times, kind="stable")
    row_labels = ground_truth
    if labels:
        row_labels = [labels.get(tuple(row.get(key) for key in spec.data.keys), float("nan")) for row in rows]
    errors_by_column: dict[str, int] = {}
    columns: dict[str, ColumnValues] = {}
    for name in spec.data.monitored_features:
        column = spec.data.columns[name]
        values, type_errors = _build_column([row.get(name) for row in rows], column)
        columns[name] = _reorder(values, order)
        if type_errors:
            errors_by_column[name] = type_errors
    return Sample(
        columns=columns,
        times=row_times[order],
        predictions=np.array(predictions, dtype=np.float64)[order],
        labels=np.array(row_labels, dtype=np.float64)[order] if row_labels else np.full(len(rows), np.nan),
        type_errors=errors_by_column,
        releases=dict(releases),
        contract=contract_violations(spec, rows, event_ids),
    )


def typed_rows(capture: Capture, spec: ModelSpec) -> Sequence[Row]:
    """Returns a request's rows with the contract's types, which the text values of a CSV are converted to."""
    return [_convert_row(row, spec.data.columns) for row in capture.rows] if capture.is_csv else capture.rows


def contract_violations(
    spec: ModelSpec, rows: Sequence[Row], event_ids: Sequence[str]
) -> tuple[ContractViolation, ...]:
    """Returns the rules of the data contract that captured rows violate, checked with the schema of training data.

    Checks only the features whose purposes include monitoring. `event_ids` has the request's event ID for each row.
    """
    import pandas as pd

    from bedplate.domain.data.contract import BATCH_ROWS, TableCheck, failed_rules

    features = [n for n in spec.data.features if "monitoring" in spec.data.columns[n].purposes]
    check = TableCheck(spec.data, features, only=features)
    for start in range(0, len(rows), BATCH_ROWS):
        batch = rows[start : start + BATCH_ROWS]
        index = pd.RangeIndex(start, start + len(batch))
        series = {name: _build_series([row.get(name) for row in batch], index) for name in features}
        check.add_frame(pd.DataFrame(series, index=index))
    return tuple(
        ContractViolation(
            fault.column,
            fault.rule,
            fault.expected,
            fault.count,
            tuple(e.value if e.row is None else f"{e.value} in event {event_ids[e.row]}" for e in fault.examples),
        )
        for fault in failed_rules(check.results())
    )


def _build_series(values: list[Any], index: Any) -> Any:
    """Returns a Series with the dtype that pandas infers, or object where integers are too large for int64."""
    import pandas as pd

    try:
        return pd.Series(values, index=index)
    except OverflowError:
        return pd.Series(values, index=index, dtype=object)


def _read_lines(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*.jsonl")):
        yield from path.read_bytes().splitlines()


def _parse_capture(line: bytes) -> Capture | None:
    try:
        record = orjson.loads(line)
        data, metadata = record["captureData"], record["eventMetadata"]
        if str(metadata.get("inferenceId") or "").startswith("bedplate-"):
            return None  # sent by `bedplate deploy` or `status`, not by a client
        request = data["endpointInput"]
        media_type = _media_type(request)
        rows = parse_rows(_decode_body(request), media_type)
        predictions = _parse_predictions(data.get("endpointOutput"), len(rows))
        attributes = _parse_attributes(metadata.get("customAttributes"))
        inference_time = _parse_utc(metadata["inferenceTime"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, BadRequest):
        return None
    return Capture(
        inference_time,
        attributes.get("release", "unknown"),
        attributes.get("version", ""),
        rows,
        predictions,
        is_csv=media_type == CSV,
        event_id=str(metadata.get("eventId") or ""),
        ground_truth=_parse_ground_truth(record.get("groundTruthData"), len(rows)),
    )


def _media_type(payload: Mapping[str, Any]) -> str:
    media_type = str(payload.get("observedContentType") or "").partition(";")[0].strip().lower()
    if media_type in CONTENT_TYPES:
        return media_type
    return CSV if payload.get("encoding") == "CSV" else JSON_LINES


def _decode_body(payload: Mapping[str, Any]) -> bytes:
    data = payload["data"]
    return base64.b64decode(data) if payload.get("encoding") == "BASE64" else str(data).encode()


def _parse_predictions(payload: Mapping[str, Any] | None, row_count: int) -> Sequence[float]:
    missing = [float("nan")] * row_count
    if not payload:
        return missing
    body, media_type = _decode_body(payload), _media_type(payload)
    try:
        if media_type == CSV:
            predictions = [float(line) for line in body.split()]
        elif media_type == JSON:
            predictions = [float(value) for value in orjson.loads(body)["predictions"]]
        else:
            predictions = [float(orjson.loads(line)["prediction"]) for line in body.splitlines() if line.strip()]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return missing
    return predictions if len(predictions) == row_count else missing


def _parse_ground_truth(payload: Mapping[str, Any] | None, row_count: int) -> Sequence[float]:
    """Returns one label per row from one line per row, NaN for an empty line.

    >>> _parse_ground_truth({"data": "1\\n\\n0", "encoding": "CSV"}, 3)
    [1.0, nan, 0.0]
    """
    if not payload:
        return ()
    try:
        labels = [float(line) if line.strip() else float("nan") for line in _decode_body(payload).decode().split("\n")]
    except (ValueError, KeyError):
        return ()
    return labels if len(labels) == row_count else ()


def _parse_attributes(attributes: object) -> dict[str, str]:
    text = ";".join(map(str, attributes)) if isinstance(attributes, list) else str(attributes or "")
    return dict(part.split("=", 1) for part in text.split(";") if "=" in part)


def _convert_row(row: Row, columns: Mapping[str, Column]) -> Row:
    """Converts a CSV row's fields to their columns' types; a field that does not fit stays text."""
    return {name: _convert_value(text, columns[name].type) if name in columns else text for name, text in row.items()}


def _convert_value(text: Any, column_type: str) -> Any:
    if text is None or column_type in ("string", "timestamp"):
        return text
    if column_type == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}.get(str(text).lower(), text)
    try:
        return int(text) if column_type == "integer" else float(text)
    except ValueError:
        return text


def _row_time(row: Row, column: str | None, default: datetime) -> datetime:
    value = row.get(column) if column else None
    try:
        time = _parse_utc(value) if isinstance(value, str) else default
    except ValueError:
        time = default
    return time.replace(tzinfo=None)


def _parse_utc(text: str) -> datetime:
    """Returns an ISO 8601 time in UTC; a time without an offset counts as UTC.

    >>> _parse_utc("2013-07-01T05:00:00Z") == _parse_utc("2013-07-01T07:00:00+02:00")
    True
    >>> _parse_utc("2013-07-01T05:00:00Z") == _parse_utc("2013-07-01T05:00:00")
    True
    """
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _build_column(values: list[Any], column: Column) -> tuple[ColumnValues, int]:
    """Returns a column and the number of values of another type, which become nulls."""
    is_categorical = column.type in ("string", "boolean")
    expected = _TEXT_TYPES if column.type == "string" else frozenset({bool}) if is_categorical else _NUMBER_TYPES
    type_errors = 0
    if not set(map(type, values)) <= expected | {type(None)}:
        fits = [value is None or type(value) in expected for value in values]
        type_errors = fits.count(False)
        values = [value if fit else None for value, fit in zip(values, fits, strict=True)]
    if not is_categorical:
        return np.array(values, dtype=np.float64), type_errors
    codes: dict[Any, int] = {None: -1}
    names: list[str] = []
    for value in set(values) - {None}:
        codes[value] = len(names)
        names.append(value if isinstance(value, str) else str(value).lower())
    return CategoryColumn(tuple(names), np.array([codes[value] for value in values], dtype=np.int64)), type_errors


def _reorder(values: ColumnValues, order: Any) -> ColumnValues:
    return CategoryColumn(values.names, values.codes[order]) if isinstance(values, CategoryColumn) else values[order]
