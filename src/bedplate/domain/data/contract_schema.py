"""The data contract as a pandera schema: which values of a column fit, whether they come from a file or a request.

Requests are not held to it (a validation takes milliseconds however few the rows): `container.requests` generates a
check of the same meaning, and a property test holds the two together.
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


def schema_of(columns: Iterable[tuple[str, Column]]) -> pandera.DataFrameSchema:
    """One pandera column for each column of the contract, with a check for each rule, named by it.

    Other columns are allowed. NaN counts as null; a value of another type is no further rule's business.
    """
    import pandera.pandas as pandera

    return pandera.DataFrameSchema(
        {
            name: pandera.Column(
                None,
                checks=[
                    pandera.Check(rule, name=what, error=what, ignore_na=True) for what, rule in _rules(column).items()
                ],
                nullable=column.nullable and column.role != "key",
            )
            for name, column in columns
        }
    )


def expectations(column: Column) -> dict[str, str]:
    """Rule -> what it expects, in the words of a table.

    >>> expectations(Column(type="integer", min=1, max=7))
    {'nulls': 'none', 'type': 'a whole number', 'range': '1 to 7'}
    >>> expectations(Column(type="string", nullable=True, max_null_pct=5, categories=("a", "b")))
    {'nulls': 'at most 5 %', 'type': 'text', 'categories': 'one of a, b'}
    """
    told: dict[str, str] = {}
    if column.max_null_pct is not None:
        told[NULLS] = f"at most {column.max_null_pct:g} %"
    elif not column.nullable or column.role == "key":
        told[NULLS] = "none"
    told[TYPE] = _KINDS[column.type]
    if column.min is not None and column.max is not None:
        told[RANGE] = f"{column.min:g} to {column.max:g}"
    elif column.min is not None or column.max is not None:
        told[RANGE] = f"at least {column.min:g}" if column.max is None else f"at most {column.max:g}"
    if column.categories is not None:
        told[CATEGORIES] = f"one of {', '.join(column.categories)}"
    return told


def fits(value: object, kind: str) -> bool:
    """Whether one value is of the contract's type.

    >>> fits(1.0, "integer"), fits(1.5, "integer"), fits(True, "number"), fits("2013-01-01", "timestamp")
    (True, False, False, True)
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


def read_text(text: Any, kind: str) -> Any:
    """A field of CSV as the contract's type; as it is where it does not fit, for the check to find.

    >>> read_text("7", "integer"), read_text("7.5", "number"), read_text("x", "number"), read_text("TRUE", "boolean")
    (7, 7.5, 'x', True)
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
    rules: dict[str, Any] = {TYPE: partial(_of_type, kind=column.type)}
    if column.min is not None or column.max is not None:
        rules[RANGE] = partial(_within, low=column.min, high=column.max)
    if column.categories is not None:
        rules[CATEGORIES] = partial(_among, categories=list(column.categories))
    return rules


def _of_type(values: pd.Series[Any], *, kind: str) -> pd.Series[bool]:
    """By the column's own type where it has one, else value by value."""
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
    return pd.Series([fits(value, kind) for value in values], index=values.index, dtype=bool)


def _within(values: pd.Series[Any], *, low: float | None, high: float | None) -> pd.Series[bool]:
    import pandas as pd

    numbers = values
    if values.dtype.kind not in "iuf":
        shaped = [float(v) if fits(v, "number") else None for v in values]
        numbers = pd.Series(shaped, index=values.index, dtype="float64")
    outside = pd.Series(False, index=values.index)
    if low is not None:
        outside |= numbers < low
    if high is not None:
        outside |= numbers > high
    return ~outside


def _among(values: pd.Series[Any], *, categories: list[str]) -> pd.Series[bool]:
    import pandas as pd

    if isinstance(values.dtype, pd.StringDtype):
        return values.isin(categories)
    return pd.Series([not isinstance(v, str) or v in categories for v in values], index=values.index, dtype=bool)
