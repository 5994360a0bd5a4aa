"""`bedplate who-was-live`: show which release was live at a given time, and why."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, print_table

if TYPE_CHECKING:
    from bedplate.domain.ledger import LiveRelease


@click.command()
@options.model
@click.option(
    "--at",
    "time_text",
    default="now",
    show_default=True,
    metavar="TIME",
    help="ISO 8601 (UTC without a zone), or '2 hours ago'.",
)
@options.stack
@options.as_json
def command(model: str, time_text: str, stack: str, as_json: bool) -> None:
    """Show which release of MODEL was live at a given time, since when, and who approved it.

    Reads the ledger, in which a release is recorded as live only after the endpoint itself was observed.

    \b
    Examples:
      bedplate who-was-live flight-delay
      bedplate who-was-live flight-delay --at "2 hours ago"
      bedplate who-was-live flight-delay --at 2026-03-01T09:30 --json
    """
    from bedplate.domain.ledger import effective_now, is_conclusive, who_was_live
    from bedplate.domain.release import fallback_name
    from bedplate.domain.timestamps import parse_time
    from bedplate.workflows.record.ledger import Ledger

    connection = options.connect(stack)
    connection.model(model)
    now = connection.clock.now()
    requested_time = None if time_text.strip().casefold() == "now" else parse_time(time_text, now)
    records = Ledger.of(connection).read_latest(
        lambda tail: is_conclusive(tail, model, requested_time or effective_now(tail, now))
    )
    time = requested_time or effective_now(records, now)
    fallback = fallback_name(connection.names(model).endpoint)
    live = who_was_live(records, model, time)
    if as_json:
        emit_json(_live_to_dict(live, model, time, fallback))
        return
    if live is None:
        console().print(
            f"No deployment of {model} is recorded up to then. From the first `bedplate up` on, release 0 is live, a "
            f"constant: {fallback}.",
            soft_wrap=True,
        )
        return
    _print_live(live)


def _print_live(live: LiveRelease) -> None:
    until = f"until {live.until:%Y-%m-%d %H:%M:%S}" if live.until else "until now, by the ledger"
    console().print(f"[bold]{live.release}[/bold] (version {live.version}) at {live.at:%Y-%m-%d %H:%M:%S} UTC")
    console().print(f"Live since {live.since:%Y-%m-%d %H:%M:%S} {until}.")
    rows = [(r.seq, f"{r.at:%Y-%m-%d %H:%M:%S}", r.kind, r.actor, r.summary) for r in (*live.evidence, live.record)]
    print_table("Evidence", ("#", "UTC", "Kind", "Actor", "Summary"), rows, right_aligned=("#",))


def _live_to_dict(live: LiveRelease | None, model: str, time: datetime, fallback: str) -> dict[str, Any]:
    if live is None:
        document = {"model": model, "at": time, "release": fallback, "version": 0}
        return document | dict.fromkeys(("since", "until", "record"))
    return {
        "model": live.model,
        "at": live.at,
        "release": live.release,
        "version": live.version,
        "since": live.since,
        "until": live.until,
        "record": live.record.to_json(),
        "evidence": [r.to_json() for r in live.evidence],
    }
