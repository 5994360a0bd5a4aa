"""Compares a shadow variant with the champion on the same requests: predictions, latency and errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bedplate.domain.drift.divergence import PSI_BINS, psi
from bedplate.domain.evidence.proportions import wilson_interval
from bedplate.domain.formatting import format_short

Floats = NDArray[np.float64]
Verdict = Literal["PASS", "FAIL", "NO_DATA"]
QUANTILES = (0.5, 0.95, 0.99)
"""Quantiles of the latency that are compared."""


@dataclass(frozen=True, slots=True)
class LatencyComparison:
    """A quantile of both latencies, and the 95 % interval of the shadow's minus the champion's, in milliseconds."""

    quantile: float
    champion_ms: float
    shadow_ms: float
    ci_low_ms: float
    ci_high_ms: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of a shadow and the champion on `n_pairs` rows.

    `agreement_rate` is the share of equal decisions, 0 to 1, with Wilson's 95 % interval. Without a pair, the values
    are NaN and the interval is 0 to 1.
    """

    n_pairs: int
    agreement_rate: float
    agreement_ci_low: float
    agreement_ci_high: float
    mean_abs_difference: float
    p95_abs_difference: float
    """95th percentile of the absolute difference of the scores."""
    mean_shift: float
    """Mean of the shadow's scores minus the mean of the champion's."""
    correlation: float
    """Pearson's correlation of the scores; NaN when one side is constant."""
    psi: float
    """PSI of the shadow's scores against the champion's, over ten equal-frequency bins of the champion's scores."""
    latency: tuple[LatencyComparison, ...]


@dataclass(frozen=True, slots=True)
class AgreementBounds:
    """Bounds on a shadow; None sets no bound."""

    min_pairs: int = 500
    min_agreement: float | None = 0.9
    tolerance: float | None = None
    """Largest difference at which two predictions of a regression count as equal; only used in messages."""
    max_psi: float | None = 0.25


@dataclass(frozen=True, slots=True)
class AgreementCheck:
    """A value of the shadow compared with its bound."""

    name: str
    verdict: Verdict
    value: float
    bound: float
    message: str


def measure_agreement(
    champion: ArrayLike,
    shadow: ArrayLike,
    *,
    threshold: float,
    is_binary: bool,
    champion_us: ArrayLike = (),
    shadow_us: ArrayLike = (),
    seed: int = 0,
) -> Agreement:
    """Compares the scores of both variants for the same rows, and their latencies for the same requests.

    `champion` and `shadow` are (rows,) scores; `champion_us` and `shadow_us` are (requests,) microseconds. Two binary
    decisions are equal when both scores are on the same side of `threshold`, two predictions of a regression when they
    differ by at most `threshold`. Raises ValueError for pairs of different lengths.
    """
    champion_scores, shadow_scores = np.asarray(champion, dtype=np.float64), np.asarray(shadow, dtype=np.float64)
    champion_times_us, shadow_times_us = np.asarray(champion_us, dtype=float), np.asarray(shadow_us, dtype=float)
    for first, second in ((champion_scores, shadow_scores), (champion_times_us, shadow_times_us)):
        if len(first) != len(second):
            raise ValueError(f"expected pairs, found {len(first)} of the champion and {len(second)} of the shadow")
    n, nan = len(champion_scores), math.nan
    latency = _compare_latency(champion_times_us, shadow_times_us, seed)
    if n == 0:
        return Agreement(0, nan, 0.0, 1.0, nan, nan, nan, nan, nan, latency)
    differences = np.abs(champion_scores - shadow_scores)
    is_equal = (champion_scores >= threshold) == (shadow_scores >= threshold) if is_binary else differences <= threshold
    ci_low, ci_high = wilson_interval(float(is_equal.sum()), n)
    both_vary = n > 1 and champion_scores.std() > 0 and shadow_scores.std() > 0
    return Agreement(
        n_pairs=n,
        agreement_rate=float(is_equal.mean()),
        agreement_ci_low=ci_low,
        agreement_ci_high=ci_high,
        mean_abs_difference=float(differences.mean()),
        p95_abs_difference=float(np.quantile(differences, 0.95)),
        mean_shift=float(shadow_scores.mean() - champion_scores.mean()),
        correlation=float(np.corrcoef(champion_scores, shadow_scores)[0, 1]) if both_vary else nan,
        psi=prediction_psi(champion_scores, shadow_scores),
        latency=latency,
    )


def prediction_psi(champion: ArrayLike, shadow: ArrayLike, *, n_bins: int = PSI_BINS) -> float:
    """Returns the PSI of the shadow's scores against the champion's, over equal-frequency bins of the champion's.

    Equal bin edges are merged, so there can be fewer than `n_bins` bins.

    >>> prediction_psi(range(100), range(100)), prediction_psi(range(100), [0] * 100) > 0.25
    (0.0, True)
    """
    champion_scores, shadow_scores = np.asarray(champion, dtype=np.float64), np.asarray(shadow, dtype=np.float64)
    edges = np.unique(np.quantile(champion_scores, np.arange(1, n_bins) / n_bins))
    bin_indexes = (np.searchsorted(edges, scores, "right") for scores in (champion_scores, shadow_scores))
    return psi(*(np.bincount(bins_of_rows, minlength=len(edges) + 1) for bins_of_rows in bin_indexes))


def check_agreement(agreement: Agreement, bounds: AgreementBounds) -> tuple[AgreementCheck, ...]:
    """Compares the agreement with each bound that is set.

    A check is NO_DATA with fewer than `min_pairs` pairs, and while the interval of the agreement rate contains its
    bound.
    """
    checks = []
    has_too_few_pairs = agreement.n_pairs < bounds.min_pairs
    if bounds.min_agreement is not None:
        verdict: Verdict = "PASS" if agreement.agreement_ci_low >= bounds.min_agreement else "FAIL"
        if has_too_few_pairs or agreement.agreement_ci_low < bounds.min_agreement <= agreement.agreement_ci_high:
            verdict = "NO_DATA"
        label = "decisions are equal"
        if bounds.tolerance is not None:
            label = f"predictions differ by at most {format_short(bounds.tolerance)}"
        interval = f"[{agreement.agreement_ci_low:.1%}, {agreement.agreement_ci_high:.1%}]"
        message = f"{agreement.agreement_rate:.1%} of {agreement.n_pairs:,} {label} {interval}"
        checks.append(AgreementCheck("agreement", verdict, agreement.agreement_rate, bounds.min_agreement, message))
    if bounds.max_psi is not None:
        verdict = "PASS" if agreement.psi <= bounds.max_psi else "FAIL"
        if has_too_few_pairs or math.isnan(agreement.psi):
            verdict = "NO_DATA"
        message = f"PSI of the predictions is {agreement.psi:.3f}"
        checks.append(AgreementCheck("prediction shift", verdict, agreement.psi, bounds.max_psi, message))
    return tuple(checks)


def _compare_latency(champion_us: Floats, shadow_us: Floats, seed: int) -> tuple[LatencyComparison, ...]:
    """Compares the quantiles of both latencies, with 95 % intervals by the paired bootstrap.

    Resampling pairs keeps a request that is slow for both variants from widening the interval.
    """
    n = len(champion_us)
    if n == 0:
        return ()
    rng = np.random.default_rng(seed)
    sample = rng.choice(n, min(n, 5000), replace=False)  # at most 5000 requests, to bound the time of the bootstrap
    resamples = [sample[rng.integers(0, len(sample), len(sample))] for _ in range(200)]
    comparisons = []
    for q in QUANTILES:
        champion_ms, shadow_ms = (float(np.quantile(us, q)) / 1000 for us in (champion_us, shadow_us))
        differences_ms = [
            float(np.quantile(shadow_us[rows], q) - np.quantile(champion_us[rows], q)) / 1000 for rows in resamples
        ]
        ci_low, ci_high = np.quantile(differences_ms, [0.025, 0.975])
        comparisons.append(LatencyComparison(q, champion_ms, shadow_ms, float(ci_low), float(ci_high)))
    return tuple(comparisons)
