"""Shows the progress of a rollout: one line that is updated on a terminal, one line per change elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from bedplate.domain.release import display_name

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class RolloutView:
    """A Reporter for `step` and `rollout` events. Imports rich only when the first observation arrives."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._last: tuple[object, ...] = ()

    def __enter__(self) -> RolloutView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def __call__(self, event: str, fields: Mapping[str, Any]) -> None:
        if self._quiet:
            return
        if event == "step":
            self._stop()
            number = f"{fields['number']}/{fields['of']} " if fields["of"] else ""
            click.echo(f"{number}{fields['message']}", err=True)
        elif event == "rollout":
            self._follow(fields)

    def _follow(self, fields: Mapping[str, Any]) -> None:
        if sys.stderr.isatty():
            self._show(fields)
            return
        alarms = tuple(sorted((fields.get("alarms") or {}).items()))
        observation = (fields["status"], fields["phase"], fields.get("share"), alarms)
        if observation != self._last:
            self._last = observation
            click.echo(f"    {format_observation(fields)}", err=True)

    def _show(self, fields: Mapping[str, Any]) -> None:
        if self._bar is None:
            from bedplate.cli.views.render import progress_bar

            self._bar = progress_bar()
            self._bar.start()
            self._task = self._bar.add_task("", total=1.0, note="")
        if self._task is not None:
            share = fields.get("share")
            self._bar.update(
                self._task, description=str(fields["status"]), completed=share or 0.0, note=format_observation(fields)
            )

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar, self._task = None, None


def format_observation(fields: Mapping[str, Any]) -> str:
    """Returns one observation of a rollout as a line of text.

    >>> format_observation({"status": "Updating", "phase": "Baking", "live": "e-v1-0a1b2c3d",
    ...       "pending": "e-v2-0a1b2c3d", "share": 0.1, "bake_left_s": 12.4,
    ...       "alarms": {"e-errors": "OK", "e-v2-predictions": "ALARM"}})
    'Updating, Baking: v1 90 %, v2 10 %, 12 s left, ALARM: e-v2-predictions'
    """
    parts = []
    live, pending, share = fields.get("live"), fields.get("pending"), fields.get("share")
    if live and pending and share is not None:
        parts.append(f"{display_name(live)} {100 * (1 - share):.0f} %, {display_name(pending)} {100 * share:.0f} %")
    elif live and pending:
        parts.append(f"{display_name(live)} to {display_name(pending)}")
    if fields.get("bake_left_s") is not None:
        parts.append(f"{fields['bake_left_s']:.0f} s left")
    if fields.get("predictions_new") is not None:
        parts.append(f"{fields['predictions_new']:.0f} predictions of the new release in the last minute")
    if alarms := fields.get("alarms"):
        raised = [name for name, state in alarms.items() if state == "ALARM"]
        parts.append(f"ALARM: {', '.join(raised)}" if raised else "no alarm")
    phase = f", {fields['phase']}" if fields.get("phase") else ""
    return f"{fields['status']}{phase}{': ' if parts else ''}{', '.join(parts)}"


def print_plan(plan: Any) -> None:
    """Prints a plan on standard error: its summary, notices and numbered steps."""
    click.echo(plan.summary, err=True)
    for notice in plan.notices:
        click.echo(f"  {notice}", err=True)
    for number, step in enumerate(plan.steps, 1):
        click.echo(f"  {number}. {step.message}", err=True)


def plan_to_dict(plan: Any) -> dict[str, Any]:
    """Returns a plan as a dict for --json."""
    steps = [{"kind": type(step).__name__, "message": step.message} for step in plan.steps]
    return {"summary": plan.summary, "notices": list(plan.notices), "steps": steps}
