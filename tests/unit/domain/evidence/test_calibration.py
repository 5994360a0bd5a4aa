"""Calibration against scikit-learn and statsmodels, and what its intervals promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bedplate.domain.evidence.calibration import calibration, spiegelhalter


def drawn(n: int = 4000, *, slope: float = 1.0, shift: float = 0.0, seed: int = 4):
    """Labels whose true logit is `slope * logit(score) + shift`."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-0.5, 1.2, n)
    labels = (rng.random(n) < 1 / (1 + np.exp(-(slope * logit + shift)))).astype(float)
    return labels, 1 / (1 + np.exp(-logit))


def test_the_bins_are_those_of_scikit_learns_calibration_curve():
    from sklearn.calibration import calibration_curve

    labels, scores = drawn()
    seen, said = calibration_curve(labels, scores, n_bins=8, strategy="quantile")
    found = calibration(labels, scores, bins=8)
    assert [b.share for b in found.bins] == pytest.approx(seen, abs=2e-3)
    assert [b.score for b in found.bins] == pytest.approx(said, abs=2e-3)
    assert sum(b.n for b in found.bins) == len(labels)
    plain = sum(b.n * abs(b.share - b.score) for b in found.bins) / len(labels)
    assert found.plain_ece == pytest.approx(plain)


def test_slope_and_intercept_are_those_of_statsmodels():
    import statsmodels.api as sm

    labels, scores = drawn(slope=0.7, shift=0.3)
    logit = np.log(scores / (1 - scores))
    whole = sm.Logit(labels, sm.add_constant(logit)).fit(disp=False)
    large = sm.GLM(labels, np.ones(len(labels)), family=sm.families.Binomial(), offset=logit).fit()
    found = calibration(labels, scores)
    ends = whole.conf_int()[1]
    assert (found.slope.value, found.slope.low, found.slope.high) == pytest.approx((whole.params[1], *ends), abs=1e-6)
    ends = large.conf_int()[0]
    assert (found.intercept.value, found.intercept.low, found.intercept.high) == pytest.approx(
        (large.params[0], *ends), abs=1e-6
    )
    assert found.slope.high < 1
    assert found.intercept.low > 0


def test_the_brier_score_is_the_sum_of_its_parts():
    from sklearn.metrics import brier_score_loss

    labels, scores = drawn(slope=0.5)
    found = calibration(labels, scores)
    total = found.reliability - found.resolution + found.uncertainty + found.within
    assert total == pytest.approx(brier_score_loss(labels, scores))
    assert found.uncertainty == pytest.approx(labels.var())
    assert abs(found.within) < 0.002


def test_scores_of_few_values_have_nothing_hidden_in_bins():
    rng = np.random.default_rng(1)
    scores = np.tile([0.1, 0.4, 0.8], 300)
    labels = (rng.random(900) < scores).astype(float)
    assert calibration(labels, scores, bins=3).within == pytest.approx(0, abs=1e-12)


def test_the_corrected_error_of_a_calibrated_model_is_near_nothing_and_its_interval_holds_it():
    corrected, plain = [], []
    for seed in range(20):
        found = calibration(*drawn(800, seed=seed))
        corrected.append(found.ece.value)
        plain.append(found.plain_ece)
        assert 0 <= found.ece.low <= found.ece.value <= found.ece.high
    assert np.mean(plain) > 0.02  # binning alone makes this much of nothing
    assert np.mean(corrected) < 0.6 * np.mean(plain)


def test_the_interval_of_the_error_covers_the_true_one():
    truth, covered = calibration(*drawn(50_000, slope=0.5)).plain_ece, 0
    for seed in range(25):
        found = calibration(*drawn(1500, slope=0.5, seed=100 + seed)).ece
        covered += found.low <= truth <= found.high
    assert covered >= 21


def test_spiegelhalters_z_is_standard_normal_when_scores_are_right():
    zs = [spiegelhalter(*drawn(500, seed=seed))[0] for seed in range(300)]
    assert np.mean(zs) == pytest.approx(0, abs=0.2)
    assert np.std(zs) == pytest.approx(1, abs=0.15)
    assert spiegelhalter(*drawn(slope=0.5))[1] < 1e-6


def test_more_bins_are_more_bins():
    assert [len(calibration(*drawn(), bins=n).bins) for n in (5, 20)] == [5, 20]


@pytest.mark.parametrize(("labels", "scores"), [([], []), ([1, 1], [0.5, 0.6]), ([0, 1, 1], [0.5, 0.5, 0.5])])
def test_rows_that_cannot_tell_give_no_slope(labels, scores):
    found = calibration(np.array(labels, dtype=float), np.array(scores, dtype=float))
    assert math.isnan(found.slope.value)


def test_labels_that_the_scores_separate_give_no_slope():
    labels = np.repeat([0.0, 1.0], 20)
    assert math.isnan(calibration(labels, np.linspace(0.2, 0.8, 40)).slope.value)
