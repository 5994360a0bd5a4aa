"""How differently a model treats groups of rows, by the definitions that Fairlearn uses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.evidence.proportions import Z, log_ratio, newcombe
from bedplate.settings import FairnessGate

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
SHARES = ("selection_rate", "equal_opportunity", "false_positive_rate", "predictive_parity", "accuracy")
"""Metrics that are a share of a group's rows; the other ones are means of residuals."""
_PARTS = {"equalized_odds": ("equal_opportunity", "false_positive_rate")}


@dataclass(frozen=True, slots=True)
class Fairness:
    """Largest difference (or smallest ratio, where `ratio`) between two groups with enough rows, with its interval.

    `groups` holds every group's figure and rows, also of those with too few. Without two large enough, the figure
    is NaN and `highest` and `lowest` are None. `part` says which of several figures decided (equalized odds).
    """

    by: str
    metric: str
    threshold: float
    groups: Mapping[str, tuple[float, int]]
    highest: str | None
    lowest: str | None
    difference: Estimate
    ratio: bool = False
    part: str | None = None

    def to_json(self) -> dict[str, Any]:
        groups = {
            name: {"value": value if math.isfinite(value) else None, "n": n} for name, (value, n) in self.groups.items()
        }
        return {
            "by": self.by,
            "metric": self.metric,
            "threshold": self.threshold,
            "groups": groups,
            "highest": self.highest,
            "lowest": self.lowest,
            "difference": self.difference.to_json(),
            "ratio": self.ratio,
            "part": self.part,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Fairness:
        groups = {
            name: (float("nan") if g["value"] is None else float(g["value"]), int(g["n"]))
            for name, g in found["groups"].items()
        }
        return cls(
            found["by"],
            found["metric"],
            float(found["threshold"]),
            groups,
            found["highest"],
            found["lowest"],
            Estimate.from_json(found["difference"]),
            bool(found.get("ratio", False)),
            found.get("part"),
        )


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    mean: float
    n: int
    error: float
    """Standard error of the mean, where it is one of residuals."""


def fairness(gate: FairnessGate, values: NDArray[Any], labels: Floats, scores: Floats) -> Fairness:
    """The gate's figure. `values` holds every row's group; all arrays are (rows,).

    Sources: M. Hardt, E. Price and N. Srebro (2016) for equal opportunity and equalized odds (its figure is the larger
    of the two differences), A. Chouldechova (2017) for predictive parity; demographic parity and its ratio as Fairlearn
    defines them. Intervals: Newcombe's of two independent shares, Katz's of a ratio, the normal one of two means.
    """
    if gate.metric in _PARTS:
        parts = [_one(gate, part, values, labels, scores) for part in _PARTS[gate.metric]]
        known = [part for part in parts if math.isfinite(part.difference.value)]
        worst = max(known, key=lambda part: part.difference.value) if len(known) == len(parts) else None
        chosen = worst or next(part for part in parts if part not in known)
        return Fairness(
            gate.by,
            gate.metric,
            gate.threshold,
            chosen.groups,
            chosen.highest,
            chosen.lowest,
            chosen.difference,
            part=chosen.metric,
        )
    return _one(gate, gate.metric, values, labels, scores)


def _one(gate: FairnessGate, metric: str, values: NDArray[Any], labels: Floats, scores: Floats) -> Fairness:
    figures, counted = cases(metric, labels, scores, gate.threshold)
    groups: dict[str, tuple[float, int]] = {}
    large = []
    for name in np.unique(values):
        inside = values == name
        mine = figures[inside & counted]
        n, rows = len(mine), int(inside.sum())
        mean = float(mine.mean()) if n else float("nan")
        groups[str(name)] = (mean, rows)
        if rows >= gate.min_rows and n:
            error = float(mine.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf
            large.append(_Group(str(name), mean, n, error))
    rows = sum(groups[group.name][1] for group in large)
    ratio = gate.min_ratio is not None
    if len(large) < 2:
        nothing = Estimate(float("nan"), float("nan"), float("nan"), rows)
        return Fairness(gate.by, metric, gate.threshold, groups, None, None, nothing, ratio)
    high, low = max(large, key=lambda g: g.mean), min(large, key=lambda g: g.mean)
    figure = _ratio(low, high, rows) if ratio else _difference(metric, high, low, rows)
    return Fairness(gate.by, metric, gate.threshold, groups, high.name, low.name, figure, ratio)


def cases(metric: str, labels: Floats, scores: Floats, threshold: float) -> tuple[Floats, Bools]:
    """A figure a row, and the rows that count: the metric is the mean of the figures over those.

    >>> figures, counted = cases("equal_opportunity", np.array([1.0, 1, 0]), np.array([0.7, 0.2, 0.9]), 0.5)
    >>> figures.tolist(), counted.tolist()
    ([1.0, 0.0, 1.0], [True, True, False])
    """
    chosen, everybody = scores >= threshold, np.ones(len(labels), dtype=bool)
    if metric in ("calibration", "mean_residual"):
        return scores - labels, everybody
    if metric == "accuracy":
        return (chosen == (labels == 1)).astype(np.float64), everybody
    if metric == "predictive_parity":
        return (labels == 1).astype(np.float64), chosen
    counted = {"selection_rate": everybody, "equal_opportunity": labels == 1, "false_positive_rate": labels == 0}
    return chosen.astype(np.float64), counted[metric]


def _difference(metric: str, high: _Group, low: _Group, rows: int) -> Estimate:
    apart = high.mean - low.mean
    if metric in SHARES:
        least, most = newcombe(high.mean * high.n, high.n, low.mean * low.n, low.n)
        return Estimate(apart, max(0.0, least), min(1.0, most), rows)
    error = Z * math.hypot(high.error, low.error)
    return Estimate(apart, max(0.0, apart - error), apart + error, rows)


def _ratio(low: _Group, high: _Group, rows: int) -> Estimate:
    if high.mean <= 0:
        return Estimate(float("nan"), float("nan"), float("nan"), rows)
    least, most = log_ratio(low.mean * low.n, low.n, high.mean * high.n, high.n)
    return Estimate(low.mean / high.mean, least, most, rows)
