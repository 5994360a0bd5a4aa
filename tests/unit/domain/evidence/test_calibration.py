"""Calibration against scikit-learn and statsmodels, and what its intervals promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bedplate.domain.evidence.calibration import calibration, spiegelhalter_test


def draw_rows(n: int = 4000, *, slope: float = 1.0, shift: float = 0.0, seed: int = 4):
    """Labels whose true logit is `slope * logit(score) + shift`."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-0.5, 1.2, n)
    labels = (rng.random(n) < 1 / (1 + np.exp(-(slope * logit + shift)))).astype(float)
    return labels, 1 / (1 + np.exp(-logit))


def test_bins_equal_those_of_scikit_learns_calibration_curve():
    from sklearn.calibration import calibration_curve

    labels, scores = draw_rows()
    fraction_positive, mean_predicted = calibration_curve(labels, scores, n_bins=8, strategy="quantile")
    measured = calibration(labels, scores, bins=8)
    assert [b.fraction_positive for b in measured.bins] == pytest.approx(fraction_positive, abs=2e-3)
    assert [b.mean_predicted for b in measured.bins] == pytest.approx(mean_predicted, abs=2e-3)
    assert sum(b.n_rows for b in measured.bins) == len(labels)
    uncorrected = sum(b.n_rows * abs(b.fraction_positive - b.mean_predicted) for b in measured.bins) / len(labels)
    assert measured.uncorrected_ece == pytest.approx(uncorrected)


def test_slope_and_intercept_equal_those_of_statsmodels():
    import statsmodels.api as sm

    labels, scores = draw_rows(slope=0.7, shift=0.3)
    logit = np.log(scores / (1 - scores))
    whole = sm.Logit(labels, sm.add_constant(logit)).fit(disp=False)
    large = sm.GLM(labels, np.ones(len(labels)), family=sm.families.Binomial(), offset=logit).fit()
    measured = calibration(labels, scores)
    interval = whole.conf_int()[1]
    assert (measured.slope.value, measured.slope.ci_low, measured.slope.ci_high) == pytest.approx(
        (whole.params[1], *interval), abs=1e-6
    )
    interval = large.conf_int()[0]
    assert (measured.intercept.value, measured.intercept.ci_low, measured.intercept.ci_high) == pytest.approx(
        (large.params[0], *interval), abs=1e-6
    )
    assert measured.slope.ci_high < 1
    assert measured.intercept.ci_low > 0


def test_the_brier_score_is_the_sum_of_its_parts():
    from sklearn.metrics import brier_score_loss

    labels, scores = draw_rows(slope=0.5)
    measured = calibration(labels, scores)
    total = measured.reliability - measured.resolution + measured.uncertainty + measured.within_bins
    assert total == pytest.approx(brier_score_loss(labels, scores))
    assert measured.uncertainty == pytest.approx(labels.var())
    assert abs(measured.within_bins) < 0.002


def test_scores_with_one_value_per_bin_have_no_variation_within_bins():
    rng = np.random.default_rng(1)
    scores = np.tile([0.1, 0.4, 0.8], 300)
    labels = (rng.random(900) < scores).astype(float)
    assert calibration(labels, scores, bins=3).within_bins == pytest.approx(0, abs=1e-12)


def test_the_corrected_error_of_a_calibrated_model_is_near_zero_and_in_its_interval():
    corrected, plain = [], []
    for seed in range(20):
        measured = calibration(*draw_rows(800, seed=seed))
        corrected.append(measured.ece.value)
        plain.append(measured.uncorrected_ece)
        assert 0 <= measured.ece.ci_low <= measured.ece.value <= measured.ece.ci_high
    assert np.mean(plain) > 0.02  # the uncorrected error, which binning alone causes
    assert np.mean(corrected) < 0.6 * np.mean(plain)


def test_the_interval_of_the_error_covers_the_true_one():
    truth, covered = calibration(*draw_rows(50_000, slope=0.5)).uncorrected_ece, 0
    for seed in range(25):
        ece = calibration(*draw_rows(1500, slope=0.5, seed=100 + seed)).ece
        covered += ece.ci_low <= truth <= ece.ci_high
    assert covered >= 21


def test_spiegelhalters_z_is_standard_normal_for_calibrated_scores():
    zs = [spiegelhalter_test(*draw_rows(500, seed=seed))[0] for seed in range(300)]
    assert np.mean(zs) == pytest.approx(0, abs=0.2)
    assert np.std(zs) == pytest.approx(1, abs=0.15)
    assert spiegelhalter_test(*draw_rows(slope=0.5))[1] < 1e-6


def test_the_number_of_bins_can_be_set():
    assert [len(calibration(*draw_rows(), bins=n).bins) for n in (5, 20)] == [5, 20]


@pytest.mark.parametrize(("labels", "scores"), [([], []), ([1, 1], [0.5, 0.6]), ([0, 1, 1], [0.5, 0.5, 0.5])])
def test_constant_labels_or_scores_give_no_slope(labels, scores):
    measured = calibration(np.array(labels, dtype=float), np.array(scores, dtype=float))
    assert math.isnan(measured.slope.value)


def test_labels_that_the_scores_separate_give_no_slope():
    labels = np.repeat([0.0, 1.0], 20)
    assert math.isnan(calibration(labels, np.linspace(0.2, 0.8, 40)).slope.value)
