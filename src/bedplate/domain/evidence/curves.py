"""Computes the points of ROC, precision-recall and residual curves, thinned to what a chart can show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
POINTS = 101


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a line, from left to right."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves of one model's predictions, each as x against y.

    Task binary: `roc` is the false-positive rate against the true-positive rate, `precision_recall` recall against
    precision. Task regression: `residuals` are the 5th, 50th and 95th percentile of the residuals by predicted value.
    """

    roc: Curve | None = None
    precision_recall: Curve | None = None
    residuals: tuple[Curve, Curve, Curve] | None = None


def curves(task: str, labels: Floats, scores: Floats) -> Curves:
    """Returns the curves of the task; every curve is None with fewer than two rows or only one class."""
    if len(labels) < 2:
        return Curves()
    if task == "regression":
        return Curves(residuals=_residual_bands(labels, scores))
    order = np.argsort(-scores, kind="stable")
    tie_ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    true_positives = np.cumsum(labels[order])[tie_ends]
    predicted_positive = tie_ends + 1.0
    n_positive, n_negative = true_positives[-1], len(labels) - true_positives[-1]
    if not n_positive or not n_negative:
        return Curves()
    recall = np.append(0, true_positives / n_positive)
    false_positive_rate = np.append(0, (predicted_positive - true_positives) / n_negative)
    grid = np.linspace(0, 1, POINTS)
    precision = np.interp(grid[1:], recall[1:], true_positives / predicted_positive)
    return Curves(_curve(grid, np.interp(grid, false_positive_rate, recall)), _curve(grid[1:], precision))


def _residual_bands(labels: Floats, scores: Floats) -> tuple[Curve, Curve, Curve]:
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, min(20, max(1, len(order) // 20)))
    x = np.array([scores[part].mean() for part in parts])
    bands = np.array([np.quantile((scores - labels)[part], [0.05, 0.5, 0.95]) for part in parts])
    return _curve(x, bands[:, 0]), _curve(x, bands[:, 1]), _curve(x, bands[:, 2])


def _curve(x: Floats, y: Floats) -> Curve:
    return Curve(tuple(round(float(v), 6) for v in x), tuple(round(float(v), 6) for v in y))
