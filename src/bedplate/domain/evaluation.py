"""What a candidate is worth on rows it never saw, beside the champion on the same rows: what gates judge by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.metrics import Estimate, compare, estimates, selection_rate, true_positive_rate
from bedplate.settings import FairnessGate, ModelSpec

MAX_SEGMENTS = 60
"""Values of a segment column that are looked at: the most frequent ones."""
_Z = 1.959963984540054
Metrics = dict[str, Estimate]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fairness:
    """Largest difference between two groups that have enough rows, with the interval of two independent shares.

    `groups` holds every group's share and rows, also of those with too few. Without two large enough, the difference
    is NaN and `highest` and `lowest` are None.
    """

    by: str
    metric: str
    threshold: float
    groups: Mapping[str, tuple[float, int]]
    highest: str | None
    lowest: str | None
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`champion` and `difference` (candidate minus champion) are None without a champion that has a model.

    `segments` is column -> value -> metric -> figure of the candidate; `artifact_mb` is the packed artifact's size in
    10^6 bytes, `seconds` how long the candidate took for all rows.
    """

    model: str
    task: str
    rows: int
    label_mean: float
    candidate: Metrics
    champion: Metrics | None
    difference: Metrics | None
    segments: dict[str, dict[str, Metrics]]
    fairness: tuple[Fairness, ...]
    artifact_mb: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values for `evaluation.json`; NaN is null."""
        return {
            "model": self.model,
            "task": self.task,
            "rows": self.rows,
            "label_mean": self.label_mean if np.isfinite(self.label_mean) else None,
            "candidate": _json(self.candidate),
            "champion": _json(self.champion),
            "difference": _json(self.difference),
            "segments": {
                column: {value: _json(metrics) for value, metrics in values.items()}
                for column, values in self.segments.items()
            },
            "fairness": [_fairness_json(f) for f in self.fairness],
            "artifact_mb": self.artifact_mb,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Evaluation:
        """Raises KeyError or TypeError for anything that `to_json` did not write."""
        return cls(
            model=found["model"],
            task=found["task"],
            rows=int(found["rows"]),
            label_mean=float("nan") if found["label_mean"] is None else float(found["label_mean"]),
            candidate=_metrics(found["candidate"]),
            champion=None if found["champion"] is None else _metrics(found["champion"]),
            difference=None if found["difference"] is None else _metrics(found["difference"]),
            segments={
                column: {value: _metrics(metrics) for value, metrics in values.items()}
                for column, values in found["segments"].items()
            },
            fairness=tuple(_fairness_of(f) for f in found["fairness"]),
            artifact_mb=float(found["artifact_mb"]),
            seconds=float(found["seconds"]),
        )


def evaluate(
    spec: ModelSpec,
    labels: Floats,
    candidate: Floats,
    champion: Floats | None,
    groups: Mapping[str, Sequence[str]],
    *,
    artifact_mb: float,
    seconds: float,
    seed: int = 0,
) -> Evaluation:
    """Every metric of the spec's task, overall, by segment and between groups. All arrays are (rows,).

    `groups` holds, for each column of `grouping_columns(spec)`, a text a row. `seed` decides the resamples.
    """
    if champion is None:
        alone, of_champion, apart = estimates(spec.task, labels, candidate, seed=seed), None, None
    else:
        both = compare(spec.task, labels, candidate, champion, seed=seed)
        alone, of_champion, apart = both.candidate, both.champion, both.difference
    values = {column: np.asarray(groups[column], dtype=object) for column in grouping_columns(spec)}
    return Evaluation(
        model=spec.name,
        task=spec.task,
        rows=len(labels),
        label_mean=float(labels.mean()) if len(labels) else float("nan"),
        candidate=alone,
        champion=of_champion,
        difference=apart,
        segments={c: _by_segment(spec, values[c], labels, candidate, seed) for c in segment_columns(spec)},
        fairness=tuple(_fairness(g, values[g.by], labels, candidate) for g in spec.gates.fairness),
        artifact_mb=artifact_mb,
        seconds=seconds,
    )


def segment_columns(spec: ModelSpec) -> tuple[str, ...]:
    """The contract's segments, and any other column that a segment gate names."""
    return tuple(dict.fromkeys((*spec.data.segments, *(g.by for g in spec.gates.segments))))


def grouping_columns(spec: ModelSpec) -> tuple[str, ...]:
    """The columns by whose values figures are taken apart: segments, and what fairness gates name."""
    return tuple(dict.fromkeys((*segment_columns(spec), *(g.by for g in spec.gates.fairness))))


def _by_segment(spec: ModelSpec, values: NDArray[Any], labels: Floats, scores: Floats, seed: int) -> dict[str, Metrics]:
    names, of_row, counts = np.unique(values, return_inverse=True, return_counts=True)
    most = sorted(np.argsort(-counts, kind="stable")[:MAX_SEGMENTS])
    return {str(names[i]): estimates(spec.task, labels[of_row == i], scores[of_row == i], seed=seed) for i in most}


def _fairness(gate: FairnessGate, values: NDArray[Any], labels: Floats, scores: Floats) -> Fairness:
    """Source of both metrics: Hardt, Price and Srebro (2016), and demographic parity as Fairlearn defines it."""
    groups: dict[str, tuple[float, int]] = {}
    shares: dict[str, tuple[float, int]] = {}
    for name in np.unique(values):
        inside = values == name
        if gate.metric == "selection_rate":
            share, n = selection_rate(scores[inside], gate.threshold), int(inside.sum())
        else:
            share = true_positive_rate(labels[inside], scores[inside], gate.threshold)
            n = int((labels[inside] == 1).sum())
        groups[str(name)] = (share, int(inside.sum()))
        if inside.sum() >= gate.min_rows and n:
            shares[str(name)] = (share, n)
    rows = sum(groups[name][1] for name in shares)
    if len(shares) < 2:
        nothing = Estimate(float("nan"), float("nan"), float("nan"), rows)
        return Fairness(gate.by, gate.metric, gate.threshold, groups, None, None, nothing)
    highest = max(shares, key=lambda name: shares[name][0])
    lowest = min(shares, key=lambda name: shares[name][0])
    apart = shares[highest][0] - shares[lowest][0]
    error = _Z * float(np.sqrt(sum(p * (1 - p) / n for p, n in (shares[highest], shares[lowest]))))
    found = Estimate(apart, max(0.0, apart - error), min(1.0, apart + error), rows)
    return Fairness(gate.by, gate.metric, gate.threshold, groups, highest, lowest, found)


def _json(metrics: Metrics | None) -> dict[str, Any] | None:
    return None if metrics is None else {name: found.to_json() for name, found in metrics.items()}


def _metrics(found: Mapping[str, Any]) -> Metrics:
    return {name: Estimate.from_json(value) for name, value in found.items()}


def _fairness_json(found: Fairness) -> dict[str, Any]:
    return {
        "by": found.by,
        "metric": found.metric,
        "threshold": found.threshold,
        "groups": {
            name: {"value": share if np.isfinite(share) else None, "n": n} for name, (share, n) in found.groups.items()
        },
        "highest": found.highest,
        "lowest": found.lowest,
        "difference": found.difference.to_json(),
    }


def _fairness_of(found: Mapping[str, Any]) -> Fairness:
    groups = {
        name: (float("nan") if g["value"] is None else float(g["value"]), int(g["n"]))
        for name, g in found["groups"].items()
    }
    difference = Estimate.from_json(found["difference"])
    return Fairness(
        found["by"],
        found["metric"],
        float(found["threshold"]),
        groups,
        found["highest"],
        found["lowest"],
        difference,
    )
