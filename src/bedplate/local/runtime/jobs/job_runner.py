"""Starts job containers and downloads their input; the base of the runners of training and processing jobs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bedplate.local.hooks import Record, Services
from bedplate.local.runtime import transfer
from bedplate.local.runtime.child_process import ChildProcess
from bedplate.local.runtime.environment import build_command, container_environment
from bedplate.local.runtime.jobs.job_pool import JobPool, PooledJob
from bedplate.local.runtime.metering import Meter
from bedplate.local.runtime.outbox import Outbox

MAX_RUNTIME_S = 86_400
"""The default of MaxRuntimeInSeconds."""
REASON_CHARS = 1024
"""Characters of a FailureReason."""
INTERRUPTED_REASON = "InternalServerError: the local platform ended while the job was running. Start the job again."


class JobError(Exception):
    """The job failed; the message becomes its FailureReason."""


@dataclass(eq=False)
class JobRunner:
    """Runs jobs in a pool. `container_command` starts the image's entry points; jobs run in folders below `folder`."""

    services: Services
    pool: JobPool
    outbox: Outbox
    meter: Meter
    container_command: Sequence[str]
    folder: Path

    def _start_process(
        self,
        specification: Record,
        verb: str,
        variables: Mapping[str, str],
        root: Path,
        pooled_job: PooledJob,
        on_line: Callable[[str], None],
    ) -> ChildProcess:
        """Starts the container of an AlgorithmSpecification or AppSpecification; `verb` is its default argument."""
        return ChildProcess(
            build_command(specification, root, self.container_command, verb),
            env=container_environment(root, variables, region=self.services.region, threads=os.cpu_count() or 1),
            cwd=root,
            on_line=on_line,
            on_exit=pooled_job.on_exit,
        )

    def _download_source(self, label: str, source: Record, folder: Path, *, gunzip: bool) -> None:
        """Downloads an S3 data source. Raises JobError where it has no objects."""
        data_type = source.get("S3DataType") or "S3Prefix"
        try:
            transfer.download(self.services, source["S3Uri"], folder, data_type=data_type, gunzip=gunzip)
        except (transfer.DataSourceError, ValueError) as exc:
            raise JobError(f"ClientError: Data download failed: {label}: {exc}") from exc
