"""The guard of a canary: bins, prediction shift, and the metric math that computes it."""

from __future__ import annotations

import numpy as np
import pytest

from bedplate.domain.guard import (
    count_by_bin,
    decode_edges,
    encode_edges,
    metric_math,
    prediction_shift,
    quantile_edges,
)
from bedplate.local.metrics.metric_math import evaluate_expression


def sample_predictions(n: int, seed: int, *, offset: float = 0.0) -> list[float]:
    return np.clip(np.random.default_rng(seed).beta(2, 6, n) + offset, 0, 1).tolist()


def alarm_value(candidate: list[int], champion: list[int], *, min_predictions: int) -> float:
    """The value that CloudWatch would compute, by the local platform's metric math."""
    series = {f"c{i}": {0.0: float(v)} for i, v in enumerate(candidate, 1)}
    series |= {f"h{i}": {0.0: float(v)} for i, v in enumerate(champion, 1)}
    for name, text in metric_math(len(candidate), min_predictions).items():
        series[name] = evaluate_expression(text, series, [0.0])
    return series["shift"][0.0]


def test_equal_frequency_bins_hold_a_fifth_each() -> None:
    sample = sample_predictions(5000, 1)
    counts = count_by_bin(quantile_edges(sample) or (), sample)
    assert len(counts) == 5
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("sample", [[], [0.3] * 40, [float("nan")] * 9])
def test_equal_predictions_have_no_bins(sample: list[float]) -> None:
    assert quantile_edges(sample) is None


def test_ties_give_fewer_bins() -> None:
    assert quantile_edges([0.1] * 90 + [0.2] * 10) == (0.1,)


@pytest.mark.parametrize(("candidate", "champion"), [([30, 80, 90, 60, 40], [60, 60, 60, 60, 60]), ([0, 5], [5, 0])])
def test_alarm_computes_the_prediction_shift(candidate: list[int], champion: list[int]) -> None:
    assert alarm_value(candidate, champion, min_predictions=1) == pytest.approx(prediction_shift(candidate, champion))


def test_too_few_predictions_of_either_release_are_not_a_breach() -> None:
    far = ([1000, 0], [0, 1000])
    assert alarm_value(*far, min_predictions=1000) > 1
    assert alarm_value(*far, min_predictions=1001) == 0


def test_champion_with_less_traffic_than_the_candidate_is_not_compared() -> None:
    assert alarm_value([500, 0], [0, 500], min_predictions=100) > 1
    assert alarm_value([501, 0], [0, 500], min_predictions=100) == 0


def test_same_model_has_a_small_shift_and_another_one_a_large_shift() -> None:
    edges = quantile_edges(sample_predictions(20_000, 0)) or ()
    champion = count_by_bin(edges, sample_predictions(3000, 2))
    assert prediction_shift(count_by_bin(edges, sample_predictions(400, 3)), champion) < 0.1
    assert prediction_shift(count_by_bin(edges, sample_predictions(400, 4, offset=0.15)), champion) > 0.25


def test_expressions_stay_within_the_limits_of_an_alarm() -> None:
    expressions = metric_math(5, 300)
    assert len(expressions) <= 10
    assert all(len(text) <= 1024 for text in expressions.values())


def test_edges_are_equal_after_a_round_trip_through_the_environment_variable() -> None:
    assert decode_edges(encode_edges((0.123456789,), "e-v1-0a1b2c3d", (0.5, 0.7))) == {
        "": (0.123457,),
        "e-v1-0a1b2c3d": (0.5, 0.7),
    }
    assert encode_edges(None, "e-v1", None) is None
    assert len(encode_edges((0.1,) * 4, "e" * 63, (0.1,) * 4) or "") < 1024


def test_regression_predictions_are_guarded_like_probabilities() -> None:
    """A model whose predictions are a fifth higher has a large shift, whatever the scale of the predictions."""
    prices = np.random.default_rng(3).lognormal(11.8, 0.25, 5000)
    edges = decode_edges(encode_edges(quantile_edges(prices.tolist()), None, None))[""]
    same, higher = count_by_bin(edges, prices[:1000].tolist()), count_by_bin(edges, (1.19 * prices[1000:2000]).tolist())
    champion = count_by_bin(edges, prices[2000:].tolist())
    assert alarm_value(same, champion, min_predictions=200) < 0.02
    assert alarm_value(higher, champion, min_predictions=200) > 0.25
