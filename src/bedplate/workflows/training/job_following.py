"""Follows a SageMaker job until it ends, and reports its status, its log and its failure reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from bedplate.errors import JobFailed
from bedplate.ports import Job, Reporter
from bedplate.workflows.stack_context import StackContext

LOCAL_POLL_S = 0.2
AWS_POLL_S = 5.0

_FRAME = re.compile(r'File "(?:[^"]*/)?([^"/]+)", line (\d+)')
TERMINAL_STATUSES = ("Completed", "Failed", "Stopped")


def follow_job(
    stack: StackContext, job: Job, *, kind: Literal["training", "processing"], reporter: Reporter
) -> tuple[Job, Sequence[str]]:
    """Waits until the job has ended, and reports `status` and `log` events. Returns the job and its whole log.

    A failed job is returned like any other.
    """
    pause_s = LOCAL_POLL_S if stack.settings.target == "local" else AWS_POLL_S
    observe = stack.jobs.get_training if kind == "training" else stack.jobs.get_processing
    lines: list[str] = []
    phase = ""
    while True:
        if job.phase != phase:
            phase = job.phase
            reporter("status", {"job": job.name, "status": job.status, "phase": phase})
        has_ended = job.status in TERMINAL_STATUSES
        for line in stack.jobs.list_log_lines(job.name, kind=kind, skip=len(lines)):
            lines.append(line)
            reporter("log", {"job": job.name, "line": line})
        if has_ended:
            return job, lines
        stack.clock.sleep(pause_s)
        job = observe(job.name)


def require_completed(job: Job, lines: Sequence[str], *, label: str, kind: Literal["training", "processing"]) -> None:
    """Raises JobFailed, with the script's exception, its file and line, and how to read the log, unless it
    completed."""
    if job.status == "Completed":
        return
    reason = (job.failure_reason or "no reason given").strip()
    verb = f"was stopped ({job.phase})" if job.status == "Stopped" else "failed"
    raise JobFailed(
        f"{label} {verb}: {reason.splitlines()[0]}{_source_location(reason, lines)}",
        next_step=f"bedplate models log {job.name} --kind {kind}",
    )


def _source_location(reason: str, lines: Sequence[str]) -> str:
    """Returns the innermost frame of the job's traceback as ` (train.py, line 12)`, or an empty text."""
    frames = _FRAME.findall(reason) or _FRAME.findall("\n".join(lines))
    return f" ({frames[-1][0]}, line {frames[-1][1]})" if frames else ""
