"""`bedplate destroy`: delete everything that a stack holds."""

from __future__ import annotations

import sys

import click

from bedplate.cli import options
from bedplate.cli.up import dependents, engine, install, targets
from bedplate.errors import UsageError


@click.command("destroy")
@options.stack
@engine
@install
@targets
@dependents
@options.yes
@options.dry_run
@options.as_json
def command(
    stack: str,
    engine: str | None,
    install: bool,
    targets: tuple[str, ...],
    dependents: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Delete everything that a stack holds, dependents first. Asks for the stack's name unless --yes is given.

    Versions in the registry, releases and their alarms go too; jobs and logs stay, as AWS keeps them. Protected
    resources are not deleted: they are named, and everything they need stays too.

    \b
    Examples:
      bedplate destroy --dry-run
      bedplate destroy --target monitor-schedule --target-dependents
      bedplate destroy --yes

    Exit codes: 0 all gone, 1 something could not be deleted, 2 no such stack, 7 another run is at work.
    """
    from bedplate.cli import render, stack_view
    from bedplate.wiring import connect
    from bedplate.workflows.belongings import belongings, remove_releases, remove_versions, require_expendable
    from bedplate.workflows.stack import Update, tear_down

    platform = connect(options.project_dir(), stack)
    if not as_json:
        render.where(platform.label)
    target = platform.deployment(engine, install=install).limit(targets=targets, dependents=dependents)
    if dry_run:
        planned: Update = target.preview_destroy()
        if as_json:
            stack_view.as_json(planned, stack=stack, where=platform.label, verb="destroy --dry-run")
        else:
            stack_view.show(planned, planned=True)
        return

    held = () if targets else belongings(platform)  # versions and releases go with the whole stack only
    require_expendable(platform, held)

    def agree(planned: Update) -> None:
        stack_view.show(planned, planned=True)
        for b in held:
            render.remark(f"{b.model}: {len(b.versions)} versions and {len(b.releases)} releases go with it")
        _ask_for_the_name(stack, platform.label)

    if not yes and (as_json or not sys.stdin.isatty()):
        raise UsageError(
            f"Everything in stack {stack!r} would be deleted, and there is no terminal to ask on.",
            next_step=f"bedplate destroy --stack {stack} --yes",
        )
    with stack_view.watched(f"destroy {stack}") as watch:
        update = tear_down(
            target,
            agree=None if yes else agree,
            before=lambda: remove_versions(platform, held),
            on_progress=watch,
        )
    remove_releases(platform, held)
    if as_json:
        stack_view.as_json(update, stack=stack, where=platform.label, verb="destroy")
    else:
        stack_view.show(update, planned=False)


def _ask_for_the_name(stack: str, label: str) -> None:
    answer = click.prompt(f"This deletes all of it from {label}. Type the stack's name to go on", default="", err=True)
    if answer.strip() != stack:
        raise click.Abort
