"""`bedplate models retire`: no new release of a version, or of a model, from a day on."""

from __future__ import annotations

from datetime import date, datetime

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, remark, where


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="From this day (UTC) on. Default: today.")
@click.option("--reason", required=True, help="Why; kept in the ledger.")
@click.option("--force", is_flag=True, help="Although it is live, a rollback's target, or was asked in the last days.")
@click.option("--cancel", is_flag=True, help="Take it back.")
@options.stack
@options.as_json
def retire(model: str, on: datetime | None, reason: str, force: bool, cancel: bool, stack: str, as_json: bool) -> None:
    """Retire a version, or without VERSION the model with all its versions.

    From that day on `deploy` and `rollout` refuse it; `status` speaks of it 30 days before, as of model.yaml's
    retire_on. A day to come is announced whatever is live now; today is refused (exit code 4) while it is live, on its
    way, what a rollback goes back to, or gave answers in the last 7 days. What serves now goes on serving: moving
    traffic is `deploy`'s and `rollback`'s. A rollback may still go back to it.

    \b
    Examples:
      bedplate models retire flight-delay:3 --on 2027-03-31 --reason "replaced by v5"
      bedplate models retire flight-delay:3 --cancel --reason "v5 was taken back"
    """
    from bedplate.wiring import connect
    from bedplate.workflows.versions.retire import RetireRequest
    from bedplate.workflows.versions.retire import retire as work

    name, version = options.model_and_version(model)
    at = connect(options.project_dir(), stack)
    if not as_json:
        where(at.label)
    day: date | None = on.date() if on else None
    done = work(at, RetireRequest(name, version, reason, day, force, cancel))
    if as_json:
        emit_json(
            {
                "what": done.what,
                "on": str(done.on) if done.on else None,
                "objections": done.objections,
                "changed": done.changed,
            }
        )
        return
    again = "" if done.changed else " already"
    out().print(f"{done.what} retires on {done.on}{again}." if done.on else f"{done.what} is not to be retired{again}.")
    for text in done.objections:
        remark(f"Until then: {text}" if not force else f"Although {text}")
