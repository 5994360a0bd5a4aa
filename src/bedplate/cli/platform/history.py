"""`bedplate history`: every update of a stack, newest first."""

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
    "--limit", "-n", default=20, show_default=True, type=click.IntRange(min=1), help="How many, from the newest."
)
@options.as_json
def command(stack: str, engine: str | None, install: bool, limit: int, as_json: bool) -> None:
    """List a stack's updates: what ran, when, for how long, by whom, how it ended and what it changed.

    A run that was killed is there too, as interrupted. Previews change nothing and are not kept. Each engine keeps its
    own history.

    \b
    Examples:
      bedplate history
      bedplate history --stack prod --limit 5 --json

    Exit codes: 0 listed, 2 the stack was never brought up.
    """
    from bedplate.cli.views import render
    from bedplate.wiring import connect

    runs = connect(options.project_dir(), stack).deployment(engine, install=install).history(limit)
    if as_json:
        told = [
            {
                "version": run.version,
                "kind": run.verb,
                "result": run.result,
                "started_at": run.started_at,
                "ended_at": run.ended_at,
                "duration_s": run.duration_s,
                "who": run.who,
                "engine": run.engine,
                "counts": dict(run.counts),
                "message": run.message,
            }
            for run in runs
        ]
        render.emit_json({"stack": stack, "updates": told})
        return
    rows = [
        (
            run.version or "",
            run.verb,
            run.result,
            f"{run.started_at:%Y-%m-%d %H:%M:%S}",
            "" if run.duration_s is None else render.seconds(run.duration_s),
            run.who,
            ", ".join(f"{run.counts[op]} {op}" for op in _ORDER if run.counts.get(op)),
            run.engine,
            run.message,
        )
        for run in runs
    ]
    columns = ("", "what", "result", "started (UTC)", "took", "who", "resources", "engine", "message")
    render.table(None, columns, rows, right=("", "took"))
    if not runs:
        render.remark(f"Nothing has been done to stack {stack!r} yet: bedplate up --stack {stack}")
