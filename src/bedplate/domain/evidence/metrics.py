"""The metrics that gates look at, each with an interval that says how far chance alone would move it.

Scores are probabilities of the label 1 (task binary) or predictions (regression); labels are 0 and 1, or numbers.
Arrays are 1-d and of one length. A metric that the rows cannot give (no row, one class only) is NaN.

Every metric but the two of ranking is a function of sums over rows. So one product of resampling weights (resamples x
rows) and columns (rows x sums) gives its whole bootstrap; what is computed once is computed by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BeforeValidator

from bedplate.domain.evidence.proportions import Z

Floats = NDArray[np.float64]
RESAMPLES = 200
ECE_BINS = 10
HIGHER_IS_BETTER = frozenset({"auc", "average_precision", "accuracy", "r2"})
_CLIP = float(np.finfo(np.float64).eps)
_CHUNK = 1_000_000  # weights held at a time, so that memory does not grow with the rows


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)


Figure = Annotated[float, BeforeValidator(_or_nan)]
"""A float that JSON writes as null where it is NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure on n rows with its 95 % interval; NaN is None in JSON."""

    value: Figure
    low: Figure
    high: Figure
    n: int

    def to_json(self) -> dict[str, Any]:
        return {"value": _or_none(self.value), "low": _or_none(self.low), "high": _or_none(self.high), "n": self.n}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Estimate:
        return cls(_or_nan(found["value"]), _or_nan(found["low"]), _or_nan(found["high"]), int(found["n"]))


def metric_names(task: str) -> tuple[str, ...]:
    """The metrics of `settings.ModelSpec.task`.

    >>> metric_names("regression")
    ('rmse', 'mae', 'r2')
    """
    return ("rmse", "mae", "r2") if task == "regression" else ("auc", "average_precision", *_BINARY)


def measure(metric: str, labels: ArrayLike, scores: ArrayLike) -> float:
    """One metric without an interval. Raises KeyError for an unknown one.

    `auc`: chance that a 1 scores above a 0, ties counting half. `average_precision`: sum over thresholds of precision
    times the rise of recall, ties taken together. `brier`: mean squared difference of probability and label.
    `log_loss`: mean negative log-likelihood in nats, probabilities kept 2e-16 away from 0 and 1.
    `accuracy`: share of rows on the label's side of 0.5, which itself counts as 1.
    `ece`: calibration error over 10 bins of equal width, the mean of |mean label - mean probability| by rows (Naeini et
    al., 2015). `rmse`, `mae`: in the label's unit. `r2`: share of the labels' variance explained.

    >>> measure("auc", [0, 1, 1], [0.1, 0.4, 0.1]), measure("ece", [0, 1], [0.25, 0.75])
    (0.75, 0.25)
    """
    y, s = _floats(labels), _floats(scores)
    if len(y) == 0:
        return float("nan")
    if metric == "auc":
        return _auc(y, s)
    if metric == "average_precision":
        return _Ranking.of(y, s).average_precision(np.ones(len(y)))
    columns, finish = _BINARY[metric] if metric in _BINARY else _REGRESSION[metric]
    return float(finish(columns(y, s).sum(axis=0)[None, :], np.array([float(len(y))]))[0])


def estimates(
    task: str, labels: ArrayLike, scores: ArrayLike, *, seed: int = 0, only: str | None = None
) -> dict[str, Estimate]:
    """Every metric of the task with its 95 % interval: DeLong's for AUC, percentiles of 200 resamples for the others.

    `only` names a single one to be computed. Sources: DeLong, DeLong and Clarke-Pearson (1988); Efron's percentile
    bootstrap. The same seed, the same figures.
    """
    y, s = _floats(labels), _floats(scores)
    if only == "auc":  # nothing is resampled for it
        return _with_intervals(y, s, {"auc": np.empty(0)})
    if only:
        return _with_intervals(y, s, {only: _resampled(task, y, s, seed)[only]})
    return _with_intervals(y, s, _resampled(task, y, s, seed))


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Two models on the same rows; `difference` is candidate minus champion."""

    candidate: dict[str, Estimate]
    champion: dict[str, Estimate]
    difference: dict[str, Estimate]


def compare(
    task: str, labels: ArrayLike, candidate: ArrayLike, champion: ArrayLike, *, seed: int = 0
) -> PairedComparison:
    """`estimates` of both and of the difference; paired intervals: DeLong's for AUC, the bootstrap's for the rest."""
    y, a, b = _floats(labels), _floats(candidate), _floats(champion)
    drawn_a, drawn_b = _resampled(task, y, a, seed), _resampled(task, y, b, seed)
    first, second = _with_intervals(y, a, drawn_a), _with_intervals(y, b, drawn_b)
    apart = {}
    for name in first:
        value = first[name].value - second[name].value
        low, high = _delong(y, a, b) if name == "auc" else percentiles(drawn_a[name] - drawn_b[name])
        apart[name] = Estimate(value, low, high, len(y)) if np.isfinite(value) else _nothing(len(y))
    return PairedComparison(first, second, apart)


def _with_intervals(y: Floats, s: Floats, drawn: Mapping[str, Floats]) -> dict[str, Estimate]:
    found = {}
    for name, values in drawn.items():
        value = measure(name, y, s)
        low, high = _delong(y, s) if name == "auc" else percentiles(values)
        found[name] = Estimate(value, low, high, len(y)) if np.isfinite(value) else _nothing(len(y))
    return found


# --- metrics of sums ------------------------------------------------------------------------------------------------

Columns = Callable[[Floats, Floats], Floats]
Finish = Callable[[Floats, Floats], Floats]


def _mean(sums: Floats, totals: Floats) -> Floats:
    return np.asarray(sums[:, 0] / totals)


def _log_losses(y: Floats, s: Floats) -> Floats:
    p = np.clip(s, _CLIP, 1 - _CLIP)
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log1p(-p))[:, None])


def _gaps(y: Floats, s: Floats) -> Floats:
    gaps = np.zeros((len(y), ECE_BINS))
    gaps[np.arange(len(y)), np.clip((s * ECE_BINS).astype(np.int64), 0, ECE_BINS - 1)] = s - y
    return gaps


def _moments(y: Floats, s: Floats) -> Floats:
    centred = y - y.mean() if len(y) else y  # around the mean, so that large labels lose no digits
    return np.column_stack([centred, centred**2, (y - s) ** 2])


def _explained(sums: Floats, totals: Floats) -> Floats:
    spread = sums[:, 1] - sums[:, 0] ** 2 / totals
    return np.where(spread > 0, 1 - sums[:, 2] / np.where(spread > 0, spread, 1), np.nan)


_BINARY: Mapping[str, tuple[Columns, Finish]] = {
    "brier": (lambda y, s: ((s - y) ** 2)[:, None], _mean),
    "log_loss": (_log_losses, _mean),
    "accuracy": (lambda y, s: ((s >= 0.5) == (y == 1)).astype(np.float64)[:, None], _mean),
    "ece": (_gaps, lambda sums, totals: np.asarray(np.abs(sums).sum(axis=1) / totals)),
}
_REGRESSION: Mapping[str, tuple[Columns, Finish]] = {
    "rmse": (lambda y, s: ((s - y) ** 2)[:, None], lambda sums, totals: np.sqrt(_mean(sums, totals))),
    "mae": (lambda y, s: np.abs(s - y)[:, None], _mean),
    "r2": (_moments, _explained),
}


def _resampled(task: str, y: Floats, s: Floats, seed: int) -> dict[str, Floats]:
    """(RESAMPLES,) values of every metric of the task; none of AUC, whose interval is DeLong's."""
    if len(y) == 0:
        return {name: np.empty(0) for name in metric_names(task)}
    of_sums = _REGRESSION if task == "regression" else _BINARY
    parts = {name: columns(y, s) for name, (columns, _) in of_sums.items()}
    table, ranking = np.hstack(list(parts.values())), _Ranking.of(y, s)
    sums, totals, precisions = [], [], []
    for weights in resampling_weights(len(y), seed):
        sums.append(weights @ table)
        totals.append(weights.sum(axis=1))
        if task != "regression":
            precisions += [ranking.average_precision(drawn) for drawn in weights]
    found = {} if task == "regression" else {"auc": np.empty(0), "average_precision": np.array(precisions)}
    every, total, start = np.vstack(sums), np.concatenate(totals), 0
    for name, (_, finish) in of_sums.items():
        width = parts[name].shape[1]
        found[name] = finish(every[:, start : start + width], total)
        start += width
    return found


def resampling_weights(n: int, seed: int) -> Iterator[Floats]:
    """How often each row is drawn, RESAMPLES times: the same for every metric and both models, which pairs them."""
    rng = np.random.default_rng(seed)
    step = max(1, min(RESAMPLES, _CHUNK // n))
    for start in range(0, RESAMPLES, step):
        drawn = min(step, RESAMPLES - start)
        yield np.array(
            [np.bincount(rng.integers(0, n, n), minlength=n) if n else () for _ in range(drawn)], dtype=float
        )


def percentiles(drawn: Floats) -> tuple[float, float]:
    known = drawn[np.isfinite(drawn)]
    if len(known) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


# --- metrics of ranking ---------------------------------------------------------------------------------------------


def _auc(y: Floats, s: Floats) -> float:
    ones = int((y == 1).sum())
    zeros = len(y) - ones
    if ones == 0 or zeros == 0:
        return float("nan")
    return float((midranks(s)[y == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Rows by falling score, sorted once for all resamples. Of each run of equal scores that holds a 1, `last` is its
    last 1 among the 1s, and `ends` its end among all rows: elsewhere recall does not rise."""

    order: NDArray[np.int64]
    ones: NDArray[np.int64]
    last: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, y: Floats, s: Floats) -> _Ranking:
        order = np.argsort(-s, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(s[order]) != 0, True))
        ones = np.flatnonzero(y[order] == 1)
        runs = np.searchsorted(ends, ones)
        last = np.flatnonzero(np.append(np.diff(runs) != 0, True)) if len(ones) else ones
        return cls(order, order[ones], last, ends[runs[last]])

    def average_precision(self, weights: Floats) -> float:
        hits = np.cumsum(weights[self.ones])[self.last]
        seen = np.cumsum(weights[self.order])[self.ends]
        total = hits[-1] if len(hits) else 0.0
        if total == 0:
            return float("nan")
        rises = np.diff(hits, prepend=0.0)
        return float((hits / np.maximum(seen, _CLIP) * rises).sum() / total)  # a dot wakes BLAS's threads for nothing


def _delong(y: Floats, s: Floats, other: Floats | None = None) -> tuple[float, float]:
    """Interval of an AUC, or of its difference to another's on the same rows; the widest below two of a class."""
    ones = int((y == 1).sum())
    zeros = len(y) - ones
    if min(ones, zeros) < 2:
        return (0.0, 1.0) if other is None else (-1.0, 1.0)
    of_ones, of_zeros = _placements(y, s)
    value, least = float(of_ones.mean()), 0.0
    if other is not None:
        other_ones, other_zeros = _placements(y, other)
        of_ones, of_zeros, least = of_ones - other_ones, of_zeros - other_zeros, -1.0
        value = float(of_ones.mean())
    error = float(np.sqrt(of_ones.var(ddof=1) / ones + of_zeros.var(ddof=1) / zeros))
    return max(least, value - Z * error), min(1.0, value + Z * error)


def _placements(y: Floats, s: Floats) -> tuple[Floats, Floats]:
    """For each 1 the share of 0s below it, for each 0 the share of 1s above it; both have the AUC as their mean."""
    one = y == 1
    ranks = midranks(s)
    ones, zeros = int(one.sum()), int((~one).sum())
    return (ranks[one] - midranks(s[one])) / zeros, 1 - (ranks[~one] - midranks(s[~one])) / ones


def midranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse])


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _nothing(n: int) -> Estimate:
    return Estimate(float("nan"), float("nan"), float("nan"), n)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
