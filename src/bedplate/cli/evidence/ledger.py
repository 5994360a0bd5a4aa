"""`bedplate ledger`: show, verify and export the ledger."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, print_table, progress_bar, warn
from bedplate.domain.formatting import format_count
from bedplate.errors import BedplateError, UsageError

if TYPE_CHECKING:
    from bedplate.domain.ledger import Verification
    from bedplate.workflows.record.ledger import Ledger

_HEAD = re.compile(r"^(\d+):([0-9a-f]{64})$")
MAX_SKEWS_SHOWN = 3


@click.group()
def command() -> None:
    """Show, verify and export the ledger: the hash chain of every training, verdict, approval, deployment and rollback.

    \b
    Examples:
      bedplate ledger show --model flight-delay
      bedplate ledger verify
    """


@command.command()
@click.option("--model", metavar="MODEL", help="Show only this model's records.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Show only this kind; may be repeated.")
@click.option("--last", "-n", type=click.IntRange(1), default=30, show_default=True, help="Number of newest records.")
@options.stack
@options.as_json
def show(model: str | None, kinds: tuple[str, ...], last: int, stack: str, as_json: bool) -> None:
    """Show the latest records, oldest first: time, kind, model, version, actor and summary.

    \b
    Example:
      bedplate ledger show --model flight-delay --kind deployed --kind rollback
    """
    records = [
        record
        for record in _open_ledger(stack).records()
        if (model is None or record.model == model) and (not kinds or record.kind in kinds)
    ][-last:]
    if as_json:
        emit_json([r.to_json() for r in records])
        return
    rows = [
        (
            r.seq,
            f"{r.at:%Y-%m-%d %H:%M:%S}",
            r.kind,
            r.model or "",
            "" if r.version is None else r.version,
            r.actor,
            r.summary,
        )
        for r in records
    ]
    columns = ("#", "UTC", "Kind", "Model", "Version", "Actor", "Summary")
    print_table(None, columns, rows, right_aligned=("#", "Version"))


@command.command()
@click.option("--head", metavar="SEQ:SHA256", help="Head of the ledger noted earlier, which it must still contain.")
@click.option("--full", is_flag=True, help="Read every object again, also those with an unchanged ETag.")
@options.stack
@options.as_json
def verify(head: str | None, full: bool, stack: str, as_json: bool) -> None:
    """Verify that no record is missing, altered or out of order.

    Lists every object and reads those that are new or have a changed ETag. A hash chain does not show that its end was
    cut off: note the head that this command prints, and pass it as --head the next time. Changes nothing.

    \b
    Examples:
      bedplate ledger verify --json
      bedplate ledger verify --full --head 812:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

    \b
    Exit codes:
      0  the ledger is intact
      1  a record is missing, altered or out of order
    """
    expected_head = _parse_head(head)
    with progress_bar() as display:
        task = display.add_task("Reading records", total=None, note="")
        result = _open_ledger(stack).verify(
            expected_head,
            full=full,
            progress=lambda count, total: display.update(
                task, completed=count, total=total, note=f"{count:,} of {total:,}"
            ),
        )
    if as_json:
        emit_json(result)
        if not result.ok:
            raise SystemExit(1)
        return
    _print_verification(result)


@command.command()
@click.option("--out", "path", type=click.Path(dir_okay=False, path_type=Path), help="File; default: standard output.")
@options.stack
def export(path: Path | None, stack: str) -> None:
    """Write every record as it is stored, one per line (JSON Lines).

    \b
    Example:
      bedplate ledger export --out ledger.jsonl
    """
    objects = _open_ledger(stack).read_objects()
    if path is None:
        for _, raw in objects:
            click.echo(raw)
        return
    count = 0
    with path.open("wb") as file:
        for _, raw in objects:
            file.write(raw + b"\n")
            count += 1
    warn(f"{format_count(count, 'record')} written to {path}")


def _open_ledger(stack: str) -> Ledger:
    from bedplate.workflows.record.ledger import Ledger

    return Ledger.of(options.connect(stack))


def _parse_head(head: str | None) -> tuple[int, str] | None:
    if head is None:
        return None
    match = _HEAD.match(head)
    if not match:
        raise UsageError("--head: expected SEQ:SHA256, as its next step prints it", next_step="bedplate ledger verify")
    return int(match[1]), match[2]


def _print_verification(result: Verification) -> None:
    count = result.record_count
    if result.first_break:
        raise BedplateError(
            f"The ledger is broken: {result.first_break.explanation}. The {count} records before it are intact.",
            next_step=f"bedplate ledger show --json -n {max(count, 1)}",
        )
    console().print(
        f"[green]The ledger is intact:[/green] {format_count(count, 'record')}, none missing, none altered."
    )
    if result.objects_read is not None and result.objects_read < count:
        warn(f"{result.objects_read:,} read, {count - result.objects_read:,} unchanged (--full reads all of them)")
    for skew in result.clock_skews[:MAX_SKEWS_SHOWN]:
        relation = "ahead of" if skew.ahead_s > 0 else "behind"
        warn(f"The time in record {skew.seq} is {abs(skew.ahead_s):,.0f} s {relation} the time at which it was stored.")
    if len(result.clock_skews) > MAX_SKEWS_SHOWN:
        warn(f"{len(result.clock_skews) - MAX_SKEWS_SHOWN:,} more records have such a time: --json lists them.")
    console().print(f"Head: {result.last_seq}:{result.head}", soft_wrap=True)
