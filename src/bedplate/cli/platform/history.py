"""`bedplate history`: list a stack's updates, newest first."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.cli.platform.up import engine, install

_ORDER = ("create", "update", "replace", "delete", "import", "read", "same")


@click.command("history")
@options.stack
@engine
@install
@click.option(
    "--limit", "-n", default=20, show_default=True, type=click.IntRange(min=1), help="Number of updates, newest first."
)
@options.as_json
def command(stack: str, engine: str | None, install: bool, limit: int, as_json: bool) -> None:
    """List a stack's updates, newest first: what ran, when, for how long, by whom, its result and its changes.

    A run that was killed is listed as interrupted. Previews are not listed. Each engine keeps its own history.

    \b
    Examples:
      bedplate history
      bedplate history --stack prod --limit 5 --json

    \b
    Exit codes:
      0  the updates are listed
      2  the stack does not exist yet
    """
    from bedplate.cli.views import render

    runs = options.connect(stack).deployment(engine, install=install).history(limit)
    if as_json:
        updates = [
            {
                "version": run.version,
                "kind": run.verb,
                "result": run.result,
                "started_at": run.started_at,
                "ended_at": run.ended_at,
                "duration_s": run.duration_s,
                "user": run.user,
                "engine": run.engine,
                "counts": dict(run.counts),
                "message": run.message,
            }
            for run in runs
        ]
        render.emit_json({"stack": stack, "updates": updates})
        return
    rows = [
        (
            run.version or "",
            run.verb,
            run.result,
            f"{run.started_at:%Y-%m-%d %H:%M:%S}",
            "" if run.duration_s is None else render.format_seconds(run.duration_s),
            run.user,
            ", ".join(f"{run.counts[op]} {op}" for op in _ORDER if run.counts.get(op)),
            run.engine,
            run.message,
        )
        for run in runs
    ]
    columns = ("", "update", "result", "started (UTC)", "duration", "user", "resources", "engine", "message")
    render.print_table(None, columns, rows, right_aligned=("", "duration"))
    if not runs:
        render.warn(f"Stack {stack!r} has no updates yet. Next: bedplate up --stack {stack}")
