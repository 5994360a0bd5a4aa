"""`bedplate preview`: what `up` would change."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.cli.up import engine, install, refresh


@click.command("preview")
@options.stack
@engine
@install
@refresh
@options.as_json
def command(stack: str, engine: str | None, install: bool, refresh: bool, as_json: bool) -> None:
    """Show what `up` would create, update, replace and delete, with the properties that change. Changes nothing.

    \b
    Examples:
      bedplate preview
      bedplate preview --stack staging --json

    Exit codes: 0 shown, 1 the program or a resource is wrong, 2 the stack's settings are wrong.
    """
    from bedplate.cli import render, stack_view
    from bedplate.wiring import connect

    platform = connect(options.project_dir(), stack)
    if not as_json:
        render.where(platform.label)
    with stack_view.watched(f"preview {stack}") as watch:
        update = platform.deployment(engine, install=install).preview(on_progress=watch, refresh=refresh)
    if as_json:
        stack_view.as_json(update, stack=stack, where=platform.label, verb="preview")
    else:
        stack_view.show(update, planned=True)
