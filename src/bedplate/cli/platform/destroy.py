"""`bedplate destroy`: delete a stack's resources."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.platform.up import dependents, engine, install, message, targets
from bedplate.errors import PlatformError, UsageError

if TYPE_CHECKING:
    from bedplate.domain.stacks.remaining_resources import RemainingResource
    from bedplate.wiring import Connection


@click.command("destroy")
@options.stack
@engine
@install
@targets
@dependents
@message
@click.option("--including-data", is_flag=True, help="Also delete protected data: versions, ledger, captured requests.")
@click.option("--name", help="Repeat the stack's name; required with --yes for a stack on AWS.")
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
    """Delete a stack's resources, dependents first. Asks for the stack's name unless --yes is given.

    Also deletes versions in the registry, releases, schedules and their alarms; AWS keeps jobs and logs. Protected
    resources and the resources that they depend on are listed and kept. If the stack's file protects its data
    (storage.force_destroy is false) and the stack contains data, the command requires --including-data. At the end it
    lists the resources that still carry the stack's tags, and how to remove each.

    \b
    Examples:
      bedplate destroy --dry-run
      bedplate destroy --target monitor-schedule --target-dependents
      bedplate destroy --yes
      bedplate destroy --stack dev --yes --name dev
      bedplate destroy --stack staging --including-data

    \b
    Exit codes:
      0  everything is deleted
      1  a resource could not be deleted
      2  the stack does not exist, or --including-data or --name is missing
      7  another run is in progress
    """
    from bedplate.cli.views import render, stack_view
    from bedplate.domain.formatting import format_count
    from bedplate.workflows.stacks.cli_resources import (
        list_cli_resources,
        remove_all_schedules,
        remove_releases,
        remove_versions,
    )
    from bedplate.workflows.stacks.data_at_risk import DataAtRisk, confirm_data_loss, count_data, remove_data
    from bedplate.workflows.stacks.stack import UpdateResult, tear_down, unprotect

    connection = options.connect_target(stack, as_json=as_json)
    pulumi_stack = connection.deployment(engine, install=install).set_message(message)
    pulumi_stack.limit(targets=targets, target_dependents=dependents)
    if dry_run:
        planned: UpdateResult = pulumi_stack.preview_destroy()
        if as_json:
            stack_view.print_json(planned, stack=stack, target=connection.label, verb="destroy --dry-run")
        else:
            stack_view.show(planned, planned=True)
        return

    if targets and including_data:
        raise UsageError("--including-data applies to the whole stack, not to --target")
    cli_resources = () if targets else list_cli_resources(connection)  # only a destroy of the whole stack deletes them
    data = DataAtRisk(0, {}) if targets else count_data(connection, cli_resources)
    confirm_data_loss(connection, data, including_data=including_data)

    def confirm(planned: UpdateResult) -> None:
        stack_view.show(planned, planned=True)
        for r in cli_resources:
            counts = {"version": len(r.versions), "release": len(r.releases), "schedule": len(r.schedules)}
            items = ", ".join(format_count(count, noun) for noun, count in counts.items() if count)
            render.warn(f"Also deletes {items} of {r.model}")
        if data.summary:
            render.warn(f"Deletes permanently: {data.summary}")
        prompt = f"This deletes the resources above from {connection.label}. Type the stack's name to continue"
        if click.prompt(prompt, default="", err=True).strip() != stack:
            raise click.Abort

    if not yes and (as_json or not sys.stdin.isatty()):
        raise UsageError(
            f"All resources of stack {stack!r} would be deleted, and there is no terminal to confirm it on.",
            next_step=f"bedplate destroy --stack {stack} --yes",
        )
    if yes and connection.settings.target != "local" and name != stack:
        raise UsageError(
            f"Stack {stack!r} is on AWS: --yes requires its name in --name",
            next_step=f"bedplate destroy --stack {stack} --yes --name {stack}",
        )

    def empty_buckets() -> None:
        if including_data and not connection.settings.storage.force_destroy:
            locked = remove_data(connection)
            if locked and not as_json:
                render.warn(f"{format_count(locked, 'object')} cannot be deleted until the object lock expires")

    def before() -> None:
        if including_data:
            unprotect(pulumi_stack)
        remove_all_schedules(connection, cli_resources)
        remove_versions(connection, cli_resources)
        empty_buckets()

    with stack_view.show_progress(f"destroy {stack}") as on_progress:
        try:
            update = tear_down(pulumi_stack, confirm=None if yes else confirm, before=before, on_progress=on_progress)
        except PlatformError:
            if not including_data:
                raise
            empty_buckets()  # S3 has delivered access logs of the first attempt since
            update = tear_down(pulumi_stack, on_progress=on_progress)
    remove_releases(connection, cli_resources)
    remaining, error = ([], None) if targets else _list_remaining(connection)
    if as_json:
        document = stack_view.to_dict(update, stack=stack, target=connection.label, verb="destroy")
        render.emit_json({**document, "remaining": remaining, "remaining_error": error})
        return
    stack_view.show(update, planned=False)
    if targets:
        return
    if error:
        render.warn(f"The remaining resources could not be listed: {error}")
        return
    job_records = Counter(resource.job_record for resource in remaining if resource.job_record)
    if job_records:
        jobs = " and ".join(format_count(count, kind) for kind, count in sorted(job_records.items()))
        render.console().print(f"Job records remain, which cost nothing: {jobs} (--json lists them)")
    rows = [(resource.arn, resource.removal) for resource in remaining if not resource.job_record]
    if rows:
        render.print_table("\nRemaining resources with the stack's tags", ("resource", "removal"), rows)
    else:
        render.console().print(f"No {'other ' if job_records else ''}resources with the stack's tags remain")


def _list_remaining(connection: Connection) -> tuple[list[RemainingResource], str | None]:
    from bedplate.domain.stacks.remaining_resources import describe_remaining
    from bedplate.errors import BedplateError

    try:
        resources = connection.tagging.list_resources({"Project": connection.project, "Stack": connection.name})
    except BedplateError as exc:
        return [], exc.message.splitlines()[0]
    return [describe_remaining(resource.arn) for resource in resources], None
