"""The lines that pages draw of a model's answers, thinned to what an eye can tell apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
POINTS = 101


@dataclass(frozen=True, slots=True)
class Curve:
    """Points from left to right."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """`roc`: false-positive against true-positive rate; `precision`: recall against precision (both task binary).

    `residuals`: predicted value against the residual's 5th, 50th and 95th percentile there (task regression).
    """

    roc: Curve | None = None
    precision: Curve | None = None
    residuals: tuple[Curve, Curve, Curve] | None = None


def curves(task: str, labels: Floats, scores: Floats) -> Curves:
    """Nothing where the rows hold one class only, or fewer than two rows."""
    if len(labels) < 2:
        return Curves()
    if task == "regression":
        return Curves(residuals=_residuals(labels, scores))
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(labels[order])[last]
    seen = last + 1.0
    ones, zeros = hits[-1], len(labels) - hits[-1]
    if not ones or not zeros:
        return Curves()
    recall, false_rate = np.append(0, hits / ones), np.append(0, (seen - hits) / zeros)
    at = np.linspace(0, 1, POINTS)
    precision = np.interp(at[1:], recall[1:], hits / seen)
    return Curves(_line(at, np.interp(at, false_rate, recall)), _line(at[1:], precision))


def _residuals(labels: Floats, scores: Floats) -> tuple[Curve, Curve, Curve]:
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, min(20, max(1, len(order) // 20)))
    x = np.array([scores[part].mean() for part in parts])
    ends = np.array([np.quantile((scores - labels)[part], [0.05, 0.5, 0.95]) for part in parts])
    return _line(x, ends[:, 0]), _line(x, ends[:, 1]), _line(x, ends[:, 2])


def _line(x: Floats, y: Floats) -> Curve:
    return Curve(tuple(round(float(v), 6) for v in x), tuple(round(float(v), 6) for v in y))
