"""`bedplate refresh`: update the state from the live resources."""

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
    """Update the state from the live resources. Changes no resource.

    The next `up` restores the program's values, unless the program was changed to match. On a stack on AWS, shows the
    changes and asks first.

    \b
    Examples:
      bedplate refresh --dry-run
      bedplate refresh --stack dev --yes --json

    \b
    Exit codes:
      0  the state matches the live resources
      1  a resource could not be read
      2  the stack does not exist yet
      7  another run is in progress
    """
    from bedplate.cli.views import stack_view
    from bedplate.workflows.stacks.stack import UpdateResult, refresh_state

    connection = options.connect_target(stack, as_json=as_json)
    pulumi_stack = connection.deployment(engine, install=install).set_message(message)

    def confirm(planned: UpdateResult) -> None:
        if not as_json:
            stack_view.show_refresh(planned, planned=True)
        options.confirm(f"Write these changes into the state of {stack!r}?", assume_yes=False, as_json=as_json)

    skip_prompt = yes or connection.settings.target == "local"
    with stack_view.show_progress(f"refresh {stack}") as on_progress:
        if dry_run:
            update: UpdateResult = pulumi_stack.preview_refresh(on_progress=on_progress)
        else:
            update = refresh_state(pulumi_stack, confirm=None if skip_prompt else confirm, on_progress=on_progress)
    if as_json:
        verb = "refresh --dry-run" if dry_run else "refresh"
        stack_view.print_json(update, stack=stack, target=connection.label, verb=verb)
    else:
        stack_view.show_refresh(update, planned=dry_run)
