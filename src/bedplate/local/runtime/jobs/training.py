"""Runs training jobs: downloads the channels, runs the container and uploads model.tar.gz."""

from __future__ import annotations

import math
import shutil
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.local.hooks import Record, Services
from bedplate.local.runtime import archives, directories, transfer
from bedplate.local.runtime.child_process import ChildProcess
from bedplate.local.runtime.jobs.checkpoints import build_checkpoint_sync
from bedplate.local.runtime.jobs.job_pool import Outcome, PooledJob
from bedplate.local.runtime.jobs.job_runner import (
    INTERRUPTED_REASON,
    MAX_RUNTIME_S,
    REASON_CHARS,
    JobError,
    JobRunner,
)
from bedplate.local.runtime.log_metrics import MetricValue, match_metrics

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
SPOT_PRICE_SHARE = 0.3
"""Share of the on-demand price that spot training costs here. An assumption: AWS states savings of up to 90 %."""
_FINAL_STATUSES: dict[Outcome, tuple[str, str]] = {
    "exited": ("Completed", "Completed"),
    "stopped": ("Stopped", "Stopped"),
    "timed_out": ("Stopped", "MaxRuntimeExceeded"),
}
_MESSAGES = {
    "Starting": "Launching requested ML instances",
    "Interrupted": "Training job interrupted: the spot instances were reclaimed",
    "MaxWaitTimeExceeded": "Training job runtime exceeded MaxWaitTimeInSeconds provided",
    "Pending": "Waiting for a free slot: the local platform runs a limited number of jobs at a time",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


def _ignore_metric(job: str, name: str, value: float) -> None:
    pass


@dataclass(eq=False)
class TrainingRunner(JobRunner):
    """Handles the hooks of training jobs. Calls `on_metric` with job, name and value of every metric in a log."""

    on_metric: Callable[[str, str, float], None] = _ignore_metric

    def start(self, record: Record) -> None:
        name = record["TrainingJobName"]
        job = _TrainingRecord(self.services, record)
        if not self.pool.submit(f"training/{name}", lambda pooled_job: self._run(job, pooled_job)):
            job.enter_status("Pending")

    def stop(self, name: str) -> None:
        self.pool.stop(f"training/{name}")

    def restore(self) -> None:
        """Fails the jobs that ran when the platform ended and submits the pending ones again."""
        for record in self.services.records("training-job"):
            if record["TrainingJobStatus"] not in ("InProgress", "Stopping"):
                continue
            if record.get("SecondaryStatus") == "Pending":
                self.start(record)
            else:
                self.mark_interrupted(record["TrainingJobName"])

    def mark_interrupted(self, name: str) -> None:
        record = self.services.record("training-job", name)
        if record is not None and record["TrainingJobStatus"] in ("InProgress", "Stopping"):
            _TrainingRecord(self.services, record).finish("Failed", "Failed", {"FailureReason": INTERRUPTED_REASON})

    def _run(self, job: _TrainingRecord, pooled_job: PooledJob) -> None:
        root = self.folder / "training" / job.name
        reason = None
        try:
            status, secondary = self._run_job(job, pooled_job, root)
        except JobError as exc:
            status, secondary, reason = "Failed", "Failed", str(exc)
        except Exception as exc:  # no error may leave a job InProgress for ever
            traceback.print_exc()
            status, secondary, reason = "Failed", "Failed", f"InternalServerError: {type(exc).__name__}: {exc}"
        shutil.rmtree(root, ignore_errors=True)
        self._finish(job, status, secondary, reason)

    def _run_job(self, job: _TrainingRecord, pooled_job: PooledJob, root: Path) -> tuple[str, str]:
        """Returns the final status and secondary status. Raises JobError when the job fails."""
        if pooled_job.is_stopping:
            return "Stopped", "Stopped"
        job.mark_started()
        self._start_meter(job)
        outcome, code, child = self._run_container(job, pooled_job, root)
        if self.pool.is_closed:
            return "Stopped", "Stopped"
        if outcome == "exited" and code != 0:
            raise JobError(_failure_reason(root, code, child))
        job.enter_status("Uploading" if outcome == "exited" else "Stopping")
        self._upload(job.record, root)
        status, secondary = _FINAL_STATUSES[outcome]
        return status, "MaxWaitTimeExceeded" if job.wait_time_exceeded else secondary

    def _run_container(
        self, job: _TrainingRecord, pooled_job: PooledJob, root: Path
    ) -> tuple[Outcome, int, ChildProcess]:
        """Runs the container to its end, and again from its checkpoints after each spot interruption."""
        clock, (max_runtime_s, max_wait_s) = self.services.now, _limits_s(job.record)
        first_started, ran_s = clock(), 0.0
        while True:
            job.enter_status("Downloading")
            shutil.rmtree(root, ignore_errors=True)
            directories.prepare_training(root, job.record)
            self._download(job.record, root)
            sync = build_checkpoint_sync(self.services, job.record, root, pooled_job.interrupt)
            if sync:
                sync.restore()
            job.enter_status("Training")
            started = clock()
            child = self._start_container(job, pooled_job, root)
            remaining_s = max(0.0, min(max_runtime_s - ran_s, max_wait_s - (started - first_started)))
            with sync or nullcontext():
                outcome, code = pooled_job.run(child, remaining_s)
            ran_s += clock() - started
            if outcome == "timed_out" and max_runtime_s - ran_s > 0:
                job.wait_time_exceeded = True
            if outcome != "interrupted" or self.pool.is_closed or pooled_job.is_stopping:
                return ("stopped" if outcome == "interrupted" else outcome), code, child
            job.enter_status("Interrupted")
            job.enter_status("Starting")

    def _download(self, record: Record, root: Path) -> None:
        for channel in directories.input_channels(record):
            label = f"channel {channel['ChannelName']}"
            source = (channel.get("DataSource") or {}).get("S3DataSource")
            if not source:
                raise JobError(f"ClientError: {label} has no S3DataSource; the local platform reads only S3")
            folder = root / "input" / "data" / channel["ChannelName"]
            self._download_source(label, source, folder, gunzip=channel.get("CompressionType") == "Gzip")

    def _start_container(self, job: _TrainingRecord, pooled_job: PooledJob, root: Path) -> ChildProcess:
        specification = job.record.get("AlgorithmSpecification") or {}
        own_variables = {"TRAINING_JOB_NAME": job.name, "TRAINING_JOB_ARN": job.arn}
        variables = {**own_variables, **(job.record.get("Environment") or {})}
        definitions = specification.get("MetricDefinitions") or []

        def handle_line(line: str) -> None:
            self.services.put_log(LOG_GROUP, f"{job.name}/{directories.HOST}-{job.stream_id}", line)
            for name, value in match_metrics(line, definitions):
                now = self.services.now()
                job.metrics[name] = {"MetricName": name, "Value": value, "Timestamp": now}
                self.on_metric(job.name, name, value)
                self.outbox.put(MetricValue(LOG_GROUP, name, {"TrainingJobName": job.name}, value, "None", now))

        return self._start_process(specification, "train", variables, root, pooled_job, handle_line)

    def _upload(self, record: Record, root: Path) -> None:
        prefix = record["ModelArtifacts"]["S3ModelArtifacts"].removesuffix("model.tar.gz")
        for folder, archive in ((root / "model", "model.tar.gz"), (root / "output" / "data", "output.tar.gz")):
            if not any(folder.iterdir()):
                continue
            archives.pack(folder, root / archive)
            try:
                self.services.put_object(*transfer.split_uri(prefix + archive), root / archive, "application/gzip")
            except KeyError as exc:
                raise JobError(f"ClientError: the output {prefix}{archive} cannot be written: {exc.args[0]}") from exc

    def _start_meter(self, job: _TrainingRecord) -> None:
        resources = job.record.get("ResourceConfig") or {}
        instance, count = resources.get("InstanceType") or "", int(resources.get("InstanceCount") or 1)
        self.meter.start(job, job.arn, "training", instance, count, price_share=_price_share(job.record))

    def _finish(self, job: _TrainingRecord, status: str, secondary: str, reason: str | None) -> None:
        seconds = max(1, math.ceil(self.meter.stop(job)))
        if self.pool.is_closed:
            return
        changes: dict[str, Any] = {"FailureReason": reason[:REASON_CHARS] if reason else None}
        if job.has_started:
            billable = max(1, math.ceil(seconds * _price_share(job.record)))
            changes |= {"BillableTimeInSeconds": billable, "TrainingTimeInSeconds": seconds}
        if job.metrics:
            changes["FinalMetricDataList"] = list(job.metrics.values())
        self.outbox.flush()
        job.finish(status, secondary, changes)


class _TrainingRecord:
    """Updates a training job's record with its secondary statuses."""

    def __init__(self, services: Services, record: Record) -> None:
        self._services = services
        self.record = record
        self.name: str = record["TrainingJobName"]
        self.arn: str = record["TrainingJobArn"]
        self.stream_id = int(services.now() * 1000)
        self.metrics: dict[str, dict[str, Any]] = {}
        self.has_started = False
        self.wait_time_exceeded = False
        self._transitions: list[dict[str, Any]] = list(record.get("SecondaryStatusTransitions") or [])

    def mark_started(self) -> None:
        self.has_started = True
        self._services.update("training-job", self.name, TrainingStartTime=self._services.now())

    def enter_status(self, secondary: str) -> None:
        self._enter(secondary, {}, is_final=False)

    def finish(self, status: str, secondary: str, changes: dict[str, Any]) -> None:
        times = {"TrainingEndTime": self._services.now()} if self.has_started or status == "Failed" else {}
        self._enter(secondary, {"TrainingJobStatus": status, **times, **changes}, is_final=True)

    def _enter(self, secondary: str, changes: dict[str, Any], *, is_final: bool) -> None:
        now = self._services.now()
        if self._transitions:
            self._transitions[-1].setdefault("EndTime", now)
        message = changes.get("FailureReason") or _MESSAGES[secondary]
        entry = {"Status": secondary, "StartTime": now, "StatusMessage": message}
        self._transitions.append({**entry, "EndTime": now} if is_final else entry)
        transitions = [dict(transition) for transition in self._transitions]
        changes = {"SecondaryStatus": secondary, "SecondaryStatusTransitions": transitions, **changes}
        self._services.update("training-job", self.name, **changes)


def _limits_s(record: Record) -> tuple[float, float]:
    """Returns MaxRuntimeInSeconds and MaxWaitTimeInSeconds."""
    condition = record.get("StoppingCondition") or {}
    max_runtime_s = float(condition.get("MaxRuntimeInSeconds") or MAX_RUNTIME_S)
    return max_runtime_s, float(condition.get("MaxWaitTimeInSeconds") or math.inf)


def _price_share(record: Record) -> float:
    return SPOT_PRICE_SHARE if record.get("EnableManagedSpotTraining") else 1.0


def _failure_reason(root: Path, code: int, child: ChildProcess) -> str:
    """Returns the content of the container's `output/failure`, or the end of its log where it wrote none."""
    failure = root / "output" / "failure"
    text = failure.read_text("utf-8", "replace").strip() if failure.is_file() else ""
    return f"AlgorithmError: {(text or child.tail())[: REASON_CHARS - 60]}, exit code: {code}"
