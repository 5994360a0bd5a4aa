"""What the figures of two releases say, held against scipy and statsmodels."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from bedplate.domain.rollout.judging import (
    Sample,
    Served,
    judge_ab,
    judge_bandit,
    judge_pairs,
    judge_shadow,
    needed_sample,
    unwell,
)
from bedplate.settings import Experiment, Slo

WELL = (Served(1000, 0, 10.0), Served(1000, 0, 12.0))
WANTED = Experiment(min_answers=100, min_effect=0.1)


def shadow(pairs: Any, served: Any = WELL, *, binary: bool = True, **changes: Any) -> Any:
    wanted = WANTED.model_copy(update=changes)
    return judge_shadow(pairs, served, wanted, Slo(), binary=binary)


def test_a_shadow_is_judged_when_enough_answers_can_be_paired() -> None:
    assert shadow([(0.2, 0.3)] * 99).verdict is None
    assert shadow([(0.2, 0.3)] * 100).verdict == "PASS"
    assert shadow([]).verdict is None


def test_decisions_on_different_sides_of_the_threshold_disagree() -> None:
    pairs = [(0.2, 0.3)] * 85 + [(0.4, 0.6)] * 15
    judged = shadow(pairs)
    assert judged.verdict == "FAIL"
    assert judged.facts["agreement_pct"] == pytest.approx(85)
    assert shadow(pairs, threshold=0.35).facts["agreement_pct"] == pytest.approx(100)
    assert shadow(pairs, min_agreement_pct=80).verdict == "PASS"


def test_scores_of_a_regression_agree_within_the_threshold() -> None:
    assert shadow([(10.0, 10.4)] * 100, binary=False).verdict == "PASS"
    assert shadow([(10.0, 10.6)] * 100, binary=False).verdict == "FAIL"


def test_a_challenger_that_breaks_the_service_level_fails_before_anything_is_compared() -> None:
    assert "failed" in shadow([], (WELL[0], Served(200, 10, 12.0))).told
    slow = shadow([(0.2, 0.2)] * 100, (WELL[0], Served(200, 0, 900.0)))
    assert (slow.verdict, "p99 is 900.0 ms" in slow.told) == ("FAIL", True)
    assert unwell(Served(3, 3, None), Slo(), enough=10) is None


def test_the_sample_of_an_ab_test_is_that_of_statsmodels() -> None:
    from statsmodels.stats.power import NormalIndPower

    for effect, alpha, power in ((0.1, 0.05, 0.8), (0.05, 0.01, 0.9)):
        wanted = Experiment(min_effect=effect, alpha=alpha, power=power)
        asked = NormalIndPower().solve_power(effect_size=effect / 0.5, alpha=alpha, power=power)
        assert needed_sample(0.25, wanted) == math.ceil(asked)


def test_the_test_of_an_ab_test_is_that_of_statsmodels() -> None:
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    draw = random.Random(7)
    a = [float(draw.random() < 0.5) for _ in range(600)]
    b = [float(draw.random() < 0.6) for _ in range(700)]
    judged = judge_ab(Sample.of(a), Sample.of(b), WANTED)
    _, p = CompareMeans(DescrStatsW(b), DescrStatsW(a)).ztest_ind(usevar="unequal")
    assert judged.facts["p_value"] == pytest.approx(p, rel=1e-6)
    assert judged.verdict == "PASS"
    assert judge_ab(Sample.of(b), Sample.of(a), WANTED).verdict == "FAIL"


def test_an_ab_test_is_not_looked_at_before_it_has_its_sample() -> None:
    clear = (Sample(392, 0.1, 0.25), Sample(392, 0.9, 0.25))
    assert judge_ab(*clear, WANTED).verdict is None
    assert judge_ab(Sample(393, 0.1, 0.25), Sample(393, 0.9, 0.25), WANTED).verdict == "PASS"
    assert judge_ab(Sample(0, 0, 0), Sample(0, 0, 0), WANTED).verdict is None


def test_no_difference_leaves_the_champion() -> None:
    assert judge_ab(Sample(500, 0.5, 0.25), Sample(500, 0.5, 0.25), WANTED).verdict == "FAIL"


def test_of_pairs_the_interval_decides() -> None:
    assert judge_pairs(Sample(400, 0.1, 0.25), WANTED).verdict == "PASS"
    assert judge_pairs(Sample(400, -0.1, 0.25), WANTED).verdict == "FAIL"
    assert judge_pairs(Sample(400, 0.01, 0.25), WANTED).verdict is None
    assert judge_pairs(Sample(99, 0.5, 0.01), WANTED).verdict is None
    assert judge_pairs(Sample(0, 0, 0), WANTED).facts["interval"] is None


def test_the_interval_of_pairs_is_that_of_scipy() -> None:
    from scipy import stats

    draw = random.Random(3)
    differences = [draw.gauss(0.05, 0.3) for _ in range(500)]
    low, high = judge_pairs(Sample.of(differences), WANTED).facts["interval"]
    error = stats.sem(differences)
    expected = stats.norm.interval(0.95, loc=sum(differences) / 500, scale=error)
    assert (low, high) == pytest.approx(expected)


def test_a_bandits_probability_is_that_of_the_beta_posteriors() -> None:
    from scipy import integrate, stats

    a, b = Sample.of([1.0] * 50 + [0.0] * 50), Sample.of([1.0] * 58 + [0.0] * 42)
    judged = judge_bandit(a, b, Experiment(min_answers=1000), seed=1)
    exact, _ = integrate.quad(lambda x: stats.beta(59, 43).pdf(x) * stats.beta(51, 51).cdf(x), 0, 1)
    assert judged.facts["challenger_is_better"] == pytest.approx(exact, abs=0.025)
    assert judged.weights is not None
    assert judged.weights["challenger"] == pytest.approx(exact, abs=0.03)


def test_a_bandit_keeps_its_limits_and_waits_for_a_first_sample() -> None:
    worse, better = Sample.of([0.0] * 90 + [1.0] * 10), Sample.of([1.0] * 90 + [0.0] * 10)
    wanted = Experiment(min_answers=1000, floor_pct=10)
    judged = judge_bandit(worse, better, wanted, seed=1)
    assert judged.weights == {"live": 0.1, "challenger": 0.9}
    assert judge_bandit(Sample.of([1.0]), better, wanted, seed=1).weights is None


def test_a_bandit_ends_when_it_is_sure() -> None:
    worse, better = Sample.of([0.0] * 90 + [1.0] * 10), Sample.of([1.0] * 90 + [0.0] * 10)
    wanted = Experiment(min_answers=100)
    assert judge_bandit(worse, better, wanted, seed=1).verdict == "PASS"
    assert judge_bandit(better, worse, wanted, seed=1).verdict == "FAIL"
    assert judge_bandit(better, better, wanted, seed=1).verdict is None


def test_rewards_that_are_no_yes_or_no_have_a_normal_posterior() -> None:
    wanted = Experiment(min_answers=100)
    low, high = Sample.of([-5.0 + 0.01 * i for i in range(200)]), Sample.of([-4.0 + 0.01 * i for i in range(200)])
    assert judge_bandit(low, high, wanted, seed=1).verdict == "PASS"


def test_a_bandit_regrets_less_than_an_even_split() -> None:
    """Arms that win 30 and 45 %: what is lost against always asking the better one, over 3,000 answers, seeded."""
    wanted = Experiment(min_answers=500, floor_pct=5)
    draw = random.Random(11)
    won: dict[str, list[float]] = {"live": [], "challenger": []}
    rate, weight, lost = {"live": 0.30, "challenger": 0.45}, 0.5, 0.0
    for turn in range(30):
        for _ in range(100):
            arm = "challenger" if draw.random() < weight else "live"
            won[arm].append(float(draw.random() < rate[arm]))
            lost += rate["challenger"] - rate[arm]
        judged = judge_bandit(Sample.of(won["live"]), Sample.of(won["challenger"]), wanted, seed=turn)
        weight = judged.weights["challenger"] if judged.weights else weight
    assert lost < 0.5 * (0.5 * 0.15 * 3000)
