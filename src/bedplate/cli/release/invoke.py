"""`bedplate invoke`: send rows to a model's endpoint."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from bedplate.cli import options
from bedplate.domain.formatting import figure

if TYPE_CHECKING:
    from bedplate.wiring import Connection
    from bedplate.workflows.endpoint.invoke import RowPrediction, Tally

SHOWN = 20
WITHOUT_DATA = 100


@click.command("invoke")
@options.model
@options.stack
@click.option("--data", metavar="FILE", help="Parquet or JSON Lines; - reads JSON Lines from standard input.")
@click.option("--rows", type=click.IntRange(min=1), help="Send at most so many rows.")
@click.option("--batch", type=click.IntRange(1, 1000), default=50, show_default=True, help="Rows in one request.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="Requests at once.")
@click.option("--out", metavar="FILE", help="Write keys, prediction and release as JSON Lines; - is standard output.")
@options.as_json
def command(
    model: str,
    stack: str,
    data: str | None,
    rows: int | None,
    batch: int,
    concurrency: int,
    out: str | None,
    as_json: bool,
) -> None:
    """Send rows to a model's endpoint in the order of time, and show how fast it answers and which release does.

    Without --data, rows of the newest version's holdout are sent. A label column stays at home.

    \b
    Examples:
      bedplate invoke flight-delay --rows 5
      bedplate invoke flight-delay --data july.parquet --out answers.jsonl
      echo '{"carrier": "UA", "origin": "EWR"}' | bedplate invoke flight-delay --data -

    Exit codes: 0 all answered, 1 some requests failed, 2 the model refused a request.
    """
    from bedplate.errors import PlatformError
    from bedplate.wiring import connect
    from bedplate.workflows.endpoint.invoke import InvokeRequest, invoke

    platform = connect(options.project_dir(), stack)
    spec = platform.model(model)
    total, stream = _rows(platform, model, data, rows)
    few: list[RowPrediction] = []
    with _writer(out) as write, _progress(as_json, total) as say:

        def tell(answer: RowPrediction) -> None:
            if write:
                write({**answer.keys, "prediction": answer.prediction, "release": answer.release})
            if len(few) <= SHOWN:
                few.append(answer)

        tally = invoke(platform, InvokeRequest(model, stream, total, batch, concurrency), tell, say)
    if as_json:
        from bedplate.cli.views.render import emit_json

        answers = (
            [{**a.keys, "prediction": a.prediction, "release": a.release} for a in few] if len(few) <= SHOWN else None
        )
        emit_json(summary(tally) | ({"answers": answers} if answers is not None and not out else {}))
    elif out != "-":
        _show(tally, few, spec.data.keys)
    if tally.failed:
        raise PlatformError(
            f"{tally.failed} of {tally.requests} requests failed: {tally.first_failure}",
            next_step=f"bedplate status {model}",
        )


def summary(tally: Tally) -> dict[str, Any]:
    """The figures of a tally as data."""
    return {
        "rows": tally.rows,
        "requests": tally.requests,
        "failed": tally.failed,
        "seconds": round(tally.seconds, 3),
        "rows_per_s": round(tally.rows_per_s, 1),
        "p50_ms": tally.latency_ms(0.5),
        "p99_ms": tally.latency_ms(0.99),
        "releases": dict(tally.releases),
    }


def _rows(
    platform: Connection, model: str, data: str | None, limit: int | None
) -> tuple[int | None, Iterable[Mapping[str, Any]]]:
    from itertools import islice

    from bedplate.workflows.data.rows import json_lines, read_rows

    contract = platform.model(model).data
    if data == "-":
        return limit, islice(json_lines(sys.stdin.buffer, source="standard input"), limit)
    if data:
        return read_rows(Path(data), drop=(contract.label,), order_by=contract.time, limit=limit)
    from bedplate.workflows.data.holdout import holdout_of

    path = holdout_of(platform, model, None)
    return read_rows(path, drop=(contract.label,), order_by=contract.time, limit=limit or WITHOUT_DATA)


@contextmanager
def _writer(out: str | None) -> Iterator[Callable[[Mapping[str, Any]], None] | None]:
    if out is None:
        yield None
    elif out == "-":
        yield lambda row: _line(sys.stdout, row)
    else:
        with Path(out).open("w", encoding="utf-8") as file:
            yield lambda row: _line(file, row)


def _line(file: TextIO, row: Mapping[str, Any]) -> None:
    file.write(json.dumps(row, default=str) + "\n")


@contextmanager
def _progress(as_json: bool, total: int | None) -> Iterator[Callable[[str, Mapping[str, Any]], None]]:
    from bedplate.workflows.stack_context import null_reporter

    if as_json or not sys.stderr.isatty():
        yield null_reporter
        return
    from bedplate.cli.views.render import progress

    with progress() as bar:
        task = bar.add_task("sending", total=total, note="")

        def say(_: str, fields: Mapping[str, Any]) -> None:
            failed = f", {fields['failed']} requests failed" if fields.get("failed") else ""
            bar.update(task, completed=fields["done"], note=f"{fields['done']:,} rows{failed}")

        yield say


def _show(tally: Tally, few: list[RowPrediction], keys: tuple[str, ...]) -> None:
    from bedplate.cli.views.render import table
    from bedplate.domain.release import spoken

    if len(few) <= SHOWN:
        rows = [
            (
                *(str(a.keys.get(k, "")) for k in keys),
                "failed" if a.prediction is None else figure(a.prediction),
                spoken(a.release or "-"),
            )
            for a in few
        ]
        table(None, (*keys, "prediction", "release"), rows, right=("prediction",))
    who = ", ".join(f"{spoken(release)} {count:,}" for release, count in tally.releases.most_common())
    p50, p99 = tally.latency_ms(0.5), tally.latency_ms(0.99)
    figures = [
        ("rows", f"{tally.rows:,}"),
        ("requests", f"{tally.requests:,} ({tally.failed:,} failed)"),
        ("rate", f"{tally.rows_per_s:,.0f} rows/s"),
        ("latency of a request", "-" if p50 is None or p99 is None else f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"),
        ("answered by", who or "nobody"),
    ]
    table(None, ("", ""), figures)
