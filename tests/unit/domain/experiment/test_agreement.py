from __future__ import annotations

import math

import numpy as np
import pytest

from bedplate.domain.experiment.agreement import AgreementBounds, ErrorCount, agreement, answer_psi, findings, overall

RNG = np.random.default_rng(7)
SCORES = RNG.beta(2, 3, 2000)
NEAR = np.clip(SCORES + RNG.normal(0, 0.02, 2000), 0, 1)
TIMES = RNG.gamma(4, 500, 2000)
SAME = float(np.mean((SCORES >= 0.4) == (NEAR >= 0.4)))


def test_figures_are_numpys_and_scipys() -> None:
    from scipy import stats

    found = agreement(SCORES, NEAR, threshold=0.4, binary=True)
    assert found.same == pytest.approx(np.mean((SCORES >= 0.4) == (NEAR >= 0.4)))
    assert found.correlation == pytest.approx(stats.pearsonr(SCORES, NEAR).statistic)
    assert found.mean_apart == pytest.approx(np.abs(SCORES - NEAR).mean())
    assert found.p95_apart == pytest.approx(np.quantile(np.abs(SCORES - NEAR), 0.95))
    assert found.same_low < found.same < found.same_high


def test_slower_shadow_shows_with_an_interval_that_is_narrower_for_pairs() -> None:
    found = agreement(SCORES, NEAR, threshold=0.4, binary=True, champion_us=TIMES, shadow_us=TIMES + 1000)
    for told in found.latency:
        assert told.difference_ms == pytest.approx(1.0)
        assert (told.low_ms, told.high_ms) == pytest.approx((1.0, 1.0))
    assert [t.quantile for t in found.latency] == [0.5, 0.95, 0.99]
    unpaired = agreement(SCORES, NEAR, threshold=0.4, binary=True, champion_us=TIMES, shadow_us=RNG.permutation(TIMES))
    assert unpaired.latency[0].low_ms < 0 < unpaired.latency[0].high_ms


def test_psi_is_nothing_for_equal_answers_and_much_for_a_constant() -> None:
    assert answer_psi(SCORES, SCORES) == 0
    assert answer_psi(SCORES, np.full(2000, 0.5)) > 1


def test_regression_agrees_when_scores_are_near() -> None:
    assert agreement([1, 2, 3], [1.4, 2.6, 3], threshold=0.5, binary=False).same == pytest.approx(2 / 3)


def test_nothing_captured_is_no_data_and_no_figure() -> None:
    found = agreement([], [], threshold=0.5, binary=True)
    assert found.pairs == 0
    assert math.isnan(found.same)
    assert {
        f.verdict for f in findings(found, ErrorCount(0, 0), AgreementBounds(max_p99_ms=10, max_error_share=0.01))
    } == {"NO_DATA"}


def test_lengths_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs expected"):
        agreement([0.1], [0.1, 0.2], threshold=0.5, binary=True)


@pytest.mark.parametrize(
    ("bounds", "errors", "verdict"),
    [
        (AgreementBounds(), ErrorCount(2000, 0), "PASS"),
        (AgreementBounds(min_same=0.999), ErrorCount(2000, 0), "FAIL"),
        (AgreementBounds(min_same=SAME), ErrorCount(2000, 0), "NO_DATA"),
        (AgreementBounds(min_pairs=3000), ErrorCount(2000, 0), "NO_DATA"),
        (AgreementBounds(max_p99_ms=1), ErrorCount(2000, 0), "FAIL"),
        (AgreementBounds(max_p99_ms=100), ErrorCount(2000, 0), "PASS"),
        (AgreementBounds(max_error_share=0.01), ErrorCount(2000, 50), "FAIL"),
        (AgreementBounds(max_error_share=0.05), ErrorCount(2000, 50), "PASS"),
        (AgreementBounds(min_same=None, max_psi=None), ErrorCount(2000, 0), "NO_DATA"),
    ],
)
def test_what_is_bounded_decides(bounds: AgreementBounds, errors: ErrorCount, verdict: str) -> None:
    found = agreement(SCORES, NEAR, threshold=0.4, binary=True, champion_us=TIMES, shadow_us=TIMES)
    assert overall(findings(found, errors, bounds)) == verdict


def test_shift_of_the_answers_fails_whatever_the_decisions() -> None:
    found = agreement(SCORES, SCORES / 3 + 0.7, threshold=0.0, binary=True)
    assert found.same == 1.0
    assert [f.verdict for f in findings(found, ErrorCount(2000, 0), AgreementBounds())] == ["PASS", "FAIL"]
