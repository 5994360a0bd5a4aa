"""Makes a baseline, or holds captured requests against one: SageMaker Model Monitor's contract for a container."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from bedplate.container import paths
from bedplate.container.monitoring_request import MonitoringRequest, MonitoringRequestError
from bedplate.domain.names import SCHEDULE_KINDS as LIVE

MAX_MESSAGE = 1024


def main() -> int:
    root = paths.root()
    try:
        request = MonitoringRequest.of(os.environ, root)
        now = datetime.now(UTC)
        if request.mode in LIVE:
            message = live(request, root, now)
        else:
            message = baseline(request) if request.mode == "baseline" else monitor(request, root, now)
    except MonitoringRequestError as exc:
        print(f"monitor failed: {exc}", file=sys.stderr, flush=True)
        _tell(root, str(exc))
        return 1
    print(message, flush=True)
    _tell(root, message)
    return 0


def baseline(request: MonitoringRequest) -> str:
    """Write `statistics.json` and `constraints.json`. Raises CannotMonitor."""
    from bedplate.container.baseline import BaselineError, baseline_of
    from bedplate.container.statistics import write_baseline
    from bedplate.settings import ModelSpec

    if request.spec is None or not request.spec.is_file():
        raise MonitoringRequestError(f"BEDPLATE_SPEC must name the model's contract.json (found: {request.spec})")
    try:
        spec = ModelSpec.model_validate_json(request.spec.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise MonitoringRequestError(f"{request.spec.name} is no model's contract: {exc!s:.300}") from exc
    try:
        found, rows = baseline_of(spec, sorted(request.source.rglob("*.parquet")))
    except BaselineError as exc:
        raise MonitoringRequestError(str(exc)) from exc
    write_baseline(request.output, spec, found, rows=rows, version=request.version)
    answers = f", {found.prediction.n:,} answers" if found.prediction else ", no answers"
    return f"Completed: baseline of {len(found.features)} features from {rows:,} rows{answers}."


def monitor(request: MonitoringRequest, root: Path, now: datetime) -> str:
    """Write the report and what SageMaker's own container writes; returns the exit message. Raises CannotMonitor."""
    from bedplate.container.capture_reader import labels_below, records, sample_of
    from bedplate.container.statistics import NoBaseline, metric_lines, read_baseline, statistics_json, violations_json
    from bedplate.domain.drift.analysis import analyse, counted
    from bedplate.settings import ModelSpec

    try:
        saved = read_baseline(request.statistics, request.constraints)
    except NoBaseline as exc:
        raise MonitoringRequestError(f"{exc}; make one with: bedplate baseline") from exc
    if request.spec is not None and request.spec.is_file():
        spec = ModelSpec.model_validate_json(request.spec.read_text(encoding="utf-8"))
    elif saved is not None:
        spec = saved.spec
    else:
        raise MonitoringRequestError("there is neither a baseline nor a contract (BEDPLATE_SPEC): bedplate baseline")
    sample = sample_of(
        spec,
        records(request.source, start=request.start, end=request.end),
        labels_below(request.labels, spec.data.keys) if request.labels.is_dir() else {},
        version=request.version or (saved.version if saved else None),
    )
    report = analyse(spec, saved.baseline if saved else None, sample, endpoint=request.endpoint)
    known = saved.baseline.features if saved else {}
    profiles = {name: counted(known[name], values) for name, values in sample.columns.items() if name in known}
    for name, content in (
        ("drift.json", report.to_json()),
        ("statistics.json", statistics_json(spec, profiles, sample.rows)),
        ("constraint_violations.json", violations_json(report)),
    ):
        request.output.mkdir(parents=True, exist_ok=True)
        (request.output / name).write_text(json.dumps(content), encoding="utf-8")
    if request.publish:
        at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        _publish(root, "".join(json.dumps(m) + "\n" for m in metric_lines(report, schedule=request.schedule, at=at)))
    if not report.alerts:
        return f"Completed: {report.summary}."
    return f"CompletedWithViolations: {len(report.alerts)} violations: {report.summary}."


def live(request: MonitoringRequest, root: Path, now: datetime) -> str:
    """Judge live answers for a schedule of one of the three other kinds; returns the exit message.

    Raises CannotMonitor, also where there was too little to judge: a run that judged nothing must not look like one
    that found nothing.
    """
    from bedplate.container.live import LiveMonitoringError, judge, metric_lines

    try:
        report = judge(request, root)
    except LiveMonitoringError as exc:
        raise MonitoringRequestError(str(exc)) from exc
    if request.publish:
        lines = metric_lines(report, schedule=request.schedule, at=now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        _publish(root, "".join(json.dumps(m) + "\n" for m in lines))
    if report.outcome == "NO_DATA":
        raise MonitoringRequestError(f"NO_DATA: {report.summary}")
    if report.violations:
        return f"CompletedWithViolations: {len(report.violations)} violations: {report.summary}."
    return f"Completed: {report.summary}."


def _publish(root: Path, lines: str) -> None:
    path = root / "output" / "metrics" / "cloudwatch" / "cloudwatch_metrics.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(lines, encoding="utf-8")


def _tell(root: Path, message: str) -> None:
    path = root / "output" / "message"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(message[:MAX_MESSAGE], encoding="utf-8")
