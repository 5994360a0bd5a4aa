"""Measures the distance between two binned distributions: PSI, Kolmogorov-Smirnov, Jensen-Shannon, chi-square."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Band = Literal["stable", "moderate", "significant"]
MIN_SHARE = 1e-4
"""Smallest share of a bin in PSI, so that an empty bin does not make it infinite. The value is Evidently's."""
PSI_BINS = 10
PSI_WARN, PSI_ALERT = 0.1, 0.25
"""Bands of the population stability index: below 0.1 no significant change, 0.1 to 0.25 a moderate change, above 0.25
a significant shift. Source: Siddiqi, Credit Risk Scorecards (2006)."""


def psi(reference: ArrayLike, current: ArrayLike, *, min_share: float = MIN_SHARE) -> float:
    """Returns the population stability index, sum of (q - p) ln(q / p), of two vectors of counts over the same bins.

    It is 0 or more. Shares below `min_share` are raised to it. NaN when either side is empty.

    >>> round(psi([50, 50], [50, 50]), 6), round(psi([50, 50], [25, 75]), 4)
    (0.0, 0.2747)
    """
    p, q = to_shares(reference), to_shares(current)
    p, q = np.maximum(p, min_share), np.maximum(q, min_share)
    return float(np.sum((q - p) * np.log(q / p)))


def psi_band(value: float, *, warn: float = PSI_WARN, alert: float = PSI_ALERT) -> Band:
    """Returns the name of the band of a PSI.

    >>> psi_band(0.05), psi_band(0.1), psi_band(0.3)
    ('stable', 'moderate', 'significant')
    """
    return "significant" if value >= alert else "moderate" if value >= warn else "stable"


def jensen_shannon(reference: ArrayLike, current: ArrayLike) -> float:
    """Returns the Jensen-Shannon distance (base 2, 0 to 1) of two vectors of counts; NaN when either is empty.

    It is the square root of the divergence, as in scipy.spatial.distance.jensenshannon. Source: Lin (1991).

    >>> jensen_shannon([1, 0], [0, 1]), jensen_shannon([1, 1], [2, 2])
    (1.0, 0.0)
    """
    p, q = to_shares(reference), to_shares(current)
    m = (p + q) / 2
    return math.sqrt(max(0.0, (_relative_entropy(p, m) + _relative_entropy(q, m)) / 2))


def kolmogorov_smirnov(reference: ArrayLike, current: ArrayLike) -> float:
    """Returns the largest distance of both cumulative shares at the edges of the bins.

    It is at most the exact statistic of the samples.

    >>> kolmogorov_smirnov([1, 1, 2], [2, 1, 1])
    0.25
    """
    return float(np.max(np.abs(np.cumsum(to_shares(reference)) - np.cumsum(to_shares(current)))))


def ks_p_value(statistic: float, n: int, m: int) -> float:
    """Returns the two-sided p-value of a two-sample KS statistic by Kolmogorov's limit, for hundreds of values.

    It uses scipy.special because importing scipy.stats takes longer than a monitor takes to compute.
    """
    from scipy.special import kolmogorov

    return float(kolmogorov(math.sqrt(n * m / (n + m)) * statistic))


def chi_square(reference: ArrayLike, current: ArrayLike) -> tuple[float, float]:
    """Returns statistic and p-value of Pearson's test of homogeneity, without bins that are empty on both sides.

    (0, 1) with fewer than two other bins.
    """
    from scipy.special import chdtrc

    table = np.vstack([_to_floats(reference), _to_floats(current)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or np.any(table.sum(axis=1) == 0):
        return 0.0, 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(np.sum((table - expected) ** 2 / expected))
    return statistic, float(chdtrc(table.shape[1] - 1, statistic))


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Returns p-values adjusted to control the false discovery rate of several tests; NaN is not counted as a test.

    Source: Benjamini and Hochberg (1995).

    >>> [round(p, 3) for p in benjamini_hochberg([0.01, 0.04, 0.03, 0.5])]
    [0.04, 0.053, 0.053, 0.5]
    """
    values = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(values), math.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    scaled = values[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return tuple(float(p) for p in adjusted)


def _to_floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def to_shares(values: ArrayLike) -> Floats:
    """Returns the counts divided by their sum; NaN when it is 0."""
    counts = _to_floats(values)
    total = float(counts.sum())
    return counts / total if total > 0 else np.full(len(counts), math.nan)


def _relative_entropy(p: Floats, q: Floats) -> float:
    is_positive = p > 0
    if np.any(np.isnan(p)):
        return math.nan
    return float(np.sum(p[is_positive] * np.log2(p[is_positive] / q[is_positive])))
