"""What was measured of one variant: how many rewards, their mean and variance, and how two such arms add up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Reward = Literal["binary", "continuous"]
"""0 or 1 (a decision was right, an offer was taken), or any number (revenue, a squared error's negative)."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Rewards of one variant; `variance` is the sample's (n - 1), 0 below two. Higher rewards are better."""

    n: int
    mean: float
    variance: float

    @classmethod
    def of(cls, rewards: ArrayLike) -> Arm:
        """Of rewards as they came; those that are no finite number are left out.

        >>> Arm.of([1, 0, 1, 1]), Arm.of([])
        (Arm(n=4, mean=0.75, variance=0.25), Arm(n=0, mean=0.0, variance=0.0))
        """
        values = np.asarray(rewards, dtype=np.float64)
        values = values[np.isfinite(values)]
        n = len(values)
        return cls(n, float(values.mean()) if n else 0.0, float(values.var(ddof=1)) if n > 1 else 0.0)

    @classmethod
    def of_counts(cls, successes: int, n: int) -> Arm:
        """
        >>> Arm.of_counts(3, 4) == Arm.of([1, 0, 1, 1])
        True
        """
        mean = successes / n if n else 0.0
        return cls(n, mean, mean * (1 - mean) * n / (n - 1) if n > 1 else 0.0)

    @property
    def successes(self) -> int:
        """Of binary rewards."""
        return round(self.mean * self.n)

    @property
    def squared_error(self) -> float:
        """Squared standard error of the mean; infinite without a reward."""
        return self.variance / self.n if self.n else math.inf

    def __add__(self, other: Arm) -> Arm:
        """Both together, as if measured at once, so that arms can be kept and added up instead of rewards.

        Source: Chan, Golub and LeVeque (1979), updating formulae.

        >>> Arm.of([1, 2]) + Arm.of([6]) == Arm.of([1, 2, 6])
        True
        """
        n = self.n + other.n
        if n == 0:
            return self
        apart = other.mean - self.mean
        squares = (
            self.variance * max(self.n - 1, 0) + other.variance * max(other.n - 1, 0) + apart**2 * self.n * other.n / n
        )
        return Arm(n, self.mean + apart * other.n / n, squares / (n - 1) if n > 1 else 0.0)
