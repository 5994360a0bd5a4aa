"""`bedplate preview`: what `up` would change."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.cli.platform.up import dependents, engine, install, refresh, replace, targets
from bedplate.errors import GateFailed, UsageError


@click.command("preview")
@options.stack
@engine
@install
@refresh
@targets
@dependents
@replace
@click.option("--markdown", is_flag=True, help="Write Markdown, for a pull request.")
@options.as_json
def command(
    stack: str,
    engine: str | None,
    install: bool,
    refresh: bool,
    targets: tuple[str, ...],
    dependents: bool,
    replace: tuple[str, ...],
    markdown: bool,
    as_json: bool,
) -> None:
    """Show what `up` would create, update, replace and delete, with the properties that change. Changes nothing.

    Beside it stand what each change costs a month at list price (what cannot be known beforehand is said as unknown),
    warnings for what loses data or drops traffic, and which policies (encryption, access, tags, capture, alarms,
    budgets) it violates.

    \b
    Examples:
      bedplate preview
      bedplate preview --stack staging --markdown > preview.md
      bedplate preview --replace artifacts
      bedplate preview --stack staging --json

    Exit codes: 0 shown, 1 the program or a resource is wrong, 2 the stack's settings are wrong, 3 shown, and a
    mandatory policy is violated.
    """
    from bedplate.cli.views import render, stack_view
    from bedplate.cli.views import review as view
    from bedplate.wiring import connect
    from bedplate.workflows.stacks.stack import require_same_modes, review
    from bedplate.workflows.stacks.validation import require_sound

    sound = require_sound(options.project_dir(), stack)
    platform = connect(options.project_dir(), stack)
    if as_json and markdown:
        raise UsageError(
            "--json and --markdown exclude each other", next_step=f"bedplate preview --stack {stack} --json"
        )
    if not as_json:
        render.where(platform.label)
        for line in sound.unknown:
            render.remark(line)
    with stack_view.watched(f"preview {stack}") as watch:
        target = platform.deployment(engine, install=install)
        target.limit(targets=targets, dependents=dependents, replace=replace)
        update = target.preview(on_progress=watch, refresh=refresh)
    require_same_modes(update, stack=stack)
    found = review(update)
    if as_json:
        plan = stack_view.data(update, stack=stack, where=platform.label, verb="preview")
        render.emit_json({**plan, **view.as_data(found)})
    elif markdown:
        click.echo(view.markdown(found, stack=stack, where=platform.label), nl=False)
    else:
        view.show(found)
    if found.policies.stops:
        raise SystemExit(GateFailed.exit_code)
