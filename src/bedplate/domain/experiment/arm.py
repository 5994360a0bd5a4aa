"""The rewards of one variant in an experiment: number, mean and variance, and the sum of two such arms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Reward = Literal["binary", "continuous"]
"""`binary`: 0 or 1, such as an accepted offer; `continuous`: any number, such as revenue or minus the squared error."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Rewards of one variant; higher is better. `variance` is the sample variance (n - 1), 0 for fewer than two."""

    n: int
    mean: float
    variance: float

    @classmethod
    def from_rewards(cls, rewards: ArrayLike) -> Arm:
        """Builds the arm from single rewards; rewards that are not finite numbers are left out.

        >>> Arm.from_rewards([1, 0, 1, 1]), Arm.from_rewards([])
        (Arm(n=4, mean=0.75, variance=0.25), Arm(n=0, mean=0.0, variance=0.0))
        """
        values = np.asarray(rewards, dtype=np.float64)
        values = values[np.isfinite(values)]
        n = len(values)
        return cls(n, float(values.mean()) if n else 0.0, float(values.var(ddof=1)) if n > 1 else 0.0)

    @property
    def successes(self) -> int:
        """The number of rewards that are 1; only for binary rewards."""
        return round(self.mean * self.n)

    @property
    def mean_variance(self) -> float:
        """The variance of the mean, that is its squared standard error; infinite without a reward."""
        return self.variance / self.n if self.n else math.inf

    def __add__(self, other: Arm) -> Arm:
        """Returns the arm of all rewards of both, so that arms can be stored and added instead of single rewards.

        Source: Chan, Golub and LeVeque (1979), updating formulae.

        >>> Arm.from_rewards([1, 2]) + Arm.from_rewards([6]) == Arm.from_rewards([1, 2, 6])
        True
        """
        n = self.n + other.n
        if n == 0:
            return self
        difference = other.mean - self.mean
        squares = (
            self.variance * max(self.n - 1, 0)
            + other.variance * max(other.n - 1, 0)
            + difference**2 * self.n * other.n / n
        )
        return Arm(n, self.mean + difference * other.n / n, squares / (n - 1) if n > 1 else 0.0)
