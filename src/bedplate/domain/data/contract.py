"""Checks a table of any size against the data contract, batch by batch, and reports the rows that violate each rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from bedplate.domain.data.contract_schema import NULLS, build_schema, expectations, parse_text
from bedplate.domain.drift.profile import CategoryProfile, ColumnProfile
from bedplate.settings import Column, DataContract, Purpose

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

Outcome = Literal["PASS", "FAIL", "NO_DATA"]
MAX_EXAMPLES = 3
BATCH_ROWS = 65_536
MIN_SHIFT_ROWS = 100
"""Fewest values on either side for which shares are compared: of 100 values a share is uncertain by 10 points."""
MAX_CATEGORIES = 1_000
"""Shares of a text column with more distinct values are not compared."""


@dataclass(frozen=True, slots=True)
class Example:
    """A value that violates a rule, and its row, from 0; `row` is None when no single row violates the rule."""

    row: int | None
    value: str

    def __str__(self) -> str:
        return self.value if self.row is None else f"row {self.row}: {self.value}"


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The result of one rule for a column or a set of columns: `count` rows violate it, `examples` are the first."""

    column: str
    rule: str
    expected: str
    outcome: Outcome
    count: int = 0
    examples: tuple[Example, ...] = ()

    def __str__(self) -> str:
        examples = "; ".join(map(str, self.examples)) + ("; ..." if self.count > len(self.examples) > 0 else "")
        count = f" in {self.count:,} {'row' if self.count == 1 else 'rows'}" if self.count else ""
        return f"{self.column}: {self.rule}, expected {self.expected}{count}{f' ({examples})' if examples else ''}"


def failed_rules(results: Iterable[RuleResult]) -> tuple[RuleResult, ...]:
    """Returns the results whose outcome is FAIL."""
    return tuple(r for r in results if r.outcome == "FAIL")


class TableCheck:
    """Checks the batches that are added; `results` returns one result per rule of the contract.

    `previous` are the profiles of the last accepted version. With `purpose`, columns that are not allowed for it fail
    (or are left out, where the contract drops them). `only` limits the check to these columns. Memory is constant,
    except for 8 bytes a row for each set of unique columns.

    >>> import pyarrow as pa
    >>> columns = {"id": Column(type="string", role="key"), "x": Column(type="number", max=1),
    ...            "y": Column(type="integer", role="label")}
    >>> check = TableCheck(DataContract(columns=columns), ["id", "x"])
    >>> check.add(pa.record_batch({"id": ["a", "b", "b"], "x": [0.5, 2.0, None]}))
    >>> for result in failed_rules(check.results()):
    ...     print(result)
    x: nulls, expected none in 1 row (row 2: null)
    x: range, expected at most 1 in 1 row (row 1: 2.0)
    y: present, expected a column of this name
    id: unique, expected no duplicates in 1 row (row 2: same as row 1)
    """

    def __init__(
        self,
        contract: DataContract,
        columns: Sequence[str],
        *,
        previous: Mapping[str, ColumnProfile] | None = None,
        purpose: Purpose | None = None,
        only: Collection[str] | None = None,
    ) -> None:
        self._contract = contract
        self._previous = previous or {}
        self._excluded = [n for n in (contract.excluded_columns(purpose) if purpose else ()) if n in columns]
        self._purpose = purpose
        optional = {n for n in contract.excluded_columns("training") if n not in columns}
        self._columns = {
            name: column
            for name, column in contract.columns.items()
            if name not in optional and name not in self._excluded and (only is None or name in only)
        }
        self._present = {name: column for name, column in self._columns.items() if name in columns}
        self._schema = build_schema(self._present.items())
        self._violations: dict[tuple[str, str], _Violations] = {}
        self._values = dict.fromkeys(self._present, 0)
        self._hashes: dict[tuple[str, ...], list[NDArray[np.uint64]]] = {
            names: []
            for names in dict.fromkeys((contract.keys, *contract.unique))
            if all(name in self._present for name in names)
        }
        self._category_counts: dict[str, Counter[str]] = {
            name: Counter() for name, column in self._present.items() if _has_shares(column)
        }
        self._newest: Any = None
        self.rows = 0

    def add(self, batch: pa.RecordBatch, *, is_text: bool = False) -> None:
        """Adds the next rows of the table; with `is_text` all fields are text, parsed as the contract's types."""
        self.add_frame(to_frame(batch, self._present, start=self.rows, is_text=is_text))

    def add_frame(self, frame: pd.DataFrame) -> None:
        """Adds the next rows as a DataFrame whose index numbers the rows."""
        from pandera.errors import SchemaErrors

        if not len(frame):
            return
        self.rows += len(frame)
        for name, column in self._present.items():
            nulls = int(frame[name].isna().sum())
            self._values[name] += len(frame) - nulls
            if nulls and column.max_null_pct is not None:
                self._add_violations(name, NULLS, nulls, _null_examples(frame[name]))
        try:
            self._schema.validate(frame, lazy=True)
        except SchemaErrors as exc:
            for error in exc.schema_errors:
                self._add_schema_error(error, frame)
        for names, hashes in self._hashes.items():
            hashes.append(_hash_rows(frame, names))
        for name, counter in self._category_counts.items():
            if len(counter) <= MAX_CATEGORIES:
                counter.update({str(k): int(v) for k, v in frame[name].value_counts().items()})
        self._track_newest_time(frame)

    def results(self, now: datetime | None = None) -> tuple[RuleResult, ...]:
        """Returns the result of every rule: purposes, columns in the contract's order, uniqueness, freshness, shares.

        A rule without values to check is NO_DATA, and so is freshness without `now`.
        """
        return (
            *self._check_purpose(),
            *self._column_results(),
            *self._check_uniqueness(),
            *self._check_freshness(now),
            *self._check_category_shifts(),
        )

    def _add_schema_error(self, error: Any, frame: pd.DataFrame) -> None:
        name = str(error.schema.name)
        rule = NULLS if error.reason_code.name == "SERIES_CONTAINS_NULLS" else str(error.check.name)
        if rule == NULLS:
            nulls = _null_examples(frame[name])
            self._add_violations(name, rule, int(frame[name].isna().sum()), nulls)
            return
        failures = error.failure_cases
        rows = failures["index"].tolist()[:MAX_EXAMPLES]
        examples = [Example(int(row), _format_value(frame[name].loc[row])) for row in rows]
        self._add_violations(name, rule, len(failures), examples)

    def _add_violations(self, column: str, rule: str, count: int, examples: Sequence[Example]) -> None:
        violations = self._violations.setdefault((column, rule), _Violations())
        violations.count += count
        violations.examples += list(examples)[: MAX_EXAMPLES - len(violations.examples)]

    def _track_newest_time(self, frame: pd.DataFrame) -> None:
        import pandas as pd

        name = self._contract.time
        if self._contract.freshness_days is None or name not in self._present:
            return
        times = pd.to_datetime(frame[name], utc=True, errors="coerce", format="ISO8601")
        newest = times.max()
        if not pd.isna(newest) and (self._newest is None or newest > self._newest):
            self._newest = newest

    def _check_purpose(self) -> Iterator[RuleResult]:
        if self._contract.excluded_from_requests == "drop":
            return
        for name in self._excluded:
            allowed = ", ".join(self._contract.columns[name].purposes) or "nothing"
            yield RuleResult(name, "purpose", f"no use for {self._purpose} (allowed: {allowed})", "FAIL")

    def _column_results(self) -> Iterator[RuleResult]:
        for name, column in self._columns.items():
            if name not in self._present:
                yield RuleResult(name, "present", "a column of this name", "FAIL")
                continue
            for rule, expected in expectations(column).items():
                yield self._rule_result(name, column, rule, expected)

    def _rule_result(self, name: str, column: Column, rule: str, expected: str) -> RuleResult:
        violations = self._violations.get((name, rule), _Violations())
        if rule == NULLS and column.max_null_pct is not None:
            is_broken = self.rows > 0 and violations.count / self.rows * 100 > column.max_null_pct
        else:
            is_broken = violations.count > 0
        if is_broken:
            return RuleResult(name, rule, expected, "FAIL", violations.count, tuple(violations.examples))
        n_checked = self.rows if rule == NULLS else self._values[name]
        return RuleResult(name, rule, expected, "PASS" if n_checked else "NO_DATA")

    def _check_uniqueness(self) -> Iterator[RuleResult]:
        import numpy as np

        for names, parts in self._hashes.items():
            key, expected = ", ".join(names), "no duplicates"
            if not parts:
                yield RuleResult(key, "unique", expected, "NO_DATA")
                continue
            if len(parts) > 1:
                parts[:] = [np.concatenate(parts)]
            duplicates = _find_duplicates(parts[0])
            first_duplicates = list(duplicates.items())[:MAX_EXAMPLES]
            examples = tuple(Example(row, f"same as row {first}") for row, first in first_duplicates)
            yield RuleResult(key, "unique", expected, "FAIL" if duplicates else "PASS", len(duplicates), examples)

    def _check_freshness(self, now: datetime | None) -> Iterator[RuleResult]:
        days, name = self._contract.freshness_days, self._contract.time
        if days is None or name is None:
            return
        expected = f"newest row at most {days:g} days old"
        if now is None or self._newest is None:
            yield RuleResult(name, "freshness", expected, "NO_DATA")
            return
        newest = self._newest.to_pydatetime()
        is_stale = now.astimezone(UTC) - newest > timedelta(days=days)
        examples = (Example(None, f"newest is {newest:%Y-%m-%d %H:%M} UTC"),) if is_stale else ()
        yield RuleResult(name, "freshness", expected, "FAIL" if is_stale else "PASS", 0, examples)

    def _check_category_shifts(self) -> Iterator[RuleResult]:
        for name, current in self._category_counts.items():
            limit = self._present[name].max_category_shift or self._contract.max_category_shift
            expected = f"shares that differ by at most {limit * 100:g} points from the last version"
            reference = self._previous.get(name)
            if not isinstance(reference, CategoryProfile) or min(reference.n_values, current.total()) < MIN_SHIFT_ROWS:
                if current and len(current) <= MAX_CATEGORIES:
                    yield RuleResult(name, "category shift", expected, "NO_DATA")
                continue
            if len(current) > MAX_CATEGORIES or len(reference.categories) > MAX_CATEGORIES:
                continue
            shifted = [
                Example(None, f"{category}: {reference_share * 100:.1f} % before, {current_share * 100:.1f} % now")
                for category, reference_share, current_share in category_shifts(reference, current)
                if abs(reference_share - current_share) > limit
            ]
            outcome: Outcome = "FAIL" if shifted else "PASS"
            yield RuleResult(name, "category shift", expected, outcome, 0, tuple(shifted[:MAX_EXAMPLES]))


@dataclass(slots=True)
class _Violations:
    """Number of rows that violate one rule of one column, and the first of them."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)


def category_shifts(reference: CategoryProfile, current_counts: Mapping[str, int]) -> list[tuple[str, float, float]]:
    """Returns (category, reference share, current share), the largest difference first; empty when a side is empty."""
    reference_counts = dict(zip(reference.categories, reference.counts.tolist(), strict=True))
    reference_counts |= {name: count + reference_counts.get(name, 0) for name, count in reference.unseen.items()}
    total = sum(current_counts.values())
    if not reference.n_values or not total:
        return []
    shifts = [
        (n, reference_counts.get(n, 0) / reference.n_values, current_counts.get(n, 0) / total)
        for n in reference_counts.keys() | current_counts.keys()
    ]
    return sorted(shifts, key=lambda item: (-abs(item[1] - item[2]), item[0]))


def to_frame(
    batch: pa.RecordBatch | pa.Table, columns: Mapping[str, Column], *, start: int = 0, is_text: bool = False
) -> pd.DataFrame:
    """Converts the columns of a batch for the pandera schema; the index numbers the rows from `start`.

    Dictionaries become text, decimals floats, dates times, nulls NaN or None. With `is_text` all fields are parsed.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.types as kinds

    series: dict[str, Any] = {}
    index = pd.RangeIndex(start, start + batch.num_rows)
    for name, column in columns.items():
        values = batch.column(name)
        if is_text and column.type not in ("string", "timestamp"):
            series[name] = _parse_text_column(values, column.type).set_axis(index)
            continue
        if kinds.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if kinds.is_decimal(values.type):
            values = values.cast(pa.float64())
        elif kinds.is_date(values.type):
            values = values.cast(pa.timestamp("us"))
        series[name] = values.to_pandas().set_axis(index)
    return pd.DataFrame(series, index=index, copy=False)


def _parse_text_column(values: pa.Array, kind: str) -> pd.Series[Any]:
    """Parses a text column as the contract's type: all at once when every field fits, else field by field."""
    import pandas as pd
    import pyarrow as pa

    if kind in ("number", "integer"):
        try:
            return values.cast(pa.float64()).to_pandas()
        except pa.ArrowInvalid:
            pass
    return pd.Series([parse_text(value, kind) for value in values.to_pylist()], dtype=object)


def _has_shares(column: Column) -> bool:
    return column.type in ("string", "boolean") and column.role not in ("key", "time")


def _hash_rows(frame: pd.DataFrame, names: Sequence[str]) -> NDArray[np.uint64]:
    """Returns a 64-bit hash of each row, (rows,).

    Integers are hashed as floats where that is exact, because a null in another batch makes that batch's column float.
    """
    from pandas.util import hash_pandas_object

    keys = frame[list(names)]
    integer_columns = {n: "float64" for n in names if keys[n].dtype.kind in "iu" and keys[n].abs().max() < 2**53}
    hashes: NDArray[np.uint64] = hash_pandas_object(keys.astype(integer_columns), index=False).to_numpy()
    return hashes


def _find_duplicates(hashes: NDArray[np.uint64]) -> dict[int, int]:
    """Returns row -> first row with the same hash, for rows that repeat an earlier one, in order.

    Without duplicates it takes one sort.
    """
    import numpy as np

    sorted_hashes = np.sort(hashes)
    repeated = np.unique(sorted_hashes[1:][sorted_hashes[1:] == sorted_hashes[:-1]])
    row_of_hash: dict[int, int] = {}
    duplicates: dict[int, int] = {}
    for row in np.flatnonzero(np.isin(hashes, repeated)).tolist() if len(repeated) else ():
        first = row_of_hash.setdefault(int(hashes[row]), row)
        if first != row:
            duplicates[row] = first
    return duplicates


def _null_examples(values: pd.Series[Any]) -> list[Example]:
    return [Example(int(row), "null") for row in values.index[values.isna()][:MAX_EXAMPLES]]


def _format_value(value: object) -> str:
    item = value.item() if hasattr(value, "item") else value
    text = repr(item) if isinstance(item, str) else str(item)
    return text if len(text) <= 40 else f"{text[:37]}..."
