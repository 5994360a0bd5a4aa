"""Confidence intervals of proportions, of their differences and ratios, and of quantiles, by closed formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

Z = 1.959963984540054
"""97.5 % quantile of the standard normal distribution, for two-sided 95 % intervals."""


def wilson_interval(successes: float, n: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Returns Wilson's score interval of a proportion at 1 - alpha; (0, 1) when `n` is 0. Source: E. B. Wilson (1927).

    >>> ci_low, ci_high = wilson_interval(8, 10)
    >>> round(ci_low, 4), round(ci_high, 4), wilson_interval(0, 0)
    (0.4902, 0.9433, (0.0, 1.0))
    """
    if n == 0:
        return 0.0, 1.0
    z, p = NormalDist().inv_cdf(1 - alpha / 2), successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half_width = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half_width), min(1.0, middle + half_width)


def newcombe_interval(
    successes: float, n: int, other_successes: float, other_n: int, *, alpha: float = 0.05
) -> tuple[float, float]:
    """Returns the interval at 1 - alpha of the first proportion minus the second, of independent samples.

    It is (-1, 1) when a sample is empty. Source: R. G. Newcombe (1998), method 10.

    >>> ci_low, ci_high = newcombe_interval(56, 70, 48, 80)
    >>> round(ci_low, 4), round(ci_high, 4)
    (0.0524, 0.3339)
    """
    if not n or not other_n:
        return -1.0, 1.0
    p, q = successes / n, other_successes / other_n
    p_low, p_high = wilson_interval(successes, n, alpha=alpha)
    q_low, q_high = wilson_interval(other_successes, other_n, alpha=alpha)
    low = p - q - math.hypot(p - p_low, q_high - q)
    return max(-1.0, low), min(1.0, p - q + math.hypot(p_high - p, q - q_low))


def ratio_interval(successes: float, n: int, other_successes: float, other_n: int) -> tuple[float, float]:
    """Returns the 95 % interval of the first proportion divided by the second, by the logarithm.

    Without a success in the first sample the lower end is 0; without one in the second the interval is 0 to infinity.
    Source: D. Katz and others (1978).

    >>> ci_low, ci_high = ratio_interval(30, 100, 40, 100)
    >>> round(ci_low, 4), round(ci_high, 4)
    (0.511, 1.1008)
    """
    if not n or not other_n or not other_successes:
        return 0.0, math.inf
    if not successes:  # half a success is added to both samples, so that the upper end is finite
        return 0.0, ratio_interval(0.5, n + 1, other_successes + 0.5, other_n + 1)[1]
    ratio = (successes / n) / (other_successes / other_n)
    half_width = Z * math.sqrt(max(0.0, 1 / successes - 1 / n + 1 / other_successes - 1 / other_n))
    return ratio * math.exp(-half_width), ratio * math.exp(half_width)


def quantile_interval(sorted_values: Sequence[float], share: float) -> tuple[float, float, float]:
    """Returns a quantile of sorted values and the ends of its distribution-free 95 % interval.

    The ends are the order statistics whose ranks cover the quantile with 97.5 % on each side, by the binomial
    distribution; an end that no rank reaches is infinite. The quantile is the smallest value that at least `share`
    (0 to 1) of all values do not exceed. Source: W. J. Conover, Practical Nonparametric Statistics (1999), section 3.2.

    >>> quantile_interval([float(i) for i in range(1, 101)], 0.5)
    (50.0, 40.0, 61.0)
    >>> quantile_interval([1.0, 2.0], 0.99)
    (2.0, 2.0, inf)
    """
    n = len(sorted_values)
    if not n:
        return math.nan, -math.inf, math.inf
    value = sorted_values[max(0, math.ceil(share * n - 1e-9) - 1)]
    cumulative = 0.0  # P(at most k values are below the quantile)
    ci_low, ci_high = -math.inf, math.inf
    for k in range(n):
        probability = math.exp(
            math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
            + k * math.log(share) + (n - k) * math.log1p(-share)
        )  # fmt: skip
        cumulative += probability
        if cumulative <= 0.025:
            ci_low = sorted_values[k]
        if cumulative >= 0.975:
            ci_high = sorted_values[k]
            break
    return value, ci_low, ci_high
