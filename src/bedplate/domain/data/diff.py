"""How two versions of a dataset differ: rows, columns, nulls, distributions, shares of categories, the label."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedplate.domain.data.contract import shares_apart
from bedplate.domain.drift.compare import ColumnDrift, compare, judged
from bedplate.domain.drift.kernel import profile_batches
from bedplate.domain.drift.profile import CategoryProfile, ColumnProfile, NumericProfile
from bedplate.domain.evidence.significance import two_proportions
from bedplate.settings import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

MIN_ROWS = 300
"""PSI of fewer values is noise: on equal normals it exceeds 0.1 in every third sample of 100, in none of 300."""
SHIFTS = 3


@dataclass(frozen=True, slots=True)
class ColumnDiff:
    """One column in both versions. Shares are 0 to 1; `shifts` are the categories that moved most, for text.

    `drift` is NO_DATA below `MIN_ROWS` values. `mean_a` and `mean_b` are for numbers.
    """

    name: str
    null_share_a: float
    null_share_b: float
    mean_a: float | None
    mean_b: float | None
    drift: ColumnDrift
    shifts: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, slots=True)
class DataDiff:
    """`b` against `a`. Rates are the label's means; `label_p_value` is for labels of 0 and 1, else None."""

    rows_a: int
    rows_b: int
    columns_added: tuple[str, ...]
    columns_gone: tuple[str, ...]
    types_changed: Mapping[str, tuple[str, str]]
    label_rate_a: float | None
    label_rate_b: float | None
    label_p_value: float | None
    columns: tuple[ColumnDiff, ...]


def diff(spec: ModelSpec, a: Mapping[str, ColumnProfile], first: pa.Schema, rows_a: int, b: pa.Table) -> DataDiff:
    """`a` are the profiles of the first version's columns, `first` its schema; `b` is the second version.

    Columns are compared over the edges of the first version, as a monitor does, and come in order of PSI.
    """
    shared = {n: p for n, p in a.items() if n in b.column_names and _comparable(p, b, n)}
    now = profile_batches(b.select(list(shared)).to_batches(max_chunksize=65_536), shared)
    bands = spec.monitors
    drifts = judged(
        {name: compare(shared[name], now[name]) for name in shared},
        min_rows=MIN_ROWS,
        warn=bands.psi_warn,
        alert=bands.psi_alert,
    )
    label = spec.data.label
    rates = [_mean(p) for p in (a.get(label), now.get(label))]
    columns = [_column(name, shared[name], now[name], drifts[name]) for name in shared]
    known = set(first.names)
    types = {n: (str(first.field(n).type), str(b.schema.field(n).type)) for n in b.column_names if n in known}
    return DataDiff(
        rows_a=rows_a,
        rows_b=b.num_rows,
        columns_added=tuple(n for n in b.column_names if n not in known),
        columns_gone=tuple(n for n in first.names if n not in b.column_names),
        types_changed={n: pair for n, pair in types.items() if pair[0] != pair[1]},
        label_rate_a=rates[0],
        label_rate_b=rates[1],
        label_p_value=_label_p_value(a.get(label), now.get(label)),
        columns=tuple(sorted(columns, key=lambda c: (-c.drift.psi if c.drift.psi == c.drift.psi else 0.0, c.name))),
    )


def _comparable(profile: ColumnProfile, table: pa.Table, name: str) -> bool:
    from bedplate.domain.drift.kernel import is_category

    return is_category(table.schema.field(name).type) == isinstance(profile, CategoryProfile)


def _column(name: str, before: ColumnProfile, now: ColumnProfile, drift: ColumnDrift) -> ColumnDiff:
    shifts: tuple[tuple[str, float, float], ...] = ()
    if isinstance(before, CategoryProfile) and isinstance(now, CategoryProfile) and before.n and now.n:
        counts = dict(zip(now.categories, now.counts.tolist(), strict=True)) | dict(now.unseen)
        shifts = tuple(s for s in shares_apart(before, counts)[:SHIFTS] if s[1] != s[2])
    return ColumnDiff(
        name=name,
        null_share_a=_null_share(before),
        null_share_b=_null_share(now),
        mean_a=_mean(before),
        mean_b=_mean(now),
        drift=drift,
        shifts=shifts,
    )


def _null_share(profile: ColumnProfile) -> float:
    whole = profile.n + profile.nulls
    return profile.nulls / whole if whole else math.nan


def _mean(profile: ColumnProfile | None) -> float | None:
    return profile.total / profile.n if isinstance(profile, NumericProfile) and profile.n else None


def _label_p_value(a: ColumnProfile | None, b: ColumnProfile | None) -> float | None:
    """Of labels of 0 and 1: their squares' sum is their own."""
    if not (isinstance(a, NumericProfile) and isinstance(b, NumericProfile)) or not (a.n and b.n):
        return None
    if any(p.total != p.squares or p.low < 0 or p.high > 1 for p in (a, b)):
        return None
    return two_proportions(round(b.total), b.n, round(a.total), a.n)
