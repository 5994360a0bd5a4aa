"""What a candidate is worth on rows it never saw, beside the champion on the same rows: what gates judge by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from bedplate.domain.evidence.calibration import Calibration, calibration
from bedplate.domain.evidence.curves import Curves, curves
from bedplate.domain.evidence.explanation import Explanation
from bedplate.domain.evidence.fairness import Fairness, fairness
from bedplate.domain.evidence.inference_contract import CaseCheck
from bedplate.domain.evidence.latency import Latency
from bedplate.domain.evidence.leakage import Leakage
from bedplate.domain.evidence.metrics import Estimate, compare, estimates
from bedplate.domain.evidence.residuals import Residuals, residuals
from bedplate.settings import Gates, ModelSpec

MAX_SEGMENTS = 60
"""Values of a segment column that are looked at: the most frequent ones."""
CALIBRATION_BINS = 10
Metrics = dict[str, Estimate]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trials:
    """What was tried out beside scoring; None where it was not. `curves` holds `candidate` and `champion`."""

    calibration: Calibration | None = None
    residuals: Residuals | None = None
    curves: dict[str, Curves] | None = None
    latency: Latency | None = None
    inference: tuple[CaseCheck, ...] | None = None
    explanation: Explanation | None = None
    leakage: Leakage | None = None


_TRIALS: TypeAdapter[Trials] = TypeAdapter(Trials)


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
    trials: Trials = Trials()

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
            "fairness": [f.to_json() for f in self.fairness],
            "artifact_mb": self.artifact_mb,
            "seconds": self.seconds,
            "trials": json.loads(_TRIALS.dump_json(self.trials)),
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
            fairness=tuple(Fairness.from_json(f) for f in found["fairness"]),
            artifact_mb=float(found["artifact_mb"]),
            seconds=float(found["seconds"]),
            trials=_TRIALS.validate_python(found.get("trials", {})),
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
    trials: Trials | None = None,
) -> Evaluation:
    """Every metric of the spec's task, overall, by segment and between groups. All arrays are (rows,).

    `groups` holds, for each column of `grouping_columns(spec)`, a text a row. `seed` decides the resamples. With
    `trials`, what was tried out elsewhere, calibration or residuals and curves are added to them.
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
        fairness=tuple(fairness(g, values[g.by], labels, candidate) for g in spec.gates.fairness),
        artifact_mb=artifact_mb,
        seconds=seconds,
        trials=Trials() if trials is None else _with_shape(trials, spec, labels, candidate, champion, values, seed),
    )


def segment_columns(spec: ModelSpec) -> tuple[str, ...]:
    """The contract's segments, and any other column that a segment gate names."""
    return tuple(dict.fromkeys((*spec.data.segments, *(g.by for g in spec.gates.segments))))


def grouping_columns(spec: ModelSpec) -> tuple[str, ...]:
    """The columns by whose values figures are taken apart: segments, and what gates name."""
    return tuple(dict.fromkeys((*segment_columns(spec), *(column for _, column in spec.gates.grouped_by))))


def measured(gates: Gates) -> dict[str, Any]:
    """What the gates want measured, whatever the bounds are that it will be held against.

    >>> few, many = ({"calibration": {"max_ece": e, "bins": b}} for e, b in ((0.1, 5), (0.2, 9)))
    >>> measured(Gates.model_validate(few))["bins"], measured(Gates.model_validate(many))["bins"]
    (5, 9)
    """
    latency, explanation = gates.latency, gates.explanation
    return {
        "segments": [g.by for g in gates.segments],
        "fairness": [[g.by, g.metric, g.threshold, g.min_rows, g.min_ratio is not None] for g in gates.fairness],
        "bins": gates.calibration.bins if gates.calibration else CALIBRATION_BINS,
        "residuals": [[g.by, g.within] for g in gates.residuals],
        "latency": latency and [latency.batch_rows, latency.requests, latency.batches, latency.warm_up],
        "inference": gates.inference and gates.inference.model_dump(),
        "explanation": explanation
        and [explanation.rows, explanation.background, explanation.draws, explanation.max_seconds],
        "leakage": gates.leakage is not None,
    }


def _with_shape(
    trials: Trials,
    spec: ModelSpec,
    labels: Floats,
    candidate: Floats,
    champion: Floats | None,
    values: Mapping[str, NDArray[Any]],
    seed: int,
) -> Trials:
    drawn = {"candidate": curves(spec.task, labels, candidate)}
    if champion is not None:
        drawn["champion"] = curves(spec.task, labels, champion)
    if spec.task == "regression":
        of = {g.by: values[g.by] for g in spec.gates.residuals if g.by}
        widths = [g.within for g in spec.gates.residuals if g.within is not None]
        return replace(trials, curves=drawn, residuals=residuals(labels, candidate, of, widths, most=MAX_SEGMENTS))
    bins = spec.gates.calibration.bins if spec.gates.calibration else CALIBRATION_BINS
    return replace(trials, curves=drawn, calibration=calibration(labels, candidate, bins=bins, seed=seed))


def _by_segment(spec: ModelSpec, values: NDArray[Any], labels: Floats, scores: Floats, seed: int) -> dict[str, Metrics]:
    names, of_row, counts = np.unique(values, return_inverse=True, return_counts=True)
    most = sorted(np.argsort(-counts, kind="stable")[:MAX_SEGMENTS])
    return {str(names[i]): estimates(spec.task, labels[of_row == i], scores[of_row == i], seed=seed) for i in most}


def _json(metrics: Metrics | None) -> dict[str, Any] | None:
    return None if metrics is None else {name: found.to_json() for name, found in metrics.items()}


def _metrics(found: Mapping[str, Any]) -> Metrics:
    return {name: Estimate.from_json(value) for name, value in found.items()}
