"""Significance tests: two proportions, a binomial count, and two means (Welch)."""

from __future__ import annotations

import math


def two_proportions_p_value(successes: int, n: int, other_successes: int, other_n: int) -> float:
    """Returns the two-sided p-value of two proportions being equal: z-test with the pooled proportion.

    NaN when a sample is empty; 1 when the pooled proportion is 0 or 1. Source: Agresti, Categorical Data Analysis.

    >>> round(two_proportions_p_value(60, 100, 45, 100), 4)
    0.0337
    """
    if not n or not other_n:
        return math.nan
    pooled = (successes + other_successes) / (n + other_n)
    standard_error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n))
    if standard_error == 0:
        return 1.0
    return math.erfc(abs(successes / n - other_successes / other_n) / standard_error / math.sqrt(2))


def binomial_tail(successes: int, n: int, share: float) -> float:
    """Returns the probability of `successes` or more in `n` trials that each succeed with probability `share`.

    >>> round(binomial_tail(8, 10, 0.5), 4), binomial_tail(0, 10, 0.5)
    (0.0547, 1.0)
    """
    if successes <= 0:
        return 1.0
    if share <= 0 or successes > n:
        return 0.0
    if share >= 1:
        return 1.0
    log_n_factorial, total, log_shares = math.lgamma(n + 1), 0.0, (math.log(share), math.log1p(-share))
    for k in range(successes, n + 1):
        term = math.exp(
            log_n_factorial - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log_shares[0] + (n - k) * log_shares[1]
        )
        total += term
        if k > n * share and term < total * 1e-17:
            break
    return min(1.0, total)


def welch_p_value(
    mean: float, variance: float, n: int, other_mean: float, other_variance: float, other_n: int
) -> float:
    """Returns the two-sided p-value of two means being equal: Welch's statistic, normal approximation.

    The approximation needs hundreds of rows. Variances are sample variances (n - 1). NaN when a sample has fewer than
    two rows.
    """
    if n < 2 or other_n < 2:
        return math.nan
    standard_error = math.sqrt(variance / n + other_variance / other_n)
    if standard_error == 0:
        return 1.0 if mean == other_mean else 0.0
    return math.erfc(abs(mean - other_mean) / standard_error / math.sqrt(2))
