"""`bedplate drift`: where program, state and world disagree about a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.platform.up import engine, install
from bedplate.errors import GateFailed

if TYPE_CHECKING:
    from bedplate.domain.stacks.drift import StackDrift
    from bedplate.engine.automation.stack import Stack
    from bedplate.ports import TrailEvent
    from bedplate.wiring import Connection
    from bedplate.workflows.stacks.attribution import Attribution

_SIGN = {"changed": "yellow", "gone": "red", "not applied": "cyan"}


@click.command("drift")
@options.stack
@engine
@install
@options.as_json
def command(stack: str, engine: str | None, install: bool, as_json: bool) -> None:
    """Compare program, state and world, property by property. Changes nothing, the state included.

    Where the account's event history (CloudTrail) knows, it says who made the last change since the last run, when,
    and by which call; where it does not, it says unknown.

    Drift is what somebody changed or deleted in the world behind the program's back. What the program says and no
    `up` has applied yet is shown too, and is no drift; what the program leaves to releases (which one an endpoint
    serves) is neither. The schedules that `monitor schedule` makes are not the program's; where they differ from
    model.yaml a remark says so.

    \b
    Examples:
      bedplate drift
      bedplate drift --stack prod --json

    Exit codes: 0 no drift, 1 something could not be read, 2 the stack was never brought up, 3 drift found.
    """
    from bedplate.cli.views import render, stack_view
    from bedplate.cli.views.differences import apart
    from bedplate.wiring import connect
    from bedplate.workflows.stacks.attribution import Attribution
    from bedplate.workflows.stacks.stack import find_drift
    from bedplate.workflows.watch.schedules import all_strayed

    platform = connect(options.project_dir(), stack)
    if not as_json:
        render.where(platform.label)
    with stack_view.watched(f"drift {stack}") as watch:
        target = platform.deployment(engine, install=install)
        drift = find_drift(target, on_progress=watch)
        blame = _blame(platform, target, drift) if drift.drifted else Attribution({})
        schedules = all_strayed(platform)
    if as_json:
        head = {"stack": stack, "where": platform.label, "drifted": drift.drifted, "ahead": drift.ahead}
        changed_by = {"changed_by": dict(blame.by), "trail": blame.unknown or "asked"}
        render.emit_json({**head, "differences": drift.differences, **changed_by, "schedules": schedules})
        if drift.drifted:
            raise SystemExit(GateFailed.exit_code)
        return
    if drift.differences:
        from rich.text import Text

        rows = [
            (
                Text(each.kind, style=_SIGN[each.kind]),
                f"{stack_view.short_type(each.type)} {each.name}",
                each.path or "(the whole)",
                *apart(each.program, each.state, each.world),
                _who(each.kind, blame.by.get(each.urn)),
            )
            for each in drift.differences
        ]
        render.table(None, ("", "resource", "property", "program", "state", "world", "changed by"), rows)
    if blame.unknown:
        render.remark(f"Who changed it is unknown: {blame.unknown}")
    for model, told in schedules.items():
        render.remark(f"{model}: {'; '.join(told)}. Next: bedplate monitor schedule {model} --stack {stack}")
    if drift.drifted:
        count = sum(each.kind != "not applied" for each in drift.differences)
        raise GateFailed(
            f"{count} {'difference' if count == 1 else 'differences'} between the world and what the last run left",
            next_step=f"bedplate up --refresh --stack {stack}, to put the program's values back",
        )
    ahead = f"; the program is ahead, see: bedplate preview --stack {stack}" if drift.ahead else ""
    render.out().print(f"No drift: the world is as the last run left it{ahead}")


def _blame(platform: Connection, target: Stack, drift: StackDrift) -> Attribution:
    from bedplate.workflows.stacks.attribution import who_changed

    runs = [run for run in target.history(limit=20) if run.verb in ("up", "refresh")]
    since = runs[0].ended_at or runs[0].started_at if runs else None
    return who_changed(platform.trail, drift, target.export(), since=since)


def _who(kind: str, event: TrailEvent | None) -> str:
    if kind == "not applied":
        return ""
    return f"{event.person}, {event.at:%Y-%m-%d %H:%M:%S} UTC, {event.name}" if event else "unknown"
