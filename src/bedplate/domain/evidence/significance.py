"""Tests of shares: is a difference of two proportions, or a burst of rare rows, more than chance?"""

from __future__ import annotations

import math


def two_proportions(hits: int, n: int, before_hits: int, before_n: int) -> float:
    """P-value (two-sided) of both shares being one: z-test with the pooled share (Agresti, Categorical Data Analysis).

    NaN without rows on either side; 1 where the pooled share is 0 or 1.

    >>> round(two_proportions(60, 100, 45, 100), 4)
    0.0337
    """
    if not n or not before_n:
        return math.nan
    pooled = (hits + before_hits) / (n + before_n)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / before_n))
    if spread == 0:
        return 1.0
    return math.erfc(abs(hits / n - before_hits / before_n) / spread / math.sqrt(2))


def at_least(hits: int, n: int, share: float) -> float:
    """Probability of `hits` or more among `n` rows when each is one with probability `share`: the binomial tail.

    >>> round(at_least(8, 10, 0.5), 4), at_least(0, 10, 0.5)
    (0.0547, 1.0)
    """
    if hits <= 0:
        return 1.0
    if share <= 0 or hits > n:
        return 0.0
    if share >= 1:
        return 1.0
    whole, total, log_odds = math.lgamma(n + 1), 0.0, (math.log(share), math.log1p(-share))
    for k in range(hits, n + 1):
        term = math.exp(whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log_odds[0] + (n - k) * log_odds[1])
        total += term
        if k > n * share and term < total * 1e-17:
            break
    return min(1.0, total)


def welch(mean: float, variance: float, n: int, before_mean: float, before_variance: float, before_n: int) -> float:
    """Two-sided p-value that both means are one, by Welch's statistic and the normal law: for hundreds of rows.

    Variances are the sample's (n - 1). NaN below two rows on either side.
    """
    if n < 2 or before_n < 2:
        return math.nan
    spread = math.sqrt(variance / n + before_variance / before_n)
    if spread == 0:
        return 1.0 if mean == before_mean else 0.0
    return math.erfc(abs(mean - before_mean) / spread / math.sqrt(2))
