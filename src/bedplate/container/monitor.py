"""Creates a baseline or monitors captured requests, with the container contract of SageMaker Model Monitor."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bedplate.container import paths
from bedplate.container.monitoring_request import MonitoringRequest, MonitoringRequestError
from bedplate.domain.names import SCHEDULE_KINDS

MAX_MESSAGE = 1024


def main() -> int:
    root = paths.root()
    try:
        request = MonitoringRequest.from_environment(os.environ, root)
        now = datetime.now(UTC)
        if request.mode == "baseline":
            message = create_baseline(request)
        else:
            message = (monitor_live if request.mode in SCHEDULE_KINDS else monitor_data)(request, root, now)
    except MonitoringRequestError as exc:
        print(f"monitor failed: {exc}", file=sys.stderr, flush=True)
        _write_message(root, str(exc))
        return 1
    print(message, flush=True)
    _write_message(root, message)
    return 0


def create_baseline(request: MonitoringRequest) -> str:
    """Writes `statistics.json` and `constraints.json`; returns the exit message. Raises MonitoringRequestError."""
    from bedplate.container.baseline import BaselineError, build_baseline
    from bedplate.container.baseline_files import write_baseline
    from bedplate.settings import ModelSpec

    if request.spec is None or not request.spec.is_file():
        raise MonitoringRequestError(f"BEDPLATE_SPEC must name the model's contract.json (found: {request.spec})")
    try:
        spec = ModelSpec.model_validate_json(request.spec.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise MonitoringRequestError(f"{request.spec.name} is not a valid contract: {exc!s:.300}") from exc
    try:
        profile, rows = build_baseline(spec, sorted(request.source.rglob("*.parquet")))
    except BaselineError as exc:
        raise MonitoringRequestError(str(exc)) from exc
    write_baseline(request.output, spec, profile, rows=rows, version=request.version)
    predictions = f"{profile.prediction.n_values:,}" if profile.prediction else "no"
    return f"Completed: baseline of {len(profile.features)} features from {rows:,} rows, {predictions} predictions."


def monitor_data(request: MonitoringRequest, root: Path, now: datetime) -> str:
    """Compares captured requests with the baseline; returns the exit message.

    Writes the drift report beside the files of SageMaker's own container. Raises MonitoringRequestError.
    """
    import bedplate.container.baseline_files as files
    from bedplate.container.capture_reader import build_sample, read_captures, read_labels
    from bedplate.domain.drift.analysis import analyze_drift, profile_column
    from bedplate.settings import ModelSpec

    try:
        saved = files.read_baseline(request.statistics, request.constraints)
    except files.BaselineFormatError as exc:
        raise MonitoringRequestError(f"{exc}; create one with: bedplate baseline") from exc
    if request.spec is not None and request.spec.is_file():
        spec = ModelSpec.model_validate_json(request.spec.read_text(encoding="utf-8"))
    elif saved is not None:
        spec = saved.spec
    else:
        raise MonitoringRequestError(
            "there is neither a baseline nor a contract (BEDPLATE_SPEC); create a baseline: bedplate baseline"
        )
    sample = build_sample(
        spec,
        read_captures(request.source, start=request.start, end=request.end),
        read_labels(request.labels, spec.data.keys) if request.labels.is_dir() else {},
        version=request.version or (saved.version if saved else None),
    )
    report = analyze_drift(spec, saved.baseline if saved else None, sample, endpoint=request.endpoint)
    reference = saved.baseline.features if saved else {}
    profiles = {
        name: profile_column(reference[name], values) for name, values in sample.columns.items() if name in reference
    }
    request.write_outputs(
        {
            "drift.json": report.to_json(),
            "statistics.json": files.statistics_json(spec, profiles, sample.rows),
            "constraint_violations.json": files.violations_json(report),
        }
    )
    _write_metrics(root, request, files.NAMESPACE, files.metric_values(report), now)
    return _exit_message(len(report.alerts), report.summary)


def monitor_live(request: MonitoringRequest, root: Path, now: datetime) -> str:
    """Runs a model-quality, bias or explainability schedule; returns the exit message.

    Raises MonitoringRequestError also with too little data, so that such a run does not look like one without
    violations.
    """
    from bedplate.container.live_monitoring import NAMESPACES, LiveMonitoringError, analyze_live, metric_values

    try:
        report = analyze_live(request, root)
    except LiveMonitoringError as exc:
        raise MonitoringRequestError(str(exc)) from exc
    _write_metrics(root, request, NAMESPACES[report.kind], metric_values(report), now)
    if report.outcome == "NO_DATA":
        raise MonitoringRequestError(f"NO_DATA: {report.summary}")
    return _exit_message(len(report.violations), report.summary)


def _exit_message(violations: int, summary: str) -> str:
    return f"CompletedWithViolations: {violations} violations: {summary}." if violations else f"Completed: {summary}."


def _write_metrics(
    root: Path, request: MonitoringRequest, namespace: str, values: Mapping[str, float], now: datetime
) -> None:
    """Writes one CloudWatch metric per line to the file that Model Monitor publishes, unless publishing is off."""
    if not request.publish:
        return
    common = {
        "Namespace": namespace,
        "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Dimensions": [
            {"Name": "Endpoint", "Value": request.endpoint},
            {"Name": "MonitoringSchedule", "Value": request.schedule},
        ],
        "Unit": "None",
    }
    lines = [json.dumps({"MetricName": name, "Value": value, **common}) + "\n" for name, value in values.items()]
    path = root / "output" / "metrics" / "cloudwatch" / "cloudwatch_metrics.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")


def _write_message(root: Path, message: str) -> None:
    path = root / "output" / "message"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(message[:MAX_MESSAGE], encoding="utf-8")
