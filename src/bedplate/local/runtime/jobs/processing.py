"""Runs processing jobs: downloads the inputs, runs the container, uploads the outputs and publishes metrics."""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bedplate.local.hooks import Record
from bedplate.local.runtime import directories, transfer
from bedplate.local.runtime.child_process import ChildProcess
from bedplate.local.runtime.jobs.job_pool import PooledJob
from bedplate.local.runtime.jobs.job_runner import INTERRUPTED_REASON, MAX_RUNTIME_S, REASON_CHARS, JobError, JobRunner
from bedplate.local.runtime.log_metrics import MetricValue

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
METRICS_FILE = "output/metrics/cloudwatch/cloudwatch_metrics.jsonl"
"""Path below the job's folder of the metrics that Model Monitor's containers write for CloudWatch."""


def _ignore_end(record: Record) -> None:
    pass


@dataclass(eq=False)
class ProcessingRunner(JobRunner):
    """Starts, stops and restores processing jobs; calls `on_end` with the record of every job that ended."""

    on_end: Callable[[Record], None] = _ignore_end

    def start(self, record: Record) -> None:
        name = record["ProcessingJobName"]
        self.pool.submit(f"processing/{name}", lambda pooled_job: self._run(record, pooled_job))

    def stop(self, name: str) -> None:
        self.pool.stop(f"processing/{name}")

    def restore(self) -> None:
        """Fails the jobs that ran when the platform ended and submits the waiting ones again."""
        for record in self.services.records("processing-job"):
            if record["ProcessingJobStatus"] not in ("InProgress", "Stopping"):
                continue
            if "ProcessingStartTime" in record:
                self.mark_interrupted(record["ProcessingJobName"])
            else:
                self.start(record)

    def mark_interrupted(self, name: str) -> None:
        """Fails a job that was running when the platform ended."""
        record = self.services.record("processing-job", name)
        if record is not None and record["ProcessingJobStatus"] in ("InProgress", "Stopping"):
            self._finish(record, "Failed", FailureReason=INTERRUPTED_REASON)

    def _run(self, record: Record, pooled_job: PooledJob) -> None:
        root = self.folder / "processing" / record["ProcessingJobName"]
        try:
            status, reason = self._run_job(record, pooled_job, root)
        except JobError as exc:
            status, reason = "Failed", str(exc)
        except Exception as exc:  # no error may leave a job InProgress for ever
            traceback.print_exc()
            status, reason = "Failed", f"InternalServerError: {type(exc).__name__}: {exc}"
        exit_message = _read_exit_message(root)
        shutil.rmtree(root, ignore_errors=True)
        self.meter.stop(record["ProcessingJobArn"])
        if not self.pool.is_closed:
            self.outbox.flush()
            self._finish(
                record, status, FailureReason=reason[:REASON_CHARS] if reason else None, ExitMessage=exit_message
            )

    def _run_job(self, record: Record, pooled_job: PooledJob, root: Path) -> tuple[str, str | None]:
        """Returns the final status and the FailureReason, if any. Raises JobError when the job fails."""
        if pooled_job.is_stopping:
            return "Stopped", None
        self.services.update("processing-job", record["ProcessingJobName"], ProcessingStartTime=self.services.now())
        self._start_meter(record)
        shutil.rmtree(root, ignore_errors=True)
        directories.prepare_processing(root, record)
        self._download(record, root)
        outputs = _list_outputs(record, root)
        for folder, _ in outputs:
            folder.mkdir(parents=True, exist_ok=True)
        child = self._start_container(record, pooled_job, root)
        max_runtime_s = float((record.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds") or MAX_RUNTIME_S)
        outcome, code = pooled_job.run(child, max_runtime_s)
        if self.pool.is_closed:  # the platform ends: `restore` fails the job at the next start
            return "Failed", None
        if outcome == "stopped":
            return "Stopped", None
        self._upload(outputs)
        self._publish_metrics(root / METRICS_FILE)
        if outcome == "timed_out":
            return "Stopped", f"The job ran longer than its MaxRuntimeInSeconds of {max_runtime_s:.0f} seconds"
        if code != 0:
            raise JobError(f"AlgorithmError: {child.tail()}, exit code: {code}")
        return "Completed", None

    def _download(self, record: Record, root: Path) -> None:
        for entry in record.get("ProcessingInputs") or []:
            label, source = f"input {entry['InputName']}", entry.get("S3Input")
            if not source:
                raise JobError(f"ClientError: {label} has no S3Input; the local platform reads only S3")
            folder = _local_path(root, source.get("LocalPath") or f"/opt/ml/processing/{entry['InputName']}", label)
            try:
                self._download_source(label, source, folder, gunzip=source.get("S3CompressionType") == "Gzip")
            except JobError:
                if not entry.get("Optional"):
                    raise

    def _start_container(self, record: Record, pooled_job: PooledJob, root: Path) -> ChildProcess:
        name = record["ProcessingJobName"]
        variables = {"PROCESSING_JOB_NAME": name, **(record.get("Environment") or {})}
        if "BEDPLATE_PROJECT" in variables:  # the reconciler finds the platform by its state directory, as the CLI does
            variables["BEDPLATE_STATE_DIR"] = str(self.services.state_dir.parent)
        stream = f"{name}/{directories.HOST}-{int(self.services.now() * 1000)}"

        def handle_line(line: str) -> None:
            self.services.put_log(LOG_GROUP, stream, line)

        return self._start_process(record["AppSpecification"], "monitor", variables, root, pooled_job, handle_line)

    def _upload(self, outputs: list[tuple[Path, str]]) -> None:
        for folder, uri in outputs:
            try:
                transfer.upload(self.services, folder, uri)
            except KeyError as exc:
                raise JobError(f"ClientError: the output {uri} cannot be written: {exc.args[0]}") from exc

    def _publish_metrics(self, path: Path) -> None:
        """Publishes the metrics in the container's JSON Lines file to CloudWatch, as Model Monitor does.

        Raises JobError for a line that is not a metric.
        """
        if not path.is_file():
            return
        for line in path.read_text("utf-8").splitlines():
            try:
                metric = json.loads(line)
                names = metric["Namespace"], metric["MetricName"]
                dimensions = {d["Name"]: d["Value"] for d in metric.get("Dimensions") or ()}
                timestamp = metric.get("Timestamp")
                timestamp = self.services.now() if timestamp is None else _parse_timestamp(timestamp)
                value, unit = float(metric["Value"]), metric.get("Unit", "None")
                self.outbox.put(MetricValue(*names, dimensions, value, unit, timestamp))
            except (ValueError, KeyError, TypeError) as exc:
                message = f"a line of {path.name} is not a metric ({exc!r}): {line[:200]}"
                raise JobError(f"AlgorithmError: {message}") from exc

    def _start_meter(self, record: Record) -> None:
        arn, cluster = record["ProcessingJobArn"], (record.get("ProcessingResources") or {}).get("ClusterConfig") or {}
        instance_type, instance_count = cluster.get("InstanceType") or "", int(cluster.get("InstanceCount") or 1)
        self.meter.start(arn, arn, "processing", instance_type, instance_count)

    def _finish(self, record: Record, status: str, **changes: Any) -> None:
        ended = self.services.update(
            "processing-job",
            record["ProcessingJobName"],
            ProcessingJobStatus=status,
            ProcessingEndTime=self.services.now(),
            **changes,
        )
        if ended is not None:
            self.on_end(ended)


def _read_exit_message(root: Path) -> str | None:
    """Returns the ExitMessage: what the container wrote to `/opt/ml/output/message`, None if nothing."""
    path = root / "output" / "message"
    return path.read_text("utf-8", "replace").strip()[:REASON_CHARS] or None if path.is_file() else None


def _list_outputs(record: Record, root: Path) -> list[tuple[Path, str]]:
    """Returns the local folder and the S3 URI of every output."""
    entries = (record.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    outputs = [entry["S3Output"] for entry in entries if entry.get("S3Output")]
    return [(_local_path(root, output["LocalPath"], "output"), output["S3Uri"]) for output in outputs]


def _local_path(root: Path, path: str, label: str) -> Path:
    """Returns the folder for a path in the container. Raises JobError for a path that the job may not use."""
    try:
        return directories.local_path(root, path)
    except ValueError as exc:
        raise JobError(f"ClientError: {label}: {exc}") from exc


def _parse_timestamp(value: Any) -> float:
    """Returns epoch seconds from a number or an ISO 8601 time.

    >>> _parse_timestamp(2), _parse_timestamp("1970-01-01T00:00:02Z")
    (2.0, 2.0)
    """
    if isinstance(value, (int, float)):
        return float(value)
    return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
