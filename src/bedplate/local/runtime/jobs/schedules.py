"""Runs monitoring schedules: starts a processing job when a run is due and tracks its execution."""

from __future__ import annotations

import hashlib
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from bedplate.local.hooks import Record, Services
from bedplate.local.runtime.jobs.cron import Cron, Rate, parse_schedule
from bedplate.local.runtime.jobs.monitoring import (
    CaptureWindow,
    MonitoringStartError,
    build_processing_job,
    duration_s,
    find_definition,
)
from bedplate.local.runtime.jobs.processing import ProcessingRunner

_POLL_S = 30.0
"""Longest pause between looks at the clock, which jumps when a laptop wakes up."""
_EXECUTION_STATUSES = ("Completed", "Failed", "Stopped", "Stopping")


@dataclass(frozen=True, slots=True)
class _DueRun:
    """The next run of a schedule, in epoch seconds. `rule` is None for a schedule that runs once."""

    rule: Cron | Rate | None
    window_start: float
    due_at: float


class ScheduleRunner:
    """Handles the hooks of monitoring schedules and updates executions when their jobs end."""

    def __init__(
        self, services: Services, processing: ProcessingRunner, *, flush: Callable[[], None], background: bool
    ) -> None:
        self._services = services
        self._processing = processing
        self._flush = flush
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._due: dict[str, _DueRun] = {}
        self._closed = False
        processing.on_end = self._on_job_end
        if background:
            threading.Thread(target=self._run_regularly, name="schedules", daemon=True).start()

    def update(self, record: Record) -> None:
        """Handles a created, updated, started or stopped schedule. Called with the platform's lock held."""
        name = record["MonitoringScheduleName"]
        due, error = None, None
        if record["MonitoringScheduleStatus"] in ("Scheduled", "Pending"):
            try:
                due = self._plan(record)
            except ValueError as exc:
                error = str(exc)
        with self._wake:
            self._due.pop(name, None)
            if due is not None:
                self._due[name] = due
            self._wake.notify_all()
        if error is not None:
            self._services.update("monitoring-schedule", name, MonitoringScheduleStatus="Failed", FailureReason=error)

    def delete(self, name: str) -> None:
        with self._wake:
            self._due.pop(name, None)

    def restore(self) -> None:
        """Fails interrupted executions and plans the next runs. Runs missed while the platform was down are skipped."""
        for record in self._services.records("monitoring-execution"):
            if record["MonitoringExecutionStatus"] in ("Pending", "InProgress", "Stopping"):
                job = self._services.record("processing-job", record["ProcessingJobArn"].rsplit("/", 1)[-1])
                if job is None or job["ProcessingJobStatus"] not in ("InProgress", "Stopping"):
                    self._update_execution(record["ProcessingJobArn"], job or {})
        for record in self._services.records("monitoring-schedule"):
            self.update(record)

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify_all()

    def run_due(self) -> list[str]:
        """Starts every run that is due; returns the names of the schedules."""
        now = self._services.now()
        with self._lock:
            due = [(name, due_run) for name, due_run in self._due.items() if due_run.due_at <= now]
            for name, due_run in due:
                rule = due_run.rule
                following = rule.next_after(due_run.due_at) if rule else None
                while following is not None and following <= now and rule is not None:
                    following = rule.next_after(following)  # missed while the machine slept
                if rule is None or following is None:
                    del self._due[name]
                else:
                    self._due[name] = _DueRun(rule, due_run.due_at, following)
        for name, due_run in due:
            record = self._services.record("monitoring-schedule", name)
            if record is not None:
                self._start(record, due_run)
        return [name for name, _ in due]

    def _plan(self, record: Record) -> _DueRun:
        now = self._services.now()
        schedule = (record.get("MonitoringScheduleConfig") or {}).get("ScheduleConfig") or {}
        expression = schedule.get("ScheduleExpression") or "NOW"
        if expression == "NOW":
            return _DueRun(None, now - 3600, now)
        rule = parse_schedule(expression)
        due_at = rule.next_after(now)
        if due_at is None:
            raise ValueError(f'"{expression}" is never due')
        following = rule.next_after(due_at)
        return _DueRun(rule, due_at - (following - due_at) if following is not None else due_at - 3600, due_at)

    def _start(self, record: Record, due_run: _DueRun) -> None:
        name = record["MonitoringScheduleName"]
        window = _capture_window(record, due_run)
        digest = hashlib.sha256(f"{name} {due_run.due_at}".encode()).hexdigest()[:24]
        job_name = f"model-monitoring-{datetime.fromtimestamp(due_run.due_at, UTC):%Y%m%d%H%M}-{digest}"
        arn = f"arn:aws:sagemaker:{self._services.region}:{self._services.account_id}:processing-job/{job_name}"
        execution = {
            "MonitoringScheduleName": name,
            "ScheduledTime": due_run.due_at,
            "ProcessingJobArn": arn,
            "MonitoringType": record.get("MonitoringType") or "DataQuality",
            "MonitoringJobDefinitionName": record.get("MonitoringJobDefinitionName"),
            "EndpointName": record.get("EndpointName"),
            "MonitoringExecutionStatus": "InProgress",
        }
        execution = {key: value for key, value in execution.items() if value is not None}
        self._flush()
        try:
            definition = find_definition(self._services, record)
            job = build_processing_job(self._services, record, definition, window, job_name, arn)
        except MonitoringStartError as exc:
            failed = {"MonitoringExecutionStatus": "Failed", "FailureReason": str(exc)}
            self._services.add("monitoring-execution", arn, {**execution, **failed})
            return
        self._services.add("monitoring-execution", arn, execution)
        self._services.add("processing-job", job_name, job)
        self._processing.start(self._services.record("processing-job", job_name) or job)

    def _on_job_end(self, record: Record) -> None:
        if record.get("MonitoringScheduleArn"):
            self._update_execution(record["ProcessingJobArn"], record)

    def _update_execution(self, arn: str, job: Record) -> None:
        """Sets an execution's status from its job's; an empty `job` means that the run never started."""
        message = job.get("ExitMessage") or ""
        status = job.get("ProcessingJobStatus")
        status = status if status in _EXECUTION_STATUSES else "Failed"
        if status == "Completed" and "CompletedWithViolations" in message:
            status = "CompletedWithViolations"
        reason = job.get("FailureReason") or (message if status == "CompletedWithViolations" else None)
        if not job:
            reason = "InternalServerError: the local platform ended before the run started."
        self._services.update("monitoring-execution", arn, MonitoringExecutionStatus=status, FailureReason=reason)

    def _run_regularly(self) -> None:
        while True:
            with self._wake:
                now = self._services.now()
                wait_s = min((due_run.due_at - now for due_run in self._due.values()), default=_POLL_S)
                if wait_s > 0:
                    self._wake.wait(min(wait_s, _POLL_S))
                if self._closed:
                    return
            try:
                self.run_due()
            except Exception:  # one failing schedule must not stop the others
                traceback.print_exc()


def _capture_window(record: Record, due_run: _DueRun) -> CaptureWindow:
    """Returns the window of a run: the time since the previous run, or the period of a run-once schedule."""
    if due_run.rule is not None:
        return CaptureWindow(due_run.window_start, due_run.due_at)
    schedule = (record.get("MonitoringScheduleConfig") or {}).get("ScheduleConfig") or {}
    return CaptureWindow(
        due_run.due_at - duration_s(schedule.get("DataAnalysisStartTime") or "-PT1H"),
        due_run.due_at - duration_s(schedule.get("DataAnalysisEndTime") or "-PT0H"),
    )
