"""`bedplate who-was-live`: which release was live at a time, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, table

if TYPE_CHECKING:
    from bedplate.domain.ledger import LiveRelease


@click.command()
@options.model
@click.option(
    "--at", "moment", default="now", show_default=True, help="ISO 8601 (UTC without a zone), '2 hours ago', now."
)
@options.stack
@options.as_json
def command(model: str, moment: str, stack: str, as_json: bool) -> None:
    """Say which release of MODEL answered at a time, since when, and on whose word.

    The answer comes from the ledger, whose records of releases are written after the endpoint itself was asked.

    \b
    Examples:
      bedplate who-was-live flight-delay
      bedplate who-was-live flight-delay --at "2 hours ago"
      bedplate who-was-live flight-delay --at 2026-03-01T09:30 --json
    """
    from bedplate.domain.ledger import present, tells_who_was_live, who_was_live
    from bedplate.domain.release import fallback_release
    from bedplate.domain.timestamps import parse_moment
    from bedplate.wiring import connect
    from bedplate.workflows.record.ledger import Ledger

    at = connect(options.project_dir(), stack)
    at.model(model)
    now = at.clock.now()
    asked = None if moment.strip().casefold() == "now" else parse_moment(moment, now)
    records = Ledger.of(at).latest(lambda tail: tells_who_was_live(tail, model, asked or present(tail, now)))
    when = asked or present(records, now)
    fallback = fallback_release(at.names(model).endpoint)
    live = who_was_live(records, model, when)
    if as_json:
        emit_json(_json(live, model, when, fallback))
        return
    if live is None:
        out().print(
            f"No deployment of {model} is on record by then. From its first `bedplate up` on release 0 answers, a "
            f"constant: {fallback}.",
            soft_wrap=True,
        )
        return
    _show(live)


def _show(live: LiveRelease) -> None:
    until = f"until {live.until:%Y-%m-%d %H:%M:%S}" if live.until else "on; nothing later is on record"
    out().print(f"[bold]{live.release}[/bold] (version {live.version}) at {live.at:%Y-%m-%d %H:%M:%S} UTC")
    out().print(f"Live since {live.since:%Y-%m-%d %H:%M:%S} {until}.")
    rows = [(r.seq, f"{r.at:%Y-%m-%d %H:%M:%S}", r.kind, r.actor, r.summary) for r in (*live.evidence, live.record)]
    table("Because", ("#", "UTC", "Kind", "Actor", "What"), rows, right=("#",))


def _json(live: LiveRelease | None, model: str, when: Any, fallback: str) -> dict[str, Any]:
    if live is None:
        return {
            "model": model,
            "at": when,
            "release": fallback,
            "version": 0,
            "since": None,
            "until": None,
            "record": None,
        }
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
