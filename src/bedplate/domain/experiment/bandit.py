"""Allocates traffic to the variants of a bandit by Thompson sampling, and finds the winner."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.experiment.arm import Arm, Reward

Floats = NDArray[np.float64]
DRAWS = 20_000
MIN_PER_ARM = 30
"""Rewards that each arm needs before any weight changes: fewer rewards are mostly noise."""


@dataclass(frozen=True, slots=True)
class BanditLimits:
    """`floor` and `ceiling` bound each arm's share of traffic, 0 to 1.

    `step` is the fraction of the way to the new weights that one allocation moves. `confidence` is the probability
    of being the best arm that makes an arm the winner.
    """

    floor: float = 0.05
    ceiling: float = 0.95
    step: float = 0.5
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class Allocation:
    """Weights by variant, which sum to 1, and each variant's probability of having the highest mean reward.

    `winner` is the arm that is best with the required confidence, or None.
    """

    weights: dict[str, float]
    best_probability: dict[str, float]
    expected_reward: dict[str, float]
    """Posterior mean of each arm's reward."""
    winner: str | None
    reason: str


def allocate(
    kind: Reward,
    arms: Mapping[str, Arm],
    *,
    seed: int,
    current: Mapping[str, float] | None = None,
    limits: BanditLimits | None = None,
) -> Allocation:
    """Returns weights in proportion to each arm's probability of being the best, smoothed towards `current`.

    The weights stay within `limits`. Until every arm has MIN_PER_ARM rewards they do not change (equal at first).
    Binary rewards have a Beta(1, 1) prior. Continuous rewards have the posterior of a normal mean with unknown
    variance and the prior 1 / variance: a t-distribution. Source: Thompson (1933); weights by the probability of being
    best, instead of one draw per request, are the batched form of Scott, A modern Bayesian look at the multi-armed
    bandit (2010).

    Raises ValueError without arms, and for limits that no weights meet.

    >>> rewards = {"live": [1] * 50 + [0] * 450, "challenger": [1] * 90 + [0] * 410}
    >>> allocation = allocate("binary", {name: Arm.from_rewards(r) for name, r in rewards.items()}, seed=1)
    >>> allocation.winner, {name: round(weight, 2) for name, weight in allocation.weights.items()}
    ('challenger', {'live': 0.25, 'challenger': 0.75})
    """
    limits = limits or BanditLimits()
    names = list(arms)
    if not names or limits.floor * len(names) > 1 or limits.ceiling * len(names) < 1:
        raise ValueError(f"{len(names)} arms cannot each have between {limits.floor:g} and {limits.ceiling:g}")
    equal = 1 / len(names)
    old_weights = np.array([(current or {}).get(name, equal) for name in names], dtype=np.float64)
    old_weights = old_weights / old_weights.sum() if old_weights.sum() > 0 else np.full(len(names), equal)
    expected_reward = {name: posterior_mean(kind, arm) for name, arm in arms.items()}
    small_arms = [f"{name} has {arm.n}" for name, arm in arms.items() if arm.n < MIN_PER_ARM]
    if small_arms:
        weights = dict(zip(names, map(float, old_weights), strict=True))
        reason = f"{', '.join(small_arms)} rewards, each variant needs {MIN_PER_ARM} before weights change"
        return Allocation(weights, dict.fromkeys(names, equal), expected_reward, None, reason)
    probabilities = best_probabilities(kind, [arms[name] for name in names], seed=seed)
    moved_weights = old_weights + limits.step * (probabilities - old_weights)
    new_weights = project_to_bounds(moved_weights, limits.floor, limits.ceiling)
    best, probability = names[int(np.argmax(probabilities))], float(probabilities.max())
    return Allocation(
        weights={name: round(float(weight), 6) for name, weight in zip(names, new_weights, strict=True)},
        best_probability=dict(zip(names, map(float, probabilities), strict=True)),
        expected_reward=expected_reward,
        winner=best if probability >= limits.confidence else None,
        reason=f"{best} is the best with {100 * probability:.1f} %; {100 * limits.confidence:g} % make a winner",
    )


def best_probabilities(kind: Reward, arms: Sequence[Arm], *, seed: int, draws: int = DRAWS) -> Floats:
    """Returns each arm's probability of having the highest mean, by draws from the posteriors; they sum to 1."""
    rng = np.random.default_rng(seed)
    sampled_means = np.stack([_sample_means(kind, arm, rng, draws) for arm in arms])
    wins = np.bincount(np.argmax(sampled_means, axis=0), minlength=len(arms))
    return np.asarray(wins / draws, dtype=np.float64)


def posterior_mean(kind: Reward, arm: Arm) -> float:
    """Returns the posterior mean of an arm's reward.

    >>> posterior_mean("binary", Arm(8, 0.0, 0.0)), posterior_mean("continuous", Arm(8, 2.5, 1.0))
    (0.1, 2.5)
    """
    return (1 + arm.successes) / (2 + arm.n) if kind == "binary" else arm.mean


def project_to_bounds(shares: Floats, floor: float, ceiling: float) -> Floats:
    """Returns the nearest shares that sum to 1 and are between `floor` and `ceiling` (Euclidean projection).

    All shares are shifted by the same amount and clipped to the bounds; bisection finds the amount.

    >>> [round(float(w), 6) for w in project_to_bounds(np.array([0.99, 0.005, 0.005]), 0.05, 0.95)]
    [0.9, 0.05, 0.05]
    """
    low, high = floor - float(shares.max()), ceiling - float(shares.min())
    for _ in range(60):
        middle = (low + high) / 2
        total = float(np.clip(shares + middle, floor, ceiling).sum())
        low, high = (middle, high) if total < 1 else (low, middle)
    return np.asarray(np.clip(shares + (low + high) / 2, floor, ceiling))


def _sample_means(kind: Reward, arm: Arm, rng: np.random.Generator, draws: int) -> Floats:
    if kind == "binary":
        return rng.beta(1 + arm.successes, 1 + arm.n - arm.successes, draws)
    if arm.n < 2:
        raise ValueError("an arm of continuous rewards needs two of them")
    return arm.mean + math.sqrt(arm.mean_variance) * rng.standard_t(arm.n - 1, draws)
