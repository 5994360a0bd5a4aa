"""`bedplate explain-decision`: trace one captured prediction to its release, training data, code and approver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, print_table, warn
from bedplate.errors import UsageError

if TYPE_CHECKING:
    from bedplate.workflows.record.explain_decision import DecisionTrace

_LINEAGE = (
    "training_job", "dataset_sha256", "data_sha256", "data_uri", "code_commit", "code_sha256", "lock_sha256",
    "seed", "trained_by",
)  # fmt: skip


@click.command()
@click.argument("event_id", metavar="EVENT_ID")
@click.option("--model", "-m", required=True, metavar="MODEL", help="The model that made the prediction.")
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="Search only the captures of this day (UTC).")
@click.option("--row", type=click.IntRange(1), default=1, show_default=True, help="Row of the request, from 1.")
@options.stack
@options.as_json
def command(event_id: str, model: str, day: Any, row: int, stack: str, as_json: bool) -> None:
    """Trace one prediction to its release, training data, code and approver, with the ledger's records.

    EVENT_ID is the capture's eventId, or the inferenceId that the caller sent. Captures are searched from the newest
    back; for an old one, --on is faster. Only records up to the time of the prediction are used. Changes nothing.

    \b
    Examples:
      bedplate explain-decision 3f0c1a52-8d5b-4c7e-9c7a-0d4f6f1a2b3c --model flight-delay
      bedplate explain-decision order-4711 --model flight-delay --on 2026-03-01 --json
    """
    from datetime import UTC, timedelta

    from bedplate.workflows.record.explain_decision import explain_decision

    start = day.replace(tzinfo=UTC) if day else None
    connection = options.connect(stack)
    end = start + timedelta(days=1) if start else None
    trace = explain_decision(connection, model, event_id, since=start, until=end)
    count = max(len(trace.request.rows), len(trace.request.predictions))
    if row > max(count, 1):
        raise UsageError(f"The request had {count} rows, so there is no row {row}")
    if as_json:
        emit_json(_trace_to_dict(trace, row))
    else:
        _print_trace(trace, row, count)


def _print_trace(trace: DecisionTrace, row: int, count: int) -> None:
    event, evidence = trace.request, trace.evidence
    prediction = _prediction(trace, row)
    version = "an unknown version" if evidence.version is None else f"version {evidence.version}"
    position = f" (row {row} of {count})" if count > 1 else ""
    time = f"{event.inference_time:%Y-%m-%d %H:%M:%S} UTC"
    console().print(f"[bold]{prediction}[/bold]{position} predicted at {time} by {event.release} ({version})")
    facts = [("event", f"{event.event_id} {event.inference_id or ''}"), ("captured in", trace.capture_uri)]
    print_table(None, ("Key", "Value"), [*facts, *_lineage_rows(trace)])
    inputs = _input_row(trace, row)
    if inputs is None:
        warn("The request is not JSON: its row is in the captured file.")
    else:
        print_table("Input row", ("Column", "Value"), list(inputs.items()))
    if evidence.version == 0:
        console().print("Release 0 is the fallback: a constant of model.yaml, without training and without approval.")
    if not evidence.is_consistent:
        live = evidence.live_release or "the fallback"
        console().print(f"By the ledger {live} was live at that time: a rollout was in progress.")
    rows = [(r.seq, f"{r.at:%Y-%m-%d %H:%M:%S}", r.kind, r.actor, r.summary) for r in evidence.records]
    if rows:
        print_table("Evidence", ("#", "UTC", "Kind", "Actor", "Summary"), rows, right_aligned=("#",))
    console().print("To verify these records:  bedplate ledger verify")


def _lineage_rows(trace: DecisionTrace) -> list[tuple[str, str]]:
    evidence = trace.evidence
    metadata = dict(trace.package.metadata) if trace.package else {}
    rows = [(key, metadata[key]) for key in _LINEAGE if metadata.get(key)]
    if evidence.evaluated:
        rows.append(("gates", f"{evidence.evaluated.data.get('verdict')} (record {evidence.evaluated.seq})"))
    for approval in evidence.approvals:
        waived = ", ".join(approval.data.get("waived") or ())
        reason = (approval.data.get("reason") or "gates passed") + (f" (waived: {waived})" if waived else "")
        rows.append((approval.kind, f"{approval.actor}: {reason} (record {approval.seq})"))
    return rows


def _input_row(trace: DecisionTrace, row: int) -> dict[str, Any] | None:
    return trace.request.rows[row - 1] if row <= len(trace.request.rows) else None


def _prediction(trace: DecisionTrace, row: int) -> float | None:
    return trace.request.predictions[row - 1] if row <= len(trace.request.predictions) else None


def _trace_to_dict(trace: DecisionTrace, row: int) -> dict[str, Any]:
    event, evidence = trace.request, trace.evidence
    metadata = dict(trace.package.metadata) if trace.package else {}
    return {
        "model": trace.model,
        "event_id": event.event_id,
        "inference_id": event.inference_id,
        "at": event.inference_time,
        "capture_uri": trace.capture_uri,
        "row_number": row,
        "rows": max(len(event.rows), len(event.predictions)),
        "row": _input_row(trace, row),
        "prediction": _prediction(trace, row),
        "release": evidence.release,
        "version": evidence.version,
        "ledger_live_release": evidence.live_release,
        "is_consistent": evidence.is_consistent,
        "lineage": {key: metadata.get(key) for key in _LINEAGE},
        "verdict": evidence.evaluated.data.get("verdict") if evidence.evaluated else None,
        "gates": evidence.evaluated.data.get("gates", []) if evidence.evaluated else [],
        "approvals": [
            {"seq": r.seq, "kind": r.kind, "by": r.actor, "at": r.at, "reason": r.data.get("reason")}
            for r in evidence.approvals
        ],
        "ledger": [r.to_json() for r in evidence.records],
    }
