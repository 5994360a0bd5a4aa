"""A tuning job's search is repeatable and learns from earlier trials."""

from __future__ import annotations

from typing import Any

import pytest

from bedplate.domain.versions.tuning import position_of
from bedplate.local.runtime.jobs.tuning_search import BayesianSearch, RandomSearch, Trials, build_search
from bedplate.settings import parse_range


def test_bayesian_search_finds_better_points_than_random_search() -> None:
    ranges = {"x": parse_range("0.0:6.0"), "y": parse_range("0.001:1:log")}

    def best_of(search: Any) -> float:
        trials: list[tuple[dict[str, str], float]] = []
        for _ in range(12):
            point = search.next(trials)
            shares = position_of(ranges["x"], point["x"]), position_of(ranges["y"], point["y"])
            trials.append((point, -((shares[0] - 0.3) ** 2) - (shares[1] - 0.8) ** 2))
        return max(value for _, value in trials)

    seeds = range(2)
    learned = sum(best_of(BayesianSearch(ranges, seed)) for seed in seeds)
    guessed = sum(best_of(RandomSearch(ranges, seed)) for seed in seeds)
    assert learned > guessed
    assert learned / len(seeds) > -0.005


def test_random_search_is_repeatable_and_stays_within_its_ranges() -> None:
    ranges = {"n": parse_range("2:5"), "rate": parse_range("0.01:0.3:log"), "kind": parse_range("a,b,c")}
    first, second = (RandomSearch(ranges, 7), RandomSearch(ranges, 7))
    no_trials: Trials = ()
    points = [first.next(no_trials) or {} for _ in range(200)]
    assert points[:5] == [second.next(no_trials) for _ in range(5)]
    assert {point["n"] for point in points} == {"2", "3", "4", "5"}
    assert {point["kind"] for point in points} == {"a", "b", "c"}
    rates = sorted(float(point["rate"]) for point in points)
    assert rates[0] >= 0.01
    assert rates[-1] <= 0.3
    assert rates[100] == pytest.approx(0.055, rel=0.4), "half of them lie below the geometric middle"


def test_hyperband_is_not_supported() -> None:
    with pytest.raises(ValueError, match="does not support strategy Hyperband"):
        build_search({"HyperParameterTuningJobConfig": {"Strategy": "Hyperband"}}, 1)
