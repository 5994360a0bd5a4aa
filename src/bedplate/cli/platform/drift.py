"""`bedplate drift`: compare a stack's program, state and live resources."""

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

_STYLE = {"changed": "yellow", "gone": "red", "not applied": "cyan"}


@click.command("drift")
@options.stack
@engine
@install
@options.as_json
def command(stack: str, engine: str | None, install: bool, as_json: bool) -> None:
    """Compare program, state and live resources, property by property. Changes nothing, not even the state.

    Drift is a change or deletion of a live resource since the last run. CloudTrail's event history shows who made the
    last change, when and with which call; without an event, `unknown` is shown. Changes of the program that `up` has
    not applied yet are listed too, but are not drift. The release that an endpoint serves is not compared. Monitoring
    schedules that differ from model.yaml are reported as warnings.

    \b
    Examples:
      bedplate drift
      bedplate drift --stack prod --json

    \b
    Exit codes:
      0  no drift
      1  a resource could not be read
      2  the stack does not exist yet
      3  drift
    """
    from bedplate.cli.views import render, stack_view
    from bedplate.cli.views.differences import format_values
    from bedplate.domain.formatting import format_count
    from bedplate.workflows.stacks.attribution import Attribution
    from bedplate.workflows.stacks.stack import find_drift
    from bedplate.workflows.watch.schedules import list_all_deviations

    connection = options.connect_target(stack, as_json=as_json)
    with stack_view.show_progress(f"drift {stack}") as on_progress:
        pulumi_stack = connection.deployment(engine, install=install)
        drift = find_drift(pulumi_stack, on_progress=on_progress)
        attribution = _attribute(connection, pulumi_stack, drift) if drift.has_drifted else Attribution({})
        schedules = list_all_deviations(connection)
    if as_json:
        flags = {"drifted": drift.has_drifted, "unapplied_changes": drift.has_unapplied_changes}
        changed_by = {"changed_by": dict(attribution.events), "trail_error": attribution.error}
        document = {"differences": drift.differences, **changed_by, "schedules": schedules}
        render.emit_json({"stack": stack, "target": connection.label, **flags, **document})
        if drift.has_drifted:
            raise SystemExit(GateFailed.exit_code)
        return
    if drift.differences:
        from rich.text import Text

        rows = [
            (
                Text(d.kind, style=_STYLE[d.kind]),
                f"{stack_view.short_type(d.type)} {d.name}",
                d.path or "(resource)",
                *format_values(d.program, d.state, d.live),
                _format_event(d.kind, attribution.events.get(d.urn)),
            )
            for d in drift.differences
        ]
        render.print_table(None, ("", "resource", "property", "program", "state", "live", "changed by"), rows)
    if attribution.error:
        render.warn(f"The event history could not be read, so it is unknown who made the changes: {attribution.error}")
    for model, deviations in schedules.items():
        render.warn(f"{model}: {'; '.join(deviations)}. Next: bedplate monitor schedule {model} --stack {stack}")
    if drift.has_drifted:
        count = sum(d.kind != "not applied" for d in drift.differences)
        raise GateFailed(
            f"Drift: {format_count(count, 'difference')} between the live resources and the state of the last run",
            next_step=f"bedplate up --refresh --stack {stack}, to restore the program's values",
        )
    hint = f"; unapplied changes, see: bedplate preview --stack {stack}" if drift.has_unapplied_changes else ""
    render.console().print(f"No drift: the live resources match the state of the last run{hint}")


def _attribute(connection: Connection, pulumi_stack: Stack, drift: StackDrift) -> Attribution:
    from bedplate.workflows.stacks.attribution import find_changes

    runs = [run for run in pulumi_stack.history(limit=20) if run.verb in ("up", "refresh")]
    since = runs[0].ended_at or runs[0].started_at if runs else None
    return find_changes(connection.trail, drift, pulumi_stack.export(), since=since)


def _format_event(kind: str, event: TrailEvent | None) -> str:
    if kind == "not applied":
        return ""
    return f"{event.username}, {event.time:%Y-%m-%d %H:%M:%S} UTC, {event.name}" if event else "unknown"
