"""Measures the calibration of probabilities: reliability bins, ECE, Cox's slope and intercept, Brier score parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.documents import JsonFloat
from bedplate.domain.evidence.metrics import RESAMPLES, Estimate, resampling_weights
from bedplate.domain.evidence.proportions import Z, wilson_interval

Floats = NDArray[np.float64]
_MIN_PROBABILITY = 1e-6
"""Scores are clipped to stay this far away from 0 and 1, which have no logit."""
_MAX_ITERATIONS = 50


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """One bin: mean score, share of rows with label 1, and that share's 95 % interval (Wilson)."""

    mean_predicted: float
    fraction_positive: float
    ci_low: float
    ci_high: float
    n_rows: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """`ece` is corrected for its bias, `uncorrected_ece` is not. Cox's `slope` is 1 and `intercept` 0 when calibrated.

    Brier score = reliability - resolution + uncertainty + `within_bins`, the part that binning hides. Reliability is
    the part that recalibration could remove. `spiegelhalter_p` is the two-sided p-value of `spiegelhalter_z`.
    """

    bins: tuple[CalibrationBin, ...]
    ece: Estimate
    uncorrected_ece: JsonFloat
    slope: Estimate
    intercept: Estimate
    reliability: JsonFloat
    resolution: JsonFloat
    uncertainty: JsonFloat
    within_bins: JsonFloat
    spiegelhalter_z: JsonFloat
    spiegelhalter_p: JsonFloat


def calibration(labels: Floats, scores: Floats, *, bins: int = 10, seed: int = 0) -> Calibration:
    """Returns every measure of calibration. `labels` are 0 or 1, `scores` probabilities, both (rows,).

    A measure that the rows do not define is NaN. Bins contain about equally many rows; equal scores share a bin. The
    ECE e has the basic bootstrap's interval [2e - q97.5, 2e - q2.5] and the value 2e - mean, because resampling adds
    the same bias again that binning adds (P. Hall, 1992; A. Kumar, P. Liang and T. Ma, 2019, for the bias). Slope and
    intercept: D. R. Cox (1958), Wald intervals. Decomposition: A. H. Murphy (1973). Test: D. J. Spiegelhalter (1986).
    """
    n_rows, nan = len(labels), float("nan")
    if n_rows == 0:
        undefined = Estimate.nan(0)
        return Calibration((), undefined, nan, undefined, undefined, nan, nan, nan, nan, nan, nan)
    bin_of_row = equal_mass_bins(scores, bins)
    counts = np.bincount(bin_of_row).astype(np.float64)
    mean_predicted = np.bincount(bin_of_row, scores) / counts
    fraction_positive = np.bincount(bin_of_row, labels) / counts
    calibration_bins = []
    for predicted, fraction, count in zip(mean_predicted, fraction_positive, counts, strict=True):
        interval = wilson_interval(fraction * count, int(count))
        calibration_bins.append(CalibrationBin(float(predicted), float(fraction), *interval, int(count)))
    ece, uncorrected = _ece(labels, scores, bin_of_row, len(counts), seed)
    base_rate = float(labels.mean())
    reliability = float(counts @ (mean_predicted - fraction_positive) ** 2 / n_rows)
    resolution = float(counts @ (fraction_positive - base_rate) ** 2 / n_rows)
    uncertainty = base_rate * (1 - base_rate)
    brier = float(np.mean((scores - labels) ** 2))
    z, p_value = spiegelhalter_test(labels, scores)
    return Calibration(
        bins=tuple(calibration_bins),
        ece=ece,
        uncorrected_ece=uncorrected,
        slope=_cox(labels, scores, offset=False)[0],
        intercept=_cox(labels, scores, offset=True)[1],
        reliability=reliability,
        resolution=resolution,
        uncertainty=uncertainty,
        within_bins=brier - (reliability - resolution + uncertainty),
        spiegelhalter_z=z,
        spiegelhalter_p=p_value,
    )


def equal_mass_bins(scores: Floats, bins: int) -> NDArray[np.int64]:
    """Returns the bin of every row, (rows,), numbered from 0 without gaps; equal scores share a bin.

    >>> equal_mass_bins(np.array([0.1, 0.2, 0.2, 0.2, 0.9, 0.8]), 3).tolist()
    [0, 0, 0, 0, 1, 1]
    """
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.asarray(np.unique(np.searchsorted(edges, scores, side="left"), return_inverse=True)[1])


def spiegelhalter_test(labels: Floats, scores: Floats) -> tuple[float, float]:
    """Returns Spiegelhalter's z and its two-sided p-value; NaN when every score is 0, 0.5 or 1.

    >>> z, p_value = spiegelhalter_test(np.array([0.0, 1.0]), np.array([0.25, 0.75]))
    >>> round(z, 4), round(p_value, 4)
    (-0.8165, 0.4142)
    """
    from math import erfc, sqrt

    variance = float(np.sum((1 - 2 * scores) ** 2 * scores * (1 - scores)))
    if variance <= 0:
        return float("nan"), float("nan")
    z = float(np.sum((labels - scores) * (1 - 2 * scores))) / sqrt(variance)
    return z, erfc(abs(z) / sqrt(2))


def _ece(labels: Floats, scores: Floats, bin_of_row: NDArray[np.int64], bins: int, seed: int) -> tuple[Estimate, float]:
    n_rows = len(labels)
    gaps = np.zeros((n_rows, bins))
    gaps[np.arange(n_rows), bin_of_row] = scores - labels
    uncorrected = float(np.abs(gaps.sum(axis=0)).sum() / n_rows)
    resamples = np.empty(0)
    for weights in resampling_weights(n_rows, seed):
        resamples = np.append(resamples, np.abs(weights @ gaps).sum(axis=1) / n_rows)
    assert len(resamples) == RESAMPLES
    mean, high, low = float(resamples.mean()), *map(float, np.quantile(resamples, [0.975, 0.025]))
    value, ci_low, ci_high = (min(1.0, max(0.0, 2 * uncorrected - drawn)) for drawn in (mean, high, low))
    return Estimate(value, min(value, ci_low), max(value, ci_high), n_rows), uncorrected


def _cox(labels: Floats, scores: Floats, *, offset: bool) -> tuple[Estimate, Estimate]:
    """Returns slope and intercept of the labels' logistic regression on the scores' logits, by Newton's method.

    With `offset` the slope is fixed at 1 and only the intercept is estimated: the calibration in the large.
    """
    n_rows = len(labels)
    undefined = Estimate.nan(n_rows)
    if len(np.unique(labels)) < 2:
        return undefined, undefined
    clipped = np.clip(scores, _MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
    logit = np.log(clipped / (1 - clipped))
    columns = np.ones((n_rows, 1)) if offset else np.column_stack([np.ones(n_rows), logit])
    if not offset and float(np.ptp(logit)) == 0:
        return undefined, undefined
    offsets = logit if offset else np.zeros(n_rows)
    coefficients = np.zeros(columns.shape[1])
    for _ in range(_MAX_ITERATIONS):
        fitted = 1 / (1 + np.exp(-np.clip(columns @ coefficients + offsets, -40, 40)))
        information = columns.T @ (columns * (fitted * (1 - fitted))[:, None])
        try:
            step = np.linalg.solve(information, columns.T @ (labels - fitted))
        except np.linalg.LinAlgError:
            return undefined, undefined
        coefficients = coefficients + step
        if float(np.abs(step).max()) < 1e-10:
            break
    else:
        return undefined, undefined  # the scores separate the labels perfectly: the likelihood has no maximum
    half_widths = Z * np.sqrt(np.diag(np.linalg.inv(information)))
    bounds = zip(coefficients, coefficients - half_widths, coefficients + half_widths, strict=True)
    estimates = [Estimate(float(value), float(low), float(high), n_rows) for value, low, high in bounds]
    return (undefined if offset else estimates[1]), estimates[0]
