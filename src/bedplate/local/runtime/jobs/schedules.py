"""Monitoring schedules: when the next run is due, and the processing job that a run is."""

from __future__ import annotations

import hashlib
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from bedplate.local.hooks import Record, Services
from bedplate.local.runtime.jobs.cron import Cron, Rate, parse
from bedplate.local.runtime.jobs.monitoring import (
    CaptureWindow,
    MonitoringStartError,
    definition_of,
    period_s,
    processing_job,
)
from bedplate.local.runtime.jobs.processing import ProcessingRunner

_LOOK_S = 30.0
"""At least this often the clock is looked at: a laptop sleeps, and its clock jumps."""
_STATUS_OF = {"Completed": "Completed", "Failed": "Failed", "Stopped": "Stopped", "Stopping": "Stopping"}


@dataclass(frozen=True, slots=True)
class _Due:
    """`rule` None for a schedule that runs once, now. `since` is where the next window begins."""

    rule: Cron | Rate | None
    since: float
    at: float


class ScheduleRunner:
    """Answers the hooks of monitoring schedules, and follows the jobs that they start."""

    def __init__(
        self, services: Services, processing: ProcessingRunner, *, flush: Callable[[], None], background: bool
    ) -> None:
        self._services = services
        self._processing = processing
        self._flush = flush
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._due: dict[str, _Due] = {}
        self._closed = False
        processing.on_end = self._job_ended
        if background:
            threading.Thread(target=self._run, name="schedules", daemon=True).start()

    def changed(self, record: Record) -> None:
        """Created, updated, started or stopped; with the platform's lock held."""
        name = record["MonitoringScheduleName"]
        due, fault = None, None
        if record["MonitoringScheduleStatus"] in ("Scheduled", "Pending"):
            try:
                due = self._plan(record)
            except ValueError as exc:
                fault = str(exc)
        with self._wake:
            self._due.pop(name, None)
            if due is not None:
                self._due[name] = due
            self._wake.notify_all()
        if fault is not None:
            self._services.update("monitoring-schedule", name, MonitoringScheduleStatus="Failed", FailureReason=fault)

    def deleted(self, name: str) -> None:
        with self._wake:
            self._due.pop(name, None)

    def restore(self) -> None:
        """What was due while the platform was down is not made up for; runs that it cut short have failed."""
        for record in self._services.records("monitoring-execution"):
            if record["MonitoringExecutionStatus"] in ("Pending", "InProgress", "Stopping"):
                job = self._services.record("processing-job", record["ProcessingJobArn"].rsplit("/", 1)[-1])
                if job is None or job["ProcessingJobStatus"] not in ("InProgress", "Stopping"):
                    self._settle(record["ProcessingJobArn"], job or {})
        for record in self._services.records("monitoring-schedule"):
            self.changed(record)

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify_all()

    def run_due(self) -> list[str]:
        """Start every run that is due by now; the names of the schedules."""
        now = self._services.now()
        with self._lock:
            due = [(name, entry) for name, entry in self._due.items() if entry.at <= now]
            for name, entry in due:
                following = entry.rule.next_after(entry.at) if entry.rule else None
                while following is not None and following <= now and entry.rule is not None:
                    following = entry.rule.next_after(following)  # missed while the machine slept
                if entry.rule is None or following is None:
                    del self._due[name]
                else:
                    self._due[name] = _Due(entry.rule, entry.at, following)
        for name, entry in due:
            record = self._services.record("monitoring-schedule", name)
            if record is not None:
                self._start(record, entry)
        return [name for name, _ in due]

    def _plan(self, record: Record) -> _Due:
        now = self._services.now()
        schedule = (record.get("MonitoringScheduleConfig") or {}).get("ScheduleConfig") or {}
        expression = schedule.get("ScheduleExpression") or "NOW"
        if expression == "NOW":
            return _Due(None, now - 3600, now)
        rule = parse(expression)
        at = rule.next_after(now)
        if at is None:
            raise ValueError(f'"{expression}" is never due')
        after = rule.next_after(at)
        return _Due(rule, at - (after - at) if after is not None else at - 3600, at)

    def _start(self, record: Record, entry: _Due) -> None:
        name = record["MonitoringScheduleName"]
        window = _window(record, entry)
        digest = hashlib.sha256(f"{name} {entry.at}".encode()).hexdigest()[:24]
        job_name = f"model-monitoring-{datetime.fromtimestamp(entry.at, UTC):%Y%m%d%H%M}-{digest}"
        arn = f"arn:aws:sagemaker:{self._services.region}:{self._services.account_id}:processing-job/{job_name}"
        execution = {
            "MonitoringScheduleName": name,
            "ScheduledTime": entry.at,
            "ProcessingJobArn": arn,
            "MonitoringType": record.get("MonitoringType") or "DataQuality",
            "MonitoringJobDefinitionName": record.get("MonitoringJobDefinitionName"),
            "EndpointName": record.get("EndpointName"),
            "MonitoringExecutionStatus": "InProgress",
        }
        execution = {key: value for key, value in execution.items() if value is not None}
        self._flush()
        try:
            definition = definition_of(self._services, record)
            job = processing_job(self._services, record, definition, window, job_name, arn)
        except MonitoringStartError as exc:
            failed = {"MonitoringExecutionStatus": "Failed", "FailureReason": str(exc)}
            self._services.add("monitoring-execution", arn, {**execution, **failed})
            return
        self._services.add("monitoring-execution", arn, execution)
        self._services.add("processing-job", job_name, job)
        self._processing.started(self._services.record("processing-job", job_name) or job)

    def _job_ended(self, record: Record) -> None:
        if record.get("MonitoringScheduleArn"):
            self._settle(record["ProcessingJobArn"], record)

    def _settle(self, arn: str, job: Record) -> None:
        """The execution's status, from its job's."""
        message = job.get("ExitMessage") or ""
        status = _STATUS_OF.get(job.get("ProcessingJobStatus", "Failed"), "Failed")
        if status == "Completed" and "CompletedWithViolations" in message:
            status = "CompletedWithViolations"
        reason = job.get("FailureReason") or (message if status == "CompletedWithViolations" else None)
        if not job:
            reason = "InternalServerError: the local platform ended before the run began."
        self._services.update("monitoring-execution", arn, MonitoringExecutionStatus=status, FailureReason=reason)

    def _run(self) -> None:
        while True:
            with self._wake:
                now = self._services.now()
                wait_s = min((entry.at - now for entry in self._due.values()), default=_LOOK_S)
                if wait_s > 0:
                    self._wake.wait(min(wait_s, _LOOK_S))
                if self._closed:
                    return
            try:
                self.run_due()
            except Exception:  # one schedule that cannot run must not stop all the others
                traceback.print_exc()


def _window(record: Record, entry: _Due) -> CaptureWindow:
    """What a run looks at: since the run before, or what a run-once schedule says."""
    if entry.rule is not None:
        return CaptureWindow(entry.since, entry.at)
    schedule = (record.get("MonitoringScheduleConfig") or {}).get("ScheduleConfig") or {}
    return CaptureWindow(
        entry.at - period_s(schedule.get("DataAnalysisStartTime") or "-PT1H"),
        entry.at - period_s(schedule.get("DataAnalysisEndTime") or "-PT0H"),
    )
