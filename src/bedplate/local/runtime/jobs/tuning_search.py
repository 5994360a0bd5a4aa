"""Selects the hyperparameters of a tuning job's next trial: random, grid or Bayesian search."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bedplate.domain.versions.tuning import list_grid_points, position_of, sample_point, value_at
from bedplate.local.hooks import Record
from bedplate.settings import Range

RANDOM_TRIALS = 3
CANDIDATES = 512
LENGTH_SCALE_BOUNDS = (0.1, 1.0)
"""Bounds of the kernel's length scale, as a share of a range (0 to 1); a few trials alone cannot determine it."""
NOISE = 1e-4
Trials = Sequence[tuple[Mapping[str, str], float]]
"""Hyperparameters and objective value of completed trials; a larger value is better."""


class Search(Protocol):
    def next(self, trials: Trials) -> dict[str, str] | None:
        """Returns the hyperparameters of the next trial, None when none are left."""


class RandomSearch:
    """Draws independent points; the same seed gives the same points."""

    def __init__(self, ranges: Mapping[str, Range], seed: int) -> None:
        self._ranges, self._rng = ranges, random.Random(seed)

    def next(self, trials: Trials) -> dict[str, str] | None:
        return sample_point(self._ranges, self._rng)


class GridSearch:
    """Tries every combination once."""

    def __init__(self, ranges: Mapping[str, Range]) -> None:
        self._points = list_grid_points(ranges)

    def next(self, trials: Trials) -> dict[str, str] | None:
        return next(self._points, None)


class BayesianSearch:
    """Maximizes the expected improvement under a Gaussian process over random candidates.

    The kernel is Matern 5/2 (Snoek, Larochelle, Adams 2012). The first RANDOM_TRIALS points are random.
    """

    def __init__(self, ranges: Mapping[str, Range], seed: int) -> None:
        self._ranges, self._rng, self._seed = ranges, random.Random(seed), seed

    def next(self, trials: Trials) -> dict[str, str] | None:
        if len(trials) < RANDOM_TRIALS:
            return sample_point(self._ranges, self._rng)
        shares = [[self._rng.random() for _ in self._ranges] for _ in range(CANDIDATES)]
        # candidates are rounded to values of the ranges first, so that no integer is tried twice
        candidates = [
            {n: value_at(s, share) for (n, s), share in zip(self._ranges.items(), row, strict=True)} for row in shares
        ]
        tried = [dict(params) for params, _ in trials]
        untried = [candidate for candidate in candidates if candidate not in tried] or candidates
        gains = self._expected_improvements(tried, [value for _, value in trials], untried)
        return untried[max(range(len(untried)), key=lambda i: gains[i])]

    def _coordinates(self, params: Mapping[str, str]) -> list[float]:
        return [position_of(space, params[name]) for name, space in self._ranges.items()]

    def _expected_improvements(
        self, tried: list[dict[str, str]], values: list[float], candidates: list[dict[str, str]]
    ) -> list[float]:
        import numpy as np
        from scipy.stats import norm
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import Matern

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # with few trials the length scale often ends at its bound
            kernel = Matern(length_scale=0.3, length_scale_bounds=LENGTH_SCALE_BOUNDS, nu=2.5)
            model = GaussianProcessRegressor(kernel, alpha=NOISE, normalize_y=True, random_state=self._seed)
            model.fit(np.array([self._coordinates(point) for point in tried]), np.array(values))
            points = np.array([self._coordinates(candidate) for candidate in candidates])
            mean, deviation = model.predict(points, return_std=True)
        gap = mean - max(values)
        scaled = gap / np.maximum(deviation, 1e-12)
        gains: list[float] = (gap * norm.cdf(scaled) + deviation * norm.pdf(scaled)).tolist()
        return gains


def parse_ranges(record: Record) -> dict[str, Range]:
    """Returns the ParameterRanges of a tuning job's record by hyperparameter."""
    request = (record.get("HyperParameterTuningJobConfig") or {}).get("ParameterRanges") or {}
    ranges: dict[str, Range] = {}
    kind: Any
    for kind, key in (("integer", "IntegerParameterRanges"), ("continuous", "ContinuousParameterRanges")):
        for entry in request.get(key) or ():
            bounds = float(entry["MinValue"]), float(entry["MaxValue"])
            ranges[entry["Name"]] = Range(kind, *bounds, log=entry.get("ScalingType") == "Logarithmic")
    for entry in request.get("CategoricalParameterRanges") or ():
        ranges[entry["Name"]] = Range("categorical", values=tuple(entry["Values"]))
    return ranges


def build_search(record: Record, seed: int) -> Search:
    """Returns the search of a tuning job's strategy.

    Raises ValueError for an unsupported strategy and for a grid over numeric ranges.
    """
    strategy, ranges = (record.get("HyperParameterTuningJobConfig") or {}).get("Strategy"), parse_ranges(record)
    if strategy == "Random":
        return RandomSearch(ranges, seed)
    if strategy == "Grid":
        list(list_grid_points(ranges))  # raises ValueError for numeric ranges now, not in the middle of the tuning
        return GridSearch(ranges)
    if strategy == "Bayesian":
        return BayesianSearch(ranges, seed)
    raise ValueError(f"The local platform does not support strategy {strategy}: use Random, Grid or Bayesian")
