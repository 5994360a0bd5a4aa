"""Which features a model's answers hang on (global mean |SHAP|), and how far that moved between two models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.evidence.metrics import Estimate

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
RESAMPLES = 500
MIN_ROWS = 30
"""Fewer explained rows are no basis for a comparison."""
CHUNK = 20


@dataclass(frozen=True, slots=True)
class Importance:
    """Mean |SHAP| of one feature, in the answer's unit; None where that model does not have the feature."""

    feature: str
    candidate: float | None
    champion: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """`moved` and `rank_correlation` are None without a champion's model, and `note` says why."""

    rows: int
    seconds: float
    importances: tuple[Importance, ...]
    moved: Estimate | None
    rank_correlation: Estimate | None
    note: str


def shapley(
    answer: Callable[[Indices], Floats],
    rows: int,
    background: int,
    features: int,
    *,
    draws: int,
    seed: int,
    go_on: Callable[[], bool] = lambda: True,
) -> Floats:
    """SHAP values by sampled permutations: (rows explained, features).

    `answer` is given indices into a pool of `rows` rows and after them `background` rows, one for every cell of the
    (n, features) table that it is to answer, and returns (n,) answers. Each row is explained `draws` times, each time
    against one background row and by one permutation and its reverse, so the values of a row sum up to its answer
    minus the mean answer of the background rows drawn. Rows are taken CHUNK at a time while `go_on()`.

    Source: E. Strumbelj and I. Kononenko (2014); antithetic pairs as in R. Mitchell and others (2022), which is what
    the package shap's PermutationExplainer does; held against that package in the tests.
    """
    rng = np.random.default_rng(seed)
    found = [np.empty((0, features))]
    for start in range(0, rows, CHUNK):
        if not go_on():
            break
        explained = np.repeat(np.arange(start, min(start + CHUNK, rows)), draws)
        against = rows + rng.integers(0, background, len(explained))
        ranks = np.argsort(rng.random((len(explained), features)), axis=1)
        values = _along(answer, explained, against, ranks)
        found.append(values.reshape(-1, draws, features).mean(axis=1))
    return np.concatenate(found)


def stability(
    candidate: Floats,
    features: Sequence[str],
    champion: Floats | None,
    champion_features: Sequence[str],
    *,
    seconds: float,
    note: str = "",
    seed: int = 0,
) -> Explanation:
    """Both models' importances and how far apart they lie, on the rows that both explained (the first ones).

    Each importance is divided by the sum of its model's. `moved` is half the sum of the absolute differences over all
    features of either: the share of importance that is elsewhere, 0 to 1. `rank_correlation` is Spearman's, over the
    features that both have. Intervals: bootstrap percentiles over rows, both models' the same.
    """
    n = len(candidate) if champion is None else min(len(candidate), len(champion))
    sizes = np.abs(candidate[:n])
    own = dict(zip(features, sizes.mean(axis=0).tolist() if n else [float("nan")] * len(features), strict=True))
    if champion is None or n < MIN_ROWS:
        told = note or f"{n} rows explained, fewer than {MIN_ROWS}"
        alone = sorted((Importance(name, value, None) for name, value in own.items()), key=_by_size)
        return Explanation(n, seconds, tuple(alone), None, None, told)
    theirs = np.abs(champion[:n])
    names = list(dict.fromkeys((*features, *champion_features)))
    first, second = _aligned(sizes, features, names), _aligned(theirs, champion_features, names)
    both = np.array([name in features and name in champion_features for name in names])
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    weights = np.vstack([np.full(n, 1 / n), weights])
    a, b = weights @ first, weights @ second
    moved = np.abs(_shares(a) - _shares(b)).sum(axis=1) / 2
    ranked = np.array([_spearman(x[both], y[both]) for x, y in zip(a, b, strict=True)])
    other = dict(zip(champion_features, theirs.mean(axis=0).tolist(), strict=True))
    importances = sorted((Importance(name, own.get(name), other.get(name)) for name in names), key=_by_size)
    return Explanation(n, seconds, tuple(importances), _estimate(moved, n), _estimate(ranked, n), note)


def moved_from(
    values: Floats, features: Sequence[str], reference: Mapping[str, float]
) -> tuple[float, float, dict[str, tuple[float, float]]]:
    """(share of importance moved, rank correlation, feature -> (share now, share then)), largest share first.

    `values` is (rows explained, features), `reference` another time's mean |SHAP| by feature; both figures are those of
    `stability`, without an interval, as of the other time only the means are known.

    >>> round(moved_from(np.array([[0.3, -0.1], [0.3, 0.1]]), ["a", "b"], {"a": 0.25, "b": 0.75})[0], 3)
    0.5
    """
    names = list(dict.fromkeys((*features, *reference)))
    sizes = np.abs(values).mean(axis=0)
    now = _shares(_aligned(sizes[None, :], features, names))[0]
    then = _shares(_aligned(np.array([list(reference.values())]), list(reference), names))[0]
    both = np.array([name in features and name in reference for name in names])
    shares = {name: (float(a), float(b)) for name, a, b in zip(names, now, then, strict=True)}
    ordered = dict(sorted(shares.items(), key=lambda item: -max(item[1])))
    return float(np.abs(now - then).sum() / 2), _spearman(now[both], then[both]), ordered


def _along(answer: Callable[[Indices], Floats], explained: Indices, against: Indices, ranks: Indices) -> Floats:
    """(pairs, features): what each feature adds when it joins, mean of the permutation and its reverse."""
    pairs, features = ranks.shape
    sizes = np.arange(features + 1)
    forward = ranks[:, None, :] < sizes[None, :, None]
    backward = ranks[:, None, :] >= features - sizes[None, 1:-1, None]
    taken = np.concatenate([forward, backward], axis=1)
    indices = np.where(taken, explained[:, None, None], against[:, None, None])
    answers = answer(indices.reshape(-1, features)).reshape(pairs, -1)
    ahead = answers[:, : features + 1]
    back = np.column_stack([ahead[:, :1], answers[:, features + 1 :], ahead[:, -1:]])
    rises, falls = np.diff(ahead, axis=1), np.diff(back, axis=1)
    joined = np.take_along_axis(rises, ranks, axis=1) + np.take_along_axis(falls, features - 1 - ranks, axis=1)
    return np.asarray(joined / 2)


def _aligned(sizes: Floats, features: Sequence[str], names: Sequence[str]) -> Floats:
    table = np.zeros((len(sizes), len(names)))
    for i, name in enumerate(features):
        table[:, names.index(name)] = sizes[:, i]
    return table


def _shares(importances: Floats) -> Floats:
    totals = importances.sum(axis=1, keepdims=True)
    return np.where(totals > 0, importances / np.where(totals > 0, totals, 1), 0.0)


def _spearman(a: Floats, b: Floats) -> float:
    """Pearson's correlation of the ranks; NaN below two features, or when one side is all ties."""
    if len(a) < 2:
        return float("nan")
    from bedplate.domain.evidence.metrics import midranks

    x, y = midranks(a), midranks(b)
    if x.std() == 0 or y.std() == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def _estimate(values: Floats, n: int) -> Estimate:
    """The first figure is the one of all rows, the others are resampled ones."""
    known = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]) or not len(known):
        return Estimate(float("nan"), float("nan"), float("nan"), n)
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate(float(values[0]), min(float(low), float(values[0])), max(float(high), float(values[0])), n)


def _by_size(importance: Importance) -> float:
    return -max(importance.candidate or 0.0, importance.champion or 0.0)
