"""Verdicts on a rollout's measurements; the statistics themselves are tested in unit/domain/experiment."""

from __future__ import annotations

import random
from typing import Any

import pytest

from bedplate.domain.experiment.arm import Arm
from bedplate.domain.rollout.verdicts import (
    PairedPredictions,
    VariantTraffic,
    describe_slo_violation,
    judge_ab,
    judge_bandit,
    judge_pairs,
    judge_shadow,
)
from bedplate.settings import Experiment, Slo
from builders import binary_arm

HEALTHY = (VariantTraffic(1000, 0, 10.0), VariantTraffic(1000, 0, 12.0))
SETTINGS = Experiment(min_predictions=100, min_effect=0.1)
PREDICTIONS = [i / 100 for i in range(100)]
HALF = {"live": 0.5, "challenger": 0.5}


def shadow(
    first: Any, second: Any, traffic: Any = HEALTHY, *, binary: bool = True, max_psi: float = 0.25, **changes: Any
) -> Any:
    settings = SETTINGS.model_copy(update=changes)
    return judge_shadow(PairedPredictions(first, second), traffic, settings, Slo(), is_binary=binary, max_psi=max_psi)


def test_shadow_gets_a_verdict_when_there_are_enough_pairs() -> None:
    assert shadow(PREDICTIONS[:99], PREDICTIONS[:99]).verdict is None
    assert shadow(PREDICTIONS, PREDICTIONS).verdict == "PASS"
    assert shadow([], []).verdict is None
    assert shadow(PREDICTIONS, PREDICTIONS, min_predictions=101).verdict is None


def test_decisions_on_different_sides_of_the_threshold_disagree() -> None:
    other_predictions = [a if i < 70 else 1 - a for i, a in enumerate(PREDICTIONS)]
    result = shadow(PREDICTIONS, other_predictions, max_psi=9)
    assert (result.verdict, result.measurements["agreement_pct"]) == ("FAIL", pytest.approx(70))
    assert shadow(PREDICTIONS, other_predictions, max_psi=9, min_agreement_pct=50).verdict == "PASS"
    assert shadow(PREDICTIONS, other_predictions, max_psi=9, threshold=2.0).verdict == "PASS"


def test_shadow_waits_while_the_agreement_interval_contains_its_bound() -> None:
    other_predictions = [a if i < 92 else 1 - a for i, a in enumerate(PREDICTIONS)]
    assert shadow(PREDICTIONS, other_predictions, max_psi=9).verdict is None


def test_shifted_predictions_fail_although_every_decision_agrees() -> None:
    low = [0.4 * a for a in PREDICTIONS]
    result = shadow(low, [0.1 * a for a in PREDICTIONS])
    assert (result.verdict, "PSI" in result.message) == ("FAIL", True)


def test_challenger_that_violates_the_slo_fails_before_the_comparison() -> None:
    assert "failed" in shadow([], [], (HEALTHY[0], VariantTraffic(200, 10, 12.0))).message
    slow = shadow(PREDICTIONS, PREDICTIONS, (HEALTHY[0], VariantTraffic(200, 0, 900.0)))
    assert (slow.verdict, "p99 latency is 900.0 ms" in slow.message) == ("FAIL", True)
    assert describe_slo_violation(VariantTraffic(3, 3, None), Slo(), min_requests=10) is None


def test_latencies_of_the_same_requests_are_measured() -> None:
    pairs = PairedPredictions(PREDICTIONS, PREDICTIONS, [1000.0] * 100, [3000.0] * 100)
    measurements = judge_shadow(pairs, HEALTHY, SETTINGS, Slo(), is_binary=True, max_psi=0.25).measurements
    assert measurements["p99_ms"] == {"live": 1.0, "challenger": 3.0}
    assert measurements["p99_difference_ms"] == [2.0, 2.0]


@pytest.mark.parametrize(("wins", "verdict"), [(240, "PASS"), (60, "FAIL"), (155, None)])
def test_ab_test_ends_when_the_difference_is_significant(wins: int, verdict: str | None) -> None:
    result = judge_ab("binary", binary_arm(150, 300), binary_arm(wins, 300), SETTINGS)
    assert result.verdict == verdict
    assert result.measurements["sample_size"] > 100


def test_ab_test_waits_for_the_minimum_number_of_predictions() -> None:
    assert judge_ab("binary", binary_arm(0, 99), binary_arm(99, 99), SETTINGS).verdict is None
    assert "interval" not in judge_ab("binary", Arm.from_rewards([]), Arm.from_rewards([]), SETTINGS).measurements


def test_ab_test_without_a_difference_fails_after_the_sample_size() -> None:
    assert judge_ab("binary", binary_arm(5000, 10000), binary_arm(5000, 10000), SETTINGS).verdict == "FAIL"


def test_the_interval_determines_the_verdict_of_pairs() -> None:
    draw = random.Random(5)
    first = [float(draw.random() < 0.5) for _ in range(400)]
    better = [max(a, float(draw.random() < 0.3)) for a in first]
    assert judge_pairs(first, better, SETTINGS).verdict == "PASS"
    assert judge_pairs(better, first, SETTINGS).verdict == "FAIL"
    assert judge_pairs(first, first, SETTINGS).verdict is None
    assert judge_pairs(first[:99], better[:99], SETTINGS).verdict is None
    assert "interval" not in judge_pairs([], [], SETTINGS).measurements


def arms(live: int, challenger: int, n: int) -> dict[str, Arm]:
    return {"live": binary_arm(live, n), "challenger": binary_arm(challenger, n)}


def test_bandit_changes_weights_from_a_tenth_of_the_predictions_on() -> None:
    settings = Experiment(min_predictions=500, floor_pct=10)
    assert judge_bandit("binary", arms(10, 30, 49), HALF, settings).weights is None
    result = judge_bandit("binary", arms(10, 30, 50), HALF, settings)
    assert (result.verdict, result.weights) == (None, {"live": 0.25, "challenger": 0.75})
    assert judge_bandit("binary", arms(10, 30, 50), dict(result.weights or {}), settings).weights["challenger"] > 0.85  # type: ignore[index]
    assert judge_bandit("binary", arms(100, 300, 500), HALF, settings).verdict == "PASS"
    assert judge_bandit("binary", arms(300, 100, 500), HALF, settings).verdict == "FAIL"
    assert judge_bandit("binary", arms(250, 252, 500), HALF, settings).verdict is None


def test_bandit_weights_stay_above_the_floor() -> None:
    settings = Experiment(min_predictions=500, floor_pct=20)
    result = judge_bandit("binary", arms(5, 95, 100), {"live": 0.2, "challenger": 0.8}, settings)
    assert result.weights == {"live": 0.2, "challenger": 0.8}
