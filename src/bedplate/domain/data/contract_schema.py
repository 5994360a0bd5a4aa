"""Builds a pandera schema from the data contract, for files and for captured requests.

Requests are not validated by it, because a validation takes milliseconds even for one row. `container.requests`
generates an equivalent check, and a property test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from bedplate.settings import Column

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pandera

ISO_8601 = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?"
_TIME = re.compile(ISO_8601)
_INT64 = 2**63
NULLS, TYPE, RANGE, CATEGORIES = "nulls", "type", "range", "categories"
_KINDS = {
    "number": "a finite number",
    "integer": "a whole number",
    "string": "text",
    "boolean": "true or false",
    "timestamp": "a time, or one in ISO 8601",
}


def build_schema(columns: Iterable[tuple[str, Column]]) -> pandera.DataFrameSchema:
    """Returns a schema with one pandera column per column of the contract and one check per rule, named after it.

    Other columns are allowed. NaN counts as null. A value of a wrong type violates only the rule `type`.
    """
    import pandera.pandas as pandera

    return pandera.DataFrameSchema(
        {
            name: pandera.Column(
                None,
                checks=[
                    pandera.Check(rule, name=name, error=name, ignore_na=True) for name, rule in _rules(column).items()
                ],
                nullable=column.nullable and column.role != "key",
            )
            for name, column in columns
        }
    )


def expectations(column: Column) -> dict[str, str]:
    """Returns rule -> what it expects, as text for a table.

    >>> expectations(Column(type="integer", min=1, max=7))
    {'nulls': 'none', 'type': 'a whole number', 'range': '1 to 7'}
    >>> expectations(Column(type="string", nullable=True, max_null_pct=5, categories=("a", "b")))
    {'nulls': 'at most 5 %', 'type': 'text', 'categories': 'one of a, b'}
    """
    expected: dict[str, str] = {}
    if column.max_null_pct is not None:
        expected[NULLS] = f"at most {column.max_null_pct:g} %"
    elif not column.nullable or column.role == "key":
        expected[NULLS] = "none"
    expected[TYPE] = _KINDS[column.type]
    if column.min is not None and column.max is not None:
        expected[RANGE] = f"{column.min:g} to {column.max:g}"
    elif column.min is not None or column.max is not None:
        expected[RANGE] = f"at least {column.min:g}" if column.max is None else f"at most {column.max:g}"
    if column.categories is not None:
        expected[CATEGORIES] = f"one of {', '.join(column.categories)}"
    return expected


def has_type(value: object, kind: str) -> bool:
    """Returns whether one value has the contract's type.

    >>> has_type(1.0, "integer"), has_type(1.5, "integer"), has_type(True, "number")
    (True, False, False)
    >>> has_type("2013-01-01", "timestamp")
    True
    """
    match kind:
        case "number" | "integer":
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                return False
            if value - value != 0:  # NaN and both infinities
                return False
            return kind == "number" or (value == int(value) and -_INT64 <= value < _INT64)
        case "boolean":
            return isinstance(value, bool)
        case "timestamp":
            return hasattr(value, "isoformat") or (isinstance(value, str) and _TIME.fullmatch(value) is not None)
        case _:
            return isinstance(value, str)


def parse_text(text: Any, kind: str) -> Any:
    """Returns a CSV field as the contract's type; a field that does not fit stays text, so that the type check fails.

    >>> parse_text("7", "integer"), parse_text("7.5", "number"), parse_text("TRUE", "boolean")
    (7, 7.5, True)
    >>> parse_text("x", "number")
    'x'
    """
    if text is None or kind in ("string", "timestamp"):
        return text
    if kind == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}.get(str(text).lower(), text)
    try:
        value = float(text)
        return int(value) if kind == "integer" and value.is_integer() else value
    except ValueError:
        return text


def _rules(column: Column) -> dict[str, Any]:
    rules: dict[str, Any] = {TYPE: partial(_matches_type, kind=column.type)}
    if column.min is not None or column.max is not None:
        rules[RANGE] = partial(_is_in_range, low=column.min, high=column.max)
    if column.categories is not None:
        rules[CATEGORIES] = partial(_is_in_categories, categories=list(column.categories))
    return rules


def _matches_type(values: pd.Series[Any], *, kind: str) -> pd.Series[bool]:
    """Checks the type by the column's dtype where it decides, else value by value."""
    import numpy as np
    import pandas as pd

    code = getattr(values.dtype, "kind", "O")
    if code in "iufb" and kind in ("number", "integer"):
        if code == "b":
            return pd.Series(False, index=values.index)
        if code in "iu":
            return pd.Series(True, index=values.index)
        finite = np.isfinite(values)
        whole = (values == np.floor(values)) & (values >= -_INT64) & (values < _INT64)
        return finite if kind == "number" else finite & whole
    if code == "b" or code == "M":
        return pd.Series(kind == ("boolean" if code == "b" else "timestamp"), index=values.index)
    if isinstance(values.dtype, pd.StringDtype):
        if kind == "timestamp":
            return values.str.fullmatch(ISO_8601).astype(bool)
        return pd.Series(kind == "string", index=values.index)
    return pd.Series([has_type(value, kind) for value in values], index=values.index, dtype=bool)


def _is_in_range(values: pd.Series[Any], *, low: float | None, high: float | None) -> pd.Series[bool]:
    import pandas as pd

    numbers = values
    if values.dtype.kind not in "iuf":
        converted = [float(v) if has_type(v, "number") else None for v in values]
        numbers = pd.Series(converted, index=values.index, dtype="float64")
    is_outside = pd.Series(False, index=values.index)
    if low is not None:
        is_outside |= numbers < low
    if high is not None:
        is_outside |= numbers > high
    return ~is_outside


def _is_in_categories(values: pd.Series[Any], *, categories: list[str]) -> pd.Series[bool]:
    import pandas as pd

    if isinstance(values.dtype, pd.StringDtype):
        return values.isin(categories)
    return pd.Series([not isinstance(v, str) or v in categories for v in values], index=values.index, dtype=bool)
