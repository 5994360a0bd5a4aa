"""A release's answers in a few hundred characters, and how far another release's answers are from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bedplate.domain.drift.divergence import PSI_BINS, psi

MAX_CHARACTERS = 1024
"""SageMaker takes no more in the value of a container's environment variable."""


@dataclass(frozen=True, slots=True)
class AnswerProfile:
    """Counts of answers over 10 equal-frequency bins of their own; ties make fewer bins.

    `edges` has one entry more than `counts`: least answer, inner edges, largest answer. Bin i holds the answers x with
    edges[i] < x <= edges[i + 1]; the outer bins go on for ever. When all answers are one value v: x <= v, and x > v.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, answers: ArrayLike) -> AnswerProfile:
        """Raises ValueError when there is no finite answer.

        >>> profile = AnswerProfile.of([i / 1000 for i in range(1000)])
        >>> len(profile.edges), min(profile.counts), profile.psi([i / 1000 for i in range(500)]) > 0.25
        (11, 99, True)
        """
        values = _finite(answers)
        if len(values) == 0:
            raise ValueError("a profile needs at least one finite answer")
        inner = np.quantile(values, np.linspace(0, 1, PSI_BINS + 1)[1:-1], method="inverted_cdf")
        low, high = float(values.min()), float(values.max())
        inner = np.unique(inner)
        inner = inner[inner < high] if low < high else inner
        edges = (low, *map(float, inner), high)
        return cls(edges, tuple(int(c) for c in _binned(values, edges)))

    def psi(self, answers: ArrayLike) -> float:
        """Population stability index of other answers against these; NaN without a finite one."""
        values = _finite(answers)
        return psi(self.counts, _binned(values, self.edges))

    def to_json(self) -> dict[str, Any]:
        return {"edges": list(self.edges), "counts": list(self.counts)}

    @classmethod
    def from_json(cls, value: str | Mapping[str, Any]) -> AnswerProfile:
        """From `to_json`'s value or its text. Raises ValueError for anything else."""
        try:
            found = json.loads(value) if isinstance(value, str) else value
            profile = cls(tuple(map(float, found["edges"])), tuple(map(int, found["counts"])))
        except (KeyError, TypeError, ValueError) as exc:
            raise ValueError(f"edges and counts of answers expected, found {str(value)[:80]!r}") from exc
        if len(profile.edges) != len(profile.counts) + 1 or sum(profile.counts) <= 0:
            raise ValueError("one edge more than counts expected, and at least one answer counted")
        return profile


def _binned(values: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    inner = np.asarray(edges[1:-1])
    return np.bincount(np.searchsorted(inner, values, side="left"), minlength=len(edges) - 1)


def _finite(answers: ArrayLike) -> np.ndarray:
    values = np.asarray(answers, dtype=np.float64)
    return values[np.isfinite(values)]
