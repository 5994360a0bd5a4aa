"""Prints the progress of a job on standard error: steps, phases, warnings and the job's own log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.cli.views.render import stderr_console, warn
from bedplate.ports import Reporter
from bedplate.workflows.stack_context import null_reporter


def progress_reporter(*, quiet: bool) -> Reporter:
    """Returns the reporter of a command: print_progress, or with `quiet` one that prints nothing."""
    return null_reporter if quiet else print_progress


def print_progress(event: str, fields: Mapping[str, Any]) -> None:
    """Prints one progress event as a line on standard error; a Reporter."""
    if event == "step":
        warn(f"[cyan]·[/cyan] {fields['text']}")
    elif event == "status":
        warn(f"[cyan]·[/cyan] {fields['phase']}")
    elif event == "warning":
        warn(f"[yellow]Warning:[/yellow] {fields['text']}")
    elif event == "log":
        stderr_console().print(f"  | {fields['line']}", style="dim", markup=False, soft_wrap=True)
