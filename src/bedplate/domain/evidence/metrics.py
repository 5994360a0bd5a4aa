"""Computes classification and regression metrics, each with its 95 % confidence interval.

Scores are probabilities of the label 1 (task binary) or predictions (regression); labels are 0 and 1, or numbers.
All arrays are 1-d and have the same length. A metric that the rows do not define (no row, only one class) is NaN.

Every metric except the two ranking metrics is a function of sums over rows. One matrix product of resampling weights
(resamples x rows) and row terms (rows x sums) therefore gives all bootstrap values, and the point value comes from the
same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bedplate.domain.documents import JsonFloat, finite_or_none
from bedplate.domain.evidence.proportions import Z

Floats = NDArray[np.float64]
RESAMPLES = 200
ECE_BINS = 10
HIGHER_IS_BETTER = frozenset({"auc", "average_precision", "accuracy", "r2"})
_CLIP = float(np.finfo(np.float64).eps)
_CHUNK = 1_000_000  # weights in memory at a time, so that memory use does not grow with the rows


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value computed on `n_rows` rows (requests, for latency) with its 95 % confidence interval."""

    value: JsonFloat
    ci_low: JsonFloat
    ci_high: JsonFloat
    n_rows: int

    @classmethod
    def nan(cls, n_rows: int) -> Estimate:
        """An estimate whose value and interval are NaN."""
        return cls(float("nan"), float("nan"), float("nan"), n_rows)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as a dict; NaN and infinity are None."""
        return {name: finite_or_none(value) for name, value in asdict(self).items()} | {"n_rows": self.n_rows}


def metric_names(task: str) -> tuple[str, ...]:
    """Returns the names of the metrics of a task (`settings.ModelSpec.task`).

    >>> metric_names("regression")
    ('rmse', 'mae', 'r2')
    """
    return ("rmse", "mae", "r2") if task == "regression" else ("auc", "average_precision", *_BINARY)


def compute_metric(metric: str, labels: ArrayLike, scores: ArrayLike) -> float:
    """Returns one metric without an interval. Raises KeyError for an unknown metric.

    `auc`: probability that a 1 scores above a 0; ties count half. `average_precision`: sum over thresholds of
    precision times the increase of recall; tied scores share one threshold. `brier`: mean squared difference of
    probability and label. `log_loss`: mean negative log-likelihood in nats; probabilities are clipped to stay 2e-16
    away from 0 and 1. `accuracy`: share of rows whose score is on the label's side of 0.5; 0.5 itself predicts 1.
    `ece`: expected calibration error over 10 bins of equal width, the row-weighted mean of |mean label - mean
    probability| (Naeini et al., 2015). `rmse`, `mae`: in the label's unit. `r2`: share of the labels' variance that
    the predictions explain.

    >>> compute_metric("auc", [0, 1, 1], [0.1, 0.4, 0.1]), compute_metric("ece", [0, 1], [0.25, 0.75])
    (0.75, 0.25)
    """
    y_true, y_score = _floats(labels), _floats(scores)
    if len(y_true) == 0:
        return float("nan")
    if metric == "auc":
        return _auc(y_true, y_score)
    if metric == "average_precision":
        return _Ranking.build(y_true, y_score).average_precision(np.ones(len(y_true)))
    row_terms, aggregate = _BINARY[metric] if metric in _BINARY else _REGRESSION[metric]
    return float(aggregate(row_terms(y_true, y_score).sum(axis=0)[None, :], np.array([float(len(y_true))]))[0])


def estimate_metrics(
    task: str, labels: ArrayLike, scores: ArrayLike, *, seed: int = 0, metric: str | None = None
) -> dict[str, Estimate]:
    """Returns every metric of the task, or only `metric`, with its 95 % confidence interval.

    The interval is DeLong's for AUC and the percentile bootstrap's (200 resamples) for the other metrics. The same
    seed gives the same intervals. Sources: DeLong, DeLong and Clarke-Pearson (1988); Efron's percentile bootstrap.
    """
    y_true, y_score = _floats(labels), _floats(scores)
    if metric == "auc":  # DeLong's interval needs no resamples
        return _with_intervals(y_true, y_score, {"auc": np.empty(0)})
    resamples = _bootstrap(task, y_true, y_score, seed)
    return _with_intervals(y_true, y_score, {metric: resamples[metric]} if metric else resamples)


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Metrics of two models on the same rows; `difference` is candidate minus champion."""

    candidate: dict[str, Estimate]
    champion: dict[str, Estimate]
    difference: dict[str, Estimate]


def compare_models(
    task: str, labels: ArrayLike, candidate: ArrayLike, champion: ArrayLike, *, seed: int = 0
) -> PairedComparison:
    """Returns the metrics of both models and of their difference, each with its 95 % confidence interval.

    The interval of a difference is paired row by row: DeLong's for AUC, the bootstrap's for the other metrics.
    """
    y_true, y_candidate, y_champion = _floats(labels), _floats(candidate), _floats(champion)
    candidate_resamples = _bootstrap(task, y_true, y_candidate, seed)
    champion_resamples = _bootstrap(task, y_true, y_champion, seed)
    candidate_estimates = _with_intervals(y_true, y_candidate, candidate_resamples)
    champion_estimates = _with_intervals(y_true, y_champion, champion_resamples)
    differences = {}
    for name, estimate in candidate_estimates.items():
        interval = percentile_interval(candidate_resamples[name] - champion_resamples[name])
        if name == "auc":
            interval = _delong_interval(y_true, y_candidate, y_champion)
        differences[name] = _build_estimate(estimate.value - champion_estimates[name].value, interval, len(y_true))
    return PairedComparison(candidate_estimates, champion_estimates, differences)


def _with_intervals(y_true: Floats, y_score: Floats, resamples: Mapping[str, Floats]) -> dict[str, Estimate]:
    estimates = {}
    for name, values in resamples.items():
        interval = _delong_interval(y_true, y_score) if name == "auc" else percentile_interval(values)
        estimates[name] = _build_estimate(compute_metric(name, y_true, y_score), interval, len(y_true))
    return estimates


def _build_estimate(value: float, interval: tuple[float, float], n_rows: int) -> Estimate:
    return Estimate(value, *interval, n_rows) if np.isfinite(value) else Estimate.nan(n_rows)


# --- metrics that are functions of sums over rows -------------------------------------------------------------------

RowTerms = Callable[[Floats, Floats], Floats]
"""(labels, scores) -> (rows, sums)."""
Aggregate = Callable[[Floats, Floats], Floats]
"""(sums (resamples, sums), total weights (resamples,)) -> values (resamples,)."""


def _mean(sums: Floats, totals: Floats) -> Floats:
    return np.asarray(sums[:, 0] / totals)


def _log_losses(y_true: Floats, y_score: Floats) -> Floats:
    p = np.clip(y_score, _CLIP, 1 - _CLIP)
    return np.asarray(-(y_true * np.log(p) + (1 - y_true) * np.log1p(-p))[:, None])


def _calibration_gaps(y_true: Floats, y_score: Floats) -> Floats:
    gaps = np.zeros((len(y_true), ECE_BINS))
    gaps[np.arange(len(y_true)), np.clip((y_score * ECE_BINS).astype(np.int64), 0, ECE_BINS - 1)] = y_score - y_true
    return gaps


def _squared_error_terms(y_true: Floats, y_score: Floats) -> Floats:
    centred = y_true - y_true.mean() if len(y_true) else y_true  # around the mean, so that large labels lose no digits
    return np.column_stack([centred, centred**2, (y_true - y_score) ** 2])


def _explained_variance(sums: Floats, totals: Floats) -> Floats:
    total_squares = sums[:, 1] - sums[:, 0] ** 2 / totals
    return np.where(total_squares > 0, 1 - sums[:, 2] / np.where(total_squares > 0, total_squares, 1), np.nan)


_BINARY: Mapping[str, tuple[RowTerms, Aggregate]] = {
    "brier": (lambda y, s: ((s - y) ** 2)[:, None], _mean),
    "log_loss": (_log_losses, _mean),
    "accuracy": (lambda y, s: ((s >= 0.5) == (y == 1)).astype(np.float64)[:, None], _mean),
    "ece": (_calibration_gaps, lambda sums, totals: np.asarray(np.abs(sums).sum(axis=1) / totals)),
}
_REGRESSION: Mapping[str, tuple[RowTerms, Aggregate]] = {
    "rmse": (lambda y, s: ((s - y) ** 2)[:, None], lambda sums, totals: np.sqrt(_mean(sums, totals))),
    "mae": (lambda y, s: np.abs(s - y)[:, None], _mean),
    "r2": (_squared_error_terms, _explained_variance),
}


def _bootstrap(task: str, y_true: Floats, y_score: Floats, seed: int) -> dict[str, Floats]:
    """Returns (RESAMPLES,) values of every metric of the task; an empty array for AUC, which has DeLong's interval."""
    if len(y_true) == 0:
        return {name: np.empty(0) for name in metric_names(task)}
    metrics = _REGRESSION if task == "regression" else _BINARY
    terms = {name: row_terms(y_true, y_score) for name, (row_terms, _) in metrics.items()}
    term_table, ranking = np.hstack(list(terms.values())), _Ranking.build(y_true, y_score)
    sums, totals, precisions = [], [], []
    for weights in resampling_weights(len(y_true), seed):
        sums.append(weights @ term_table)
        totals.append(weights.sum(axis=1))
        if task != "regression":
            precisions += [ranking.average_precision(row_weights) for row_weights in weights]
    resamples = {} if task == "regression" else {"auc": np.empty(0), "average_precision": np.array(precisions)}
    all_sums, all_totals, start = np.vstack(sums), np.concatenate(totals), 0
    for name, (_, aggregate) in metrics.items():
        width = terms[name].shape[1]
        resamples[name] = aggregate(all_sums[:, start : start + width], all_totals)
        start += width
    return resamples


def resampling_weights(n_rows: int, seed: int) -> Iterator[Floats]:
    """Yields chunks (resamples, rows) of how often each row is drawn, RESAMPLES resamples in all.

    The same seed gives the same draws, which pairs metrics and models.
    """
    rng = np.random.default_rng(seed)
    step = max(1, min(RESAMPLES, _CHUNK // n_rows))
    for start in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - start)
        yield np.array(
            [np.bincount(rng.integers(0, n_rows, n_rows), minlength=n_rows) if n_rows else () for _ in range(count)],
            dtype=float,
        )


def percentile_interval(resamples: Floats) -> tuple[float, float]:
    """Returns the 2.5th and the 97.5th percentile of the finite values; NaN without one."""
    finite = resamples[np.isfinite(resamples)]
    if len(finite) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


# --- ranking metrics ------------------------------------------------------------------------------------------------


def _auc(y_true: Floats, y_score: Floats) -> float:
    n_positive = int((y_true == 1).sum())
    n_negative = len(y_true) - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    return float((midranks(y_score)[y_true == 1].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Rows in order of falling score, sorted once for all resamples.

    For each run of equal scores that contains a 1, `last_positives` is the index of its last 1 among all 1s and
    `tie_ends` the index of its last row among all rows. Recall increases only there.
    """

    order: NDArray[np.int64]
    positives: NDArray[np.int64]
    last_positives: NDArray[np.int64]
    tie_ends: NDArray[np.int64]

    @classmethod
    def build(cls, y_true: Floats, y_score: Floats) -> _Ranking:
        order = np.argsort(-y_score, kind="stable")
        tie_ends = np.flatnonzero(np.append(np.diff(y_score[order]) != 0, True))
        positives = np.flatnonzero(y_true[order] == 1)
        tie_of_positive = np.searchsorted(tie_ends, positives)
        last_positives = np.flatnonzero(np.append(np.diff(tie_of_positive) != 0, True)) if len(positives) else positives
        return cls(order, order[positives], last_positives, tie_ends[tie_of_positive[last_positives]])

    def average_precision(self, weights: Floats) -> float:
        true_positives = np.cumsum(weights[self.positives])[self.last_positives]
        predicted_positive = np.cumsum(weights[self.order])[self.tie_ends]
        total = true_positives[-1] if len(true_positives) else 0.0
        if total == 0:
            return float("nan")
        precision = true_positives / np.maximum(predicted_positive, _CLIP)
        # not a dot product: it would start BLAS's threads for a few numbers
        return float((precision * np.diff(true_positives, prepend=0.0)).sum() / total)


def _delong_interval(y_true: Floats, y_score: Floats, other_score: Floats | None = None) -> tuple[float, float]:
    """Returns DeLong's 95 % interval of an AUC, or of its difference to the AUC of `other_score` on the same rows.

    With fewer than two rows of a class it is the widest possible interval.
    """
    n_positive = int((y_true == 1).sum())
    n_negative = len(y_true) - n_positive
    if min(n_positive, n_negative) < 2:
        return (0.0, 1.0) if other_score is None else (-1.0, 1.0)
    of_positives, of_negatives = _placements(y_true, y_score)
    value, lower_limit = float(of_positives.mean()), 0.0
    if other_score is not None:
        other_positives, other_negatives = _placements(y_true, other_score)
        of_positives, of_negatives, lower_limit = of_positives - other_positives, of_negatives - other_negatives, -1.0
        value = float(of_positives.mean())
    error = float(np.sqrt(of_positives.var(ddof=1) / n_positive + of_negatives.var(ddof=1) / n_negative))
    return max(lower_limit, value - Z * error), min(1.0, value + Z * error)


def _placements(y_true: Floats, y_score: Floats) -> tuple[Floats, Floats]:
    """Returns for each 1 the share of 0s below it and for each 0 the share of 1s above it; each has the AUC as mean."""
    is_positive = y_true == 1
    ranks = midranks(y_score)
    of_positives = (ranks[is_positive] - midranks(y_score[is_positive])) / int((~is_positive).sum())
    return of_positives, 1 - (ranks[~is_positive] - midranks(y_score[~is_positive])) / int(is_positive.sum())


def midranks(values: Floats) -> Floats:
    """Returns the ranks of the values, from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse])


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
