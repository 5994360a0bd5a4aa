"""`bedplate explain-decision`: from one captured prediction to everything that it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, remark, table
from bedplate.errors import UsageError

if TYPE_CHECKING:
    from bedplate.workflows.record.explain_decision import DecisionTrace

_LINEAGE = (
    "training_job",
    "dataset_sha256",
    "data_sha256",
    "data_uri",
    "code_commit",
    "code_sha256",
    "lock_sha256",
    "seed",
    "trained_by",
)


@click.command()
@click.argument("event_id", metavar="EVENT_ID")
@click.option("--model", "-m", required=True, help="A folder in models/.")
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="Look at this day (UTC) only.")
@click.option("--row", type=click.IntRange(1), default=1, show_default=True, help="Which row of a request of several.")
@options.stack
@options.as_json
def command(event_id: str, model: str, day: Any, row: int, stack: str, as_json: bool) -> None:
    """Explain one answer: the row, the release that gave it, its training, verdicts and approver, by ledger record.

    EVENT_ID is the capture's eventId, or the inferenceId that the caller sent. Captured requests are read from the
    newest back; for one of long ago name its day. Only what was on record when the answer was given counts.

    \b
    Examples:
      bedplate explain-decision 3f0c1a52-8d5b-4c7e-9c7a-0d4f6f1a2b3c --model flight-delay
      bedplate explain-decision order-4711 --model flight-delay --on 2026-03-01 --json
    """
    from datetime import UTC, timedelta

    from bedplate.wiring import connect
    from bedplate.workflows.record.explain_decision import explain

    start = day.replace(tzinfo=UTC) if day else None
    at = connect(options.project_dir(), stack)
    found = explain(at, model, event_id, since=start, until=start + timedelta(days=1) if start else None)
    count = max(len(found.event.rows), len(found.event.answers))
    if row > max(count, 1):
        raise UsageError(f"The request had {count} rows, so there is no row {row}")
    if as_json:
        emit_json(_json(found, row))
    else:
        _show(found, row, count)


def _show(found: DecisionTrace, row: int, count: int) -> None:
    event, grounds = found.event, found.grounds
    answer = _answer(found, row)
    version = "an unknown version" if grounds.version is None else f"version {grounds.version}"
    many = f" (row {row} of {count})" if count > 1 else ""
    out().print(
        f"[bold]{answer}[/bold]{many} answered at {event.at:%Y-%m-%d %H:%M:%S} UTC by {event.release} ({version})"
    )
    told = [
        ("event", f"{event.event_id} {event.inference_id or ''}"),
        ("captured in", found.capture_uri),
        *(_version(found)),
    ]
    table(None, ("Key", "Value"), told)
    asked = _row(found, row)
    if asked is None:
        remark("The request was no JSON: its row is in the captured file.")
    else:
        table("Asked about", ("Column", "Value"), list(asked.items()))
    if grounds.version == 0:
        out().print("Release 0 is the fallback: a constant of model.yaml, which nobody trained or approved.")
    if not grounds.agree:
        out().print(f"The ledger's live release then was {grounds.live or 'the fallback'}: a rollout was under way.")
    rows = [(r.seq, f"{r.at:%Y-%m-%d %H:%M:%S}", r.kind, r.actor, r.summary) for r in grounds.records]
    if rows:
        table("Because", ("#", "UTC", "Kind", "Actor", "What"), rows, right=("#",))
    out().print("Whether these records are whole:  bedplate ledger verify")


def _version(found: DecisionTrace) -> list[tuple[str, str]]:
    grounds = found.grounds
    told = dict(found.package.metadata) if found.package else {}
    lines = [(key, told[key]) for key in _LINEAGE if told.get(key)]
    if grounds.evaluated:
        lines.append(("gates", f"{grounds.evaluated.data.get('verdict')} (record {grounds.evaluated.seq})"))
    for yes in grounds.approvals:
        waived = ", ".join(yes.data.get("waived") or ())
        because = yes.data.get("reason") or "gates passed"
        lines.append((yes.kind, f"{yes.actor}: {because}{f' (waived: {waived})' if waived else ''} (record {yes.seq})"))
    return lines


def _row(found: DecisionTrace, row: int) -> dict[str, Any] | None:
    return found.event.rows[row - 1] if row <= len(found.event.rows) else None


def _answer(found: DecisionTrace, row: int) -> float | None:
    return found.event.answers[row - 1] if row <= len(found.event.answers) else None


def _json(found: DecisionTrace, row: int) -> dict[str, Any]:
    event, grounds = found.event, found.grounds
    told = dict(found.package.metadata) if found.package else {}
    return {
        "model": found.model,
        "event_id": event.event_id,
        "inference_id": event.inference_id,
        "at": event.at,
        "capture_uri": found.capture_uri,
        "row_number": row,
        "rows": max(len(event.rows), len(event.answers)),
        "row": _row(found, row),
        "answer": _answer(found, row),
        "release": grounds.release,
        "version": grounds.version,
        "ledger_live": grounds.live,
        "agree": grounds.agree,
        "lineage": {key: told.get(key) for key in _LINEAGE},
        "verdict": grounds.evaluated.data.get("verdict") if grounds.evaluated else None,
        "gates": grounds.evaluated.data.get("gates", []) if grounds.evaluated else [],
        "approvals": [
            {"seq": r.seq, "kind": r.kind, "by": r.actor, "at": r.at, "reason": r.data.get("reason")}
            for r in grounds.approvals
        ],
        "ledger": [r.to_json() for r in grounds.records],
    }
