"""Evaluates a candidate and the champion on the same held-out rows and reads and writes `evaluation.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from bedplate.domain.documents import FORMAT, JsonFloat, check_format
from bedplate.domain.evidence.calibration import Calibration, calibration
from bedplate.domain.evidence.curves import Curves, curves
from bedplate.domain.evidence.explanation import Explanation
from bedplate.domain.evidence.fairness import Fairness, fairness
from bedplate.domain.evidence.inference_contract import CaseCheck
from bedplate.domain.evidence.latency import Latency
from bedplate.domain.evidence.leakage import Leakage
from bedplate.domain.evidence.metrics import Estimate, compare_models, estimate_metrics
from bedplate.domain.evidence.residuals import Residuals, residuals
from bedplate.settings import Gates, ModelSpec

MAX_SEGMENTS = 60
"""Most frequent values of a segment column that are measured; others are left out."""
CALIBRATION_BINS = 10
Metrics = dict[str, Estimate]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Analyses:
    """Further measurements; None where a gate does not ask for one. Keys of `curves`: `candidate`, `champion`."""

    calibration: Calibration | None = None
    residuals: Residuals | None = None
    curves: dict[str, Curves] | None = None
    latency: Latency | None = None
    inference: tuple[CaseCheck, ...] | None = None
    explanation: Explanation | None = None
    leakage: Leakage | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The content of `evaluation.json`: metrics on `rows` held-out rows, and further analyses.

    `champion` and `difference` (candidate minus champion) are None without a champion's model. `segments` is
    column -> value -> metric -> the candidate's estimate; `artifact_mb` is the size of the packed artifact in
    10^6 bytes, `seconds` the time that the candidate took to score all rows.
    """

    model: str
    task: str
    rows: int
    label_mean: JsonFloat
    candidate: Metrics
    champion: Metrics | None
    difference: Metrics | None
    segments: dict[str, dict[str, Metrics]]
    fairness: tuple[Fairness, ...]
    artifact_mb: float
    seconds: float
    analyses: Analyses = Analyses()

    def to_json(self) -> dict[str, Any]:
        """Returns the document `evaluation.json`; NaN is None."""
        return {"format": FORMAT, **json.loads(_EVALUATION.dump_json(self))}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Evaluation:
        """Raises UnsupportedFormat for another format, ValueError for a document that `to_json` did not write."""
        check_format(document, "evaluation.json", next_step="bedplate evaluate <model>:<version> --again")
        return _EVALUATION.validate_python(document)


_EVALUATION: TypeAdapter[Evaluation] = TypeAdapter(Evaluation)


def evaluate_models(
    spec: ModelSpec,
    labels: Floats,
    candidate: Floats,
    champion: Floats | None,
    groups: Mapping[str, Sequence[str]],
    *,
    artifact_mb: float,
    seconds: float,
    seed: int = 0,
    analyses: Analyses | None = None,
) -> Evaluation:
    """Computes every metric of the spec's task, overall, per segment and between groups. All arrays are (rows,).

    `groups` is column -> text of each row, for each of `grouping_columns(spec)`. `seed` determines the resamples.
    With `analyses`, which were measured elsewhere, curves and calibration or residuals are added to them.
    """
    comparison = None if champion is None else compare_models(spec.task, labels, candidate, champion, seed=seed)
    values = {column: np.asarray(groups[column], dtype=object) for column in grouping_columns(spec)}
    if analyses is not None:
        analyses = _add_curves(analyses, spec, labels, candidate, champion, values, seed)
    return Evaluation(
        model=spec.name,
        task=spec.task,
        rows=len(labels),
        label_mean=float(labels.mean()) if len(labels) else float("nan"),
        candidate=comparison.candidate if comparison else estimate_metrics(spec.task, labels, candidate, seed=seed),
        champion=comparison.champion if comparison else None,
        difference=comparison.difference if comparison else None,
        segments={c: _estimate_per_segment(spec, values[c], labels, candidate, seed) for c in segment_columns(spec)},
        fairness=tuple(fairness(g, values[g.column], labels, candidate) for g in spec.gates.fairness),
        artifact_mb=artifact_mb,
        seconds=seconds,
        analyses=analyses or Analyses(),
    )


def segment_columns(spec: ModelSpec) -> tuple[str, ...]:
    """Returns the contract's segment columns and any other column that a segment gate names."""
    return tuple(dict.fromkeys((*spec.data.segments, *(g.column for g in spec.gates.segments))))


def grouping_columns(spec: ModelSpec) -> tuple[str, ...]:
    """Returns the columns whose values form groups: segment columns and the columns that gates name."""
    return tuple(dict.fromkeys((*segment_columns(spec), *(column for _, column in spec.gates.group_columns))))


def measurement_settings(gates: Gates) -> dict[str, Any]:
    """Returns the settings of the gates that determine what is measured, without the bounds.

    >>> gates = Gates.model_validate({"calibration": {"max_ece": 0.1, "bins": 5}})
    >>> measurement_settings(gates)["bins"]
    5
    """
    latency, explanation = gates.latency, gates.explanation
    return {
        "segments": [g.column for g in gates.segments],
        "fairness": [[g.column, g.metric, g.threshold, g.min_rows, g.min_ratio is not None] for g in gates.fairness],
        "bins": gates.calibration.bins if gates.calibration else CALIBRATION_BINS,
        "residuals": [[g.column, g.within] for g in gates.residuals],
        "latency": latency and [latency.batch_rows, latency.requests, latency.batches, latency.warm_up],
        "inference": gates.inference and gates.inference.model_dump(),
        "explanation": explanation
        and [explanation.rows, explanation.background, explanation.draws, explanation.max_seconds],
        "leakage": gates.leakage is not None,
    }


def _add_curves(
    analyses: Analyses,
    spec: ModelSpec,
    labels: Floats,
    candidate: Floats,
    champion: Floats | None,
    values: Mapping[str, NDArray[Any]],
    seed: int,
) -> Analyses:
    """Returns `analyses` with curves and, by task, calibration or residuals."""
    model_curves = {"candidate": curves(spec.task, labels, candidate)}
    if champion is not None:
        model_curves["champion"] = curves(spec.task, labels, champion)
    if spec.task == "regression":
        residual_groups = {g.column: values[g.column] for g in spec.gates.residuals if g.column}
        max_errors = [g.within for g in spec.gates.residuals if g.within is not None]
        measured = residuals(labels, candidate, residual_groups, max_errors, max_values=MAX_SEGMENTS)
        return replace(analyses, curves=model_curves, residuals=measured)
    bins = spec.gates.calibration.bins if spec.gates.calibration else CALIBRATION_BINS
    return replace(analyses, curves=model_curves, calibration=calibration(labels, candidate, bins=bins, seed=seed))


def _estimate_per_segment(
    spec: ModelSpec, values: NDArray[Any], labels: Floats, scores: Floats, seed: int
) -> dict[str, Metrics]:
    names, value_of_row, counts = np.unique(values, return_inverse=True, return_counts=True)
    frequent = sorted(np.argsort(-counts, kind="stable")[:MAX_SEGMENTS])
    return {
        str(names[i]): estimate_metrics(spec.task, labels[value_of_row == i], scores[value_of_row == i], seed=seed)
        for i in frequent
    }
