"""Runs the monitoring job over captured requests, and reads monitoring reports and executions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bedplate.domain.drift import DriftReport
from bedplate.domain.drift.report import Alert
from bedplate.domain.evidence.live_quality import LiveReport
from bedplate.domain.ledger import format_iso_ms
from bedplate.domain.names import ScheduleKind
from bedplate.domain.release import version_of
from bedplate.errors import NotEnoughData, NotFound
from bedplate.ports import Job, MonitoringExecution, Reporter
from bedplate.workflows.endpoint.observe import observe_endpoint
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.watch.monitoring_job import (
    BASELINE_DIR,
    LABELS_DIR,
    capture_inputs,
    follow_to_completion,
    submit_job,
)
from bedplate.workflows.watch.schedules import list_schedules

LOOK_BACK = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=31)}


@dataclass(frozen=True, slots=True)
class MonitorResult:
    """A monitoring run; `report` is None while the job runs (`--no-wait`)."""

    job: Job
    uri: str
    start: datetime
    end: datetime
    report: DriftReport | None


def run_monitor(
    stack: StackContext,
    model: str,
    *,
    start: datetime | None,
    end: datetime | None,
    reporter: Reporter,
    wait: bool = True,
) -> MonitorResult:
    """Compares the requests captured from `start` to `end` (by default the last window of `monitors.window`) with the
    baseline, using the labels available now.

    Raises NotFound without a baseline, NotEnoughData when nothing was captured in that time.
    """
    spec, names = stack.model(model), stack.names(model)
    end = end or stack.clock.now()
    start = start or end - LOOK_BACK[spec.monitors.window]
    artifacts = f"s3://{stack.outputs.artifacts_bucket}/"
    baseline = {kind: f"{artifacts}{names.baseline_prefix}{kind}.json" for kind in ("statistics", "constraints")}
    if not stack.objects.exists(baseline["statistics"]):
        raise NotFound(f"{model} has no baseline to compare with", next_step=f"bedplate baseline {model}")
    captured = capture_inputs(stack, model, start, end)
    if not captured:
        raise NotEnoughData(
            f"{names.endpoint} captured no request from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC",
            next_step=f"bedplate monitor run {model} --from '30 days ago'",
        )
    live = version_of(observe_endpoint(stack, model, ()).live)
    name = f"{names.base}-monitor-{stack.clock.now():%Y%m%d%H%M%S}"
    uri = f"{artifacts}{names.monitoring_prefix}{name}/"
    labels = f"s3://{stack.outputs.data_bucket}/{names.labels_prefix}"
    inputs = {
        **captured,
        "baseline": (baseline["statistics"], f"{BASELINE_DIR}/stats"),
        "constraints": (baseline["constraints"], f"{BASELINE_DIR}/constraints"),
    }
    if next(iter(stack.objects.list(labels)), None) is not None:
        inputs["labels"] = (labels, LABELS_DIR)
    reporter("step", {"text": f"Comparing the requests since {start:%Y-%m-%d %H:%M} UTC with the baseline"})
    job = submit_job(
        stack,
        spec,
        name=name,
        version=live,
        mode="monitor",
        inputs=inputs,
        output_uri=uri,
        environment={
            "baseline_statistics": f"{BASELINE_DIR}/stats/statistics.json",
            "baseline_constraints": f"{BASELINE_DIR}/constraints/constraints.json",
            "start_time": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "end_time": f"{end + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}",
        },
    )
    if not wait:
        return MonitorResult(job, uri, start, end, None)
    job = follow_to_completion(stack, job, reporter, label=f"Monitoring job {name}")
    report = read_report(stack, f"{uri}drift.json")
    _record(stack, model, live, uri, report, start, end)
    return MonitorResult(job, uri, start, end, report)


def read_latest_report(stack: StackContext, model: str) -> tuple[str, DriftReport]:
    """Returns the URI and the content of the newest report, of a schedule or a person. Raises NotFound."""
    names = stack.names(model)
    stack.model(model)
    prefix = f"s3://{stack.outputs.artifacts_bucket}/{names.monitoring_prefix}"
    reports = [info for info in stack.objects.list(prefix) if info.uri.endswith("/drift.json")]
    if not reports:
        raise NotFound(f"{model} was never monitored", next_step=f"bedplate monitor run {model}")
    newest = max(reports, key=lambda info: info.modified_at)
    return newest.uri, read_report(stack, newest.uri)


def read_latest_live_report(stack: StackContext, model: str, kind: ScheduleKind) -> tuple[str, LiveReport]:
    """Returns the URI and the content of the newest report of this kind of schedule. Raises NotFound."""
    names = stack.names(model)
    stack.model(model)
    prefix = f"s3://{stack.outputs.artifacts_bucket}/{names.monitoring_prefix}{kind}/"
    reports = [info for info in stack.objects.list(prefix) if info.uri.endswith("/report.json")]
    if not reports:
        raise NotFound(
            f"No run of {names.schedule(kind)} has written a report yet", next_step=f"bedplate monitor list {model}"
        )
    newest = max(reports, key=lambda info: info.modified_at)
    return newest.uri, LiveReport.from_json(json.loads(stack.objects.get(newest.uri)))


def list_executions(stack: StackContext, model: str, *, limit: int = 20) -> Sequence[tuple[str, MonitoringExecution]]:
    """Returns (kind, execution) of all the model's schedules, newest first. One without enough data is `NO_DATA`.

    Raises NotFound for an unknown model, or one without a data quality schedule.
    """
    stack.model(model)
    names = stack.names(model)
    schedules = [("data-quality", names.monitoring_schedule)]
    schedules += [(each.kind, each.name) for each in list_schedules(stack, model)]
    runs = [
        (kind, with_no_data_status(run))
        for kind, name in schedules
        for run in stack.schedules.list_executions(name, limit=limit)
    ]
    return sorted(runs, key=lambda each: each[1].scheduled_at, reverse=True)[:limit]


def with_no_data_status(run: MonitoringExecution) -> MonitoringExecution:
    """Replaces the status by NO_DATA where the failure reason says so: SageMaker has no such status."""
    reason = run.failure_reason or ""
    has_no_data = run.status == "Failed" and ("NO_DATA" in reason or reason.startswith("No data"))
    return replace(run, status="NO_DATA") if has_no_data else run


def read_report(stack: StackContext, uri: str) -> DriftReport:
    return DriftReport.from_json(json.loads(stack.objects.get(uri)))


def _record(
    stack: StackContext,
    model: str,
    version: int | None,
    uri: str,
    report: DriftReport,
    start: datetime,
    end: datetime,
) -> None:
    ledger = Ledger.of(stack)
    ledger.record(
        "monitored",
        report.summary,
        actor=stack.identity.actor,
        model=model,
        version=version,
        data={
            "report_uri": f"{uri}drift.json",
            "from": format_iso_ms(start),
            "to": format_iso_ms(end),
            "outcome": report.outcome,
            "rows": report.rows,
            "alerts": [a.message for a in report.alerts],
            "signals": sorted({_retraining_signal(a) for a in report.alerts if a.severity == "alert"}),
        },
    )


def _retraining_signal(alert: Alert) -> str:
    """Returns the retraining signal of an alert."""
    return "performance" if alert.kind == "performance" else "drift"
