"""How far apart two distributions are: PSI, Kolmogorov-Smirnov, Jensen-Shannon, chi-square, from binned counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Band = Literal["stable", "moderate", "significant"]
EPSILON = 1e-4
"""Least share of a bin in PSI, so that an empty bin counts without being infinite. The value is Evidently's."""
PSI_BINS = 10
WARN, ALERT = 0.1, 0.25
"""Bands of the population stability index. Source: Siddiqi, Credit Risk Scorecards (2006): below 0.1 no significant
change, 0.1 to 0.25 worth a look, above 0.25 a significant shift."""


def psi(reference: ArrayLike, current: ArrayLike, *, epsilon: float = EPSILON) -> float:
    """Population stability index of two vectors of counts over the same bins: sum of (q - p) ln(q / p), 0 and more.

    Shares are raised to `epsilon` at least. NaN when either side is empty.

    >>> round(psi([50, 50], [50, 50]), 6), round(psi([50, 50], [25, 75]), 4)
    (0.0, 0.2747)
    """
    p, q = shares(reference), shares(current)
    p, q = np.maximum(p, epsilon), np.maximum(q, epsilon)
    return float(np.sum((q - p) * np.log(q / p)))


def band(value: float, *, warn: float = WARN, alert: float = ALERT) -> Band:
    """
    >>> band(0.05), band(0.1), band(0.3)
    ('stable', 'moderate', 'significant')
    """
    return "significant" if value >= alert else "moderate" if value >= warn else "stable"


def jensen_shannon(reference: ArrayLike, current: ArrayLike) -> float:
    """Jensen-Shannon distance (base 2, 0 to 1) of two vectors of counts; NaN when either is empty.

    Source: Lin (1991); the square root of the divergence, as scipy.spatial.distance.jensenshannon gives it.

    >>> jensen_shannon([1, 0], [0, 1]), jensen_shannon([1, 1], [2, 2])
    (1.0, 0.0)
    """
    p, q = shares(reference), shares(current)
    m = (p + q) / 2
    return math.sqrt(max(0.0, (_relative_entropy(p, m) + _relative_entropy(q, m)) / 2))


def kolmogorov_smirnov(reference: ArrayLike, current: ArrayLike) -> float:
    """Largest distance of the two cumulative shares over the bins' edges; at most the exact statistic of the samples.

    >>> kolmogorov_smirnov([1, 1, 2], [2, 1, 1])
    0.25
    """
    return float(np.max(np.abs(np.cumsum(shares(reference)) - np.cumsum(shares(current)))))


def ks_p_value(statistic: float, n: int, m: int) -> float:
    """Two-sided p-value of a two-sample KS statistic by Kolmogorov's limit, which is close for some hundred values.

    Its lightest form is taken (scipy.special): scipy.stats takes longer to import than a monitor to compute.
    """
    from scipy.special import kolmogorov

    return float(kolmogorov(math.sqrt(n * m / (n + m)) * statistic))


def chi_square(reference: ArrayLike, current: ArrayLike) -> tuple[float, float]:
    """Statistic and p-value of Pearson's test of homogeneity; bins that are empty on both sides do not count.

    (0, 1) when fewer than two bins are left.
    """
    from scipy.special import chdtrc

    table = np.vstack([counts(reference), counts(current)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or np.any(table.sum(axis=1) == 0):
        return 0.0, 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(np.sum((table - expected) ** 2 / expected))
    return statistic, float(chdtrc(table.shape[1] - 1, statistic))


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values that keep the false discovery rate over several tests; NaN stays NaN and counts as no test.

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


def counts(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def shares(values: ArrayLike) -> Floats:
    found = counts(values)
    total = float(found.sum())
    return found / total if total > 0 else np.full(len(found), math.nan)


def _relative_entropy(p: Floats, q: Floats) -> float:
    held = p > 0
    if np.any(np.isnan(p)):
        return math.nan
    return float(np.sum(p[held] * np.log2(p[held] / q[held])))
