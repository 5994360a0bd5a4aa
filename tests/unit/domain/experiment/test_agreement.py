"""Agreement of a shadow with the champion on the same requests."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bedplate.domain.experiment.agreement import (
    AgreementBounds,
    check_agreement,
    measure_agreement,
    prediction_psi,
)
from bedplate.domain.gate.verdict import combine_outcomes

RNG = np.random.default_rng(7)
SCORES = RNG.beta(2, 3, 2000)
NEAR = np.clip(SCORES + RNG.normal(0, 0.02, 2000), 0, 1)
TIMES = RNG.gamma(4, 500, 2000)
SAME = float(np.mean((SCORES >= 0.4) == (NEAR >= 0.4)))


def test_measurements_equal_those_of_numpy_and_scipy() -> None:
    from scipy import stats

    measured = measure_agreement(SCORES, NEAR, threshold=0.4, is_binary=True)
    assert measured.agreement_rate == pytest.approx(np.mean((SCORES >= 0.4) == (NEAR >= 0.4)))
    assert measured.correlation == pytest.approx(stats.pearsonr(SCORES, NEAR).statistic)
    assert measured.mean_abs_difference == pytest.approx(np.abs(SCORES - NEAR).mean())
    assert measured.p95_abs_difference == pytest.approx(np.quantile(np.abs(SCORES - NEAR), 0.95))
    assert measured.agreement_ci_low < measured.agreement_rate < measured.agreement_ci_high


def test_the_latency_interval_of_a_slower_shadow_is_narrower_for_pairs() -> None:
    measured = measure_agreement(SCORES, NEAR, threshold=0.4, is_binary=True, champion_us=TIMES, shadow_us=TIMES + 1000)
    for comparison in measured.latency:
        assert (comparison.ci_low_ms, comparison.ci_high_ms) == pytest.approx((1.0, 1.0))
    assert [t.quantile for t in measured.latency] == [0.5, 0.95, 0.99]
    unpaired = measure_agreement(
        SCORES, NEAR, threshold=0.4, is_binary=True, champion_us=TIMES, shadow_us=RNG.permutation(TIMES)
    )
    assert unpaired.latency[0].ci_low_ms < 0 < unpaired.latency[0].ci_high_ms


def test_psi_is_zero_for_equal_predictions_and_large_for_a_constant() -> None:
    assert prediction_psi(SCORES, SCORES) == 0
    assert prediction_psi(SCORES, np.full(2000, 0.5)) > 1


def test_regression_agrees_when_scores_are_near() -> None:
    assert measure_agreement([1, 2, 3], [1.4, 2.6, 3], threshold=0.5, is_binary=False).agreement_rate == pytest.approx(
        2 / 3
    )


def test_no_pairs_give_no_data() -> None:
    measured = measure_agreement([], [], threshold=0.5, is_binary=True)
    assert measured.n_pairs == 0
    assert math.isnan(measured.agreement_rate)
    assert {check.verdict for check in check_agreement(measured, AgreementBounds())} == {"NO_DATA"}


def test_pairs_of_different_lengths_are_rejected() -> None:
    with pytest.raises(ValueError, match="expected pairs"):
        measure_agreement([0.1], [0.1, 0.2], threshold=0.5, is_binary=True)


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        (AgreementBounds(), "PASS"),
        (AgreementBounds(min_agreement=0.999), "FAIL"),
        (AgreementBounds(min_agreement=SAME), "NO_DATA"),
        (AgreementBounds(min_pairs=3000), "NO_DATA"),
        (AgreementBounds(max_psi=-1), "FAIL"),
        (AgreementBounds(min_agreement=None, max_psi=None), "NO_DATA"),
    ],
)
def test_each_bound_that_is_set_affects_the_verdict(bounds: AgreementBounds, verdict: str) -> None:
    measured = measure_agreement(SCORES, NEAR, threshold=0.4, is_binary=True, champion_us=TIMES, shadow_us=TIMES)
    assert combine_outcomes(check.verdict for check in check_agreement(measured, bounds)) == verdict


def test_a_shift_of_the_predictions_fails_even_when_all_decisions_agree() -> None:
    measured = measure_agreement(SCORES, SCORES / 3 + 0.7, threshold=0.0, is_binary=True)
    assert measured.agreement_rate == 1.0
    assert [check.verdict for check in check_agreement(measured, AgreementBounds())] == ["PASS", "FAIL"]
