"""How the progress of a job is told: steps, phases, warnings and the job's own log, on standard error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.cli.views.render import err, remark


def say_progress(event: str, fields: Mapping[str, Any]) -> None:
    """A `Say` for people."""
    if event == "step":
        remark(f"[cyan]·[/cyan] {fields['text']}")
    elif event == "status":
        remark(f"[cyan]·[/cyan] {fields['phase']}")
    elif event == "warning":
        remark(f"[yellow]Warning:[/yellow] {fields['text']}")
    elif event == "log":
        err().print(f"  | {fields['line']}", style="dim", markup=False, soft_wrap=True)


def say_silently(event: str, fields: Mapping[str, Any]) -> None:
    """With --json nothing but the result is said."""
