"""What the figures of two releases say to a rollout; the statistics themselves are tested in domain_experiment."""

from __future__ import annotations

import random
from typing import Any

import pytest

from bedplate.domain.experiment.arm import Arm
from bedplate.domain.rollout.judging import (
    PairedPredictions,
    VariantTraffic,
    judge_ab,
    judge_bandit,
    judge_pairs,
    judge_shadow,
    unwell,
)
from bedplate.settings import Experiment, Slo

WELL = (VariantTraffic(1000, 0, 10.0), VariantTraffic(1000, 0, 12.0))
WANTED = Experiment(min_answers=100, min_effect=0.1)
SAME = [i / 100 for i in range(100)]
HALF = {"live": 0.5, "challenger": 0.5}


def shadow(
    first: Any, second: Any, served: Any = WELL, *, binary: bool = True, max_psi: float = 0.25, **changes: Any
) -> Any:
    wanted = WANTED.model_copy(update=changes)
    return judge_shadow(PairedPredictions(first, second), served, wanted, Slo(), binary=binary, max_psi=max_psi)


def test_a_shadow_is_judged_when_enough_answers_can_be_paired() -> None:
    assert shadow(SAME[:99], SAME[:99]).verdict is None
    assert shadow(SAME, SAME).verdict == "PASS"
    assert shadow([], []).verdict is None
    assert shadow(SAME, SAME, min_answers=101).verdict is None


def test_decisions_on_different_sides_of_the_threshold_disagree() -> None:
    other = [a if i < 70 else 1 - a for i, a in enumerate(SAME)]
    judged = shadow(SAME, other, max_psi=9)
    assert (judged.verdict, judged.facts["agreement_pct"]) == ("FAIL", pytest.approx(70))
    assert shadow(SAME, other, max_psi=9, min_agreement_pct=50).verdict == "PASS"
    assert shadow(SAME, other, max_psi=9, threshold=2.0).verdict == "PASS"


def test_while_the_share_of_equal_decisions_may_lie_on_either_side_of_its_bound_more_are_waited_for() -> None:
    other = [a if i < 92 else 1 - a for i, a in enumerate(SAME)]
    assert shadow(SAME, other, max_psi=9).verdict is None


def test_answers_that_shifted_fail_although_every_decision_agrees() -> None:
    low = [0.4 * a for a in SAME]
    judged = shadow(low, [0.1 * a for a in SAME])
    assert (judged.verdict, "PSI" in judged.told) == ("FAIL", True)


def test_a_challenger_that_breaks_the_service_level_fails_before_anything_is_compared() -> None:
    assert "failed" in shadow([], [], (WELL[0], VariantTraffic(200, 10, 12.0))).told
    slow = shadow(SAME, SAME, (WELL[0], VariantTraffic(200, 0, 900.0)))
    assert (slow.verdict, "p99 is 900.0 ms" in slow.told) == ("FAIL", True)
    assert unwell(VariantTraffic(3, 3, None), Slo(), enough=10) is None


def test_times_of_the_same_requests_are_reported_beside_the_answers() -> None:
    pairs = PairedPredictions(SAME, SAME, [1000.0] * 100, [3000.0] * 100)
    facts = judge_shadow(pairs, WELL, WANTED, Slo(), binary=True, max_psi=0.25).facts
    assert facts["p99_ms"] == {"live": 1.0, "challenger": 3.0}
    assert facts["p99_later_ms"] == [2.0, 2.0]


@pytest.mark.parametrize(("wins", "verdict"), [(240, "PASS"), (60, "FAIL"), (155, None)])
def test_an_ab_test_ends_when_the_difference_is_clear(wins: int, verdict: str | None) -> None:
    judged = judge_ab("binary", Arm.of_counts(150, 300), Arm.of_counts(wins, 300), WANTED)
    assert judged.verdict == verdict
    assert judged.facts["needed"] > 100


def test_an_ab_test_waits_for_the_first_answers_whatever_they_say() -> None:
    assert judge_ab("binary", Arm.of_counts(0, 99), Arm.of_counts(99, 99), WANTED).verdict is None
    assert "interval" not in judge_ab("binary", Arm.of([]), Arm.of([]), WANTED).facts


def test_after_the_needed_sample_no_difference_leaves_the_champion() -> None:
    assert judge_ab("binary", Arm.of_counts(5000, 10000), Arm.of_counts(5000, 10000), WANTED).verdict == "FAIL"


def test_of_pairs_the_interval_decides() -> None:
    draw = random.Random(5)
    first = [float(draw.random() < 0.5) for _ in range(400)]
    better = [max(a, float(draw.random() < 0.3)) for a in first]
    assert judge_pairs(first, better, WANTED).verdict == "PASS"
    assert judge_pairs(better, first, WANTED).verdict == "FAIL"
    assert judge_pairs(first, first, WANTED).verdict is None
    assert judge_pairs(first[:99], better[:99], WANTED).verdict is None
    assert "interval" not in judge_pairs([], [], WANTED).facts


def arms(live: int, challenger: int, n: int) -> dict[str, Arm]:
    return {"live": Arm.of_counts(live, n), "challenger": Arm.of_counts(challenger, n)}


def test_a_bandit_weighs_from_a_tenth_of_the_sample_on_and_ends_when_it_has_all() -> None:
    wanted = Experiment(min_answers=500, floor_pct=10)
    assert judge_bandit("binary", arms(10, 30, 49), HALF, wanted).weights is None
    weighed = judge_bandit("binary", arms(10, 30, 50), HALF, wanted)
    assert (weighed.verdict, weighed.weights) == (None, {"live": 0.25, "challenger": 0.75})
    assert judge_bandit("binary", arms(10, 30, 50), dict(weighed.weights or {}), wanted).weights["challenger"] > 0.85  # type: ignore[index]
    assert judge_bandit("binary", arms(100, 300, 500), HALF, wanted).verdict == "PASS"
    assert judge_bandit("binary", arms(300, 100, 500), HALF, wanted).verdict == "FAIL"
    assert judge_bandit("binary", arms(250, 252, 500), HALF, wanted).verdict is None


def test_a_bandit_keeps_its_floor() -> None:
    wanted = Experiment(min_answers=500, floor_pct=20)
    weighed = judge_bandit("binary", arms(5, 95, 100), {"live": 0.2, "challenger": 0.8}, wanted)
    assert weighed.weights == {"live": 0.2, "challenger": 0.8}
