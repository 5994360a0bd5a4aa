"""Looks for drift in captured requests and answers, by the job that the schedule runs, and reads what it found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bedplate.domain.drift import DriftReport
from bedplate.domain.drift.report import Alert
from bedplate.domain.evidence.live_quality import LiveReport
from bedplate.domain.ledger import iso_ms
from bedplate.domain.names import ScheduleKind
from bedplate.domain.release import version_told
from bedplate.errors import NotEnoughData, NotFound
from bedplate.ports import Job, MonitoringExecution, Reporter
from bedplate.workflows.endpoint.observe import observe
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.watch.monitoring_job import BASELINE_DIR, LABELS_DIR, capture_inputs, completed, submit
from bedplate.workflows.watch.schedules import standing_schedules

LOOK_BACK = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=31)}


@dataclass(frozen=True, slots=True)
class MonitorResult:
    """`report` is None while the job still runs (`--no-wait`)."""

    job: Job
    uri: str
    start: datetime
    end: datetime
    report: DriftReport | None


def monitor(
    stack: StackContext,
    model: str,
    *,
    start: datetime | None,
    end: datetime | None,
    reporter: Reporter,
    wait: bool = True,
) -> MonitorResult:
    """Analyse what was captured from `start` to `end` (the last window of model.yaml's `monitors`, without them)
    against the baseline, with whatever labels have arrived.

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
    live = version_told(observe(stack, model, ()).live)
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
    reporter("step", {"text": f"Comparing what was asked since {start:%Y-%m-%d %H:%M} UTC with the baseline"})
    job = submit(
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
    job = completed(stack, job, reporter, what=f"Monitoring job {name}")
    report = read_report(stack, f"{uri}drift.json")
    _record(stack, model, live, uri, report, start, end)
    return MonitorResult(job, uri, start, end, report)


def latest_report(stack: StackContext, model: str) -> tuple[str, DriftReport]:
    """Where the newest report lies, whoever had it made, and what it says. Raises NotFound."""
    names = stack.names(model)
    stack.model(model)
    prefix = f"s3://{stack.outputs.artifacts_bucket}/{names.monitoring_prefix}"
    found = [info for info in stack.objects.list(prefix) if info.uri.endswith("/drift.json")]
    if not found:
        raise NotFound(f"{model} was never monitored", next_step=f"bedplate monitor run {model}")
    newest = max(found, key=lambda info: info.modified_at)
    return newest.uri, read_report(stack, newest.uri)


def latest_live_report(stack: StackContext, model: str, kind: ScheduleKind) -> tuple[str, LiveReport]:
    """Where the newest report of a schedule of this kind lies, and what it says. Raises NotFound."""
    names = stack.names(model)
    stack.model(model)
    prefix = f"s3://{stack.outputs.artifacts_bucket}/{names.monitoring_prefix}{kind}/"
    found = [info for info in stack.objects.list(prefix) if info.uri.endswith("/report.json")]
    if not found:
        raise NotFound(
            f"No run of {names.schedule(kind)} has written a report yet", next_step=f"bedplate monitor list {model}"
        )
    newest = max(found, key=lambda info: info.modified_at)
    return newest.uri, LiveReport.from_json(json.loads(stack.objects.get(newest.uri)))


def executions(stack: StackContext, model: str, *, limit: int = 20) -> Sequence[tuple[str, MonitoringExecution]]:
    """(Kind, run) of all the model's schedules, newest first. A run that had too little to judge is `NO_DATA`.

    Raises NotFound for a model that does not exist, or without a schedule of data quality.
    """
    stack.model(model)
    names = stack.names(model)
    schedules = [("data-quality", names.monitoring_schedule)]
    schedules += [(each.kind, each.name) for each in standing_schedules(stack, model)]
    runs = [(kind, told_as(run)) for kind, name in schedules for run in stack.schedules.executions(name, limit=limit)]
    return sorted(runs, key=lambda each: each[1].scheduled_at, reverse=True)[:limit]


def told_as(run: MonitoringExecution) -> MonitoringExecution:
    """SageMaker has no status for a run without data: it has failed, and its reason says why."""
    reason = run.failure_reason or ""
    lacks = run.status == "Failed" and ("NO_DATA" in reason or reason.startswith("No data"))
    return replace(run, status="NO_DATA") if lacks else run


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
        actor=stack.identity.person,
        model=model,
        version=version,
        data={
            "report_uri": f"{uri}drift.json",
            "from": iso_ms(start),
            "to": iso_ms(end),
            "outcome": report.outcome,
            "rows": report.rows,
            "alerts": [a.message for a in report.alerts],
            "signals": sorted({_signal(a) for a in report.alerts if a.severity == "alert"}),
        },
    )


def _signal(alert: Alert) -> str:
    """What kind of signal for a retraining it is."""
    return "performance" if alert.kind == "performance" else "drift"
