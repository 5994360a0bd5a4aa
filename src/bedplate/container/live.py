"""Judges live answers for a schedule of model quality, bias or explainability, with the outputs of SageMaker's jobs."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.container import paths
from bedplate.domain.names import SCHEDULE_KINDS, ScheduleKind

if TYPE_CHECKING:
    import numpy as np

    from bedplate.container.monitoring_request import MonitoringRequest
    from bedplate.domain.drift.analysis import Sample
    from bedplate.domain.evidence.live_quality import LiveFinding, LiveReport
    from bedplate.settings import ModelSpec

MODES = SCHEDULE_KINDS
MODEL = "/opt/ml/processing/input/model"
NAMESPACES = {
    "model-quality": "aws/sagemaker/Endpoints/model-metrics",
    "bias": "aws/sagemaker/Endpoints/bias-metrics",
    "explainability": "aws/sagemaker/Endpoints/explainability-metrics",
}
VIOLATIONS = "bedplate_violations"
_CHECKS = {"bias": "bias_drift_check", "explainability": "feature_attribution_drift_check"}


class LiveMonitoringError(Exception):
    """What is missing or broken: the bounds, or the model that is to explain itself."""


@dataclass(frozen=True, slots=True)
class LiveBounds:
    """What `constraints.json` says beside SageMaker's own keys: the contract and the evaluation of one version."""

    spec: ModelSpec
    version: str | None
    reference: Mapping[str, Any]


def judge(request: MonitoringRequest, root: Path) -> LiveReport:
    """Write `report.json`, `statistics.json` and `constraint_violations.json`. Raises NothingToJudge."""
    from bedplate.container.capture_reader import labels_below, records, sample_of
    from bedplate.domain.evidence.live_quality import LiveReport, judged

    kind = _kind(request.mode)
    bounds = read_bounds(request.constraints)
    spec = bounds.spec
    window = {"start": request.start, "end": request.end} if kind == "explainability" else {}
    found = list(records(request.source, **window))  # what has a ground truth merged in was chosen by the merge
    late = labels_below(request.labels, spec.data.keys) if request.labels.is_dir() else {}
    sample = sample_of(spec, found, late, version=bounds.version)
    explained = 0
    if kind == "explainability":
        findings, explained = _explained(spec, bounds, found, root)
    else:
        findings = _on_labels(kind, spec, bounds, sample)
    outcome, summary = judged(findings)
    report = LiveReport(
        kind=kind,
        model=spec.name,
        endpoint=request.endpoint,
        version=bounds.version,
        outcome=outcome,
        summary=summary,
        rows=sample.rows,
        labelled=len(_labelled(sample)[0]),
        explained=explained,
        findings=findings,
    )
    request.output.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("report.json", report.to_json()),
        ("statistics.json", statistics_json(report, spec)),
        ("constraint_violations.json", violations_json(report)),
    ):
        (request.output / name).write_text(json.dumps(content), encoding="utf-8")
    return report


def read_bounds(path: Path) -> LiveBounds:
    """Raises NothingToJudge for a file that is not there, or is none of ours."""
    from bedplate.settings import ModelSpec

    try:
        ours = json.loads(path.read_text(encoding="utf-8"))["bedplate"]
        return LiveBounds(ModelSpec.model_validate(ours["spec"]), ours["version"], dict(ours["reference"]))
    except FileNotFoundError as exc:
        raise LiveMonitoringError(
            "there are no constraints to hold answers against: bedplate monitor schedule"
        ) from exc
    except (KeyError, TypeError, ValueError) as exc:
        raise LiveMonitoringError(f"{path.name} holds no bounds of bedplate's: {exc!r:.300}") from exc


def statistics_json(report: LiveReport, spec: ModelSpec) -> dict[str, Any]:
    """Figures under the keys of SageMaker's own jobs, as far as they have one for such a figure."""
    told = {f.metric: {"value": f.figure} for f in report.findings if f.figure is not None}
    common = {"version": 0.0, "dataset": {"item_count": report.rows}}
    if report.kind == "model-quality":
        key = "binary_classification_metrics" if spec.task == "binary" else "regression_metrics"
        return {**common, key: told}
    if report.kind == "bias":
        facets: dict[str, list[dict[str, Any]]] = {}
        for f in report.findings:
            facets.setdefault(f.subject, []).append({"name": f.metric, "value": f.figure})
        return {**common, "post_training_bias_metrics": {"label": spec.data.label, "facets": facets}}
    shares = {f.subject: f.figure for f in report.findings if f.metric == "importance"}
    return {**common, "explanations": {"kernel_shap": {"label0": {"global_shap_values": shares}}}}


def violations_json(report: LiveReport) -> dict[str, Any]:
    """An entry for each broken bound, in the shape of the kind's own job."""
    return {"violations": [_violation(report.kind, f) for f in report.violations]}


def metric_lines(report: LiveReport, *, schedule: str, at: str) -> list[dict[str, Any]]:
    """CloudWatch metrics; what could not be judged is left out, so that no alarm takes it for a pass."""
    values = {_metric_name(report.kind, f): f.figure for f in report.findings if f.figure is not None}
    if report.outcome != "NO_DATA":
        values[VIOLATIONS] = float(len(report.violations))
    dimensions = [{"Name": "Endpoint", "Value": report.endpoint}, {"Name": "MonitoringSchedule", "Value": schedule}]
    return [
        {
            "Namespace": NAMESPACES[report.kind],
            "MetricName": name,
            "Timestamp": at,
            "Dimensions": dimensions,
            "Value": value,
            "Unit": "None",
        }
        for name, value in values.items()
    ]


def _kind(mode: str) -> ScheduleKind:
    return next(kind for kind in SCHEDULE_KINDS if kind == mode)


def _violation(kind: ScheduleKind, finding: LiveFinding) -> dict[str, Any]:
    described = {"metric_name": finding.metric, "description": finding.message}
    if kind == "model-quality":
        assert finding.figure is not None
        assert finding.bound is not None
        check = "LessThanThreshold" if finding.figure < finding.bound else "GreaterThanThreshold"
        return {**described, "constraint_check_type": check}
    subject = {"facet": finding.subject} if kind == "bias" else {"label": "label0"}
    return {**subject, **described, "constraint_check_type": _CHECKS[kind]}


def _metric_name(kind: ScheduleKind, finding: LiveFinding) -> str:
    if kind == "bias":
        return f"bias_metric_{finding.metric}_{finding.subject}"
    return f"feature_{finding.subject}" if finding.metric == "importance" else finding.metric


# --- on labels ------------------------------------------------------------------------------------------------------


def _on_labels(kind: ScheduleKind, spec: ModelSpec, bounds: LiveBounds, sample: Sample) -> tuple[LiveFinding, ...]:
    from bedplate.domain.evidence.fairness import Fairness
    from bedplate.domain.evidence.live_quality import bias_findings, quality_findings

    labels, scores, known = _labelled(sample)
    if kind == "model-quality":
        return quality_findings(spec, bounds.reference["metrics"], labels, scores)
    groups = {g.by: _texts(sample, g.by)[known] for g in spec.gates.fairness if g.by in sample.columns}
    reference = [Fairness.from_json(found) for found in bounds.reference["fairness"]]
    return bias_findings(spec, reference, groups, labels, scores)


def _labelled(sample: Sample) -> tuple[Any, Any, Any]:
    """Labels, answers, and which rows have both."""
    import numpy as np

    known = ~np.isnan(sample.labels) & ~np.isnan(sample.predictions)
    return sample.labels[known], sample.predictions[known], known


def _texts(sample: Sample, column: str) -> np.ndarray[Any, Any]:
    """Each row's group as text, "" for null, as an evaluation has it."""
    import numpy as np

    from bedplate.domain.drift.analysis import Categories

    values = sample.columns[column]
    if isinstance(values, Categories):
        names: np.ndarray[Any, Any] = np.asarray([*values.names, ""], dtype=object)
        return np.asarray(names[values.codes])
    return np.asarray(["" if math.isnan(v) else f"{v:g}" for v in values.tolist()], dtype=object)


# --- reasons --------------------------------------------------------------------------------------------------------


def _explained(
    spec: ModelSpec, bounds: LiveBounds, found: list[Any], root: Path
) -> tuple[tuple[LiveFinding, ...], int]:
    """Rows that this version answered, drawn by the gate's settings, explained by the model itself."""
    import numpy as np

    from bedplate.container.capture_reader import typed_rows
    from bedplate.domain.evidence.live_quality import explanation_findings

    reference = {name: float(value) for name, value in bounds.reference["importances"].items()}
    rows = [row for record in found if record.version == bounds.version for row in typed_rows(record, spec)]
    values, features = np.empty((0, len(spec.data.features))), list(spec.data.features)
    if len(rows) > 1 and reference:
        values, features = _values(spec, rows, root)
    return explanation_findings(spec, reference, values, features), len(values)


def _values(spec: ModelSpec, rows: list[Any], root: Path) -> tuple[np.ndarray[Any, Any], list[str]]:
    import numpy as np

    work = root / "processing" / "work"
    model = work / "model"
    model.mkdir(parents=True, exist_ok=True)
    artifact = paths.relocated(MODEL, root) / "model.tar.gz"
    try:
        with tarfile.open(artifact) as tar:
            tar.extractall(model, filter="data")
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise LiveMonitoringError(f"the live release's model cannot be unpacked to explain it: {exc}") from exc
    gate = spec.gates.explanation
    assert gate is not None
    asked = {
        "rows": gate.rows,
        "background": gate.background,
        "draws": gate.draws,
        "seed": spec.training.seed,
        "max_seconds": gate.max_seconds,
    }
    drawn = np.random.default_rng(spec.training.seed).permutation(len(rows))[: gate.rows + gate.background]
    asked_of = work / "rows.parquet"
    _write_rows(spec, [rows[i] for i in sorted(drawn.tolist())], asked_of)
    out = work / "answers.npy"
    command = [sys.executable, "-m", "bedplate.container.scoring", str(model), str(asked_of), str(out)]
    child = subprocess.run([*command, json.dumps(asked)], env=os.environ, capture_output=True, text=True, check=False)
    archive = out.with_suffix(".npz")
    if child.returncode != 0 or not archive.is_file():
        said = child.stderr.strip().splitlines() or ["it said nothing"]
        raise LiveMonitoringError(f"the live release's model could not be explained: {said[-1][:400]}")
    with np.load(archive) as saved:
        return saved["values"], [str(name) for name in saved["features"]]


def _write_rows(spec: ModelSpec, rows: list[Any], path: Path) -> None:
    """The features of captured rows, as a training table has them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "number": pa.float64(),
        "integer": pa.float64(),
        "string": pa.string(),
        "boolean": pa.bool_(),
        "timestamp": pa.string(),
    }
    columns: dict[str, Any] = {}
    for name in spec.data.features:
        kind = spec.data.columns[name].type
        try:
            columns[name] = pa.array([row.get(name) for row in rows], kinds[kind])
        except (pa.ArrowInvalid, pa.ArrowTypeError) as exc:
            raise LiveMonitoringError(f"captured values of {name} do not fit the contract: {exc}") from exc
    pq.write_table(pa.table(columns), path)
