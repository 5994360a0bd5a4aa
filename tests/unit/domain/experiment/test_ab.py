from __future__ import annotations

import math

import numpy as np
import pytest

from bedplate.domain.experiment.ab import (
    RewardVariance,
    detectable,
    fixed_look,
    sample_once,
    sample_sequential,
    sequential_look,
    trial,
    wilson,
)
from bedplate.domain.experiment.arm import Arm

COUNTS = [(50, 500, 90, 500), (3, 40, 9, 60), (0, 50, 4, 45), (480, 500, 499, 510)]


@pytest.mark.parametrize(("s1", "n1", "s2", "n2"), COUNTS)
def test_proportions_are_compared_as_statsmodels_does(s1: int, n1: int, s2: int, n2: int) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

    look = fixed_look("binary", Arm.of_counts(s1, n1), Arm.of_counts(s2, n2))
    assert look.p == pytest.approx(proportions_ztest([s2, s1], [n2, n1])[1], rel=1e-9)
    assert (look.low, look.high) == pytest.approx(
        confint_proportions_2indep(s2, n2, s1, n1, method="newcomb"), rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize(("s", "n"), [(8, 10), (0, 30), (30, 30), (400, 1000)])
def test_interval_of_one_proportion_is_wilsons(s: int, n: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    assert wilson(s, n) == pytest.approx(proportion_confint(s, n, method="wilson"), abs=1e-12)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_means_are_compared_as_scipy_does(alpha: float) -> None:
    from scipy import stats

    rng = np.random.default_rng(3)
    a, b = rng.gamma(2, 3, 40), rng.gamma(2, 5, 75)
    look = fixed_look("continuous", Arm.of(a), Arm.of(b), alpha=alpha)
    told = stats.ttest_ind(b, a, equal_var=False)
    interval = told.confidence_interval(1 - alpha)
    assert look.p == pytest.approx(told.pvalue, rel=1e-9)
    assert (look.low, look.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


@pytest.mark.parametrize(("p", "effect", "alpha", "power"), [(0.1, 0.02, 0.05, 0.8), (0.6, 0.05, 0.01, 0.9)])
def test_sample_for_proportions_has_the_power_that_statsmodels_computes(
    p: float, effect: float, alpha: float, power: float
) -> None:
    from statsmodels.stats.proportion import power_proportions_2indep

    n = sample_once("binary", RewardVariance(p, p * (1 - p)), effect=effect, alpha=alpha, power=power)
    worst = min(power_proportions_2indep(way * effect, p, n, alpha=alpha, return_results=False) for way in (1, -1))
    assert worst == pytest.approx(power, abs=0.01)


@pytest.mark.parametrize(("sd", "effect", "power"), [(1.0, 0.2, 0.8), (5.0, 4.0, 0.9)])
def test_sample_for_means_is_statsmodels(sd: float, effect: float, power: float) -> None:
    from statsmodels.stats.power import TTestIndPower

    n = sample_once("continuous", RewardVariance(0, sd**2), effect=effect, power=power)
    assert n == math.ceil(TTestIndPower().solve_power(effect / sd, alpha=0.05, power=power))


def test_detectable_effect_is_the_one_that_the_sample_was_computed_for() -> None:
    n = sample_once("continuous", RewardVariance(0, 4.0), effect=0.3)
    assert detectable(n, 4.0) == pytest.approx(0.3, rel=0.01)
    assert detectable(0, 1.0) == math.inf


def test_looking_again_and_again_finds_nothing_where_there_is_nothing() -> None:
    """300 tests of two equal arms, looked at 40 times each: the sequential test errs in at most 5 %, the fixed one in
    a multiple of that."""
    rng = np.random.default_rng(11)
    fooled = {"sequential": 0, "fixed": 0}
    for _ in range(300):
        sums = rng.binomial(50, 0.2, (40, 2)).cumsum(axis=0)
        arms = [(Arm.of_counts(int(a), 50 * i), Arm.of_counts(int(b), 50 * i)) for i, (a, b) in enumerate(sums, 1)]
        fooled["sequential"] += any(_excludes_zero(sequential_look("binary", *pair, effect=0.05)) for pair in arms)
        fooled["fixed"] += any(_excludes_zero(fixed_look("binary", *pair)) for pair in arms)
    assert fooled["sequential"] <= 15
    assert fooled["fixed"] > 45


def test_effect_of_the_size_asked_for_is_found_within_the_sample_that_is_named() -> None:
    rng = np.random.default_rng(5)
    needed = sample_sequential(1.0, effect=0.3)
    assert needed > sample_once("continuous", RewardVariance(0, 1.0), effect=0.3)
    found = sum(
        trial("continuous", Arm.of(rng.normal(0, 1, needed)), Arm.of(rng.normal(0.3, 1, needed)), effect=0.3).verdict
        == "PASS"
        for _ in range(100)
    )
    assert found >= 75


def test_interval_and_p_value_of_the_sequential_test_agree() -> None:
    for lift in (0, 40, 80, 120):
        look = sequential_look("binary", Arm.of_counts(500, 5000), Arm.of_counts(500 + lift, 5000), effect=0.02)
        assert (look.p < 0.05) == _excludes_zero(look)


@pytest.mark.parametrize(
    ("champion", "challenger", "verdict", "reason"),
    [
        ((500, 5000), (650, 5000), "PASS", "is better"),
        ((650, 5000), (500, 5000), "FAIL", "is worse"),
        ((500, 5000), (510, 5000), "NO_DATA", "that each may need"),
        ((50_000, 500_000), (50_010, 500_000), "FAIL", "no difference of 0.02"),
        ((5, 20), (19, 20), "NO_DATA", "needs 30"),
        ((0, 0), (0, 0), "NO_DATA", "needs 30"),
    ],
)
def test_verdict(champion: tuple[int, int], challenger: tuple[int, int], verdict: str, reason: str) -> None:
    found = trial("binary", Arm.of_counts(*champion), Arm.of_counts(*challenger), effect=0.02)
    assert found.verdict == verdict
    assert reason in found.reason


def test_smaller_effects_levels_and_errors_need_more() -> None:
    base = sample_sequential(1.0, effect=0.3)
    assert sample_sequential(1.0, effect=0.1) > base
    assert sample_sequential(1.0, effect=0.3, alpha=0.01) > base
    assert sample_sequential(1.0, effect=0.3, power=0.95) > base


def test_arms_add_up_as_if_measured_at_once() -> None:
    values = np.random.default_rng(0).normal(3, 2, 50)
    added, whole = Arm.of(values[:20]) + Arm.of(values[20:]), Arm.of(values)
    assert (added.n, added.mean, added.variance) == pytest.approx((50, whole.mean, whole.variance))
    assert Arm.of([]) + Arm.of([]) == Arm(0, 0.0, 0.0)
    assert Arm.of([1.0, math.nan]).n == 1


def _excludes_zero(look: object) -> bool:
    return bool(look.low > 0 or look.high < 0)  # type: ignore[attr-defined]
