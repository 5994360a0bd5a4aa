from __future__ import annotations

import math

import numpy as np
import pytest

from bedplate.domain.experiment.paired import duel, mcnemar, mean_difference


def rows(n: int, *, better: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, champion's and challenger's scores; the challenger sees `better` more of the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 1, n)
    labels = (truth + rng.normal(0, 0.5, n) > 0).astype(float)
    scores = [1 / (1 + np.exp(-(weight * truth + rng.normal(0, 1, n)))) for weight in (1.0, 1.0 + better)]
    return labels, scores[0], scores[1]


@pytest.mark.parametrize("n", [40, 2000])
def test_mcnemar_is_statsmodels_exact_for_few_and_corrected_for_many(n: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar as reference

    y, a, b = rows(n, better=0.8)
    found = mcnemar(y, a, b)
    right_a, right_b = (a >= 0.5) == (y == 1), (b >= 0.5) == (y == 1)
    table = [[(right_a & right_b).sum(), (right_a & ~right_b).sum()], [(~right_a & right_b).sum(), 0]]
    few = found.champion_only + found.challenger_only < 25
    assert few == (n == 40)
    assert found.p == pytest.approx(reference(table, exact=few, correction=True).pvalue, rel=1e-9)


def test_two_that_never_disagree_are_the_same_by_chance() -> None:
    y, a, _ = rows(50, better=0)
    assert mcnemar(y, a, a).p == 1.0


def test_threshold_is_where_a_decision_turns() -> None:
    assert mcnemar([1, 1], [0.6, 0.6], [0.4, 0.4], threshold=0.3).champion_only == 0
    assert mcnemar([1, 1], [0.6, 0.6], [0.4, 0.4], threshold=0.5).champion_only == 2


def test_interval_of_the_mean_difference_is_that_of_scipys_bootstrap() -> None:
    from scipy import stats

    rng = np.random.default_rng(1)
    a = rng.gamma(2, 1, 300)
    b = a + rng.normal(0.2, 0.5, 300)
    found = mean_difference(a, b)
    told = stats.bootstrap((b - a,), np.mean, method="percentile", n_resamples=1000, rng=0).confidence_interval
    assert (found.low, found.high) == pytest.approx((told.low, told.high), abs=0.01)
    assert found.value == pytest.approx(float((b - a).mean()))
    assert math.isnan(mean_difference([], []).value)


@pytest.mark.parametrize(
    ("better", "n", "tolerance", "verdict"),
    [(0.8, 1000, 0.0, "PASS"), (-0.7, 1000, 0.0, "FAIL"), (0.0, 300, 0.0, "NO_DATA"), (0.0, 1000, 0.2, "PASS"),
     (0.8, 100, 0.0, "NO_DATA")],
)  # fmt: skip
@pytest.mark.parametrize("metric", ["auc", "brier"])
def test_verdict_needs_a_clear_difference(better: float, n: int, tolerance: float, verdict: str, metric: str) -> None:
    y, a, b = rows(n, better=better)
    found = duel("binary", metric, y, a, b, tolerance=tolerance)
    assert found.verdict == verdict
    assert found.decisions is not None


def test_regression_is_won_by_the_smaller_error() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(10, 3, 500)
    near, far = y + rng.normal(0, 1, 500), y + rng.normal(0, 2, 500)
    assert duel("regression", "rmse", y, far, near).verdict == "PASS"
    assert duel("regression", "rmse", y, near, far).verdict == "FAIL"
    assert duel("regression", "rmse", y, near, far).decisions is None
