"""A bandit by Thompson sampling: how much traffic each variant gets, and when one is good enough to stop."""

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
"""Rewards of each arm before its weight moves: with fewer, luck steers."""


@dataclass(frozen=True, slots=True)
class BanditLimits:
    """`floor` and `ceiling` bound every arm's share of traffic; `step` is how far, of the way, weights move at once."""

    floor: float = 0.05
    ceiling: float = 0.95
    step: float = 0.5
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class Allocation:
    """Shares by variant, that sum to 1. `best` is a probability for each of being the one with the highest mean.

    `winner` is the arm that is best with the confidence asked for, None while none is.
    """

    weights: dict[str, float]
    best: dict[str, float]
    expected: dict[str, float]
    """Posterior mean of each arm's reward."""
    winner: str | None
    reason: str


def allocate(
    kind: Reward,
    arms: Mapping[str, Arm],
    *,
    seed: int,
    before: Mapping[str, float] | None = None,
    limits: BanditLimits | None = None,
) -> Allocation:
    """Shares in proportion to each arm's chance of being the best, smoothed towards `before`, within `limits`.

    Source: Thompson (1933); sharing traffic by the probability of being best rather than drawing for every request is
    the batched form of Scott, A modern Bayesian look at the multi-armed bandit (2010). Binary rewards have a Beta(1, 1)
    prior. Continuous ones have the posterior of a normal mean with unknown variance and the prior 1 / variance: a
    t-distribution. Until every arm has MIN_PER_ARM rewards the shares stay as they are (equal at first).

    Raises ValueError without arms, or for limits that no shares meet.

    >>> arms = {"live": Arm.of_counts(50, 500), "challenger": Arm.of_counts(90, 500)}
    >>> found = allocate("binary", arms, seed=1)
    >>> found.winner, {name: round(weight, 2) for name, weight in found.weights.items()}
    ('challenger', {'live': 0.25, 'challenger': 0.75})
    """
    limits = limits or BanditLimits()
    names = list(arms)
    if not names or limits.floor * len(names) > 1 or limits.ceiling * len(names) < 1:
        raise ValueError(f"{len(names)} arms cannot each have between {limits.floor:g} and {limits.ceiling:g}")
    old = np.array([(before or {}).get(name, 1 / len(names)) for name in names], dtype=np.float64)
    old = old / old.sum() if old.sum() > 0 else np.full(len(names), 1 / len(names))
    expected = {name: posterior_mean(kind, arm) for name, arm in arms.items()}
    short = {name: arm.n for name, arm in arms.items() if arm.n < MIN_PER_ARM}
    if short:
        told = ", ".join(f"{name} has {n}" for name, n in short.items())
        equal = {name: 1 / len(names) for name in names}
        return Allocation(dict(zip(names, map(float, old), strict=True)), equal, expected, None, _few(told))
    best = chances(kind, [arms[name] for name in names], seed=seed)
    moved = within(old + limits.step * (best - old), limits.floor, limits.ceiling)
    top = int(np.argmax(best))
    winner = names[top] if best[top] >= limits.confidence else None
    reason = f"{names[top]} is the best with {100 * best[top]:.1f} %, {100 * limits.confidence:g} % end the search"
    return Allocation(
        {name: round(float(w), 6) for name, w in zip(names, moved, strict=True)},
        {name: float(b) for name, b in zip(names, best, strict=True)},
        expected,
        winner,
        reason,
    )


def chances(kind: Reward, arms: Sequence[Arm], *, seed: int, draws: int = DRAWS) -> Floats:
    """For each arm the probability that its mean is the highest, by draws from the posteriors; they sum to 1."""
    rng = np.random.default_rng(seed)
    drawn = np.stack([_draws(kind, arm, rng, draws) for arm in arms])
    wins = np.bincount(np.argmax(drawn, axis=0), minlength=len(arms))
    return np.asarray(wins / draws, dtype=np.float64)


def posterior_mean(kind: Reward, arm: Arm) -> float:
    """
    >>> posterior_mean("binary", Arm.of_counts(0, 8)), posterior_mean("continuous", Arm(8, 2.5, 1.0))
    (0.1, 2.5)
    """
    return (1 + arm.successes) / (2 + arm.n) if kind == "binary" else arm.mean


def within(shares: Floats, floor: float, ceiling: float) -> Floats:
    """The shares nearest to the given ones that sum to 1 and keep the bounds: what one gives up the others get.

    Euclidean projection, all shares moved by one amount and cut at the bounds; the amount is found by bisection.

    >>> [round(float(w), 6) for w in within(np.array([0.99, 0.005, 0.005]), 0.05, 0.95)]
    [0.9, 0.05, 0.05]
    """
    low, high = floor - float(shares.max()), ceiling - float(shares.min())
    for _ in range(60):
        middle = (low + high) / 2
        total = float(np.clip(shares + middle, floor, ceiling).sum())
        low, high = (middle, high) if total < 1 else (low, middle)
    return np.asarray(np.clip(shares + (low + high) / 2, floor, ceiling))


def _draws(kind: Reward, arm: Arm, rng: np.random.Generator, draws: int) -> Floats:
    if kind == "binary":
        return rng.beta(1 + arm.successes, 1 + arm.n - arm.successes, draws)
    if arm.n < 2:
        raise ValueError("an arm of continuous rewards needs two of them")
    return arm.mean + math.sqrt(arm.squared_error) * rng.standard_t(arm.n - 1, draws)


def _few(told: str) -> str:
    return f"{told} rewards, each needs {MIN_PER_ARM} before weights move"
