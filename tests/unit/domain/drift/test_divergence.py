"""Measures of divergence against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bedplate.domain.drift import divergence

BEFORE, NOW = [50, 30, 15, 5], [30, 30, 30, 10]


def test_psi_is_the_symmetric_relative_entropy():
    from scipy.stats import entropy

    expected = entropy(BEFORE, NOW) + entropy(NOW, BEFORE)
    assert divergence.psi(BEFORE, NOW) == pytest.approx(expected)


def test_epsilon_sets_the_contribution_of_an_empty_bin():
    cheap, dear = (divergence.psi([1, 1], [2, 0], min_share=e) for e in (1e-2, 1e-6))
    assert cheap < dear < math.inf


def test_psi_without_rows_is_nan():
    assert math.isnan(divergence.psi([1, 1], [0, 0]))


def test_jensen_shannon_equals_scipys():
    from scipy.spatial.distance import jensenshannon

    assert divergence.jensen_shannon(BEFORE, NOW) == pytest.approx(jensenshannon(BEFORE, NOW, base=2))


def test_chi_square_equals_scipys_without_empty_bins():
    from scipy.stats import chi2_contingency

    expected = chi2_contingency([BEFORE, NOW], correction=False)
    assert divergence.chi_square([*BEFORE, 0], [*NOW, 0]) == pytest.approx((expected.statistic, expected.pvalue))


def test_chi_square_of_one_bin_is_zero():
    assert divergence.chi_square([5, 0], [7, 0]) == (0.0, 1.0)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.2])
def test_ks_p_value_is_close_to_scipys(shift):
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(4)
    expected = ks_2samp(rng.normal(size=900), rng.normal(shift, size=700), method="asymp")
    assert divergence.ks_p_value(expected.statistic, 900, 700) == pytest.approx(expected.pvalue, abs=0.02)


def test_adjusted_p_values_equal_scipys():
    from scipy.stats import false_discovery_control

    values = [0.001, 0.2, 0.04, 0.04, 0.9]
    assert divergence.benjamini_hochberg(values) == pytest.approx(false_discovery_control(values))


def test_a_missing_p_value_does_not_count_as_a_test():
    with_gap = divergence.benjamini_hochberg([0.01, math.nan, 0.04])
    assert (with_gap[0], with_gap[2]) == pytest.approx(divergence.benjamini_hochberg([0.01, 0.04]))
    assert math.isnan(with_gap[1])


def test_bands_include_their_lower_bound():
    assert [divergence.psi_band(v, warn=0.2, alert=0.4) for v in (0.19, 0.2, 0.39, 0.4)] == [
        "stable", "moderate", "moderate", "significant",
    ]  # fmt: skip
