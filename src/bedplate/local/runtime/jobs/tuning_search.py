"""Chooses the next trial of a tuning: at random, from a grid, or where a Gaussian process expects the most."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bedplate.domain.versions.tuning import at, points, sample, share_of
from bedplate.local.hooks import Record
from bedplate.settings import Range

FIRST_AT_RANDOM = 3
CANDIDATES = 512
LENGTHS = (0.1, 1.0)
"""How far a value tells about its neighbours, in shares of a range: a few points alone would say anything."""
NOISE = 1e-4
Seen = Sequence[tuple[Mapping[str, str], float]]


class Search(Protocol):
    def next(self, seen: Seen) -> dict[str, str] | None:
        """The point to try, knowing what came of earlier ones (more is better); None when there is none left."""


class RandomSearch:
    """Independent points, the same ones for the same seed."""

    def __init__(self, ranges: Mapping[str, Range], seed: int) -> None:
        self._ranges, self._rng = ranges, random.Random(seed)

    def next(self, seen: Seen) -> dict[str, str] | None:
        return sample(self._ranges, self._rng)


class GridSearch:
    """Every combination, each once."""

    def __init__(self, ranges: Mapping[str, Range]) -> None:
        self._points = points(ranges)

    def next(self, seen: Seen) -> dict[str, str] | None:
        return next(self._points, None)


class BayesianSearch:
    """Expected improvement under a Gaussian process with a Matern kernel (Snoek, Larochelle, Adams 2012), over random
    candidates; the first points are random."""

    def __init__(self, ranges: Mapping[str, Range], seed: int) -> None:
        self._ranges, self._rng, self._seed = ranges, random.Random(seed), seed

    def next(self, seen: Seen) -> dict[str, str] | None:
        if len(seen) < FIRST_AT_RANDOM:
            return sample(self._ranges, self._rng)
        shares = [[self._rng.random() for _ in self._ranges] for _ in range(CANDIDATES)]
        # a candidate stands for the value that it becomes, so that an integer is not tried twice by its fractions
        told = [{n: at(s, share) for (n, s), share in zip(self._ranges.items(), row, strict=True)} for row in shares]
        tried = [dict(params) for params, _ in seen]
        fresh = [each for each in told if each not in tried] or told
        gains = self._gains([self._place(p) for p, _ in seen], [v for _, v in seen], [self._place(p) for p in fresh])
        return fresh[max(range(len(fresh)), key=lambda i: gains[i])]

    def _place(self, params: Mapping[str, str]) -> list[float]:
        return [share_of(space, params[name]) for name, space in self._ranges.items()]

    def _gains(self, places: list[list[float]], values: list[float], asked: list[list[float]]) -> list[float]:
        import numpy as np
        from scipy.stats import norm
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import Matern

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a length that lies on its bound is no news with so few points
            kernel = Matern(length_scale=0.3, length_scale_bounds=LENGTHS, nu=2.5)
            model = GaussianProcessRegressor(kernel, alpha=NOISE, normalize_y=True, random_state=self._seed)
            model.fit(np.array(places), np.array(values))
            mean, deviation = model.predict(np.array(asked), return_std=True)
        gap = mean - max(values)
        scaled = gap / np.maximum(deviation, 1e-12)
        gains: list[float] = (gap * norm.cdf(scaled) + deviation * norm.pdf(scaled)).tolist()
        return gains


def ranges_of(record: Record) -> dict[str, Range]:
    """A tuning's ranges, as its request has them."""
    told = (record.get("HyperParameterTuningJobConfig") or {}).get("ParameterRanges") or {}
    found: dict[str, Range] = {}
    for kind, key in (("integer", "IntegerParameterRanges"), ("continuous", "ContinuousParameterRanges")):
        for each in told.get(key) or ():
            ends = float(each["MinValue"]), float(each["MaxValue"])
            shape: Any = kind
            found[each["Name"]] = Range(shape, *ends, log=each.get("ScalingType") == "Logarithmic")
    for each in told.get("CategoricalParameterRanges") or ():
        found[each["Name"]] = Range("categorical", values=tuple(each["Values"]))
    return found


def search_of(record: Record, seed: int) -> Search:
    """Raises ValueError for a strategy that is not here, and for a grid over ranges of numbers."""
    strategy, ranges = (record.get("HyperParameterTuningJobConfig") or {}).get("Strategy"), ranges_of(record)
    if strategy == "Random":
        return RandomSearch(ranges, seed)
    if strategy == "Grid":
        list(points(ranges))
        return GridSearch(ranges)
    if strategy == "Bayesian":
        return BayesianSearch(ranges, seed)
    raise ValueError(f"Strategy {strategy} is not on the local platform: Random, Grid or Bayesian")
