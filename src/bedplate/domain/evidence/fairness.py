"""Computes fairness metrics: differences and ratios between groups of rows, as Fairlearn defines them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from bedplate.domain.documents import JsonFloat
from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.evidence.proportions import Z, newcombe_interval, ratio_interval
from bedplate.settings import FairnessGate

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
RATE_METRICS = ("selection_rate", "equal_opportunity", "false_positive_rate", "predictive_parity", "accuracy")
"""Metrics that are a share of a group's rows; the other metrics are means of residuals."""
_COMPONENTS = {"equalized_odds": ("equal_opportunity", "false_positive_rate")}


@dataclass(frozen=True, slots=True)
class GroupMetric:
    """A metric's value in one group, and the number of all rows of the group."""

    value: JsonFloat
    n_rows: int


@dataclass(frozen=True, slots=True)
class Fairness:
    """Largest difference (or smallest ratio, where `is_ratio`) between two groups with enough rows, with its interval.

    `groups` contains every group, including groups with too few rows. Without two groups with enough rows the value
    of `difference` is NaN, and `highest_group` and `lowest_group` are None. For equalized odds, `component` names the
    rate with the larger difference.
    """

    column: str
    metric: str
    threshold: float
    groups: Mapping[str, GroupMetric]
    highest_group: str | None
    lowest_group: str | None
    difference: Estimate
    is_ratio: bool = False
    component: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON values; NaN is None."""
        document: dict[str, Any] = json.loads(_FAIRNESS.dump_json(self))
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Fairness:
        """Raises ValueError for a mapping that `to_json` did not write."""
        return _FAIRNESS.validate_python(document)


_FAIRNESS: TypeAdapter[Fairness] = TypeAdapter(Fairness)


@dataclass(frozen=True, slots=True)
class _Group:
    """A group with enough rows: mean and standard error of the metric's row values over `n_rows` included rows."""

    name: str
    mean: float
    n_rows: int
    standard_error: float


def fairness(gate: FairnessGate, group_of_row: NDArray[Any], labels: Floats, scores: Floats) -> Fairness:
    """Returns the gate's metric between groups. All arrays are (rows,); `group_of_row` is the group of each row.

    Sources: M. Hardt, E. Price and N. Srebro (2016) for equal opportunity and equalized odds (the larger of the two
    differences), A. Chouldechova (2017) for predictive parity; demographic parity and its ratio as Fairlearn defines
    them. Intervals: Newcombe's of two independent proportions, Katz's of a ratio, the normal one of two means.
    """
    if gate.metric in _COMPONENTS:
        components = [_single_metric(gate, rate, group_of_row, labels, scores) for rate in _COMPONENTS[gate.metric]]
        undefined = [c for c in components if not math.isfinite(c.difference.value)]
        reported = undefined[0] if undefined else max(components, key=lambda c: c.difference.value)
        return replace(reported, metric=gate.metric, is_ratio=False, component=reported.metric)
    return _single_metric(gate, gate.metric, group_of_row, labels, scores)


def _single_metric(
    gate: FairnessGate, metric: str, group_of_row: NDArray[Any], labels: Floats, scores: Floats
) -> Fairness:
    row_values, is_included = metric_per_row(metric, labels, scores, gate.threshold)
    groups: dict[str, GroupMetric] = {}
    large_groups = []
    for name in np.unique(group_of_row):
        in_group = group_of_row == name
        group_values = row_values[in_group & is_included]
        n_included, n_rows = len(group_values), int(in_group.sum())
        mean = float(group_values.mean()) if n_included else float("nan")
        groups[str(name)] = GroupMetric(mean, n_rows)
        if n_rows >= gate.min_rows and n_included:
            standard_error = float(group_values.std(ddof=1) / math.sqrt(n_included)) if n_included > 1 else math.inf
            large_groups.append(_Group(str(name), mean, n_included, standard_error))
    n_rows = sum(groups[group.name].n_rows for group in large_groups)
    is_ratio = gate.min_ratio is not None
    if len(large_groups) < 2:
        undefined = Estimate.nan(n_rows)
        return Fairness(gate.column, metric, gate.threshold, groups, None, None, undefined, is_ratio)
    highest, lowest = max(large_groups, key=lambda g: g.mean), min(large_groups, key=lambda g: g.mean)
    estimate = _ratio(lowest, highest, n_rows) if is_ratio else _difference(metric, highest, lowest, n_rows)
    return Fairness(gate.column, metric, gate.threshold, groups, highest.name, lowest.name, estimate, is_ratio)


def metric_per_row(metric: str, labels: Floats, scores: Floats, threshold: float) -> tuple[Floats, Mask]:
    """Returns a value for each row and a mask of the rows that count; the metric is the mean of the values over those.

    >>> labels, scores = np.array([1.0, 1, 0]), np.array([0.7, 0.2, 0.9])
    >>> row_values, is_included = metric_per_row("equal_opportunity", labels, scores, 0.5)
    >>> row_values.tolist(), is_included.tolist()
    ([1.0, 0.0, 1.0], [True, True, False])
    """
    predicted_positive, all_rows = scores >= threshold, np.ones(len(labels), dtype=bool)
    if metric in ("calibration", "mean_residual"):
        return scores - labels, all_rows
    if metric == "accuracy":
        return (predicted_positive == (labels == 1)).astype(np.float64), all_rows
    if metric == "predictive_parity":
        return (labels == 1).astype(np.float64), predicted_positive
    included = {"selection_rate": all_rows, "equal_opportunity": labels == 1, "false_positive_rate": labels == 0}
    return predicted_positive.astype(np.float64), included[metric]


def _difference(metric: str, highest: _Group, lowest: _Group, n_rows: int) -> Estimate:
    difference = highest.mean - lowest.mean
    if metric in RATE_METRICS:
        ci_low, ci_high = newcombe_interval(*_counts(highest), *_counts(lowest))
        return Estimate(difference, max(0.0, ci_low), min(1.0, ci_high), n_rows)
    half_width = Z * math.hypot(highest.standard_error, lowest.standard_error)
    return Estimate(difference, max(0.0, difference - half_width), difference + half_width, n_rows)


def _ratio(lowest: _Group, highest: _Group, n_rows: int) -> Estimate:
    if highest.mean <= 0:
        return Estimate.nan(n_rows)
    return Estimate(lowest.mean / highest.mean, *ratio_interval(*_counts(lowest), *_counts(highest)), n_rows)


def _counts(group: _Group) -> tuple[float, int]:
    """Returns the successes and the trials of a group's proportion."""
    return group.mean * group.n_rows, group.n_rows
