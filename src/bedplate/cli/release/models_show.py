"""`bedplate models show`: show everything that is recorded about a version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, print_table, warn

if TYPE_CHECKING:
    from bedplate.domain.versions.card import VersionCard


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@options.stack
@options.as_json
def show(model: str, stack: str, as_json: bool) -> None:
    """Show everything that is recorded about a version.

    Prints use, limits, metrics, deployments and metadata of the version (the newest without VERSION), and a warning
    when the evaluation's files were altered. Changes nothing.

    \b
    Example:
      bedplate models show flight-delay:3
    """
    from bedplate.workflows.record.ledger import Ledger
    from bedplate.workflows.versions.card import build_card, find_tampering
    from bedplate.workflows.versions.models import find_version

    name, version = options.parse_model_version(model)
    connection = options.connect(stack)
    package = find_version(connection, name, version)
    card = build_card(connection, name, package, Ledger.of(connection).records())
    tampering = find_tampering(connection, package)
    if as_json:
        emit_json(
            {
                "model": name,
                "version": package.version,
                "arn": package.arn,
                "status": package.approval,
                "note": package.approval_note,
                "live": card.is_live,
                "created_at": package.created_at,
                "image_uri": package.image_uri,
                "artifact_uri": package.artifact_uri,
                "metadata": dict(package.metadata),
                "card": card.to_json(),
                "tampering": tampering,
            }
        )
        return
    _print_card(card, package.approval_note, package.metadata)
    if tampering:
        warn(f"[bold red]The record stored beside the evaluation does not match:[/bold red] {tampering}")


def _print_card(card: VersionCard, note: str | None, metadata: Mapping[str, str]) -> None:
    from bedplate.domain.versions.card import format_interval

    console().print(f"[bold]{card.ref}[/bold]  {card.status}{'  LIVE' if card.is_live else ''}")
    facts = {
        "note": note,
        "owner": card.owner,
        "on call": card.on_call,
        "risk": card.risk,
        "intended use": card.intended_use.strip(),
        "not for": card.excluded_use.strip(),
        "limits": "; ".join(card.limits),
        "release notes": card.notes,
        "deployed": ", ".join(f"{d.role} on {d.endpoint} as {d.release}" for d in card.deployments) or "no",
        "was live": ", ".join(f"{s.since:%Y-%m-%d %H:%M} to {_format_end(s.until)}" for s in card.live_periods),
        "rollback target": card.rollback_candidate,
        "retires on": card.retire_on,
        "artifact_uri": card.artifact_uri,
    }
    print_table(None, ("Key", "Value"), [(key, value) for key, value in facts.items() if value])
    if card.metrics:
        metrics = [(name, f"{e.value:.4g}", format_interval(e), f"{e.n_rows:,}") for name, e in card.metrics.items()]
        columns = ("Metric", "Value", "95 % interval", "Rows")
        print_table("On its holdout", columns, metrics, right_aligned=("Value", "Rows"))
    for column, by_value in card.segments.items():
        names = list(card.metrics)[:4]
        rows = [
            (value, f"{max(e.n_rows for e in m.values()):,}", *(f"{m[n].value:.4g}" if n in m else "" for n in names))
            for value, m in by_value.items()
            if m
        ]
        print_table(f"By {column}", (column, "Rows", *names), rows, right_aligned=("Rows", *names))
    visible = [(key, value) for key, value in metadata.items() if value and not key.startswith("metric.")]
    print_table("Metadata", ("Key", "Value"), visible)


def _format_end(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else "now"
