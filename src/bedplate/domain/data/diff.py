"""Compares two versions of a dataset: rows, columns, nulls, distributions, shares of categories, and the label."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedplate.domain.data.contract import BATCH_ROWS, category_shifts
from bedplate.domain.documents import finite_or_none
from bedplate.domain.drift.column_drift import ColumnDrift, compare_profiles, with_verdicts
from bedplate.domain.drift.profile import CategoryProfile, ColumnProfile, NumericProfile
from bedplate.domain.drift.profiling import is_categorical, profile_batches
from bedplate.domain.evidence.significance import two_proportions_p_value
from bedplate.settings import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

MIN_ROWS = 300
"""Fewest values for a verdict on drift. Between samples of the same normal distribution, PSI exceeds 0.1 in every third
sample of 100 values and in none of 300."""
MAX_SHIFTS = 3


@dataclass(frozen=True, slots=True)
class ColumnDiff:
    """One column in both versions. Shares are 0 to 1; `mean_a` and `mean_b` are None for text.

    `shifts` are the text categories with the largest difference: (category, share in a, share in b). The verdict of
    `drift` is NO_DATA with fewer than `MIN_ROWS` values.
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
    """Version `b` compared with `a`. Rates are means of the label; `label_p_value` is None unless labels are 0 or 1."""

    rows_a: int
    rows_b: int
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    types_changed: Mapping[str, tuple[str, str]]
    label_rate_a: float | None
    label_rate_b: float | None
    label_p_value: float | None
    columns: tuple[ColumnDiff, ...]


def diff_datasets(
    spec: ModelSpec, reference: Mapping[str, ColumnProfile], reference_schema: pa.Schema, rows_a: int, table: pa.Table
) -> DataDiff:
    """Compares `table`, the second version, with the profiles and the schema of the first version, which has `rows_a`.

    Columns are compared over the edges of the first version, as a monitor does, and are sorted by falling PSI.
    """
    shared = {n: p for n, p in reference.items() if n in table.column_names and _is_comparable(p, table, n)}
    current = profile_batches(table.select(list(shared)).to_batches(max_chunksize=BATCH_ROWS), shared)
    drifts = {name: compare_profiles(shared[name], current[name]) for name in shared}
    monitors = spec.monitors
    drifts = with_verdicts(drifts, min_rows=MIN_ROWS, warn=monitors.psi_warn, alert=monitors.psi_alert)
    labels = reference.get(spec.data.label), current.get(spec.data.label)
    columns = [_diff_column(name, shared[name], current[name], drifts[name]) for name in shared]
    reference_columns = set(reference_schema.names)
    types = {
        n: (str(reference_schema.field(n).type), str(table.schema.field(n).type))
        for n in table.column_names
        if n in reference_columns
    }
    return DataDiff(
        rows_a=rows_a,
        rows_b=table.num_rows,
        columns_added=tuple(n for n in table.column_names if n not in reference_columns),
        columns_removed=tuple(n for n in reference_schema.names if n not in table.column_names),
        types_changed={n: pair for n, pair in types.items() if pair[0] != pair[1]},
        label_rate_a=_mean(labels[0]),
        label_rate_b=_mean(labels[1]),
        label_p_value=_label_p_value(*labels),
        columns=tuple(sorted(columns, key=lambda column: (-(finite_or_none(column.drift.psi) or 0.0), column.name))),
    )


def _is_comparable(profile: ColumnProfile, table: pa.Table, name: str) -> bool:
    return is_categorical(table.schema.field(name).type) == isinstance(profile, CategoryProfile)


def _diff_column(name: str, reference: ColumnProfile, current: ColumnProfile, drift: ColumnDrift) -> ColumnDiff:
    shifts: tuple[tuple[str, float, float], ...] = ()
    if isinstance(reference, CategoryProfile) and isinstance(current, CategoryProfile):
        counts = dict(zip(current.categories, current.counts.tolist(), strict=True)) | dict(current.unseen)
        shifts = tuple(s for s in category_shifts(reference, counts)[:MAX_SHIFTS] if s[1] != s[2])
    return ColumnDiff(
        name=name,
        null_share_a=_null_share(reference),
        null_share_b=_null_share(current),
        mean_a=_mean(reference),
        mean_b=_mean(current),
        drift=drift,
        shifts=shifts,
    )


def _null_share(profile: ColumnProfile) -> float:
    n_rows = profile.n_values + profile.nulls
    return profile.nulls / n_rows if n_rows else math.nan


def _mean(profile: ColumnProfile | None) -> float | None:
    return profile.value_sum / profile.n_values if isinstance(profile, NumericProfile) and profile.n_values else None


def _label_p_value(a: ColumnProfile | None, b: ColumnProfile | None) -> float | None:
    """Returns the p-value of both label rates being equal; None unless all labels are 0 or 1.

    Labels between 0 and 1 are all 0 or 1 when the sum of their squares equals their sum.
    """
    if not (isinstance(a, NumericProfile) and isinstance(b, NumericProfile)) or not (a.n_values and b.n_values):
        return None
    if any(p.value_sum != p.sum_of_squares or p.min_value < 0 or p.max_value > 1 for p in (a, b)):
        return None
    return two_proportions_p_value(round(b.value_sum), b.n_values, round(a.value_sum), a.n_values)
