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
@click.option("--markdown", is_flag=True, help="Print Markdown for a pull request.")
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
    """Show what `up` would create, update, replace and delete, property by property. Changes nothing.

    Also shows each change's monthly cost at list price (or that it is unknown before the run), warnings about changes
    that lose data or drop traffic, and violations of the policies: encryption, access, tags, capture, alarms, budgets.

    \b
    Examples:
      bedplate preview
      bedplate preview --stack staging --markdown > preview.md
      bedplate preview --replace artifacts
      bedplate preview --stack staging --json

    \b
    Exit codes:
      0  the preview is shown
      1  the program or a resource is invalid
      2  the stack's file or a model.yaml is invalid
      3  the preview is shown, and a mandatory policy is violated
    """
    from bedplate.cli.views import render, stack_view
    from bedplate.cli.views import review as review_view
    from bedplate.workflows.stacks.stack import require_same_modes, review_plan
    from bedplate.workflows.stacks.validation import validate_stack

    validated = validate_stack(options.project_dir(), stack)
    if as_json and markdown:
        next_step = f"bedplate preview --stack {stack} --json"
        raise UsageError("--json and --markdown exclude each other", next_step=next_step)
    connection = options.connect_target(stack, as_json=as_json)
    for warning in () if as_json else validated.warnings:
        render.warn(warning)
    with stack_view.show_progress(f"preview {stack}") as on_progress:
        pulumi_stack = connection.deployment(engine, install=install)
        pulumi_stack.limit(targets=targets, target_dependents=dependents, replace=replace)
        update = pulumi_stack.preview(on_progress=on_progress, refresh=refresh)
    require_same_modes(update, stack=stack)
    review = review_plan(update)
    if as_json:
        plan = stack_view.to_dict(update, stack=stack, target=connection.label, verb="preview")
        render.emit_json({**plan, **review_view.to_dict(review)})
    elif markdown:
        click.echo(review_view.build_markdown(review, stack=stack, target=connection.label), nl=False)
    else:
        review_view.show(review)
    if review.policies.is_blocking:
        raise SystemExit(GateFailed.exit_code)
