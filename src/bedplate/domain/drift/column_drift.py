"""Compares a column's current profile with its reference: PSI, Jensen-Shannon distance, p-value, bins for a chart."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.documents import JsonFloat
from bedplate.domain.drift.divergence import (
    PSI_ALERT,
    PSI_BINS,
    PSI_WARN,
    benjamini_hochberg,
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    ks_p_value,
    psi,
    psi_band,
    to_shares,
)
from bedplate.domain.drift.profile import CategoryProfile, ColumnProfile, NumericProfile

Verdict = Literal["stable", "moderate", "significant", "NO_DATA"]
BinCounts = tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]
"""Labels of the bins, counts of the reference, counts of the current values; all have the same length."""
RARE_SHARE = 0.01
"""Categories with a smaller share of the reference are counted in one bin, because bins of their own would be noise."""
OTHER_BIN = "(rare or new)"
SIGNIFICANCE = 0.05
"""Adjusted p-value at and above which a column is stable, whatever its PSI."""


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """The drift of one column from its reference. Values and shares are NaN when either side has no values.

    `test` is the test of `statistic` and `p_value`: Kolmogorov-Smirnov (`ks`) or chi-square. `bins` are labels for
    charts; `reference_shares` and `current_shares` are the shares of the bins, each adding up to 1.
    """

    psi: JsonFloat
    jensen_shannon_distance: JsonFloat
    test: Literal["ks", "chi2"]
    statistic: JsonFloat
    p_value: JsonFloat
    p_adjusted: JsonFloat
    verdict: Verdict
    n_current: int
    n_reference: int
    bins: tuple[str, ...]
    reference_shares: tuple[JsonFloat, ...]
    current_shares: tuple[JsonFloat, ...]


def compare_profiles(reference: ColumnProfile, current: ColumnProfile) -> ColumnDrift:
    """Returns the drift of one column, with the verdict NO_DATA until `with_verdicts` sets it.

    Raises ValueError when one profile is numeric and the other one categorical.
    """
    bins, reference_counts, current_counts = _bin_counts(reference, current)
    is_numeric = isinstance(reference, NumericProfile)
    statistic = p_value = math.nan
    if current.n_values and reference.n_values:
        if is_numeric:
            statistic = kolmogorov_smirnov(reference.counts, current.counts)
            p_value = ks_p_value(statistic, reference.n_values, current.n_values)
        else:
            statistic, p_value = chi_square(reference_counts, current_counts)
    return ColumnDrift(
        psi=psi(reference_counts, current_counts),
        jensen_shannon_distance=jensen_shannon(reference_counts, current_counts),
        test="ks" if is_numeric else "chi2",
        statistic=statistic,
        p_value=p_value,
        p_adjusted=math.nan,
        verdict="NO_DATA",
        n_current=current.n_values,
        n_reference=reference.n_values,
        bins=bins,
        reference_shares=tuple(map(float, to_shares(reference_counts))),
        current_shares=tuple(map(float, to_shares(current_counts))),
    )


def with_verdicts(
    drifts: dict[str, ColumnDrift], *, min_rows: int, warn: float = PSI_WARN, alert: float = PSI_ALERT
) -> dict[str, ColumnDrift]:
    """Returns the drifts with p-values adjusted for the number of columns, and with verdicts.

    The verdict is the band of the PSI, `stable` when the adjusted p-value is not significant, and NO_DATA when either
    side has fewer than `min_rows` values.
    """
    tested = {name: min(drift.n_current, drift.n_reference) >= min_rows for name, drift in drifts.items()}
    p_values = benjamini_hochberg([drift.p_value if tested[name] else math.nan for name, drift in drifts.items()])
    results = {}
    for (name, drift), p_adjusted in zip(drifts.items(), p_values, strict=True):
        verdict: Verdict = "stable" if p_adjusted >= SIGNIFICANCE else psi_band(drift.psi, warn=warn, alert=alert)
        results[name] = replace(drift, p_adjusted=p_adjusted, verdict=verdict if tested[name] else "NO_DATA")
    return results


def profile_psi(reference: ColumnProfile, current: ColumnProfile) -> float:
    """Returns only the PSI, over the same bins as `compare_profiles`."""
    _, reference_counts, current_counts = _bin_counts(reference, current)
    return psi(reference_counts, current_counts)


def _bin_counts(reference: ColumnProfile, current: ColumnProfile) -> BinCounts:
    if isinstance(reference, NumericProfile) and isinstance(current, NumericProfile):
        return _equal_frequency_counts(reference, current)
    if isinstance(reference, CategoryProfile) and isinstance(current, CategoryProfile):
        return _category_counts(reference, current)
    raise ValueError("a column of numbers and one of categories cannot be compared")


def _equal_frequency_counts(reference: NumericProfile, current: NumericProfile) -> BinCounts:
    """Counts ten bins of about equal frequency in the reference, cut at its edges; ties make fewer bins."""
    cumulative = np.cumsum(reference.counts)[:-1]
    # a cut must leave values on both sides
    candidates = np.flatnonzero((cumulative > 0) & (cumulative < reference.n_values))
    cuts = np.empty(0, dtype=np.int64)
    if len(candidates):
        targets = np.arange(1, PSI_BINS) / PSI_BINS * reference.n_values
        cuts = np.unique([candidates[np.argmin(np.abs(cumulative[candidates] - target))] for target in targets])
    elif len(reference.edges):
        cuts = np.array([len(reference.edges) - 1])  # a single value: bins up to it and above it
    starts = np.concatenate([[0], cuts + 1]).astype(np.int64)
    reference_counts, current_counts = (
        np.add.reduceat(counts, starts) for counts in (reference.counts, current.counts)
    )
    return _bin_labels(reference.edges[cuts]), reference_counts, current_counts


def _bin_labels(cuts: NDArray[np.float64]) -> tuple[str, ...]:
    """Returns the labels of the bins between the cuts.

    >>> _bin_labels(np.array([1.0, 2.5])), _bin_labels(np.empty(0))
    (('to 1', '1 to 2.5', 'over 2.5'), ('all',))
    """
    if not len(cuts):
        return ("all",)
    cut_labels = [f"{cut:.4g}" for cut in cuts]
    inner_labels = [f"{low} to {high}" for low, high in itertools.pairwise(cut_labels)]
    return (f"to {cut_labels[0]}", *inner_labels, f"over {cut_labels[-1]}")


def _category_counts(reference: CategoryProfile, current: CategoryProfile) -> BinCounts:
    """Counts one bin per frequent category, largest first, and one bin for rare and new categories if there are any."""
    min_count = RARE_SHARE * reference.n_values
    frequent = [i for i in np.argsort(-reference.counts, kind="stable") if reference.counts[i] >= min_count]
    names = tuple(reference.categories[i] for i in frequent)
    reference_counts, current_counts = (
        np.append(profile.counts[frequent], profile.n_values - int(profile.counts[frequent].sum()))
        for profile in (reference, current)
    )
    if not reference_counts[-1] and not current_counts[-1]:
        return names, reference_counts[:-1], current_counts[:-1]
    return (*names, OTHER_BIN), reference_counts, current_counts
