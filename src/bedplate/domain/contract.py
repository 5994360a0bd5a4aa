"""Whether a table is what its data contract says: columns, types, nulls, ranges, categories, keys, column by column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bedplate.settings import Column, DataContract

if TYPE_CHECKING:
    import pyarrow as pa

MAX_EXAMPLES = 3
_KINDS = {
    "number": "numbers",
    "integer": "whole numbers",
    "string": "text",
    "boolean": "true and false",
    "timestamp": "times",
}
_ISO_8601 = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$"


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of one column. `rows` are the first few at fault, from 0; `count` is 0 when the whole column is."""

    column: str
    what: str
    count: int = 0
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        if not self.count:
            return f"{self.column}: {self.what}"
        where = f"row {self.rows[0]}" if self.count == 1 else f"rows {', '.join(map(str, self.rows))}"
        return f"{self.column}: {self.what} in {self.count:,} {'row' if self.count == 1 else 'rows'} ({where}" + (
            ", ...)" if self.count > len(self.rows) else ")"
        )


def check_table(table: pa.Table, contract: DataContract) -> tuple[Problem, ...]:
    """Every fault, in the contract's order of columns; empty when the table fits. Other columns are allowed.

    Integers fit `number`; whole floats, and columns of nothing but nulls, fit `integer`; times are Arrow timestamps or
    dates, or ISO 8601 text. Keys must be unique together and never null.

    >>> import pyarrow as pa
    >>> columns = {"id": Column(type="string", role="key"), "x": Column(type="number", max=1),
    ...            "y": Column(type="integer", role="label")}
    >>> table = pa.table({"id": ["a", "b", "b"], "x": [0.5, 2.0, None]})
    >>> for problem in check_table(table, DataContract(columns=columns)):
    ...     print(problem)
    x: null, but not nullable in 1 row (row 2)
    x: above the maximum of 1 in 1 row (row 1)
    y: column is missing
    id: the same key again in 1 row (row 2)
    """
    problems: list[Problem] = []
    for name, column in contract.columns.items():
        if name not in table.column_names:
            problems.append(Problem(name, "column is missing"))
        else:
            problems += _column_problems(name, column, table.column(name).combine_chunks())
    if all(key in table.column_names for key in contract.keys):
        problems += _key_problems(table, contract.keys)
    return tuple(problems)


def _column_problems(name: str, column: Column, values: pa.Array) -> Iterator[Problem]:
    import pyarrow.compute as pc

    if values.null_count and (not column.nullable or column.role == "key"):
        yield _at(name, "null, but not nullable", pc.is_null(values))
    typed = _typed(values, column)
    if typed is None:
        yield Problem(name, f"{_KINDS[column.type]} expected, found {values.type}")
        return
    if column.type == "timestamp" and typed is not values and typed.null_count > values.null_count:
        yield _at(name, "no time in ISO 8601", pc.and_(pc.is_null(typed), pc.is_valid(values)))
    if column.type in ("number", "integer") and typed.null_count < len(typed):
        yield from _number_problems(name, column, typed)
    if column.categories is not None:
        yield from _category_problems(name, column.categories, typed)


def _typed(values: pa.Array, column: Column) -> pa.Array | None:
    """The values as the contract's type can be judged; None when they are of another kind."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    kind = values.type
    if kinds.is_dictionary(kind):
        return _typed(values.dictionary_decode(), column)
    if kinds.is_null(kind):
        return values
    text = kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)
    match column.type:
        case "string":
            return values if text else None
        case "boolean":
            return values if kinds.is_boolean(kind) else None
        case "timestamp":
            if text:
                shaped = pc.match_substring_regex(values, _ISO_8601)
                return pc.if_else(shaped, values, pa.scalar(None, values.type))
            return values if kinds.is_timestamp(kind) or kinds.is_date(kind) else None
        case _:
            return values if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind) else None


def _number_problems(name: str, column: Column, values: pa.Array) -> Iterator[Problem]:
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    if kinds.is_floating(values.type):
        strange = pc.invert(pc.is_finite(values))
        if _any(strange):
            yield _at(name, "NaN or infinite", strange)
        if column.type == "integer":
            broken = pc.and_(pc.is_finite(values), pc.not_equal(values, pc.floor(values)))
            if _any(broken):
                yield _at(name, "no whole number", broken)
    for bound, word, compare in (
        (column.min, "below the minimum", pc.less),
        (column.max, "above the maximum", pc.greater),
    ):
        if bound is not None:
            outside = compare(pc.cast(values, "float64"), bound)
            if _any(outside):
                yield _at(name, f"{word} of {bound:g}", outside)


def _category_problems(name: str, categories: tuple[str, ...], values: pa.Array) -> Iterator[Problem]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.null_count == len(values):
        return
    unknown = pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, value_set=pa.array(categories, values.type))))
    if _any(unknown):
        found = sorted(map(str, pc.unique(pc.filter(values, unknown)).to_pylist()))
        shown = ", ".join(map(repr, found[:MAX_EXAMPLES])) + (", ..." if len(found) > MAX_EXAMPLES else "")
        yield _at(name, f"no category of the contract ({shown})", unknown)


def _key_problems(table: pa.Table, keys: tuple[str, ...]) -> Iterator[Problem]:
    import numpy as np
    import pyarrow as pa

    numbered = table.select(keys).append_column("__row", pa.array(np.arange(table.num_rows)))
    first = numbered.group_by(list(keys)).aggregate([("__row", "min")]).column("__row_min").to_numpy()
    if len(first) < table.num_rows:
        again = np.ones(table.num_rows, dtype=bool)
        again[first] = False
        yield _at(", ".join(keys), "the same key again", pa.array(again))


def _at(name: str, what: str, mask: Any) -> Problem:
    import numpy as np

    rows = np.flatnonzero(np.asarray(mask.fill_null(False)))
    return Problem(name, what, len(rows), tuple(int(r) for r in rows[:MAX_EXAMPLES]))


def _any(mask: Any) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(mask).as_py())
