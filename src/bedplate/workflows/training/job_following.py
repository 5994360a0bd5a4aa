"""Follows a job to its end: its status and its log as they come, and its failure in the job's own words."""

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
_ENDED = ("Completed", "Failed", "Stopped")


def follow(
    stack: StackContext, job: Job, *, kind: Literal["training", "processing"], reporter: Reporter
) -> tuple[Job, Sequence[str]]:
    """Wait until the job has ended; `status` and `log` events on the way. Returns it with the whole of its log.

    Does not judge: a failed job is returned like any other.
    """
    pause_s = LOCAL_POLL_S if stack.settings.target == "local" else AWS_POLL_S
    observe = stack.jobs.training if kind == "training" else stack.jobs.processing
    lines: list[str] = []
    phase = ""
    while True:
        if job.phase != phase:
            phase = job.phase
            reporter("status", {"job": job.name, "status": job.status, "phase": phase})
        ended = job.status in _ENDED
        for line in stack.jobs.log_lines(job.name, kind=kind, after=len(lines)):
            lines.append(line)
            reporter("log", {"job": job.name, "line": line})
        if ended:
            return job, lines
        stack.clock.sleep(pause_s)
        job = observe(job.name)


def must_have_completed(job: Job, lines: Sequence[str], *, what: str, kind: Literal["training", "processing"]) -> None:
    """Raises JobFailed with the script's last exception, the line that raised it, and where its log is."""
    if job.status == "Completed":
        return
    reason = (job.failure_reason or "it gave no reason").strip()
    verb = f"was stopped ({job.phase})" if job.status == "Stopped" else "failed"
    raise JobFailed(
        f"{what} {verb}: {reason.splitlines()[0]}{_place(reason, lines)}",
        next_step=f"bedplate models log {job.name} --kind {kind}",
    )


def _place(reason: str, lines: Sequence[str]) -> str:
    """` (train.py, line 12)`: the innermost frame of the traceback that the job left; empty without one."""
    frames = _FRAME.findall(reason) or _FRAME.findall("\n".join(lines))
    return f" ({frames[-1][0]}, line {frames[-1][1]})" if frames else ""
