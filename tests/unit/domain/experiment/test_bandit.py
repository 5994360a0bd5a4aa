"""Traffic weights of a Bayesian bandit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bedplate.domain.experiment.arm import Arm, Reward
from bedplate.domain.experiment.bandit import BanditLimits, allocate, best_probabilities, project_to_bounds
from builders import binary_arm


def test_the_probability_of_being_best_is_the_integral_over_both_beta_posteriors() -> None:
    from scipy import integrate, stats

    first, second = stats.beta(1 + 20, 1 + 80), stats.beta(1 + 27, 1 + 73)
    exact = integrate.quad(lambda x: second.pdf(x) * first.cdf(x), 0, 1)[0]
    probabilities = best_probabilities("binary", [binary_arm(20, 100), binary_arm(27, 100)], seed=0)
    assert probabilities[1] == pytest.approx(exact, abs=0.01)
    assert probabilities.sum() == pytest.approx(1)


def test_the_probability_of_the_higher_mean_is_that_of_two_t_posteriors() -> None:
    from scipy import integrate, stats

    rng = np.random.default_rng(2)
    arms = [Arm.from_rewards(rng.normal(0, 2, 12)), Arm.from_rewards(rng.normal(1, 3, 9))]
    first, second = (stats.t(a.n - 1, a.mean, np.sqrt(a.mean_variance)) for a in arms)
    exact = integrate.quad(lambda x: second.pdf(x) * first.cdf(x), -50, 50, limit=200)[0]
    assert best_probabilities("continuous", arms, seed=0)[1] == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_regret_is_well_below_that_of_a_uniform_split(kind: Reward) -> None:
    """The regret is the reward of the best arm minus the actual reward, over 25 batches of 400 requests, 8 times."""
    means = (0.10, 0.12, 0.18)

    def pull(rng: np.random.Generator, arm: int, n: int) -> np.ndarray:
        return rng.binomial(1, means[arm], n) if kind == "binary" else rng.normal(means[arm], 0.3, n)

    bandit = [_regret(kind, means, pull, seed, adaptive=True) for seed in range(8)]
    uniform = [_regret(kind, means, pull, seed, adaptive=False) for seed in range(8)]
    assert np.mean(bandit) < 0.5 * np.mean(uniform)
    assert sum(b < u for b, u in zip(bandit, uniform, strict=True)) >= 7


def test_the_same_seed_gives_the_same_weights_and_another_seed_similar_ones() -> None:
    arms = {"live": binary_arm(50, 500), "challenger": binary_arm(60, 500)}
    first = allocate("binary", arms, seed=4)
    assert first == allocate("binary", arms, seed=4)
    assert first.best_probability["live"] == pytest.approx(
        allocate("binary", arms, seed=5).best_probability["live"], abs=0.02
    )


def test_weights_move_only_part_of_the_way_and_never_past_their_limits() -> None:
    arms = {"live": binary_arm(10, 1000), "challenger": binary_arm(300, 1000)}
    limits = BanditLimits(floor=0.1, ceiling=0.8, step=0.25)
    first = allocate("binary", arms, seed=0, limits=limits)
    assert first.weights["challenger"] == pytest.approx(0.5 + 0.25 * 0.5)
    weights = first.weights
    for _ in range(20):
        weights = allocate("binary", arms, seed=0, current=weights, limits=limits).weights
    assert weights == pytest.approx({"live": 0.2, "challenger": 0.8})


def test_the_winner_needs_the_required_confidence() -> None:
    arms = {"live": binary_arm(100, 1000), "challenger": binary_arm(125, 1000)}
    allocation = allocate("binary", arms, seed=0)
    assert 0.95 < allocation.best_probability["challenger"] < 0.99
    assert allocation.winner == "challenger"
    assert allocate("binary", arms, seed=0, limits=BanditLimits(confidence=0.99)).winner is None


def test_an_arm_with_few_rewards_keeps_all_weights_unchanged() -> None:
    arms = {"live": binary_arm(0, 29), "challenger": binary_arm(500, 500)}
    allocation = allocate("binary", arms, seed=0, current={"live": 0.7, "challenger": 0.3})
    assert allocation.weights == {"live": 0.7, "challenger": 0.3}
    assert allocation.winner is None
    assert "live has 29" in allocation.reason


@pytest.mark.parametrize("limits", [BanditLimits(floor=0.6), BanditLimits(ceiling=0.4)])
def test_limits_that_no_shares_satisfy_are_rejected(limits: BanditLimits) -> None:
    with pytest.raises(ValueError, match="cannot each have"):
        allocate("binary", {"a": binary_arm(1, 50), "b": binary_arm(1, 50)}, seed=0, limits=limits)


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0), (0.4, 0.35, 0.25), (0.0, 0.5, 0.5)])
def test_shares_within_limits_sum_to_one_and_keep_their_order(shares: tuple[float, ...]) -> None:
    allocation = project_to_bounds(np.array(shares), 0.05, 0.8)
    assert allocation.sum() == pytest.approx(1)
    assert (allocation >= 0.05 - 1e-9).all()
    assert (allocation <= 0.8 + 1e-9).all()
    assert list(np.argsort(allocation, kind="stable")) == list(np.argsort(shares, kind="stable"))


def _regret(
    kind: Reward,
    means: tuple[float, ...],
    pull: Callable[[np.random.Generator, int, int], np.ndarray],
    seed: int,
    *,
    adaptive: bool,
) -> float:
    rng = np.random.default_rng(seed)
    arms = {str(i): Arm(0, 0.0, 0.0) for i in range(len(means))}
    weights = dict.fromkeys(arms, 1 / len(arms))
    lost = 0.0
    for batch in range(25):
        for i, n in enumerate(rng.multinomial(400, list(weights.values()))):
            arms[str(i)] = arms[str(i)] + Arm.from_rewards(pull(rng, i, n))
            lost += n * (max(means) - means[i])
        if adaptive:
            weights = allocate(kind, arms, seed=1000 * seed + batch, current=weights).weights
    return lost
