"""Intervals of shares against statsmodels, of quantiles against scipy and against what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from bedplate.domain.evidence.proportions import newcombe_interval, quantile_interval, ratio_interval, wilson_interval


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (8, 10), (30, 400), (400, 400)])
def test_the_interval_of_a_share_equals_wilsons_of_statsmodels(hits: int, n: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    assert wilson_interval(hits, n) == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-12)


@pytest.mark.parametrize(("first", "second"), [((56, 70), (48, 80)), ((0, 20), (3, 30)), ((190, 200), (9, 40))])
def test_the_interval_of_a_difference_equals_newcombes_of_statsmodels(first, second) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    expected = confint_proportions_2indep(*first, *second, compare="diff", method="newcomb")
    assert newcombe_interval(*first, *second) == pytest.approx(expected, abs=1e-9)


def test_the_interval_of_a_ratio_equals_that_of_statsmodels() -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    expected = confint_proportions_2indep(30, 100, 40, 90, compare="ratio", method="log")
    assert ratio_interval(30, 100, 40, 90) == pytest.approx(expected, rel=1e-3)


def test_a_ratio_of_zero_has_an_upper_bound_and_a_ratio_to_zero_has_none() -> None:
    low, high = ratio_interval(0, 50, 20, 50)
    assert low == 0
    assert 0 < high < 0.5
    assert ratio_interval(3, 50, 0, 50) == (0.0, np.inf)


def test_the_interval_of_a_quantile_equals_scipys() -> None:
    from scipy.stats import quantile_test

    values = np.sort(np.random.default_rng(3).gamma(2, size=500))
    for share in (0.5, 0.9, 0.99):
        expected = quantile_test(values, p=share).confidence_interval(0.95)
        _, low, high = quantile_interval(values.tolist(), share)
        assert (low, high) == pytest.approx((expected.low, expected.high))


def test_a_high_quantile_of_few_values_has_no_upper_bound() -> None:
    from bedplate.settings.gates import MIN_REQUESTS_FOR_P99

    assert quantile_interval([float(i) for i in range(MIN_REQUESTS_FOR_P99 - 1)], 0.99)[2] == np.inf
    assert quantile_interval([float(i) for i in range(MIN_REQUESTS_FOR_P99)], 0.99)[2] == MIN_REQUESTS_FOR_P99 - 1
