"""Parses a request body into the columns of the data contract and reports the first row and column that violates it.

The rules repeat those of `domain.data.contract_schema`, because a pandera validation of one row takes milliseconds.
`tests/unit/container/test_requests_schema.py` checks that both accept the same rows.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

JSON_LINES, JSON, CSV = "application/jsonlines", "application/json", "text/csv"
CONTENT_TYPES = (JSON_LINES, JSON, CSV)
Row = Mapping[str, Any]


class BadRequest(Exception):
    """The request gets status 400. `row` counts from 1; a CSV's header line does not count."""

    def __init__(self, message: str, *, column: str | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.column = column
        self.row = row

    def to_json(self) -> dict[str, Any]:
        return {"error": self.message, "column": self.column, "row": self.row}


@dataclass(frozen=True, slots=True)
class Feature:
    """A column that every row must have.

    Bounds and categories are None where the contract has none, or where it checks only the types of requests. With
    `strict` a timestamp must be ISO 8601 text.
    """

    name: str
    type: str
    nullable: bool
    low: float | None = None
    high: float | None = None
    categories: frozenset[str] | None = None
    strict: bool = False


def read_features(contract: Mapping[str, Any]) -> tuple[Feature, ...]:
    """Returns the features of `contract.json` (a ModelSpec as JSON) in the contract's order.

    Does without ModelSpec itself, because pydantic is slow to import.

    >>> columns = {"x": {"type": "number"}, "y": {"type": "integer", "role": "label"}}
    >>> read_features({"data": {"columns": columns}})
    (Feature(name='x', type='number', nullable=False, low=None, high=None, categories=None, strict=True),)
    """
    strict = contract["data"].get("request_checks", "all") == "all"
    return tuple(
        Feature(name, column["type"], bool(column.get("nullable", False)), **(_bounds(column) if strict else {}))
        for name, column in contract["data"]["columns"].items()
        if column.get("role", "feature") in ("feature", "segment")
    )


def excluded_columns(contract: Mapping[str, Any]) -> frozenset[str]:
    """Returns the columns that a request must not have, because their purposes do not include inference.

    Returns none where the contract says that such columns are dropped.

    >>> columns = {"x": {"type": "number"}, "note": {"type": "string", "role": "context", "purposes": ["debugging"]}}
    >>> excluded_columns({"data": {"columns": columns}})
    frozenset({'note'})
    """
    data = contract["data"]
    if data.get("excluded_from_requests", "reject") == "drop":
        return frozenset()
    return frozenset(n for n, c in data["columns"].items() if "inference" not in c.get("purposes", ("inference",)))


def parse_request(
    body: bytes, content_type: str, features: Sequence[Feature], excluded: frozenset[str] = frozenset()
) -> dict[str, list[Any]]:
    """Returns the checked values of each feature in a request body. Raises BadRequest for the first violation."""
    media_type = parse_content_type(content_type)
    return extract_columns(parse_rows(body, media_type), features, is_text=media_type == CSV, excluded=excluded)


def parse_content_type(header: str) -> str:
    """Returns the media type without parameters, JSON Lines for an empty header. Raises BadRequest for any other type.

    >>> parse_content_type("text/csv; charset=utf-8")
    'text/csv'
    """
    media_type = header.partition(";")[0].strip().lower() or JSON_LINES
    if media_type not in CONTENT_TYPES:
        raise BadRequest(f"content type {media_type!r} is not supported; use one of {', '.join(CONTENT_TYPES)}")
    return media_type


def parse_rows(body: bytes, content_type: str) -> list[Row]:
    """Returns one mapping per row. Values of a CSV are text, or None for an empty field. Raises BadRequest."""
    if content_type == CSV:
        rows = _csv_rows(body)
    elif content_type == JSON:
        rows = _rows_from_json([_parse_json(body, None)], is_document=True)
    else:
        lines = [line for line in body.split(b"\n") if line.strip()]
        rows = _rows_from_json([_parse_json(line, number) for number, line in enumerate(lines, 1)], is_document=False)
    if not rows:
        raise BadRequest("the request has no row")
    return rows


def extract_columns(
    rows: Sequence[Row], features: Sequence[Feature], *, is_text: bool = False, excluded: frozenset[str] = frozenset()
) -> dict[str, list[Any]]:
    """Returns the values of each feature after checking them against the contract; drops other keys of a row.

    With `is_text` values are text that is converted to the column's type (CSV). Raises BadRequest for the first
    violation, which includes a row with a key in `excluded`.
    """
    if excluded:
        _check_excluded(rows, excluded)
    columns: dict[str, list[Any]] = {}
    for feature in features:
        convert = (_CSV_VALUES if is_text else _JSON_VALUES)[feature.type]
        values: list[Any] = []
        for number, row in enumerate(rows, 1):
            try:
                value = row[feature.name]
            except KeyError:
                raise BadRequest(f"column {feature.name!r} is missing", column=feature.name, row=number) from None
            if value is None:
                if not feature.nullable:
                    raise BadRequest(f"column {feature.name!r} must not be null", column=feature.name, row=number)
                values.append(None)
                continue
            try:
                values.append(convert(value))
            except ValueError:
                message = f"column {feature.name!r} must hold {_TYPE_NAMES[feature.type]}, found {value!r:.40}"
                raise BadRequest(message, column=feature.name, row=number) from None
        _check_bounds(values, feature)
        columns[feature.name] = values
    return columns


def _bounds(column: Mapping[str, Any]) -> dict[str, Any]:
    categories = column.get("categories")
    return {
        "low": column.get("min"),
        "high": column.get("max"),
        "categories": None if categories is None else frozenset(categories),
        "strict": True,
    }


def _check_excluded(rows: Sequence[Row], excluded: frozenset[str]) -> None:
    for number, row in enumerate(rows, 1):
        if not excluded.isdisjoint(row):
            name = min(excluded.intersection(row))
            raise BadRequest(f"column {name!r} must not be used for inference", column=name, row=number)


def _check_bounds(values: Sequence[Any], feature: Feature) -> None:
    """Checks the extremes first, and single values only to name the first violation, which keeps the check fast."""
    present = [value for value in values if value is not None] if feature.nullable else values
    if not present:
        return
    low, high, categories = feature.low, feature.high, feature.categories
    if low is not None and min(present) < low:
        _check_each(values, feature, lambda v: v >= low, f"must be at least {low:g}")
    if high is not None and max(present) > high:
        _check_each(values, feature, lambda v: v <= high, f"must be at most {high:g}")
    if categories is not None and not categories.issuperset(present):
        _check_each(values, feature, lambda v: v in categories, f"must be one of {', '.join(sorted(categories))}")
    if feature.strict and feature.type == "timestamp":
        rule = f"must hold {_TYPE_NAMES['timestamp']}"
        _check_each(values, feature, lambda v: _ISO_8601.fullmatch(v) is not None, rule)


def _check_each(values: Sequence[Any], feature: Feature, fits: Callable[[Any], bool], rule: str) -> None:
    for number, value in enumerate(values, 1):
        if value is not None and not fits(value):
            raise BadRequest(f"column {feature.name!r} {rule}, found {value!r:.40}", column=feature.name, row=number)


def _parse_json(text: bytes, number: int | None) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise BadRequest(f"not JSON: {exc}", row=number) from exc


def _rows_from_json(values: list[Any], *, is_document: bool) -> list[Row]:
    rows = values[0] if is_document and isinstance(values[0], list) else values
    for number, value in enumerate(rows, 1):
        if not isinstance(value, dict):
            raise BadRequest(f"expected a JSON object, found {str(value)[:40]!r}", row=number)
    return list(rows)


def _csv_rows(body: bytes) -> list[Row]:
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as exc:
        raise BadRequest(f"not CSV: {exc}") from exc
    lines = [line for line in lines if line]
    if not lines:
        return []
    header, rows = lines[0], lines[1:]
    for number, line in enumerate(rows, 1):
        if len(line) != len(header):
            raise BadRequest(f"expected {len(header)} fields as in the header line, found {len(line)}", row=number)
    return [{name: value or None for name, value in zip(header, line, strict=True)} for line in rows]


def _number(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value - value == 0:
        return float(value)
    raise ValueError


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64:
        return value
    if isinstance(value, float) and value.is_integer() and -_INT64 <= value < _INT64:
        return int(value)
    raise ValueError


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError


def _parse_number(text: str) -> float:
    value = float(text)
    if value - value != 0:  # CSV spells out nan and inf, JSON cannot
        raise ValueError
    return value


def _parse_integer(text: str) -> int:
    return _integer(float(text))


def _parse_boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError from None


_INT64 = 2**63
_ISO_8601 = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
"""`domain.data.contract_schema.ISO_8601`, which this module does not import: that would import pydantic."""
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_JSON_VALUES: Mapping[str, Callable[[Any], Any]] = {
    "number": _number, "integer": _integer, "string": _string, "boolean": _boolean, "timestamp": _string,
}  # fmt: skip
_CSV_VALUES: Mapping[str, Callable[[Any], Any]] = {
    "number": _parse_number, "integer": _parse_integer, "string": _string, "boolean": _parse_boolean,
    "timestamp": _string,
}  # fmt: skip
_TYPE_NAMES = {
    "number": "a number", "integer": "a whole number", "string": "text", "boolean": "true or false",
    "timestamp": "a time as ISO 8601 text",
}  # fmt: skip
