"""Shows a rollout while it happens: one line that lives on a terminal, a line per change anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from bedplate.domain.release import spoken

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class RolloutView:
    """A `Say` for `step` and `rollout` events. rich is imported only when there is something to follow."""

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
        states = tuple(sorted((fields.get("alarms") or {}).items()))
        now = (fields["status"], fields["phase"], fields.get("share"), states)
        if now != self._last:
            self._last = now
            click.echo(f"    {line(fields)}", err=True)

    def _show(self, fields: Mapping[str, Any]) -> None:
        if self._bar is None:
            from bedplate.cli.views.render import progress

            self._bar = progress()
            self._bar.start()
            self._task = self._bar.add_task("", total=1.0, note="")
        if self._task is not None:
            share = fields.get("share")
            self._bar.update(self._task, description=str(fields["status"]), completed=share or 0.0, note=line(fields))

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar, self._task = None, None


def line(fields: Mapping[str, Any]) -> str:
    """One observation in words.

    >>> line({"status": "Updating", "phase": "Baking", "live": "e-v1-0a1b2c3d", "pending": "e-v2-0a1b2c3d",
    ...       "share": 0.1, "bake_left_s": 12.4, "alarms": {"e-errors": "OK", "e-v2-answers": "ALARM"}})
    'Updating, Baking: v1 90 %, v2 10 %, 12 s left, ALARM: e-v2-answers'
    """
    told = []
    live, pending, share = fields.get("live"), fields.get("pending"), fields.get("share")
    if live and pending and share is not None:
        told.append(f"{spoken(live)} {100 * (1 - share):.0f} %, {spoken(pending)} {100 * share:.0f} %")
    elif live and pending:
        told.append(f"{spoken(live)} to {spoken(pending)}")
    if fields.get("bake_left_s") is not None:
        told.append(f"{fields['bake_left_s']:.0f} s left")
    if fields.get("answers_new") is not None:
        told.append(f"{fields['answers_new']:.0f} answers of the new in the last minute")
    alarms = fields.get("alarms") or {}
    raised = [name for name, state in alarms.items() if state == "ALARM"]
    if alarms:
        told.append(f"ALARM: {', '.join(raised)}" if raised else "alarms quiet")
    phase = f", {fields['phase']}" if fields.get("phase") else ""
    return f"{fields['status']}{phase}: {', '.join(told)}" if told else f"{fields['status']}{phase}"


def show_plan(plan: Any) -> None:
    """A plan on standard error: the situation, the remarks, the steps."""
    click.echo(plan.summary, err=True)
    for remark in plan.remarks:
        click.echo(f"  {remark}", err=True)
    for number, step in enumerate(plan.steps, 1):
        click.echo(f"  {number}. {step.message}", err=True)


def plan_json(plan: Any) -> dict[str, Any]:
    """A plan as data."""
    steps = [{"kind": type(step).__name__, "message": step.message} for step in plan.steps]
    return {"summary": plan.summary, "remarks": list(plan.remarks), "steps": steps}
