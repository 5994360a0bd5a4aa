"""SHAP values against the package shap, and the stability of reasons."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bedplate.domain.evidence.explanation import MIN_ROWS, Explanation, shapley, stability

ROWS, BACKGROUND, NAMES = 40, 30, ("a", "b", "c", "d")
POOL = np.random.default_rng(2).normal(size=(ROWS + BACKGROUND, 4))


def curved(x: np.ndarray) -> np.ndarray:
    return 2 * x[:, 0] + x[:, 1] * x[:, 2] + np.tanh(x[:, 0] * x[:, 3])


def explained(model, *, draws: int = 10, seed: int = 1, **more) -> np.ndarray:
    def answer(indices: np.ndarray) -> np.ndarray:
        return model(np.take_along_axis(POOL, indices, axis=0))

    return shapley(answer, ROWS, BACKGROUND, 4, draws=draws, seed=seed, **more)


@pytest.mark.filterwarnings("ignore")  # shap's own, when it is imported
def test_values_come_to_those_of_shaps_exact_explainer():
    import shap

    masker = shap.maskers.Independent(POOL[ROWS:], max_samples=BACKGROUND)
    expected = shap.explainers.Exact(curved, masker)(POOL[:8]).values
    found = explained(curved, draws=2000)[:8]
    assert found == pytest.approx(expected, abs=0.15)
    assert np.abs(found - expected).mean() < 0.03


def test_a_linear_models_values_are_exact_up_to_the_background_drawn():
    weights = np.array([1.0, -2.0, 0.5, 0.0])
    values = explained(lambda x: x @ weights, draws=2000)
    expected = weights * (POOL[:ROWS] - POOL[ROWS:].mean(axis=0))
    assert values == pytest.approx(expected, abs=0.15)
    assert (values[:, 3] == 0).all()


def test_a_rows_values_sum_up_to_its_answer_minus_the_backgrounds():
    drawn = np.random.default_rng(1).integers(0, BACKGROUND, 20 * 1)
    values = explained(curved, draws=1)[:20]
    assert values.sum(axis=1) == pytest.approx(curved(POOL[:20]) - curved(POOL[ROWS + drawn]))


def test_the_same_seed_gives_the_same_values_and_another_seed_others():
    assert (explained(curved) == explained(curved)).all()
    assert (explained(curved) != explained(curved, seed=2)).any()


def test_time_that_is_up_ends_the_work_after_whole_rows():
    rounds = iter([True, False])
    assert explained(curved, go_on=lambda: next(rounds)).shape == (20, 4)


def told(candidate, champion, names=NAMES, other=NAMES) -> Explanation:
    return stability(np.asarray(candidate), names, np.asarray(champion), other, seconds=1.0)


def test_the_same_reasons_have_moved_nowhere():
    values = np.random.default_rng(0).normal(size=(50, 4)) * [4, 3, 2, 1]
    found = told(values, 3 * values)
    assert found.moved is not None
    assert found.rank_correlation is not None
    assert (found.moved.value, found.moved.high) == pytest.approx((0, 0))
    assert (found.rank_correlation.value, found.rank_correlation.low) == (1, 1)


def test_importance_that_moves_to_another_feature_is_counted_as_a_share():
    found = told(np.tile([3.0, 1.0, 0.0, 0.0], (50, 1)), np.tile([1.0, 1.0, 0.0, 2.0], (50, 1)))
    assert found.moved is not None
    assert found.moved.value == pytest.approx(0.5)
    assert [i.feature for i in found.importances][:2] == ["a", "d"]


def test_rank_correlation_is_scipys():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(5)
    first, second = np.abs(rng.normal(size=(60, 4))) * [4, 3, 2, 1], np.abs(rng.normal(size=(60, 4))) * [3, 4, 1, 2]
    found = told(first, second)
    assert found.rank_correlation is not None
    assert found.rank_correlation.value == pytest.approx(spearmanr(first.mean(0), second.mean(0)).statistic)


def test_a_feature_of_one_side_only_counts_as_moved_and_not_in_the_ranks():
    found = told(np.ones((50, 2)), np.ones((50, 3)), ("a", "b"), ("a", "b", "new"))
    assert found.moved is not None
    assert found.moved.value == pytest.approx(1 / 3)
    new = next(i for i in found.importances if i.feature == "new")
    assert (new.candidate, new.champion) == (None, 1.0)
    assert found.rank_correlation is not None
    assert math.isnan(found.rank_correlation.value)


def test_too_few_explained_rows_compare_nothing():
    found = told(np.ones((MIN_ROWS - 1, 4)), np.ones((200, 4)))
    assert found.moved is None
    assert "fewer than 30" in found.note
