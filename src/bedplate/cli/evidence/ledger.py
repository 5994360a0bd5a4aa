"""`bedplate ledger`: show, verify and export the record of every act."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, progress, remark, table
from bedplate.domain.formatting import counted
from bedplate.errors import BedplateError, UsageError

if TYPE_CHECKING:
    from bedplate.domain.ledger import Verification
    from bedplate.workflows.record.ledger import Ledger

_HEAD = re.compile(r"^(\d+):([0-9a-f]{64})$")


SKEWED_SHOWN = 3


@click.group(short_help="Show, verify and export the record of every act.")
def command() -> None:
    """The ledger: every training, verdict, approval, release and rollback, chained by hash.

    \b
    Examples:
      bedplate ledger show --model flight-delay
      bedplate ledger verify
    """


@command.command()
@click.option("--model", help="Only this model's records.")
@click.option("--kind", "kinds", multiple=True, help="Only this kind; may be given more than once.")
@click.option("--last", "-n", type=click.IntRange(1), default=30, show_default=True, help="How many from the end.")
@options.stack
@options.as_json
def show(model: str | None, kinds: tuple[str, ...], last: int, stack: str, as_json: bool) -> None:
    """Show the latest records, oldest first.

    \b
    Example:
      bedplate ledger show --model flight-delay --kind deployed --kind rollback
    """
    chosen = [
        r for r in _ledger(stack).records() if (model is None or r.model == model) and (not kinds or r.kind in kinds)
    ][-last:]
    if as_json:
        emit_json([r.to_json() for r in chosen])
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
        for r in chosen
    ]
    table(None, ("#", "UTC", "Kind", "Model", "Version", "Actor", "What"), rows, right=("#", "Version"))


@command.command()
@click.option("--head", metavar="SEQ:SHA256", help="An end of the ledger noted earlier, which must still be in it.")
@click.option("--full", is_flag=True, help="Read every object anew, also those that are unchanged by their ETag.")
@options.stack
@options.as_json
def verify(head: str | None, full: bool, stack: str, as_json: bool) -> None:
    """Prove that nothing is missing, altered or out of order.

    Every object is listed; those that were read before and whose ETag is unchanged are taken from this machine's copy.
    A chain cannot say by itself that its end was cut off. Note the head that this prints, and give it back next time.

    \b
    Examples:
      bedplate ledger verify --json
      bedplate ledger verify --full --head 812:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    """
    known = _known_head(head)
    with progress() as display:
        task = display.add_task("Reading records", total=None, note="")
        result = _ledger(stack).verify(
            known,
            full=full,
            progress=lambda done, total: display.update(
                task, completed=done, total=total, note=f"{done:,} of {total:,}"
            ),
        )
    if as_json:
        emit_json(result)
        if not result.ok:
            raise SystemExit(1)
        return
    _tell(result)


@command.command()
@click.option(
    "--out", "path", type=click.Path(dir_okay=False, path_type=Path), help="A file; standard output otherwise."
)
@options.stack
def export(path: Path | None, stack: str) -> None:
    """Write every record as it is stored, one a line (JSON Lines).

    \b
    Example:
      bedplate ledger export --out ledger.jsonl
    """
    stored = _ledger(stack).stored()
    if path is None:
        for _, raw in stored:
            click.echo(raw)
        return
    count = 0
    with path.open("wb") as file:
        for _, raw in stored:
            file.write(raw + b"\n")
            count += 1
    remark(f"{counted(count, 'record')} written to {path}")


def _ledger(stack: str) -> Ledger:
    from bedplate.wiring import connect
    from bedplate.workflows.record.ledger import Ledger

    at = connect(options.project_dir(), stack)
    return Ledger.of(at)


def _known_head(head: str | None) -> tuple[int, str] | None:
    if head is None:
        return None
    match = _HEAD.match(head)
    if not match:
        raise UsageError(
            "--head: SEQ:SHA256 expected, as `ledger verify` prints it", next_step="bedplate ledger verify"
        )
    return int(match[1]), match[2]


def _tell(result: Verification) -> None:
    if result.broken:
        raise BedplateError(
            f"The ledger does not hold: {result.broken.explanation}. The {result.records} records before it do.",
            next_step=f"bedplate ledger show --json -n {max(result.records, 1)}",
        )
    count = "one record" if result.records == 1 else f"{result.records:,} records"
    out().print(f"[green]The ledger holds:[/green] {count}, none missing, none altered.")
    if result.read is not None and result.read < result.records:
        remark(f"{result.read:,} read now, {result.records - result.read:,} unchanged since (--full reads them all)")
    for skewed in result.skewed[:SKEWED_SHOWN]:
        way = "ahead of" if skewed.ahead_s > 0 else "behind"
        remark(f"Record {skewed.seq} says a time {abs(skewed.ahead_s):,.0f} s {way} that at which it was stored.")
    if len(result.skewed) > SKEWED_SHOWN:
        remark(f"{len(result.skewed) - SKEWED_SHOWN:,} more records do: --json names them.")
    out().print(f"Head: {result.last_seq}:{result.head}", soft_wrap=True)
