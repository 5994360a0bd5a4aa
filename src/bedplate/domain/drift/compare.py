"""Holds one column's current profile against its reference: PSI, distance, p-value, and the bins that a chart shows."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.drift.divergence import (
    ALERT,
    PSI_BINS,
    WARN,
    band,
    benjamini_hochberg,
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    ks_p_value,
    psi,
    shares,
)
from bedplate.domain.drift.profile import CategoryProfile, ColumnProfile, NumericProfile

Verdict = Literal["stable", "moderate", "significant", "NO_DATA"]
RARE = 0.01
"""Categories with a smaller share of the reference are one bin: their own would be noise."""
REST = "(rare or new)"
SIGNIFICANCE = 0.05
"""Adjusted p-value from which on chance explains a shift, whatever its PSI."""


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column against its reference. Figures are NaN, and bins' shares too, where either side has no value.

    `test` is the statistic behind `p_value`: the largest distance of the cumulative shares (`ks`) or chi-square.
    `bins` are labels for charts; `reference` and `current` their shares, each summing to 1.
    """

    psi: float
    js: float
    test: Literal["ks", "chi2"]
    statistic: float
    p_value: float
    p_adjusted: float
    verdict: Verdict
    n: int
    reference_n: int
    bins: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


def compare(reference: ColumnProfile, current: ColumnProfile) -> ColumnDrift:
    """Figures of one column, without a verdict yet (`judged` gives it). Raises ValueError for profiles of two kinds."""
    if isinstance(reference, NumericProfile) and isinstance(current, NumericProfile):
        return _numeric(reference, current)
    if isinstance(reference, CategoryProfile) and isinstance(current, CategoryProfile):
        return _categorical(reference, current)
    raise ValueError("a column of numbers and one of categories cannot be compared")


def judged(
    drifts: dict[str, ColumnDrift], *, min_rows: int, warn: float = WARN, alert: float = ALERT
) -> dict[str, ColumnDrift]:
    """With p-values adjusted over all columns and a verdict each.

    The verdict is PSI's band; `stable` when the adjusted p-value says that chance explains the shift; NO_DATA when
    either side has fewer than `min_rows` values.
    """
    enough = {name: d.n >= min_rows and d.reference_n >= min_rows for name, d in drifts.items()}
    adjusted = benjamini_hochberg([d.p_value if enough[name] else math.nan for name, d in drifts.items()])
    return {
        name: replace(d, p_adjusted=p, verdict=_verdict(d.psi, p, warn, alert) if enough[name] else "NO_DATA")
        for (name, d), p in zip(drifts.items(), adjusted, strict=True)
    }


def psi_of(reference: ColumnProfile, current: ColumnProfile) -> float:
    """PSI alone, on the same bins as `compare`."""
    _, before, now = _binned(reference, current)
    return psi(before, now)


def _verdict(value: float, p_adjusted: float, warn: float, alert: float) -> Verdict:
    return "stable" if p_adjusted >= SIGNIFICANCE else band(value, warn=warn, alert=alert)


def _numeric(reference: NumericProfile, current: NumericProfile) -> ColumnDrift:
    bins, before, now = _binned(reference, current)
    n, m = current.n, reference.n
    statistic = kolmogorov_smirnov(reference.counts, current.counts) if n and m else math.nan
    p_value = ks_p_value(statistic, m, n) if n and m else math.nan
    return _drift("ks", statistic, p_value, n, m, bins, before, now)


def _categorical(reference: CategoryProfile, current: CategoryProfile) -> ColumnDrift:
    bins, before, now = _binned(reference, current)
    n, m = current.n, reference.n
    statistic, p_value = chi_square(before, now) if n and m else (math.nan, math.nan)
    return _drift("chi2", statistic, p_value, n, m, bins, before, now)


def _drift(
    test: Literal["ks", "chi2"],
    statistic: float,
    p_value: float,
    n: int,
    reference_n: int,
    bins: tuple[str, ...],
    before: NDArray[Any],
    now: NDArray[Any],
) -> ColumnDrift:
    return ColumnDrift(
        psi=psi(before, now),
        js=jensen_shannon(before, now),
        test=test,
        statistic=statistic,
        p_value=p_value,
        p_adjusted=math.nan,
        verdict="NO_DATA",
        n=n,
        reference_n=reference_n,
        bins=bins,
        reference=tuple(map(float, shares(before))),
        current=tuple(map(float, shares(now))),
    )


def _binned(
    reference: ColumnProfile, current: ColumnProfile
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    if isinstance(reference, NumericProfile):
        assert isinstance(current, NumericProfile)
        return _equal_frequency(reference, current)
    assert isinstance(current, CategoryProfile)
    return _frequent(reference, current)


def _equal_frequency(
    reference: NumericProfile, current: NumericProfile
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Ten bins of about equal frequency in the reference, cut at its edges; ties make fewer."""
    below = np.cumsum(reference.counts)[:-1]
    inside = np.flatnonzero((below > 0) & (below < reference.n))  # a cut must leave something on both sides
    cuts = np.empty(0, dtype=np.int64)
    if len(inside):
        targets = np.arange(1, PSI_BINS) / PSI_BINS * reference.n
        cuts = np.unique([inside[np.argmin(np.abs(below[inside] - target))] for target in targets])
    elif len(reference.edges):
        cuts = np.array([len(reference.edges) - 1])  # one value only: as large as it, and larger
    starts = np.concatenate([[0], cuts + 1]).astype(np.int64)
    before, now = (np.add.reduceat(counts, starts) for counts in (reference.counts, current.counts))
    return _labels(reference.edges[cuts]), before, now


def _labels(cuts: NDArray[np.float64]) -> tuple[str, ...]:
    """
    >>> _labels(np.array([1.0, 2.5])), _labels(np.empty(0))
    (('to 1', '1 to 2.5', 'over 2.5'), ('all',))
    """
    if not len(cuts):
        return ("all",)
    texts = [f"{cut:.4g}" for cut in cuts]
    between = [f"{low} to {high}" for low, high in itertools.pairwise(texts)]
    return (f"to {texts[0]}", *between, f"over {texts[-1]}")


def _frequent(
    reference: CategoryProfile, current: CategoryProfile
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """A bin for each frequent category, largest first, and one for the rest, which holds what was never seen before."""
    frequent = [i for i in np.argsort(-reference.counts, kind="stable") if reference.counts[i] >= RARE * reference.n]
    rest = [profile.n - int(profile.counts[frequent].sum()) for profile in (reference, current)]
    names = [reference.categories[i] for i in frequent]
    before, now = (
        np.append(profile.counts[frequent], left) for profile, left in zip((reference, current), rest, strict=True)
    )
    if not any(rest):
        return tuple(names), before[:-1], now[:-1]
    return (*names, REST), before, now
