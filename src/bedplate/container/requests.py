"""Reads the body of a request into columns, as the data contract has them, or says which row and column is wrong.

The rules are those of `domain.data.contract_schema`, generated from the contract once: a pandera validation of one row
takes milliseconds. `tests/unit/container/test_requests_agree.py` holds both together.
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
    """Answered with 400. `row` counts from 1, as people count lines (a CSV's header line does not count)."""

    def __init__(self, message: str, *, column: str | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.column = column
        self.row = row

    def to_json(self) -> dict[str, Any]:
        return {"error": self.message, "column": self.column, "row": self.row}


@dataclass(frozen=True, slots=True)
class Feature:
    """A column that every row must hold. Bounds and categories are None where the contract has none, or where requests
    are held to types alone; `strict` says that the text of a time must be one."""

    name: str
    type: str
    nullable: bool
    low: float | None = None
    high: float | None = None
    categories: frozenset[str] | None = None
    strict: bool = False


def features_of(contract: Mapping[str, Any]) -> tuple[Feature, ...]:
    """From `contract.json` (ModelSpec as JSON), in the contract's order; without pydantic, which is slow to import.

    >>> columns = {"x": {"type": "number"}, "y": {"type": "integer", "role": "label"}}
    >>> features_of({"data": {"columns": columns}})
    (Feature(name='x', type='number', nullable=False, low=None, high=None, categories=None, strict=True),)
    """
    strict = contract["data"].get("requests", "all") == "all"
    return tuple(
        Feature(name, column["type"], bool(column.get("nullable", False)), **(_bounds(column) if strict else {}))
        for name, column in contract["data"]["columns"].items()
        if column.get("role", "feature") in ("feature", "segment")
    )


def refused_of(contract: Mapping[str, Any]) -> frozenset[str]:
    """Columns that a request must not hold, because their purposes do not allow inference; none where they are dropped.

    >>> columns = {"x": {"type": "number"}, "note": {"type": "string", "role": "context", "purposes": ["debugging"]}}
    >>> refused_of({"data": {"columns": columns}})
    frozenset({'note'})
    """
    data = contract["data"]
    if data.get("forbidden", "refuse") == "drop":
        return frozenset()
    return frozenset(n for n, c in data["columns"].items() if "inference" not in c.get("purposes", ("inference",)))


def content_type_of(header: str) -> str:
    """The media type without parameters; an empty header means JSON Lines. Raises BadRequest for one nobody reads.

    >>> content_type_of("text/csv; charset=utf-8")
    'text/csv'
    """
    kind = header.partition(";")[0].strip().lower() or JSON_LINES
    if kind not in CONTENT_TYPES:
        raise BadRequest(f"content type {kind!r} is not read here; one of {', '.join(CONTENT_TYPES)} expected")
    return kind


def rows_of(body: bytes, content_type: str) -> list[Row]:
    """One mapping a row; CSV's values are text, or None where the field is empty. Raises BadRequest."""
    if content_type == CSV:
        rows = _csv_rows(body)
    elif content_type == JSON:
        rows = _objects([_parsed(body, None)], flat=True)
    else:
        lines = [line for line in body.split(b"\n") if line.strip()]
        rows = _objects([_parsed(line, number) for number, line in enumerate(lines, 1)], flat=False)
    if not rows:
        raise BadRequest("the request holds no row")
    return rows


def columns_of(
    rows: Sequence[Row], features: Sequence[Feature], *, text: bool = False, refused: frozenset[str] = frozenset()
) -> dict[str, list[Any]]:
    """The features' values, column by column, held to the contract; other keys of a row are left out.

    `text` says that values are text to be read as the column's type (CSV); a row with a key of `refused` is refused.
    Raises BadRequest for the first fault.
    """
    if refused:
        _must_not_hold(rows, refused)
    columns: dict[str, list[Any]] = {}
    for feature in features:
        read = (_READ if text else _TAKE)[feature.type]
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
                values.append(read(value))
            except ValueError:
                message = f"column {feature.name!r} must hold {_KINDS[feature.type]}, found {value!r:.40}"
                raise BadRequest(message, column=feature.name, row=number) from None
        _must_be_within(values, feature)
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


def _must_not_hold(rows: Sequence[Row], refused: frozenset[str]) -> None:
    for number, row in enumerate(rows, 1):
        if not refused.isdisjoint(row):
            name = min(refused.intersection(row))
            raise BadRequest(f"column {name!r} must not be used for inference", column=name, row=number)


def _must_be_within(values: Sequence[Any], feature: Feature) -> None:
    """Looks at all values at once, and at one by one only to name the first that is not."""
    known = [value for value in values if value is not None] if feature.nullable else values
    if not known:
        return
    low, high, categories = feature.low, feature.high, feature.categories
    if low is not None and min(known) < low:
        _refuse(values, feature, lambda v: v >= low, f"must be at least {low:g}")
    if high is not None and max(known) > high:
        _refuse(values, feature, lambda v: v <= high, f"must be at most {high:g}")
    if categories is not None and not categories.issuperset(known):
        _refuse(values, feature, lambda v: v in categories, f"must be one of {', '.join(sorted(categories))}")
    if feature.strict and feature.type == "timestamp":
        _refuse(values, feature, lambda v: _TIME.fullmatch(v) is not None, f"must hold {_KINDS['timestamp']}")


def _refuse(values: Sequence[Any], feature: Feature, fits: Callable[[Any], bool], rule: str) -> None:
    for number, value in enumerate(values, 1):
        if value is not None and not fits(value):
            raise BadRequest(f"column {feature.name!r} {rule}, found {value!r:.40}", column=feature.name, row=number)


def _parsed(text: bytes, number: int | None) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise BadRequest(f"not JSON: {exc}", row=number) from exc


def _objects(values: list[Any], *, flat: bool) -> list[Row]:
    found = values[0] if flat and isinstance(values[0], list) else values
    for number, value in enumerate(found, 1):
        if not isinstance(value, dict):
            raise BadRequest(f"a JSON object expected, found {str(value)[:40]!r}", row=number)
    return list(found)


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
            raise BadRequest(f"{len(header)} fields expected as in the header line, found {len(line)}", row=number)
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


def _number_in(text: str) -> float:
    value = float(text)
    if value - value != 0:  # CSV spells out nan and inf, JSON cannot
        raise ValueError
    return value


def _integer_in(text: str) -> int:
    return _integer(float(text))


def _boolean_in(text: str) -> bool:
    return {"true": True, "false": False, "1": True, "0": False}[text.lower()] if text.lower() in _BOOLEANS else _fail()


def _fail() -> bool:
    raise ValueError


_INT64 = 2**63
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
"""`domain.data.contract_schema.ISO_8601`, which this module does not import: that would import pydantic."""
_BOOLEANS = ("true", "false", "1", "0")
_TAKE: Mapping[str, Callable[[Any], Any]] = {
    "number": _number, "integer": _integer, "string": _string, "boolean": _boolean, "timestamp": _string,
}  # fmt: skip
_READ: Mapping[str, Callable[[Any], Any]] = {
    "number": _number_in, "integer": _integer_in, "string": _string, "boolean": _boolean_in, "timestamp": _string,
}  # fmt: skip
_KINDS = {
    "number": "a number", "integer": "a whole number", "string": "text", "boolean": "true or false",
    "timestamp": "a time as ISO 8601 text",
}  # fmt: skip
