"""`bedplate refresh`: take the world's values into the state."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.cli.platform.up import engine, install, message


@click.command("refresh")
@options.stack
@engine
@install
@message
@options.yes
@options.dry_run
@options.as_json
def command(
    stack: str, engine: str | None, install: bool, message: str | None, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Write into the state what the world has become. No resource is touched.

    The next `up` then sees the difference and puts the program's values back, unless the program was changed to match.
    On the local stack it goes ahead; on any other it shows what it found and asks.

    \b
    Examples:
      bedplate refresh --dry-run
      bedplate refresh --stack dev --yes --json

    Exit codes: 0 done, 1 something could not be read, 2 the stack was never brought up, 7 another run is at work.
    """
    from bedplate.cli.views import render, stack_view
    from bedplate.wiring import connect
    from bedplate.workflows.stacks.stack import UpdateResult, take_over

    platform = connect(options.project_dir(), stack)
    if not as_json:
        render.where(platform.label)
    target = platform.deployment(engine, install=install).noting(message)

    def agree(found: UpdateResult) -> None:
        if not as_json:
            stack_view.show_found(found, planned=True)
        options.confirm(f"Write this into the state of {stack!r}?", assume_yes=False, as_json=as_json)

    ask = not yes and platform.settings.target != "local"
    with stack_view.watched(f"refresh {stack}") as watch:
        if dry_run:
            update: UpdateResult = target.preview_refresh(on_progress=watch)
        else:
            update = take_over(target, agree=agree if ask else None, on_progress=watch)
    if as_json:
        stack_view.as_json(
            update, stack=stack, where=platform.label, verb="refresh --dry-run" if dry_run else "refresh"
        )
    else:
        stack_view.show_found(update, planned=dry_run)
