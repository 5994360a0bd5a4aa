"""Monitors model quality, bias or feature attribution of live predictions and writes SageMaker's output files."""

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

MODEL = "/opt/ml/processing/input/model"
NAMESPACES = {
    "model-quality": "aws/sagemaker/Endpoints/model-metrics",
    "bias": "aws/sagemaker/Endpoints/bias-metrics",
    "explainability": "aws/sagemaker/Endpoints/explainability-metrics",
}
VIOLATIONS = "bedplate_violations"
_CHECKS = {"bias": "bias_drift_check", "explainability": "feature_attribution_drift_check"}


class LiveMonitoringError(Exception):
    """The constraints are missing or invalid, or the model cannot be explained."""


@dataclass(frozen=True, slots=True)
class LiveConstraints:
    """Bedplate's section of `constraints.json`: the contract and the evaluation results of one version."""

    spec: ModelSpec
    version: str | None
    reference: Mapping[str, Any]


def analyze_live(request: MonitoringRequest, root: Path) -> LiveReport:
    """Writes and returns the report, beside `statistics.json` and `constraint_violations.json`.

    Raises LiveMonitoringError.
    """
    from bedplate.container.capture_reader import build_sample, read_captures, read_labels
    from bedplate.domain.evidence.live_quality import LiveReport, summarize_findings

    kind = next(kind for kind in SCHEDULE_KINDS if kind == request.mode)
    constraints = read_constraints(request.constraints)
    spec = constraints.spec
    # The merge with ground truth has already selected the requests of the other kinds.
    window = {"start": request.start, "end": request.end} if kind == "explainability" else {}
    captures = list(read_captures(request.source, **window))
    late_labels = read_labels(request.labels, spec.data.keys) if request.labels.is_dir() else {}
    sample = build_sample(spec, captures, late_labels, version=constraints.version)
    rows_explained = 0
    if kind == "explainability":
        findings, rows_explained = _importance_findings(spec, constraints, captures, root)
    else:
        findings = _label_findings(kind, spec, constraints, sample)
    outcome, summary = summarize_findings(findings)
    report = LiveReport(
        kind=kind,
        model=spec.name,
        endpoint=request.endpoint,
        version=constraints.version,
        outcome=outcome,
        summary=summary,
        rows=sample.rows,
        labelled_rows=len(_labelled_rows(sample)[0]),
        explained_rows=rows_explained,
        findings=findings,
    )
    request.write_outputs(
        {
            "report.json": report.to_json(),
            "statistics.json": statistics_json(report, spec),
            "constraint_violations.json": {"violations": [_violation(kind, f) for f in report.violations]},
        }
    )
    return report


def read_constraints(path: Path) -> LiveConstraints:
    """Returns Bedplate's section of a constraints file. Raises LiveMonitoringError where it is missing."""
    from bedplate.domain.documents import check_format
    from bedplate.errors import UnsupportedFormat
    from bedplate.settings import ModelSpec

    try:
        section = json.loads(path.read_text(encoding="utf-8"))["bedplate"]
        check_format(section, path.name)
        spec = ModelSpec.model_validate(section["spec"])
        return LiveConstraints(spec, section["version"], dict(section["reference"]))
    except FileNotFoundError as exc:
        raise LiveMonitoringError("constraints.json is missing; create it: bedplate monitor schedule") from exc
    except UnsupportedFormat as exc:
        raise LiveMonitoringError(f"{exc}; create it again: bedplate monitor schedule") from exc
    except (KeyError, TypeError, ValueError) as exc:
        raise LiveMonitoringError(f"{path.name} has no valid section `bedplate`: {exc!r:.300}") from exc


def statistics_json(report: LiveReport, spec: ModelSpec) -> dict[str, Any]:
    """Returns the findings' values under the keys of the corresponding SageMaker job's `statistics.json`."""
    values = {f.metric: {"value": f.value} for f in report.findings if f.value is not None}
    common = {"version": 0.0, "dataset": {"item_count": report.rows}}
    if report.kind == "model-quality":
        key = "binary_classification_metrics" if spec.task == "binary" else "regression_metrics"
        return {**common, key: values}
    if report.kind == "bias":
        facets: dict[str, list[dict[str, Any]]] = {}
        for f in report.findings:
            facets.setdefault(f.subject, []).append({"name": f.metric, "value": f.value})
        return {**common, "post_training_bias_metrics": {"label": spec.data.label, "facets": facets}}
    shares = {f.subject: f.value for f in report.findings if f.metric == "importance"}
    return {**common, "explanations": {"kernel_shap": {"label0": {"global_shap_values": shares}}}}


def metric_values(report: LiveReport) -> dict[str, float]:
    """Returns the CloudWatch metrics. A metric without data is missing, so that no alarm treats it as a pass."""
    values = {_metric_name(report.kind, f): f.value for f in report.findings if f.value is not None}
    if report.outcome != "NO_DATA":
        values[VIOLATIONS] = float(len(report.violations))
    return values


def _violation(kind: ScheduleKind, finding: LiveFinding) -> dict[str, Any]:
    """Returns an entry of `constraint_violations.json` in the format of the kind's SageMaker job."""
    entry = {"metric_name": finding.metric, "description": finding.message}
    if kind == "model-quality":
        assert finding.value is not None
        assert finding.bound is not None
        check = "LessThanThreshold" if finding.value < finding.bound else "GreaterThanThreshold"
        return {**entry, "constraint_check_type": check}
    subject = {"facet": finding.subject} if kind == "bias" else {"label": "label0"}
    return {**subject, **entry, "constraint_check_type": _CHECKS[kind]}


def _metric_name(kind: ScheduleKind, finding: LiveFinding) -> str:
    if kind == "bias":
        return f"bias_metric_{finding.metric}_{finding.subject}"
    return f"feature_{finding.subject}" if finding.metric == "importance" else finding.metric


# --- model quality and bias -----------------------------------------------------------------------------------------


def _label_findings(
    kind: ScheduleKind, spec: ModelSpec, constraints: LiveConstraints, sample: Sample
) -> tuple[LiveFinding, ...]:
    from bedplate.domain.evidence.fairness import Fairness
    from bedplate.domain.evidence.live_quality import bias_findings, quality_findings

    labels, scores, has_both = _labelled_rows(sample)
    if kind == "model-quality":
        return quality_findings(spec, constraints.reference["metrics"], labels, scores)
    columns = [gate.column for gate in spec.gates.fairness if gate.column in sample.columns]
    groups = {column: _group_values(sample, column)[has_both] for column in columns}
    reference = [Fairness.from_json(entry) for entry in constraints.reference["fairness"]]
    return bias_findings(spec, reference, groups, labels, scores)


def _labelled_rows(sample: Sample) -> tuple[Any, Any, Any]:
    """Returns the labels and predictions of the rows that have both, and the boolean mask of these rows."""
    import numpy as np

    has_both = ~np.isnan(sample.labels) & ~np.isnan(sample.predictions)
    return sample.labels[has_both], sample.predictions[has_both], has_both


def _group_values(sample: Sample, column: str) -> np.ndarray[Any, Any]:
    """Returns each row's group as text, "" for null, as in an evaluation; shape (rows,)."""
    import numpy as np

    from bedplate.domain.drift.analysis import CategoryColumn

    values = sample.columns[column]
    if isinstance(values, CategoryColumn):
        names: np.ndarray[Any, Any] = np.asarray([*values.names, ""], dtype=object)
        return np.asarray(names[values.codes])
    return np.asarray(["" if math.isnan(v) else f"{v:g}" for v in values.tolist()], dtype=object)


# --- explainability -------------------------------------------------------------------------------------------------


def _importance_findings(
    spec: ModelSpec, constraints: LiveConstraints, captures: list[Any], root: Path
) -> tuple[tuple[LiveFinding, ...], int]:
    """Returns the findings and the number of explained rows, sampled from those that this version scored."""
    import numpy as np

    from bedplate.container.capture_reader import typed_rows
    from bedplate.domain.evidence.live_quality import explanation_findings

    reference = {name: float(value) for name, value in constraints.reference["importances"].items()}
    own_captures = (capture for capture in captures if capture.version == constraints.version)
    rows = [row for capture in own_captures for row in typed_rows(capture, spec)]
    values, features = np.empty((0, len(spec.data.features))), list(spec.data.features)
    if len(rows) > 1 and reference:
        values, features = _explain_model(spec, rows, root)
    return explanation_findings(spec, reference, values, features), len(values)


def _explain_model(spec: ModelSpec, rows: list[Any], root: Path) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Returns SHAP values, shape (explained rows, features), and the features' names. Raises LiveMonitoringError."""
    import numpy as np

    from bedplate.container.explanation import explanation_settings

    folder = root / "processing" / "work"
    model = folder / "model"
    model.mkdir(parents=True, exist_ok=True)
    artifact = paths.relocate(MODEL, root) / "model.tar.gz"
    try:
        with tarfile.open(artifact) as tar:
            tar.extractall(model, filter="data")
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise LiveMonitoringError(f"the live release's model cannot be unpacked to explain it: {exc}") from exc
    settings = explanation_settings(spec)
    order = np.random.default_rng(settings["seed"]).permutation(len(rows))
    sampled = sorted(order[: settings["rows"] + settings["background"]].tolist())
    rows_path, output = folder / "rows.parquet", folder / "predictions.npy"
    _write_rows(spec, [rows[i] for i in sampled], rows_path)
    arguments = [str(model), str(rows_path), str(output), json.dumps(settings)]
    command = [sys.executable, "-m", "bedplate.container.scoring", *arguments]
    process = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    archive = output.with_suffix(".npz")
    if process.returncode != 0 or not archive.is_file():
        error_lines = process.stderr.strip().splitlines() or ["stderr is empty"]
        raise LiveMonitoringError(f"the live release's model could not be explained: {error_lines[-1][:400]}")
    with np.load(archive) as saved:
        return saved["values"], [str(name) for name in saved["features"]]


def _write_rows(spec: ModelSpec, rows: list[Any], path: Path) -> None:
    """Writes the features of captured rows as a Parquet file with the types of a training table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow_types = {
        "number": pa.float64(),
        "integer": pa.float64(),
        "string": pa.string(),
        "boolean": pa.bool_(),
        "timestamp": pa.string(),
    }
    columns: dict[str, Any] = {}
    for name in spec.data.features:
        try:
            columns[name] = pa.array([row.get(name) for row in rows], arrow_types[spec.data.columns[name].type])
        except (pa.ArrowInvalid, pa.ArrowTypeError) as exc:
            raise LiveMonitoringError(f"captured values of {name} do not match the contract: {exc}") from exc
    pq.write_table(pa.table(columns), path)
