"""Intervals of shares, of their differences and ratios, and of quantiles, by closed formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z = 1.959963984540054
"""97.5 % point of the normal distribution: both ends of a 95 % interval."""


def wilson(hits: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share; the widest without a row. Source: E. B. Wilson (1927).

    >>> low, high = wilson(8, 10)
    >>> round(low, 4), round(high, 4), wilson(0, 0)
    (0.4902, 0.9433, (0.0, 1.0))
    """
    if n == 0:
        return 0.0, 1.0
    p = hits / n
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def newcombe(hits: float, n: int, other_hits: float, other_n: int) -> tuple[float, float]:
    """Interval of the first share minus the second, independent ones. Source: R. G. Newcombe (1998), method 10.

    >>> low, high = newcombe(56, 70, 48, 80)
    >>> round(low, 4), round(high, 4)
    (0.0524, 0.3339)
    """
    if not n or not other_n:
        return -1.0, 1.0
    p, q = hits / n, other_hits / other_n
    (p_low, p_high), (q_low, q_high) = wilson(hits, n), wilson(other_hits, other_n)
    low = p - q - math.hypot(p - p_low, q_high - q)
    return max(-1.0, low), min(1.0, p - q + math.hypot(p_high - p, q - q_low))


def log_ratio(hits: float, n: int, other_hits: float, other_n: int) -> tuple[float, float]:
    """Interval of the first share over the second. Source: D. Katz and others (1978), by the logarithm.

    Without a hit in the first the lower end is 0; without one in the second nothing is known: 0 to infinity.

    >>> low, high = log_ratio(30, 100, 40, 100)
    >>> round(low, 4), round(high, 4)
    (0.511, 1.1008)
    """
    if not n or not other_n or not other_hits:
        return 0.0, math.inf
    if not hits:  # half a hit more on both sides, so that the upper end is known
        return 0.0, log_ratio(0.5, n + 1, other_hits + 0.5, other_n + 1)[1]
    ratio = (hits / n) / (other_hits / other_n)
    error = Z * math.sqrt(max(0.0, 1 / hits - 1 / n + 1 / other_hits - 1 / other_n))
    return ratio * math.exp(-error), ratio * math.exp(error)


def quantile(ordered: Sequence[float], share: float) -> tuple[float, float, float]:
    """A quantile of sorted figures with its interval between two of them, whatever their distribution.

    The ends are the order statistics whose ranks cover the quantile with 97.5 % on each side, by the binomial
    distribution; an end that no rank reaches is infinite. The quantile itself is the smallest figure that at least
    `share` of all do not exceed. Source: W. J. Conover, Practical Nonparametric Statistics (1999), section 3.2.

    >>> quantile([float(i) for i in range(1, 101)], 0.5)
    (50.0, 40.0, 61.0)
    >>> quantile([1.0, 2.0], 0.99)
    (2.0, 2.0, inf)
    """
    n = len(ordered)
    if not n:
        return math.nan, -math.inf, math.inf
    value = ordered[max(0, math.ceil(share * n - 1e-9) - 1)]
    below = 0.0  # P(at most k figures lie below the quantile)
    low, high = -math.inf, math.inf
    for k in range(n):
        chance = math.exp(
            math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
            + k * math.log(share) + (n - k) * math.log1p(-share)
        )  # fmt: skip
        below += chance
        if below <= 0.025:
            low = ordered[k]
        if below >= 0.975:
            high = ordered[k]
            break
    return value, low, high
