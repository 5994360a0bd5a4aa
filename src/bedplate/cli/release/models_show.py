"""`bedplate models show`: all that is recorded of a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, remark, table

if TYPE_CHECKING:
    from bedplate.domain.versions.card import VersionCard


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@options.stack
@options.as_json
def show(model: str, stack: str, as_json: bool) -> None:
    """Show all that is recorded of a version (the newest one without VERSION): use, limits, figures, where it runs.

    \b
    Example:
      bedplate models show flight-delay:3
    """
    from bedplate.wiring import connect
    from bedplate.workflows.record.ledger import Ledger
    from bedplate.workflows.versions.card import card_of, tampered
    from bedplate.workflows.versions.models import find_version

    name, version = options.model_and_version(model)
    at = connect(options.project_dir(), stack)
    package = find_version(at, name, version)
    card = card_of(at, name, package, Ledger.of(at).records())
    trouble = tampered(at, package)
    if as_json:
        emit_json(
            {
                "model": name,
                "version": package.version,
                "arn": package.arn,
                "status": package.approval,
                "note": package.approval_note,
                "live": card.live,
                "created_at": package.created_at,
                "image_uri": package.image_uri,
                "artifact_uri": package.artifact_uri,
                "metadata": dict(package.metadata),
                "card": card.to_json(),
                "tampered": trouble,
            }
        )
        return
    _show(card, package.approval_note, package.metadata)
    if trouble:
        remark(f"[bold red]The record beside its evaluation does not hold:[/bold red] {trouble}")


def _show(card: VersionCard, note: str | None, metadata: object) -> None:
    from bedplate.domain.versions.card import interval

    out().print(f"[bold]{card.ref}[/bold]  {card.status}{'  LIVE' if card.live else ''}")
    told = {
        "note": note,
        "owner": card.owner,
        "on call": card.on_call,
        "risk": card.risk,
        "intended use": card.intended_use.strip(),
        "not for": card.excluded_use.strip(),
        "limits": "; ".join(card.limits),
        "release notes": card.notes,
        "runs": ", ".join(f"{d.role} on {d.endpoint} as {d.release}" for d in card.deployments) or "nowhere",
        "answered": ", ".join(f"{s.since:%Y-%m-%d %H:%M} to {_until(s.until)}" for s in card.stays),
        "a rollback goes to": card.rollback_candidate,
        "retires on": card.retire_on,
        "artifact_uri": card.artifact_uri,
    }
    table(None, ("Key", "Value"), [(key, value) for key, value in told.items() if value])
    if card.metrics:
        cells = [(name, f"{e.value:.4g}", interval(e), f"{e.n:,}") for name, e in card.metrics.items()]
        table("On its holdout", ("Metric", "Figure", "95 % interval", "Rows"), cells, right=("Figure", "Rows"))
    for column, values in card.segments.items():
        names = list(card.metrics)[:4]
        rows = [
            (value, f"{max(e.n for e in m.values()):,}", *(f"{m[n].value:.4g}" if n in m else "" for n in names))
            for value, m in values.items()
            if m
        ]
        table(f"By {column}", (column, "Rows", *names), rows, right=("Rows", *names))
    kept = dict(metadata) if isinstance(metadata, dict) else {}
    table("Metadata", ("Key", "Value"), [(k, v) for k, v in kept.items() if v and not k.startswith("metric.")])


def _until(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "now"
