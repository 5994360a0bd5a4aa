"""Processing jobs: inputs from S3, the request's container as a subprocess, outputs and metrics afterwards."""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bedplate.local.hooks import Record, Services
from bedplate.local.runtime import directories, transfer
from bedplate.local.runtime.child_process import ChildProcess
from bedplate.local.runtime.environment import command_of, environment
from bedplate.local.runtime.jobs.job_pool import JobPool, PooledJob
from bedplate.local.runtime.jobs.training import JobError
from bedplate.local.runtime.metering import Meter
from bedplate.local.runtime.outbox import Outbox

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
METRICS_FILE = "output/metrics/cloudwatch/cloudwatch_metrics.jsonl"
_DAY_S = 86_400
_REASON = 1024


class ProcessingRunner:
    """Answers the hooks of processing jobs. `container` is the command of the image's entry points.

    `on_end` is called with the record of every job that ended.
    """

    def __init__(
        self, services: Services, bench: JobPool, outbox: Outbox, meter: Meter, container: Sequence[str], folder: Path
    ) -> None:
        self._services = services
        self._bench = bench
        self._outbox = outbox
        self._meter = meter
        self._container = container
        self._folder = folder
        self.on_end: Callable[[Record], None] = lambda _: None

    def started(self, record: Record) -> None:
        self._bench.submit(f"processing/{record['ProcessingJobName']}", lambda ticket: self._run(record, ticket))

    def stopped(self, name: str) -> None:
        self._bench.stop(f"processing/{name}")

    def restore(self) -> None:
        """What had begun when the platform ended has failed; what only waited is put on the bench again."""
        for record in self._services.records("processing-job"):
            if record["ProcessingJobStatus"] not in ("InProgress", "Stopping"):
                continue
            if "ProcessingStartTime" in record:
                self.interrupted(record["ProcessingJobName"])
            else:
                self.started(record)

    def interrupted(self, name: str) -> None:
        record = self._services.record("processing-job", name)
        if record is not None and record["ProcessingJobStatus"] in ("InProgress", "Stopping"):
            reason = "InternalServerError: the local platform ended while the job was running. Start the job again."
            self._report(record, "Failed", FailureReason=reason)

    def _run(self, record: Record, ticket: PooledJob) -> None:
        root = self._folder / "processing" / record["ProcessingJobName"]
        message = _ExitMessage(root)
        try:
            status, reason = self._through(record, ticket, root)
        except JobError as fault:
            status, reason = "Failed", str(fault)
        except Exception as exc:  # whatever goes wrong here, a job must not stay InProgress for ever
            traceback.print_exc()
            status, reason = "Failed", f"InternalServerError: {type(exc).__name__}: {exc}"
        said = message.read()
        shutil.rmtree(root, ignore_errors=True)
        self._meter.stop(record["ProcessingJobArn"])
        if not self._bench.closed:
            self._outbox.flush()
            self._report(
                record,
                status,
                FailureReason=reason[:_REASON] if reason else None,
                ExitMessage=said,
            )

    def _through(self, record: Record, ticket: PooledJob, root: Path) -> tuple[str, str | None]:
        if ticket.stop_asked:
            return "Stopped", None
        name = record["ProcessingJobName"]
        self._services.update("processing-job", name, ProcessingStartTime=self._services.now())
        self._start_meter(record)
        shutil.rmtree(root, ignore_errors=True)
        directories.prepare_processing(root, record)
        self._download(record, root)
        outputs = _outputs(record, root)
        for folder, _ in outputs:
            folder.mkdir(parents=True, exist_ok=True)
        child = self._start(record, ticket, root)
        outcome, code = ticket.run(child, self._time_limit_s(record))
        if self._bench.closed:
            return "Failed", None
        if outcome == "stopped":
            return "Stopped", None
        self._upload(outputs)
        self._publish(root / METRICS_FILE)
        if outcome == "late":
            limit = self._time_limit_s(record)
            return "Stopped", f"The job ran longer than its MaxRuntimeInSeconds of {limit:.0f} seconds"
        if code != 0:
            raise JobError(f"AlgorithmError: {child.tail()}, exit code: {code}")
        return "Completed", None

    def _download(self, record: Record, root: Path) -> None:
        for entry in record.get("ProcessingInputs") or []:
            source = entry.get("S3Input")
            if not source:
                raise JobError(
                    f"ClientError: input {entry['InputName']} has no S3Input; the local platform reads only S3"
                )
            try:
                folder = directories.local_path(
                    root, source.get("LocalPath") or f"/opt/ml/processing/{entry['InputName']}"
                )
                transfer.download(
                    self._services,
                    source["S3Uri"],
                    folder,
                    data_type=source.get("S3DataType") or "S3Prefix",
                    gunzip=source.get("S3CompressionType") == "Gzip",
                )
            except transfer.MissingData as exc:
                if entry.get("Optional"):
                    continue
                raise JobError(f"ClientError: Data download failed: input {entry['InputName']}: {exc}") from exc
            except ValueError as exc:
                raise JobError(f"ClientError: input {entry['InputName']}: {exc}") from exc

    def _start(self, record: Record, ticket: PooledJob, root: Path) -> ChildProcess:
        name, app = record["ProcessingJobName"], record["AppSpecification"]
        entrypoint, arguments = app.get("ContainerEntrypoint"), app.get("ContainerArguments") or []
        command = (
            command_of(entrypoint, arguments, root, sys.executable)
            if entrypoint
            else [*self._container, *(arguments or ["monitor"])]
        )
        asked = {"PROCESSING_JOB_NAME": name, **(record.get("Environment") or {})}
        if "BEDPLATE_PROJECT" in asked:  # the reconciler works on this platform, which it finds as the CLI does
            asked["BEDPLATE_STATE_DIR"] = str(self._services.state_dir.parent)
        stream = f"{name}/{directories.HOST}-{int(self._services.now() * 1000)}"
        return ChildProcess(
            command,
            env=environment(
                root,
                asked,
                region=self._services.region,
                threads=os.cpu_count() or 1,
            ),
            cwd=root,
            on_line=lambda line: self._services.put_log(LOG_GROUP, stream, line),
            on_exit=ticket.on_exit,
        )

    def _upload(self, outputs: list[tuple[Path, str]]) -> None:
        for folder, uri in outputs:
            try:
                transfer.upload(self._services, folder, uri)
            except KeyError as exc:
                raise JobError(f"ClientError: the output {uri} cannot be written: {exc.args[0]}") from exc

    def _publish(self, path: Path) -> None:
        """CloudWatch metrics that the container wrote, one object a line, as Model Monitor's container does."""
        if not path.is_file():
            return
        for line in path.read_text("utf-8").splitlines():
            try:
                point = json.loads(line)
                dims = {d["Name"]: d["Value"] for d in point.get("Dimensions") or ()}
                moment = _epoch(point["Timestamp"]) if point.get("Timestamp") is not None else None
                self._outbox.metric(
                    point["Namespace"],
                    point["MetricName"],
                    dims,
                    float(point["Value"]),
                    point.get("Unit", "None"),
                    moment,
                )
            except (ValueError, KeyError, TypeError) as exc:
                raise JobError(f"AlgorithmError: a line of {path.name} is no metric ({exc!r}): {line[:200]}") from exc

    def _time_limit_s(self, record: Record) -> float:
        return float((record.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds") or _DAY_S)

    def _start_meter(self, record: Record) -> None:
        arn, cluster = record["ProcessingJobArn"], (record.get("ProcessingResources") or {}).get("ClusterConfig") or {}
        instance, count = cluster.get("InstanceType") or "", int(cluster.get("InstanceCount") or 1)
        self._meter.start(arn, arn, "processing", instance, count)

    def _report(self, record: Record, status: str, **changes: Any) -> None:
        ended = self._services.update(
            "processing-job",
            record["ProcessingJobName"],
            ProcessingJobStatus=status,
            ProcessingEndTime=self._services.now(),
            **changes,
        )
        if ended is not None:
            self.on_end(ended)


class _ExitMessage:
    """What the container wrote to `output/message`, if anything."""

    def __init__(self, root: Path) -> None:
        self._path = root / "output" / "message"

    def read(self) -> str | None:
        return self._path.read_text("utf-8", "replace").strip()[:_REASON] or None if self._path.is_file() else None


def _outputs(record: Record, root: Path) -> list[tuple[Path, str]]:
    """Folder and S3 address of every output."""
    entries = (record.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    try:
        return [
            (directories.local_path(root, e["S3Output"]["LocalPath"]), e["S3Output"]["S3Uri"])
            for e in entries
            if e.get("S3Output")
        ]
    except ValueError as exc:
        raise JobError(f"ClientError: output: {exc}") from exc


def _epoch(moment: Any) -> float:
    """Epoch seconds of a number, or of a time as ISO 8601.

    >>> _epoch(2), _epoch("1970-01-01T00:00:02Z")
    (2.0, 2.0)
    """
    if isinstance(moment, (int, float)):
        return float(moment)
    return datetime.fromisoformat(str(moment).replace("Z", "+00:00")).timestamp()
