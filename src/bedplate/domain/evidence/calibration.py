"""Whether probabilities mean what they say: how often the label is 1 where the score says p."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.evidence.metrics import RESAMPLES, Estimate, Figure, resampling_weights
from bedplate.domain.evidence.proportions import Z, wilson

Floats = NDArray[np.float64]
_EDGE = 1e-6
"""Scores of 0 and 1 have no logit: they are kept this far away."""
_STEPS = 50


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of one bin: their mean score, the share with label 1, and its interval (Wilson)."""

    score: float
    share: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """`ece` is corrected for its bias, `plain_ece` is not. `slope` and `intercept` are Cox's, 1 and 0 when right.

    Brier score = reliability - resolution + uncertainty + what the bins hide (`within`); reliability is what
    calibration could save. `p` belongs to Spiegelhalter's `z`, two-sided.
    """

    bins: tuple[Bin, ...]
    ece: Estimate
    plain_ece: Figure
    slope: Estimate
    intercept: Estimate
    reliability: Figure
    resolution: Figure
    uncertainty: Figure
    within: Figure
    z: Figure
    p: Figure


def calibration(labels: Floats, scores: Floats, *, bins: int = 10, seed: int = 0) -> Calibration:
    """All of it on rows of labels 0 and 1 and probabilities, both (rows,). NaN where the rows cannot tell.

    Bins hold equally many rows, ties together. The error's interval is the basic bootstrap's, [2e - q97.5, 2e - q2.5],
    and its figure 2e - mean: resampling adds the same bias once more that binning added (P. Hall, 1992; A. Kumar,
    P. Liang and T. Ma, 2019, for the bias). Slope and intercept: D. R. Cox (1958), Wald intervals. Decomposition:
    A. H. Murphy (1973). Test: D. J. Spiegelhalter (1986).
    """
    n = len(labels)
    if n == 0:
        nothing = Estimate(float("nan"), float("nan"), float("nan"), 0)
        nan = float("nan")
        return Calibration((), nothing, nan, nothing, nothing, nan, nan, nan, nan, nan, nan)
    of_row = equal_mass(scores, bins)
    counts = np.bincount(of_row).astype(np.float64)
    said, seen = np.bincount(of_row, scores) / counts, np.bincount(of_row, labels) / counts
    found = []
    for p, share, count in zip(said, seen, counts, strict=True):
        low, high = wilson(share * count, int(count))
        found.append(Bin(float(p), float(share), low, high, int(count)))
    ece, plain = _ece(labels, scores, of_row, len(counts), seed)
    base = float(labels.mean())
    reliability = float(counts @ (said - seen) ** 2 / n)
    resolution = float(counts @ (seen - base) ** 2 / n)
    brier = float(np.mean((scores - labels) ** 2))
    uncertainty = base * (1 - base)
    slope, _ = _cox(labels, scores, offset=False)
    _, intercept = _cox(labels, scores, offset=True)
    z, p = spiegelhalter(labels, scores)
    within = brier - (reliability - resolution + uncertainty)
    return Calibration(tuple(found), ece, plain, slope, intercept, reliability, resolution, uncertainty, within, z, p)


def equal_mass(scores: Floats, bins: int) -> NDArray[np.int64]:
    """The bin of every row, numbered from 0 without a gap; equal scores share one.

    >>> equal_mass(np.array([0.1, 0.2, 0.2, 0.2, 0.9, 0.8]), 3).tolist()
    [0, 0, 0, 0, 1, 1]
    """
    inner = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.asarray(np.unique(np.searchsorted(inner, scores, side="left"), return_inverse=True)[1])


def spiegelhalter(labels: Floats, scores: Floats) -> tuple[float, float]:
    """Spiegelhalter's z and its two-sided p; NaN when no score leaves anything to chance.

    >>> z, p = spiegelhalter(np.array([0.0, 1.0]), np.array([0.25, 0.75]))
    >>> round(z, 4), round(p, 4)
    (-0.8165, 0.4142)
    """
    from math import erfc, sqrt

    spread = float(np.sum((1 - 2 * scores) ** 2 * scores * (1 - scores)))
    if spread <= 0:
        return float("nan"), float("nan")
    z = float(np.sum((labels - scores) * (1 - 2 * scores))) / sqrt(spread)
    return z, erfc(abs(z) / sqrt(2))


def _ece(labels: Floats, scores: Floats, of_row: NDArray[np.int64], bins: int, seed: int) -> tuple[Estimate, float]:
    n = len(labels)
    table = np.zeros((n, bins))
    table[np.arange(n), of_row] = scores - labels
    plain = float(np.abs(table.sum(axis=0)).sum() / n)
    drawn = np.empty(0)
    for weights in resampling_weights(n, seed):
        drawn = np.append(drawn, np.abs(weights @ table).sum(axis=1) / n)
    assert len(drawn) == RESAMPLES
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = min(1.0, max(0.0, 2 * plain - float(drawn.mean())))
    ends = (max(0.0, 2 * plain - float(high)), min(1.0, max(0.0, 2 * plain - float(low))))
    return Estimate(value, min(value, ends[0]), max(value, ends[1]), n), plain


def _cox(labels: Floats, scores: Floats, *, offset: bool) -> tuple[Estimate, Estimate]:
    """Slope and intercept of the labels' logistic regression on the scores' logits, by Newton's method.

    With `offset` the slope is held at 1, and the intercept alone is looked for: the calibration in the large.
    """
    n = len(labels)
    nothing = Estimate(float("nan"), float("nan"), float("nan"), n)
    if len(np.unique(labels)) < 2:
        return nothing, nothing
    p = np.clip(scores, _EDGE, 1 - _EDGE)
    logit = np.log(p / (1 - p))
    columns = np.ones((n, 1)) if offset else np.column_stack([np.ones(n), logit])
    if not offset and float(np.ptp(logit)) == 0:
        return nothing, nothing
    shift = logit if offset else np.zeros(n)
    found = np.zeros(columns.shape[1])
    for _ in range(_STEPS):
        fitted = 1 / (1 + np.exp(-np.clip(columns @ found + shift, -40, 40)))
        information = columns.T @ (columns * (fitted * (1 - fitted))[:, None])
        try:
            step = np.linalg.solve(information, columns.T @ (labels - fitted))
        except np.linalg.LinAlgError:
            return nothing, nothing
        found = found + step
        if float(np.abs(step).max()) < 1e-10:
            break
    else:
        return nothing, nothing  # the labels can be told apart without an error: there is no largest likelihood
    errors = Z * np.sqrt(np.diag(np.linalg.inv(information)))
    ends = [Estimate(float(v), float(v - e), float(v + e), n) for v, e in zip(found, errors, strict=True)]
    return (nothing if offset else ends[1]), ends[0]
