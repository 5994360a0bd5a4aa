"""Holds a table of any size against the data contract, batch by batch, and says for each rule which rows break it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from bedplate.domain.data.contract_schema import NULLS, expectations, read_text, schema_of
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
"""Fewer values on either side are no basis for a category's share: a share of 100 is uncertain by 10 points."""
MAX_CATEGORIES = 1_000
"""Text of more distinct values is no category, and its shares are not compared."""


@dataclass(frozen=True, slots=True)
class Example:
    """A value at fault and its row, from 0; `row` is None for what no single row is guilty of."""

    row: int | None
    value: str

    def __str__(self) -> str:
        return self.value if self.row is None else f"row {self.row}: {self.value}"


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule of one column (or set of columns): `count` rows break it, and the first of them are `examples`."""

    column: str
    rule: str
    expected: str
    outcome: Outcome
    count: int = 0
    examples: tuple[Example, ...] = ()

    def __str__(self) -> str:
        shown = "; ".join(map(str, self.examples)) + ("; ..." if self.count > len(self.examples) > 0 else "")
        where = f" in {self.count:,} {'row' if self.count == 1 else 'rows'}" if self.count else ""
        return f"{self.column}: {self.rule}, expected {self.expected}{where}{f' ({shown})' if shown else ''}"


def check_table(
    table: pa.Table,
    contract: DataContract,
    *,
    now: datetime | None = None,
    previous: Mapping[str, ColumnProfile] | None = None,
    purpose: Purpose | None = None,
) -> tuple[RuleResult, ...]:
    """Every rule of the contract, in its order of columns; then keys, freshness and shares of categories.

    >>> import pyarrow as pa
    >>> columns = {"id": Column(type="string", role="key"), "x": Column(type="number", max=1),
    ...            "y": Column(type="integer", role="label")}
    >>> table = pa.table({"id": ["a", "b", "b"], "x": [0.5, 2.0, None]})
    >>> for result in failed(check_table(table, DataContract(columns=columns))):
    ...     print(result)
    x: nulls, expected none in 1 row (row 2: null)
    x: range, expected at most 1 in 1 row (row 1: 2.0)
    y: present, expected a column of this name
    id: unique, expected no key twice in 1 row (row 2: as row 1)
    """
    check = TableCheck(contract, table.column_names, previous=previous, purpose=purpose)
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        check.add(batch)
    return check.results(now)


def failed(results: Iterable[RuleResult]) -> tuple[RuleResult, ...]:
    return tuple(r for r in results if r.outcome == "FAIL")


class TableCheck:
    """Add batches, then ask for the results. Memory: 8 bytes a row for each set of unique columns, else constant.

    `previous` are the profiles of the last accepted version; with `purpose`, columns that must not be used for it
    are a fault (or are no part of the check, where the contract drops them). `only` leaves the other columns out.
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
        self._forbidden = [n for n in (contract.forbidden_for(purpose) if purpose else ()) if n in columns]
        self._purpose = purpose
        optional = {n for n in contract.forbidden_for("training") if n not in columns}
        self._known = {
            name: column
            for name, column in contract.columns.items()
            if name not in optional and name not in self._forbidden and (only is None or name in only)
        }
        self._here = {name: column for name, column in self._known.items() if name in columns}
        self._schema = schema_of(self._here.items())
        self._faults: dict[tuple[str, str], _Violations] = {}
        self._values = dict.fromkeys(self._here, 0)
        self._hashes: dict[tuple[str, ...], list[NDArray[np.uint64]]] = {
            names: []
            for names in dict.fromkeys((contract.keys, *contract.unique))
            if all(name in self._here for name in names)
        }
        self._shares: dict[str, Counter[str]] = {
            name: Counter() for name, column in self._here.items() if _has_shares(column)
        }
        self._newest: Any = None
        self.rows = 0

    def add(self, batch: pa.RecordBatch, *, text: bool = False) -> None:
        """The next rows of the table; `text` says that all fields are text to be read as the contract's types."""
        self.add_frame(frame_of(batch, self._here, start=self.rows, text=text))

    def add_frame(self, frame: pd.DataFrame) -> None:
        """The same for rows that are a DataFrame already, numbered by its index."""
        from pandera.errors import SchemaErrors

        if not len(frame):
            return
        self.rows += len(frame)
        for name, column in self._here.items():
            nulls = int(frame[name].isna().sum())
            self._values[name] += len(frame) - nulls
            if nulls and column.max_null_pct is not None:
                self._fault(name, NULLS, nulls, _nulls(frame[name]))
        try:
            self._schema.validate(frame, lazy=True)
        except SchemaErrors as exc:
            for error in exc.schema_errors:
                self._from_pandera(error, frame)
        for names, hashes in self._hashes.items():
            hashes.append(_hashed(frame, names))
        for name, counter in self._shares.items():
            if len(counter) <= MAX_CATEGORIES:
                counter.update({str(k): int(v) for k, v in frame[name].value_counts().items()})
        self._see_time(frame)

    def results(self, now: datetime | None = None) -> tuple[RuleResult, ...]:
        """`now` is what freshness is measured to; NO_DATA without it, as for all that no value could be judged by."""
        return (
            *self._purposes(),
            *self._of_columns(),
            *self._uniqueness(),
            *self._freshness(now),
            *self._category_shifts(),
        )

    def _from_pandera(self, error: Any, frame: pd.DataFrame) -> None:
        name = str(error.schema.name)
        rule = NULLS if error.reason_code.name == "SERIES_CONTAINS_NULLS" else str(error.check.name)
        if rule == NULLS:
            nulls = _nulls(frame[name])
            self._fault(name, rule, int(frame[name].isna().sum()), nulls)
            return
        cases = error.failure_cases
        rows = cases["index"].tolist()[:MAX_EXAMPLES]
        examples = [Example(int(row), _shown(frame[name].loc[row])) for row in rows]
        self._fault(name, rule, len(cases), examples)

    def _fault(self, column: str, rule: str, count: int, examples: Sequence[Example]) -> None:
        fault = self._faults.setdefault((column, rule), _Violations())
        fault.count += count
        fault.examples += list(examples)[: MAX_EXAMPLES - len(fault.examples)]

    def _see_time(self, frame: pd.DataFrame) -> None:
        import pandas as pd

        name = self._contract.time
        if self._contract.freshness_days is None or name not in self._here:
            return
        times = pd.to_datetime(frame[name], utc=True, errors="coerce", format="ISO8601")
        newest = times.max()
        if not pd.isna(newest) and (self._newest is None or newest > self._newest):
            self._newest = newest

    def _purposes(self) -> Iterator[RuleResult]:
        if self._contract.forbidden == "drop":
            return
        for name in self._forbidden:
            allowed = ", ".join(self._contract.columns[name].purposes) or "nothing"
            yield RuleResult(name, "purpose", f"not to be used for {self._purpose} (allowed: {allowed})", "FAIL")

    def _of_columns(self) -> Iterator[RuleResult]:
        for name, column in self._known.items():
            if name not in self._here:
                yield RuleResult(name, "present", "a column of this name", "FAIL")
                continue
            for rule, expected in expectations(column).items():
                yield self._verdict(name, column, rule, expected)

    def _verdict(self, name: str, column: Column, rule: str, expected: str) -> RuleResult:
        fault = self._faults.get((name, rule), _Violations())
        if rule == NULLS and column.max_null_pct is not None:
            broken = self.rows > 0 and fault.count / self.rows * 100 > column.max_null_pct
        else:
            broken = fault.count > 0
        if broken:
            return RuleResult(name, rule, expected, "FAIL", fault.count, tuple(fault.examples))
        judged = self.rows if rule == NULLS else self._values[name]
        return RuleResult(name, rule, expected, "PASS" if judged else "NO_DATA")

    def _uniqueness(self) -> Iterator[RuleResult]:
        import numpy as np

        for names, parts in self._hashes.items():
            what, expected = ", ".join(names), "no key twice"
            if not parts:
                yield RuleResult(what, "unique", expected, "NO_DATA")
                continue
            if len(parts) > 1:
                parts[:] = [np.concatenate(parts)]
            again, first = _repeated(parts[0])
            examples = tuple(Example(row, f"as row {first[row]}") for row in again[:MAX_EXAMPLES])
            yield RuleResult(what, "unique", expected, "FAIL" if again else "PASS", len(again), examples)

    def _freshness(self, now: datetime | None) -> Iterator[RuleResult]:
        days, name = self._contract.freshness_days, self._contract.time
        if days is None or name is None:
            return
        expected = f"newest row at most {days:g} days old"
        if now is None or self._newest is None:
            yield RuleResult(name, "freshness", expected, "NO_DATA")
            return
        newest = self._newest.to_pydatetime()
        late = now.astimezone(UTC) - newest > timedelta(days=days)
        found = (Example(None, f"newest is {newest:%Y-%m-%d %H:%M} UTC"),) if late else ()
        yield RuleResult(name, "freshness", expected, "FAIL" if late else "PASS", 0, found)

    def _category_shifts(self) -> Iterator[RuleResult]:
        for name, now in self._shares.items():
            limit = self._here[name].max_category_shift or self._contract.max_category_shift
            expected = f"shares within {limit * 100:g} points of the last version's"
            before = self._previous.get(name)
            if not isinstance(before, CategoryProfile) or min(before.n, now.total()) < MIN_SHIFT_ROWS:
                if now and len(now) <= MAX_CATEGORIES:
                    yield RuleResult(name, "category shift", expected, "NO_DATA")
                continue
            if len(now) > MAX_CATEGORIES or len(before.categories) > MAX_CATEGORIES:
                continue
            moved = [
                Example(None, f"{category}: {was * 100:.1f} % then, {is_ * 100:.1f} % now")
                for category, was, is_ in shares_apart(before, now)
                if abs(was - is_) > limit
            ]
            outcome: Outcome = "FAIL" if moved else "PASS"
            yield RuleResult(name, "category shift", expected, outcome, 0, tuple(moved[:MAX_EXAMPLES]))


@dataclass(slots=True)
class _Violations:
    count: int = 0
    examples: list[Example] = field(default_factory=list)


def shares_apart(before: CategoryProfile, now: Mapping[str, int]) -> list[tuple[str, float, float]]:
    """(category, share before, share now), the largest difference first. Neither side may be empty."""
    then = dict(zip(before.categories, before.counts.tolist(), strict=True))
    then |= {name: count + then.get(name, 0) for name, count in before.unseen.items()}
    total = sum(now.values())
    found = [(n, then.get(n, 0) / before.n, now.get(n, 0) / total) for n in then.keys() | now.keys()]
    return sorted(found, key=lambda item: (-abs(item[1] - item[2]), item[0]))


def frame_of(
    batch: pa.RecordBatch | pa.Table, columns: Mapping[str, Column], *, start: int = 0, text: bool = False
) -> pd.DataFrame:
    """A batch's columns for the schema, rows numbered from `start`: text decoded, dates as times, nulls as NaN or None.

    Decimals become floats.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.types as kinds

    series: dict[str, Any] = {}
    index = pd.RangeIndex(start, start + batch.num_rows)
    for name, column in columns.items():
        values = batch.column(name)
        if text and column.type not in ("string", "timestamp"):
            series[name] = _read(values, column.type).set_axis(index)
            continue
        if kinds.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if kinds.is_decimal(values.type):
            values = values.cast(pa.float64())
        elif kinds.is_date(values.type):
            values = values.cast(pa.timestamp("us"))
        series[name] = values.to_pandas().set_axis(index)
    return pd.DataFrame(series, index=index, copy=False)


def _read(values: pa.Array, kind: str) -> pd.Series[Any]:
    """All at once where every field fits, one by one where some do not."""
    import pandas as pd
    import pyarrow as pa

    if kind in ("number", "integer"):
        try:
            return values.cast(pa.float64()).to_pandas()
        except pa.ArrowInvalid:
            pass
    return pd.Series([read_text(value, kind) for value in values.to_pylist()], dtype=object)


def _has_shares(column: Column) -> bool:
    return column.type in ("string", "boolean") and column.role not in ("key", "time")


def _hashed(frame: pd.DataFrame, names: Sequence[str]) -> NDArray[np.uint64]:
    """64 bits a row. Whole numbers are hashed as floats where that is exact: a null elsewhere makes a batch floats."""
    from pandas.util import hash_pandas_object

    keys = frame[list(names)]
    whole = {n: "float64" for n in names if keys[n].dtype.kind in "iu" and keys[n].abs().max() < 2**53}
    hashes: NDArray[np.uint64] = hash_pandas_object(keys.astype(whole), index=False).to_numpy()
    return hashes


def _repeated(hashes: NDArray[np.uint64]) -> tuple[list[int], dict[int, int]]:
    """Rows whose hash an earlier row has, in order, and that earlier row by row. One sort where there are none."""
    import numpy as np

    ordered = np.sort(hashes)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return [], {}
    seen: dict[int, int] = {}
    first: dict[int, int] = {}
    for row in np.flatnonzero(np.isin(hashes, twice)).tolist():
        value = int(hashes[row])
        if value in seen:
            first[row] = seen[value]
        else:
            seen[value] = row
    return list(first), first


def _nulls(values: pd.Series[Any]) -> list[Example]:
    return [Example(int(row), "null") for row in values.index[values.isna()][:MAX_EXAMPLES]]


def _shown(value: object) -> str:
    item = value.item() if hasattr(value, "item") else value
    text = repr(item) if isinstance(item, str) else str(item)
    return text if len(text) <= 40 else f"{text[:37]}..."
