"""`bedplate destroy`: delete everything that a stack holds."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.platform.up import dependents, engine, install, message, targets
from bedplate.errors import PlatformError, UsageError

if TYPE_CHECKING:
    from bedplate.domain.stacks.survivors import Survivor
    from bedplate.wiring import Connection


@click.command("destroy")
@options.stack
@engine
@install
@targets
@dependents
@message
@click.option("--including-data", is_flag=True, help="Also what the stack's file protects: versions, ledger, capture.")
@click.option("--name", help="The stack's name once more: with --yes, for a stack that is not on this machine.")
@options.yes
@options.dry_run
@options.as_json
def command(
    stack: str,
    engine: str | None,
    install: bool,
    targets: tuple[str, ...],
    dependents: bool,
    message: str | None,
    including_data: bool,
    name: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Delete everything that a stack holds, dependents first. Asks for the stack's name unless --yes is given.

    Versions in the registry, releases, schedules and their alarms go too; jobs and logs stay, as AWS keeps them.
    Protected resources are not deleted: they are named, and everything they need stays too. Where the stack's file
    protects its data (storage.force_destroy is false) and there is any, it refuses without --including-data. Afterwards
    it lists what still carries the stack's tags, and how each is removed.

    \b
    Examples:
      bedplate destroy --dry-run
      bedplate destroy --target monitor-schedule --target-dependents
      bedplate destroy --yes
      bedplate destroy --stack dev --yes --name dev
      bedplate destroy --stack staging --including-data

    Exit codes: 0 all gone, 1 something could not be deleted, 2 no such stack, 7 another run is at work.
    """
    from bedplate.cli.views import render, stack_view
    from bedplate.domain.formatting import counted
    from bedplate.wiring import connect
    from bedplate.workflows.stacks.cli_resources import belongings, remove_releases, remove_versions, remove_watches
    from bedplate.workflows.stacks.data_at_risk import DataAtRisk, held_data, remove_data, require_willing
    from bedplate.workflows.stacks.stack import UpdateResult, tear_down, unprotect

    platform = connect(options.project_dir(), stack)
    if not as_json:
        render.where(platform.label)
    target = platform.deployment(engine, install=install).noting(message)
    target.limit(targets=targets, dependents=dependents)
    if dry_run:
        planned: UpdateResult = target.preview_destroy()
        if as_json:
            stack_view.as_json(planned, stack=stack, where=platform.label, verb="destroy --dry-run")
        else:
            stack_view.show(planned, planned=True)
        return

    held = () if targets else belongings(platform)  # versions and releases go with the whole stack only
    if targets and including_data:
        raise UsageError("--including-data is for the whole stack, not for --target")
    data = DataAtRisk(0, {}) if targets else held_data(platform, held)
    require_willing(platform, data, including_data=including_data)

    def agree(planned: UpdateResult) -> None:
        stack_view.show(planned, planned=True)
        for b in held:
            watched = f", {counted(len(b.schedules), 'schedule')}" if b.schedules else ""
            made = f"{counted(len(b.versions), 'version')} and {counted(len(b.releases), 'release')}{watched}"
            render.remark(f"With {b.model} go {made}")
        if data.told:
            render.remark(f"Lost for ever: {data.told}")
        _ask_for_the_name(stack, platform.label)

    if not yes and (as_json or not sys.stdin.isatty()):
        raise UsageError(
            f"Everything in stack {stack!r} would be deleted, and there is no terminal to ask on.",
            next_step=f"bedplate destroy --stack {stack} --yes",
        )
    if yes and platform.settings.target != "local" and name != stack:
        raise UsageError(
            f"{stack!r} is not on this machine: with --yes its name is asked for once more",
            next_step=f"bedplate destroy --stack {stack} --yes --name {stack}",
        )

    def take_data() -> None:
        if including_data and not platform.settings.storage.force_destroy:
            locked = remove_data(platform)
            if locked and not as_json:
                render.remark(f"{locked} objects are under a lock and stay until its time is over")

    def before() -> None:
        if including_data:
            unprotect(target)
        remove_watches(platform, held)
        remove_versions(platform, held)
        take_data()

    with stack_view.watched(f"destroy {stack}") as watch:
        try:
            update = tear_down(target, agree=None if yes else agree, before=before, on_progress=watch)
        except PlatformError:
            if not including_data:
                raise
            take_data()  # access logs of the first attempt have come in since
            update = tear_down(target, on_progress=watch)
    remove_releases(platform, held)
    left, unknown = ([], None) if targets else _survivors(platform)
    if as_json:
        told = stack_view.data(update, stack=stack, where=platform.label, verb="destroy")
        render.emit_json({**told, "survivors": left, "survivors_unknown": unknown})
        return
    stack_view.show(update, planned=False)
    if targets:
        return
    if unknown:
        render.remark(f"Whether anything is left is unknown: {unknown}")
        return
    records = Counter(each.record for each in left if each.record)
    jobs = " and ".join(f"{count} {what}{'s' if count > 1 else ''}" for what, count in sorted(records.items()))
    if records:
        render.out().print(f"Stays as a record, which costs nothing: {jobs} (--json names each)")
    rest = [(each.arn, each.how) for each in left if not each.record]
    if rest:
        render.table("\nStill there, by its tags", ("resource", "how it goes"), rest)
    else:
        render.out().print(f"Nothing {'else ' if records else ''}is left that carries the stack's tags")


def _survivors(platform: Connection) -> tuple[list[Survivor], str | None]:
    from bedplate.domain.stacks.survivors import survivor
    from bedplate.errors import BedplateError

    try:
        found = platform.tagged.carrying({"Project": platform.project, "Stack": platform.name})
    except BedplateError as exc:
        return [], exc.message.splitlines()[0]
    return [survivor(each.arn) for each in found], None


def _ask_for_the_name(stack: str, label: str) -> None:
    answer = click.prompt(f"This deletes all of it from {label}. Type the stack's name to go on", default="", err=True)
    if answer.strip() != stack:
        raise click.Abort
