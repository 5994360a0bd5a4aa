"""Fixed-sample and sequential tests of two arms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bedplate.domain.experiment.ab_test import (
    RewardVariance,
    fixed_sample_size,
    fixed_test,
    run_ab_test,
    sequential_sample_size,
    sequential_test,
)
from bedplate.domain.experiment.arm import Arm
from builders import binary_arm

COUNTS = [(50, 500, 90, 500), (3, 40, 9, 60), (0, 50, 4, 45), (480, 500, 499, 510)]


@pytest.mark.parametrize(("s1", "n1", "s2", "n2"), COUNTS)
def test_the_comparison_of_proportions_equals_that_of_statsmodels(s1: int, n1: int, s2: int, n2: int) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

    estimate = fixed_test("binary", binary_arm(s1, n1), binary_arm(s2, n2))
    assert estimate.p_value == pytest.approx(proportions_ztest([s2, s1], [n2, n1])[1], rel=1e-9)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx(
        confint_proportions_2indep(s2, n2, s1, n1, method="newcomb"), rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_comparison_of_means_equals_that_of_scipy(alpha: float) -> None:
    from scipy import stats

    rng = np.random.default_rng(3)
    a, b = rng.gamma(2, 3, 40), rng.gamma(2, 5, 75)
    estimate = fixed_test("continuous", Arm.from_rewards(a), Arm.from_rewards(b), alpha=alpha)
    expected = stats.ttest_ind(b, a, equal_var=False)
    interval = expected.confidence_interval(1 - alpha)
    assert estimate.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((interval.low, interval.high), rel=1e-9)


@pytest.mark.parametrize(("p", "effect", "alpha", "power"), [(0.1, 0.02, 0.05, 0.8), (0.6, 0.05, 0.01, 0.9)])
def test_sample_for_proportions_has_the_power_that_statsmodels_computes(
    p: float, effect: float, alpha: float, power: float
) -> None:
    from statsmodels.stats.proportion import power_proportions_2indep

    n = fixed_sample_size("binary", RewardVariance(p, p * (1 - p)), effect=effect, alpha=alpha, power=power)
    worst = min(power_proportions_2indep(sign * effect, p, n, alpha=alpha, return_results=False) for sign in (1, -1))
    assert worst == pytest.approx(power, abs=0.01)


@pytest.mark.parametrize(("sd", "effect", "power"), [(1.0, 0.2, 0.8), (5.0, 4.0, 0.9)])
def test_sample_for_means_equals_that_of_statsmodels(sd: float, effect: float, power: float) -> None:
    from statsmodels.stats.power import TTestIndPower

    n = fixed_sample_size("continuous", RewardVariance(0, sd**2), effect=effect, power=power)
    assert n == math.ceil(TTestIndPower().solve_power(effect / sd, alpha=0.05, power=power))


def test_repeated_sequential_tests_of_equal_arms_rarely_find_a_difference() -> None:
    """Tests two equal arms 300 times and evaluates each test 40 times.

    The sequential test finds a difference in at most 5 % of the tests, the fixed-sample test in a multiple of that.
    """
    rng = np.random.default_rng(11)
    errors = {"sequential": 0, "fixed": 0}
    for _ in range(300):
        sums = rng.binomial(50, 0.2, (40, 2)).cumsum(axis=0)
        arms = [(binary_arm(int(a), 50 * i), binary_arm(int(b), 50 * i)) for i, (a, b) in enumerate(sums, 1)]
        errors["sequential"] += any(_excludes_zero(sequential_test("binary", *pair, effect=0.05)) for pair in arms)
        errors["fixed"] += any(_excludes_zero(fixed_test("binary", *pair)) for pair in arms)
    assert errors["sequential"] <= 15
    assert errors["fixed"] > 45


def test_the_effect_is_detected_within_the_sequential_sample_size() -> None:
    rng = np.random.default_rng(5)
    needed = sequential_sample_size(1.0, effect=0.3)
    assert needed > fixed_sample_size("continuous", RewardVariance(0, 1.0), effect=0.3)
    result = sum(
        run_ab_test(
            "continuous",
            Arm.from_rewards(rng.normal(0, 1, needed)),
            Arm.from_rewards(rng.normal(0.3, 1, needed)),
            effect=0.3,
        ).verdict
        == "PASS"
        for _ in range(100)
    )
    assert result >= 75


def test_interval_and_p_value_of_the_sequential_test_agree() -> None:
    for lift in (0, 40, 80, 120):
        estimate = sequential_test("binary", binary_arm(500, 5000), binary_arm(500 + lift, 5000), effect=0.02)
        assert (estimate.p_value < 0.05) == _excludes_zero(estimate)


@pytest.mark.parametrize(
    ("champion", "challenger", "verdict", "reason"),
    [
        ((500, 5000), (650, 5000), "PASS", "is better"),
        ((650, 5000), (500, 5000), "FAIL", "is worse"),
        ((500, 5000), (510, 5000), "NO_DATA", "each may need"),
        ((50_000, 500_000), (50_010, 500_000), "FAIL", "no difference of 0.02"),
        ((5, 20), (19, 20), "NO_DATA", "needs 30"),
        ((0, 0), (0, 0), "NO_DATA", "needs 30"),
    ],
)
def test_verdict_follows_significance_effect_and_sample_size(
    champion: tuple[int, int], challenger: tuple[int, int], verdict: str, reason: str
) -> None:
    result = run_ab_test("binary", binary_arm(*champion), binary_arm(*challenger), effect=0.02)
    assert result.verdict == verdict
    assert reason in result.reason


def test_smaller_effects_significance_levels_and_error_rates_need_more_rewards() -> None:
    base = sequential_sample_size(1.0, effect=0.3)
    assert sequential_sample_size(1.0, effect=0.1) > base
    assert sequential_sample_size(1.0, effect=0.3, alpha=0.01) > base
    assert sequential_sample_size(1.0, effect=0.3, power=0.95) > base


def test_the_sum_of_two_arms_equals_one_arm_with_all_rewards() -> None:
    values = np.random.default_rng(0).normal(3, 2, 50)
    added, whole = Arm.from_rewards(values[:20]) + Arm.from_rewards(values[20:]), Arm.from_rewards(values)
    assert (added.n, added.mean, added.variance) == pytest.approx((50, whole.mean, whole.variance))
    assert Arm.from_rewards([]) + Arm.from_rewards([]) == Arm(0, 0.0, 0.0)
    assert Arm.from_rewards([1.0, math.nan]).n == 1


def _excludes_zero(estimate: object) -> bool:
    return bool(estimate.ci_low > 0 or estimate.ci_high < 0)  # type: ignore[attr-defined]
