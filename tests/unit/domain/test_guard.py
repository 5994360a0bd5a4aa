"""The canary's guard: bins, shift, and the metric math that computes the same."""

from __future__ import annotations

import numpy as np
import pytest

from bedplate.domain.guard import counted, decode, edges_of, encode, expressions, shift
from bedplate.local.metrics.metric_math import calculate


def answers(n: int, seed: int, *, moved: float = 0.0) -> list[float]:
    return np.clip(np.random.default_rng(seed).beta(2, 6, n) + moved, 0, 1).tolist()


def through_the_alarm(candidate: list[int], champion: list[int], *, min_answers: int) -> float:
    """The figure as CloudWatch would have it, by the local platform's metric math."""
    series = {f"c{i}": {0.0: float(v)} for i, v in enumerate(candidate, 1)}
    series |= {f"h{i}": {0.0: float(v)} for i, v in enumerate(champion, 1)}
    for name, text in expressions(len(candidate), min_answers).items():
        series[name] = calculate(text, series, [0.0])
    return series["shift"][0.0]


def test_equal_frequency_bins_hold_a_fifth_each() -> None:
    sample = answers(5000, 1)
    counts = counted(edges_of(sample) or (), sample)
    assert len(counts) == 5
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("sample", [[], [0.3] * 40, [float("nan")] * 9])
def test_answers_that_do_not_differ_have_no_bins(sample: list[float]) -> None:
    assert edges_of(sample) is None


def test_ties_make_fewer_bins() -> None:
    assert edges_of([0.1] * 90 + [0.2] * 10) == (0.1,)


@pytest.mark.parametrize(("candidate", "champion"), [([30, 80, 90, 60, 40], [60, 60, 60, 60, 60]), ([0, 5], [5, 0])])
def test_the_alarm_computes_what_shift_computes(candidate: list[int], champion: list[int]) -> None:
    assert through_the_alarm(candidate, champion, min_answers=1) == pytest.approx(shift(candidate, champion))


def test_too_few_answers_on_either_side_are_no_breach() -> None:
    far = ([1000, 0], [0, 1000])
    assert through_the_alarm(*far, min_answers=1000) > 1
    assert through_the_alarm(*far, min_answers=1001) == 0


def test_a_champion_that_no_longer_answers_beside_the_candidate_is_not_compared() -> None:
    assert through_the_alarm([500, 0], [0, 500], min_answers=100) > 1
    assert through_the_alarm([501, 0], [0, 500], min_answers=100) == 0


def test_the_same_model_stays_quiet_and_another_one_does_not() -> None:
    edges = edges_of(answers(20_000, 0)) or ()
    held = counted(edges, answers(3000, 2))
    assert shift(counted(edges, answers(400, 3)), held) < 0.1
    assert shift(counted(edges, answers(400, 4, moved=0.15)), held) > 0.25


def test_an_alarms_limits_are_kept() -> None:
    told = expressions(5, 300)
    assert len(told) <= 10
    assert all(len(text) <= 1024 for text in told.values())


def test_edges_travel_in_the_environment() -> None:
    assert decode(encode((0.123456789,), "e-v1-0a1b2c3d", (0.5, 0.7))) == {"": (0.123457,), "e-v1-0a1b2c3d": (0.5, 0.7)}
    assert encode(None, "e-v1", None) is None
    assert len(encode((0.1,) * 4, "e" * 63, (0.1,) * 4) or "") < 1024


def test_answers_in_dollars_are_guarded_like_shares() -> None:
    """Edges survive the container's environment, and a model that answers a fifth more is far, wherever zero is."""
    prices = np.random.default_rng(3).lognormal(11.8, 0.25, 5000)
    edges = decode(encode(edges_of(prices.tolist()), None, None))[""]
    same, dearer = counted(edges, prices[:1000].tolist()), counted(edges, (1.19 * prices[1000:2000]).tolist())
    champion = counted(edges, prices[2000:].tolist())
    assert through_the_alarm(same, champion, min_answers=200) < 0.02
    assert through_the_alarm(dearer, champion, min_answers=200) > 0.25
