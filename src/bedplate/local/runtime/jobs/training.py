"""Training jobs: the request's container as a subprocess, from its channels to model.tar.gz."""

from __future__ import annotations

import math
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bedplate.local.hooks import Record, Services
from bedplate.local.runtime import archives, directories, transfer
from bedplate.local.runtime.child_process import ChildProcess
from bedplate.local.runtime.environment import command_of, environment
from bedplate.local.runtime.jobs import checkpoints
from bedplate.local.runtime.jobs.job_pool import JobPool, Outcome, PooledJob
from bedplate.local.runtime.metering import Meter
from bedplate.local.runtime.metric_lines import definition_metrics
from bedplate.local.runtime.outbox import Outbox

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_DAY_S = 86_400
SPOT_SHARE = 0.3
"""What a second on a spot instance is billed as, here: made up, as there is no market for this machine. AWS names
savings of up to 90 %."""
_REASON = 1024
_MESSAGES = {
    "Starting": "Launching requested ML instances",
    "Interrupted": "The training job was interrupted: its spot instances were taken away",
    "MaxWaitTimeExceeded": "Training job runtime exceeded MaxWaitTimeInSeconds provided",
    "Pending": "Waiting for a free place: the local platform runs a few jobs at a time",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


class JobError(Exception):
    """Why a job failed, as its FailureReason says."""


class TrainingRunner:
    """Answers the hooks of training jobs. `container` is the command of the image's entry points."""

    def __init__(
        self, services: Services, bench: JobPool, outbox: Outbox, meter: Meter, container: Sequence[str], folder: Path
    ) -> None:
        self._services = services
        self._bench = bench
        self._outbox = outbox
        self._meter = meter
        self._container = container
        self._folder = folder
        self.on_metric: Callable[[str, str, float], None] = lambda *_: None
        """Told of every figure that a job's log gives: job, name, value."""

    def started(self, record: Record) -> None:
        name = record["TrainingJobName"]
        job = _Job(self._services, record)
        if not self._bench.submit(f"training/{name}", lambda ticket: self._run(job, ticket)):
            job.enter("Pending")

    def stopped(self, name: str) -> None:
        self._bench.stop(f"training/{name}")

    def restore(self) -> None:
        """What ran when the platform ended has failed; what only waited is put on the bench again."""
        for record in self._services.records("training-job"):
            if record["TrainingJobStatus"] not in ("InProgress", "Stopping"):
                continue
            if record.get("SecondaryStatus") == "Pending":
                self.started(record)
            else:
                self.interrupted(record["TrainingJobName"])

    def interrupted(self, name: str) -> None:
        record = self._services.record("training-job", name)
        if record is not None and record["TrainingJobStatus"] in ("InProgress", "Stopping"):
            reason = "InternalServerError: the local platform ended while the job was running. Start the job again."
            _Job(self._services, record).end("Failed", "Failed", {"FailureReason": reason})

    def _run(self, job: _Job, ticket: PooledJob) -> None:
        root = self._folder / "training" / job.name
        reason = None
        try:
            status, secondary = self._through(job, ticket, root)
        except JobError as fault:
            status, secondary, reason = "Failed", "Failed", str(fault)
        except Exception as exc:  # whatever goes wrong here, a job must not stay InProgress for ever
            traceback.print_exc()
            status, secondary, reason = "Failed", "Failed", f"InternalServerError: {type(exc).__name__}: {exc}"
        shutil.rmtree(root, ignore_errors=True)
        self._end(job, status, secondary, reason)

    def _through(self, job: _Job, ticket: PooledJob, root: Path) -> tuple[str, str]:
        """The statuses that it ends with. Raises JobFault when it fails."""
        if ticket.stop_asked:
            return "Stopped", "Stopped"
        job.begin()
        self._start_meter(job)
        outcome, code, child = self._run_to_its_end(job, ticket, root)
        if self._bench.closed:
            return "Stopped", "Stopped"
        if outcome == "exited" and code != 0:
            raise JobError(_failure_reason(root, code, child))
        job.enter("Uploading" if outcome == "exited" else "Stopping")
        self._upload(job.record, root)
        status, secondary = _status_after(outcome)
        return status, "MaxWaitTimeExceeded" if job.out_of_patience else secondary

    def _run_to_its_end(self, job: _Job, ticket: PooledJob, root: Path) -> tuple[Outcome, int, ChildProcess]:
        """Start the container, and again from its checkpoints whenever its spot instance is taken away."""
        clock, limits = self._services.now, _limits_s(job.record)
        begun, ran_s = clock(), 0.0
        while True:
            job.enter("Downloading")
            shutil.rmtree(root, ignore_errors=True)
            directories.prepare_training(root, job.record)
            self._download(job.record, root)
            kept = checkpoints.of(self._services, job.record, root, ticket.interrupt)
            if kept:
                kept.restore()
            job.enter("Training")
            started = clock()
            child = self._start(job, ticket, root)
            left_s = max(0.0, min(limits[0] - ran_s, limits[1] - (started - begun)))
            with kept or nullcontext():
                outcome, code = ticket.run(child, left_s)
            ran_s += clock() - started
            if outcome == "late" and limits[0] - ran_s > 0:
                job.out_of_patience = True
            if outcome != "interrupted" or self._bench.closed or ticket.stop_asked:
                return ("stopped" if outcome == "interrupted" else outcome), code, child
            job.enter("Interrupted")
            job.enter("Starting")

    def _download(self, record: Record, root: Path) -> None:
        for channel in directories.channels_of(record):
            name = channel["ChannelName"]
            source = (channel.get("DataSource") or {}).get("S3DataSource")
            if not source:
                raise JobError(f"ClientError: channel {name} has no S3DataSource; the local platform reads only S3")
            try:
                transfer.download(
                    self._services,
                    source["S3Uri"],
                    root / "input" / "data" / name,
                    data_type=source.get("S3DataType") or "S3Prefix",
                    gunzip=channel.get("CompressionType") == "Gzip",
                )
            except transfer.MissingData as exc:
                raise JobError(f"ClientError: Data download failed: channel {name}: {exc}") from exc

    def _start(self, job: _Job, ticket: PooledJob, root: Path) -> ChildProcess:
        algorithm = job.record.get("AlgorithmSpecification") or {}
        entrypoint = algorithm.get("ContainerEntrypoint")
        arguments = algorithm.get("ContainerArguments") or []
        command = (
            command_of(entrypoint, arguments, root, sys.executable)
            if entrypoint
            else [*self._container, *(arguments or ["train"])]
        )
        return ChildProcess(
            command,
            env=environment(
                root,
                {
                    "TRAINING_JOB_NAME": job.name,
                    "TRAINING_JOB_ARN": job.arn,
                    **(job.record.get("Environment") or {}),
                },
                region=self._services.region,
                threads=os.cpu_count() or 1,
            ),
            cwd=root,
            on_line=lambda line: self._line(job, line),
            on_exit=ticket.on_exit,
        )

    def _line(self, job: _Job, line: str) -> None:
        self._services.put_log(LOG_GROUP, f"{job.name}/{directories.HOST}-{job.stream_id}", line)
        definitions = (job.record.get("AlgorithmSpecification") or {}).get("MetricDefinitions") or []
        for name, value in definition_metrics(line, definitions):
            job.metrics[name] = {"MetricName": name, "Value": value, "Timestamp": self._services.now()}
            self.on_metric(job.name, name, value)
            self._outbox.metric(LOG_GROUP, name, {"TrainingJobName": job.name}, value, "None")

    def _upload(self, record: Record, root: Path) -> None:
        if any((root / "model").iterdir()):
            uri = record["ModelArtifacts"]["S3ModelArtifacts"]
            archives.pack(root / "model", root / "model.tar.gz")
            self._put(uri, root / "model.tar.gz")
        if any((root / "output" / "data").iterdir()):
            uri = record["ModelArtifacts"]["S3ModelArtifacts"].removesuffix("model.tar.gz") + "output.tar.gz"
            archives.pack(root / "output" / "data", root / "output.tar.gz")
            self._put(uri, root / "output.tar.gz")

    def _put(self, uri: str, path: Path) -> None:
        bucket, key = transfer.split_uri(uri)
        try:
            self._services.put_object(bucket, key, path, "application/gzip")
        except KeyError as exc:
            raise JobError(f"ClientError: the output {uri} cannot be written: {exc.args[0]}") from exc

    def _start_meter(self, job: _Job) -> None:
        resources = job.record.get("ResourceConfig") or {}
        self._meter.start(
            job,
            job.arn,
            "training",
            resources.get("InstanceType") or "",
            int(resources.get("InstanceCount") or 1),
            share=_price_share(job.record),
        )

    def _end(self, job: _Job, status: str, secondary: str, reason: str | None) -> None:
        seconds = max(1, math.ceil(self._meter.stop(job)))
        if self._bench.closed:
            return
        changes: dict[str, Any] = {"FailureReason": reason[:_REASON] if reason else None}
        if job.began:
            billable = max(1, math.ceil(seconds * _price_share(job.record)))
            changes |= {"BillableTimeInSeconds": billable, "TrainingTimeInSeconds": seconds}
        if job.metrics:
            changes["FinalMetricDataList"] = list(job.metrics.values())
        self._outbox.flush()
        job.end(status, secondary, changes)


class _Job:
    """A training job's record on its way through the secondary statuses."""

    def __init__(self, services: Services, record: Record) -> None:
        self._services = services
        self.record = record
        self.name: str = record["TrainingJobName"]
        self.arn: str = record["TrainingJobArn"]
        self.stream_id = int(services.now() * 1000)
        self.metrics: dict[str, dict[str, Any]] = {}
        self.began = False
        self.out_of_patience = False
        self._transitions: list[dict[str, Any]] = list(record.get("SecondaryStatusTransitions") or [])

    def begin(self) -> None:
        self.began = True
        self._services.update("training-job", self.name, TrainingStartTime=self._services.now())

    def enter(self, secondary: str) -> None:
        self._services.update(
            "training-job",
            self.name,
            SecondaryStatus=secondary,
            SecondaryStatusTransitions=self._after(secondary, ended=False),
        )

    def end(self, status: str, secondary: str, changes: dict[str, Any]) -> None:
        now = self._services.now()
        times = {"TrainingEndTime": now} if self.began or status == "Failed" else {}
        self._services.update(
            "training-job",
            self.name,
            TrainingJobStatus=status,
            SecondaryStatus=secondary,
            SecondaryStatusTransitions=self._after(secondary, ended=True, message=changes.get("FailureReason")),
            **times,
            **changes,
        )

    def _after(self, secondary: str, *, ended: bool, message: str | None = None) -> list[dict[str, Any]]:
        now = self._services.now()
        if self._transitions:
            self._transitions[-1].setdefault("EndTime", now)
        entry = {"Status": secondary, "StartTime": now, "StatusMessage": message or _MESSAGES[secondary]}
        self._transitions.append({**entry, "EndTime": now} if ended else entry)
        return [dict(t) for t in self._transitions]


def _status_after(outcome: Outcome) -> tuple[str, str]:
    return {
        "exited": ("Completed", "Completed"),
        "stopped": ("Stopped", "Stopped"),
        "late": ("Stopped", "MaxRuntimeExceeded"),
        "interrupted": ("Stopped", "Interrupted"),
    }[outcome]


def _limits_s(record: Record) -> tuple[float, float]:
    """How long it may run, and how long all of it may take."""
    condition = record.get("StoppingCondition") or {}
    runs = float(condition.get("MaxRuntimeInSeconds") or _DAY_S)
    return runs, float(condition.get("MaxWaitTimeInSeconds") or math.inf)


def _price_share(record: Record) -> float:
    return SPOT_SHARE if record.get("EnableManagedSpotTraining") else 1.0


def _failure_reason(root: Path, code: int, child: ChildProcess) -> str:
    """The container's own `output/failure`, or the end of its log where it wrote none."""
    failure = root / "output" / "failure"
    text = failure.read_text("utf-8", "replace").strip() if failure.is_file() else ""
    return f"AlgorithmError: {(text or child.tail())[: _REASON - 60]}, exit code: {code}"
