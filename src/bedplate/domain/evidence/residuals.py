"""Where a regression errs in one direction, and how often it errs by little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.evidence.proportions import Z, wilson

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ErrorShare:
    """The share of rows whose error is at most `width`, in the label's unit."""

    width: float
    share: Estimate


@dataclass(frozen=True, slots=True)
class Residuals:
    """Residuals are prediction minus label. `by` is column -> value -> mean residual."""

    bias: Estimate
    by: dict[str, dict[str, Estimate]]
    within: tuple[ErrorShare, ...]


def residuals(
    labels: Floats, scores: Floats, groups: Mapping[str, NDArray[Any]], widths: Sequence[float], *, most: int = 60
) -> Residuals:
    """Mean residuals with the normal interval of a mean (infinite with one row), shares with Wilson's.

    `groups` is column -> a value a row; only the `most` frequent values of a column are looked at.
    """
    apart = scores - labels
    by = {}
    for column, values in groups.items():
        names, of_row, counts = np.unique(values, return_inverse=True, return_counts=True)
        frequent = sorted(np.argsort(-counts, kind="stable")[:most])
        by[column] = {str(names[i]): _mean(apart[of_row == i]) for i in frequent}
    return Residuals(_mean(apart), by, tuple(_within(np.abs(apart), width) for width in widths))


def _mean(values: Floats) -> Estimate:
    n = len(values)
    if n < 2:
        return Estimate(float(values.mean()) if n else float("nan"), float("nan"), float("nan"), n)
    mean, error = float(values.mean()), Z * float(values.std(ddof=1)) / float(np.sqrt(n))
    return Estimate(mean, mean - error, mean + error, n)


def _within(sizes: Floats, width: float) -> ErrorShare:
    n, hits = len(sizes), int((sizes <= width).sum())
    low, high = wilson(hits, n)
    return ErrorShare(width, Estimate(hits / n if n else float("nan"), low, high, n))
