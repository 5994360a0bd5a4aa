"""The tests of shares and means give what scipy and statsmodels give."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from bedplate.domain.evidence.significance import binomial_tail, two_proportions_p_value, welch_p_value


@pytest.mark.parametrize(
    ("a", "n", "b", "m"), [(60, 100, 45, 100), (5, 1000, 1, 900), (40_006, 160_678, 37_616, 166_668)]
)
def test_the_p_value_of_two_proportions_equals_that_of_statsmodels(a, n, b, m):
    _, expected = proportions_ztest([a, b], [n, m])
    assert two_proportions_p_value(a, n, b, m) == pytest.approx(expected, rel=1e-9)


def test_proportions_without_rows_have_no_p_value_and_two_shares_of_one_are_equal():
    assert math.isnan(two_proportions_p_value(0, 0, 1, 2))
    assert two_proportions_p_value(5, 5, 9, 9) == 1.0


@pytest.mark.parametrize(
    ("k", "n", "p"), [(8, 10, 0.5), (1, 3, 0.001), (30, 800, 0.002), (400, 800, 0.5), (800, 800, 0.9)]
)
def test_the_binomial_tail_equals_scipys(k, n, p):
    assert binomial_tail(k, n, p) == pytest.approx(stats.binom.sf(k - 1, n, p), rel=1e-9)


def test_the_binomial_tail_at_its_ends():
    assert (binomial_tail(0, 5, 0.1), binomial_tail(1, 5, 0.0), binomial_tail(6, 5, 0.5), binomial_tail(5, 5, 1.0)) == (
        1.0,
        0.0,
        0.0,
        1.0,
    )


def test_means_are_compared_by_welchs_statistic():
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 1, 500), rng.normal(0.15, 2, 700)
    expected = CompareMeans(DescrStatsW(a), DescrStatsW(b)).ztest_ind(usevar="unequal")[1]
    p_value = welch_p_value(a.mean(), a.var(ddof=1), 500, b.mean(), b.var(ddof=1), 700)
    assert p_value == pytest.approx(expected, rel=1e-9)
    assert math.isnan(welch_p_value(0, 0, 1, 0, 0, 5))
    assert (welch_p_value(1, 0, 5, 1, 0, 5), welch_p_value(1, 0, 5, 2, 0, 5)) == (1.0, 0.0)
