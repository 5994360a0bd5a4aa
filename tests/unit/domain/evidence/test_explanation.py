"""SHAP values are compared with the package shap; importances with scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bedplate.domain.evidence.explanation import MIN_ROWS, Explanation, compare_importances, shapley_values

ROWS, BACKGROUND, NAMES = 40, 30, ("a", "b", "c", "d")
POOL = np.random.default_rng(2).normal(size=(ROWS + BACKGROUND, 4))


def nonlinear(x: np.ndarray) -> np.ndarray:
    return 2 * x[:, 0] + x[:, 1] * x[:, 2] + np.tanh(x[:, 0] * x[:, 3])


def explain(model, *, draws: int = 10, seed: int = 1, **more) -> np.ndarray:
    def predict(indices: np.ndarray) -> np.ndarray:
        return model(np.take_along_axis(POOL, indices, axis=0))

    return shapley_values(predict, ROWS, BACKGROUND, 4, draws=draws, seed=seed, **more)


@pytest.mark.filterwarnings("ignore")  # shap's own, when it is imported
def test_values_converge_to_those_of_the_exact_explainer_of_shap():
    import shap

    masker = shap.maskers.Independent(POOL[ROWS:], max_samples=BACKGROUND)
    expected = shap.explainers.Exact(nonlinear, masker)(POOL[:8]).values
    values = explain(nonlinear, draws=2000)[:8]
    assert values == pytest.approx(expected, abs=0.15)
    assert np.abs(values - expected).mean() < 0.03


def test_values_of_a_linear_model_are_exact_up_to_the_drawn_background_rows():
    weights = np.array([1.0, -2.0, 0.5, 0.0])
    values = explain(lambda x: x @ weights, draws=2000)
    expected = weights * (POOL[:ROWS] - POOL[ROWS:].mean(axis=0))
    assert values == pytest.approx(expected, abs=0.15)
    assert (values[:, 3] == 0).all()


def test_the_values_of_a_row_add_up_to_its_prediction_minus_the_background_prediction():
    drawn = np.random.default_rng(1).integers(0, BACKGROUND, 20 * 1)
    values = explain(nonlinear, draws=1)[:20]
    assert values.sum(axis=1) == pytest.approx(nonlinear(POOL[:20]) - nonlinear(POOL[ROWS + drawn]))


def test_the_same_seed_gives_the_same_values_and_another_seed_others():
    assert (explain(nonlinear) == explain(nonlinear)).all()
    assert (explain(nonlinear) != explain(nonlinear, seed=2)).any()


def test_the_computation_stops_after_whole_rows_when_time_is_up():
    rounds = iter([True, False])
    assert explain(nonlinear, should_continue=lambda: next(rounds)).shape == (20, 4)


def compare(candidate, champion, names=NAMES, other=NAMES) -> Explanation:
    return compare_importances(np.asarray(candidate), names, np.asarray(champion), other, seconds=1.0)


def test_the_same_importances_have_no_shift():
    values = np.random.default_rng(0).normal(size=(50, 4)) * [4, 3, 2, 1]
    explanation = compare(values, 3 * values)
    assert explanation.importance_shift is not None
    assert explanation.rank_correlation is not None
    assert (explanation.importance_shift.value, explanation.importance_shift.ci_high) == pytest.approx((0, 0))
    assert (explanation.rank_correlation.value, explanation.rank_correlation.ci_low) == (1, 1)


def test_importance_that_moves_to_another_feature_is_counted_as_a_share():
    explanation = compare(np.tile([3.0, 1.0, 0.0, 0.0], (50, 1)), np.tile([1.0, 1.0, 0.0, 2.0], (50, 1)))
    assert explanation.importance_shift is not None
    assert explanation.importance_shift.value == pytest.approx(0.5)
    assert [i.feature for i in explanation.importances][:2] == ["a", "d"]


def test_rank_correlation_equals_scipys():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(5)
    first, second = np.abs(rng.normal(size=(60, 4))) * [4, 3, 2, 1], np.abs(rng.normal(size=(60, 4))) * [3, 4, 1, 2]
    explanation = compare(first, second)
    assert explanation.rank_correlation is not None
    assert explanation.rank_correlation.value == pytest.approx(spearmanr(first.mean(0), second.mean(0)).statistic)


def test_a_feature_of_one_model_only_counts_as_shift_and_not_in_the_rank_correlation():
    explanation = compare(np.ones((50, 2)), np.ones((50, 3)), ("a", "b"), ("a", "b", "new"))
    assert explanation.importance_shift is not None
    assert explanation.importance_shift.value == pytest.approx(1 / 3)
    new = next(i for i in explanation.importances if i.feature == "new")
    assert (new.candidate, new.champion) == (None, 1.0)
    assert explanation.rank_correlation is not None
    assert math.isnan(explanation.rank_correlation.value)


def test_too_few_explained_rows_give_no_comparison():
    explanation = compare(np.ones((MIN_ROWS - 1, 4)), np.ones((200, 4)))
    assert explanation.importance_shift is None
    assert "fewer than 30" in explanation.note
