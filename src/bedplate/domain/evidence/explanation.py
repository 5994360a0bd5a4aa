"""Computes feature importances (global mean |SHAP|) and how far they differ between two models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.evidence.metrics import Estimate, midranks, percentile_interval

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
RESAMPLES = 500
MIN_ROWS = 30
"""Fewest explained rows for which importances are compared."""
CHUNK_ROWS = 20


@dataclass(frozen=True, slots=True)
class Importance:
    """Mean |SHAP| of one feature, in the prediction's unit; None for a model that does not have the feature."""

    feature: str
    candidate: float | None
    champion: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Importances on `rows` rows; `importance_shift` and `rank_correlation` are None where `note` says why."""

    rows: int
    seconds: float
    importances: tuple[Importance, ...]
    importance_shift: Estimate | None
    rank_correlation: Estimate | None
    note: str


def shapley_values(
    predict: Callable[[Indices], Floats],
    n_rows: int,
    n_background: int,
    n_features: int,
    *,
    draws: int,
    seed: int,
    should_continue: Callable[[], bool] = lambda: True,
) -> Floats:
    """Returns SHAP values by sampled permutations, (rows explained, features).

    `predict` receives (n, features) indices and returns (n,) predictions. An index refers to a pool of `n_rows` rows
    followed by `n_background` rows: the row from which that cell takes its feature's value. Each row is explained
    `draws` times, each time against one background row and by one permutation and its reverse, so the values of a row
    add up to its prediction minus the mean prediction of the drawn background rows. Rows are explained CHUNK_ROWS at
    a time while `should_continue()` is true.

    Source: E. Strumbelj and I. Kononenko (2014); antithetic pairs as in R. Mitchell and others (2022), which is what
    PermutationExplainer of the package shap does. The tests compare both.
    """
    rng = np.random.default_rng(seed)
    chunks = [np.empty((0, n_features))]
    for start in range(0, n_rows, CHUNK_ROWS):
        if not should_continue():
            break
        explained = np.repeat(np.arange(start, min(start + CHUNK_ROWS, n_rows)), draws)
        background_rows = n_rows + rng.integers(0, n_background, len(explained))
        ranks = np.argsort(rng.random((len(explained), n_features)), axis=1)
        contributions = _marginal_contributions(predict, explained, background_rows, ranks)
        chunks.append(contributions.reshape(-1, draws, n_features).mean(axis=1))
    return np.concatenate(chunks)


def compare_importances(
    candidate: Floats,
    features: Sequence[str],
    champion: Floats | None,
    champion_features: Sequence[str],
    *,
    seconds: float,
    note: str = "",
    seed: int = 0,
) -> Explanation:
    """Compares the importances of two models on the rows that both explained (the first rows of each array).

    `candidate` and `champion` are SHAP values, (rows, features). Each importance is divided by the sum of its model's
    importances. `importance_shift` is half the sum of the absolute differences over the features of either model: the
    share of importance, 0 to 1, that moved to other features. `rank_correlation` is Spearman's, over the features of
    both models. Intervals are bootstrap percentiles over rows, with the same resamples for both models.
    """
    n_rows = len(candidate) if champion is None else min(len(candidate), len(champion))
    candidate_sizes = np.abs(candidate[:n_rows])
    means = candidate_sizes.mean(axis=0).tolist() if n_rows else [float("nan")] * len(features)
    candidate_means = dict(zip(features, means, strict=True))
    if champion is None or n_rows < MIN_ROWS:
        reason = note or f"{n_rows} rows explained, fewer than {MIN_ROWS}"
        importances = sorted((Importance(name, value, None) for name, value in candidate_means.items()), key=_sort_key)
        return Explanation(n_rows, seconds, tuple(importances), None, None, reason)
    champion_sizes = np.abs(champion[:n_rows])
    champion_means = dict(zip(champion_features, champion_sizes.mean(axis=0).tolist(), strict=True))
    names = list(dict.fromkeys((*features, *champion_features)))
    in_both = np.array([name in features and name in champion_features for name in names])
    weights = np.random.default_rng(seed).multinomial(n_rows, np.full(n_rows, 1 / n_rows), RESAMPLES) / n_rows
    weights = np.vstack([np.full(n_rows, 1 / n_rows), weights])
    candidate_draws = weights @ _align(candidate_sizes, features, names)
    champion_draws = weights @ _align(champion_sizes, champion_features, names)
    shifts = np.abs(_normalize(candidate_draws) - _normalize(champion_draws)).sum(axis=1) / 2
    pairs = zip(candidate_draws[:, in_both], champion_draws[:, in_both], strict=True)
    correlations = np.array([_spearman(a, b) for a, b in pairs])
    importances = sorted((Importance(n, candidate_means.get(n), champion_means.get(n)) for n in names), key=_sort_key)
    shift, correlation = (_bootstrap_estimate(values, n_rows) for values in (shifts, correlations))
    return Explanation(n_rows, seconds, tuple(importances), shift, correlation, note)


def compare_to_reference(
    values: Floats, features: Sequence[str], reference: Mapping[str, float]
) -> tuple[float, float, dict[str, tuple[float, float]]]:
    """Returns importance shift, rank correlation, and feature -> (current share, reference share), largest first.

    `values` are SHAP values, (rows, features), `reference` the mean |SHAP| of each feature at another time. Shift and
    correlation are those of `compare_importances`, without intervals, because only the means are known of the
    reference.

    >>> round(compare_to_reference(np.array([[0.3, -0.1], [0.3, 0.1]]), ["a", "b"], {"a": 0.25, "b": 0.75})[0], 3)
    0.5
    """
    names = list(dict.fromkeys((*features, *reference)))
    mean_sizes = np.abs(values).mean(axis=0)
    current_shares = _normalize(_align(mean_sizes[None, :], features, names))[0]
    reference_shares = _normalize(_align(np.array([list(reference.values())]), list(reference), names))[0]
    in_both = np.array([name in features and name in reference for name in names])
    shares = {name: (float(a), float(b)) for name, a, b in zip(names, current_shares, reference_shares, strict=True)}
    sorted_shares = dict(sorted(shares.items(), key=lambda item: -max(item[1])))
    shift = float(np.abs(current_shares - reference_shares).sum() / 2)
    return shift, _spearman(current_shares[in_both], reference_shares[in_both]), sorted_shares


def _marginal_contributions(
    predict: Callable[[Indices], Floats], explained: Indices, background_rows: Indices, ranks: Indices
) -> Floats:
    """Returns each feature's marginal contribution, (pairs, features): the mean of a permutation and its reverse."""
    n_pairs, n_features = ranks.shape
    sizes = np.arange(n_features + 1)
    forward = ranks[:, None, :] < sizes[None, :, None]
    backward = ranks[:, None, :] >= n_features - sizes[None, 1:-1, None]
    from_explained = np.concatenate([forward, backward], axis=1)
    indices = np.where(from_explained, explained[:, None, None], background_rows[:, None, None])
    predictions = predict(indices.reshape(-1, n_features)).reshape(n_pairs, -1)
    along = predictions[:, : n_features + 1]
    reverse = np.column_stack([along[:, :1], predictions[:, n_features + 1 :], along[:, -1:]])
    along_steps = np.take_along_axis(np.diff(along, axis=1), ranks, axis=1)
    reverse_steps = np.take_along_axis(np.diff(reverse, axis=1), n_features - 1 - ranks, axis=1)
    return np.asarray((along_steps + reverse_steps) / 2)


def _align(sizes: Floats, features: Sequence[str], names: Sequence[str]) -> Floats:
    """Returns (rows, names): the columns of `sizes` (rows, features) in the order of `names`, 0 for other names."""
    table = np.zeros((len(sizes), len(names)))
    for i, name in enumerate(features):
        table[:, names.index(name)] = sizes[:, i]
    return table


def _normalize(importances: Floats) -> Floats:
    totals = importances.sum(axis=1, keepdims=True)
    return np.where(totals > 0, importances / np.where(totals > 0, totals, 1), 0.0)


def _spearman(a: Floats, b: Floats) -> float:
    """Returns Spearman's rank correlation; NaN with fewer than two features or when all values of a side are equal."""
    ranks_a, ranks_b = midranks(a), midranks(b)
    if len(a) < 2 or ranks_a.std() == 0 or ranks_b.std() == 0:
        return float("nan")
    return float(np.corrcoef(ranks_a, ranks_b)[0, 1])


def _bootstrap_estimate(values: Floats, n_rows: int) -> Estimate:
    """Returns the estimate whose value is the first of `values` and whose interval is the percentiles of the others."""
    value, (ci_low, ci_high) = float(values[0]), percentile_interval(values[1:])
    if not np.isfinite(value) or np.isnan(ci_low):
        return Estimate.nan(n_rows)
    return Estimate(value, min(ci_low, value), max(ci_high, value), n_rows)


def _sort_key(importance: Importance) -> float:
    return -max(importance.candidate or 0.0, importance.champion or 0.0)
