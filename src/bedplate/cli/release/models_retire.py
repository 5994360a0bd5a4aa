"""`bedplate models retire`: retire a version, or a whole model, on a date."""

from __future__ import annotations

from datetime import date, datetime

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, warn


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option(
    "--on",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="First day (UTC) without deployments. Default: today.",
)
@click.option("--reason", required=True, metavar="TEXT", help="Reason, stored in the ledger.")
@click.option("--force", is_flag=True, help="Retire today although it is live, pending, a rollback target or in use.")
@click.option("--cancel", is_flag=True, help="Cancel the retirement.")
@options.stack
@options.as_json
def retire(model: str, on: datetime | None, reason: str, force: bool, cancel: bool, stack: str, as_json: bool) -> None:
    """Retire a version or a whole model: from DATE on it cannot be deployed.

    Without VERSION the model is retired with all its versions. `status` announces the date 30 days ahead, as it does
    for retire_on in model.yaml. A future date is always accepted; today is rejected while a release of it is live,
    pending, or the rollback target, or was invoked in the last 7 days. A release that is live stays live, and
    `rollback` can still return to it.

    \b
    Examples:
      bedplate models retire flight-delay:3 --on 2027-03-31 --reason "replaced by v5"
      bedplate models retire flight-delay:3 --cancel --reason "v5 was withdrawn"

    \b
    Exit codes:
      0  the date is set or canceled
      4  it is still in use; --force overrides this
    """
    from bedplate.workflows.versions.retire import RetireRequest
    from bedplate.workflows.versions.retire import retire as retire_model

    name, version = options.parse_model_version(model)
    connection = options.connect_target(stack, as_json=as_json)
    day: date | None = on.date() if on else None
    result = retire_model(connection, RetireRequest(name, version, reason, day, force, cancel))
    if as_json:
        document = {"subject": result.target, "on": str(result.on) if result.on else None}
        emit_json({**document, "warnings": result.warnings, "changed": result.is_changed})
        return
    already = "" if result.is_changed else " already"
    state = f"retires on {result.on}" if result.on else "is not scheduled for retirement"
    console().print(f"{result.target} {state}{already}.")
    for text in result.warnings:
        warn(f"Although {text}" if force else f"Until then: {text}")
