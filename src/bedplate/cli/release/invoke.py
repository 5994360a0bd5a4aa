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
from bedplate.cli.views.render import emit_json, print_table, progress_bar
from bedplate.domain.formatting import format_number
from bedplate.errors import PlatformError

if TYPE_CHECKING:
    from bedplate.wiring import Connection
    from bedplate.workflows.endpoint.invoke import InvokeResult, RowPrediction

MAX_ROWS_SHOWN = 20
DEFAULT_ROWS = 100


@click.command("invoke")
@options.model
@options.stack
@click.option("--data", metavar="FILE", help="Parquet or JSON Lines file; - reads JSON Lines from standard input.")
@click.option("--rows", type=click.IntRange(min=1), help="Maximum number of rows to send.")
@click.option("--batch", type=click.IntRange(1, 1000), default=50, show_default=True, help="Rows per request.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="Concurrent requests.")
@click.option(
    "--out", "output", metavar="FILE", help="Write keys, predictions and releases as JSON Lines; - is standard output."
)
@options.as_json
def command(
    model: str,
    stack: str,
    data: str | None,
    rows: int | None,
    batch: int,
    concurrency: int,
    output: str | None,
    as_json: bool,
) -> None:
    """Send rows to MODEL's endpoint in order of time; print predictions, latency and which releases answered.

    Without --data, sends rows of the newest version's holdout. The label column of a file is not sent.

    \b
    Examples:
      bedplate invoke flight-delay --rows 5
      bedplate invoke flight-delay --data july.parquet --out predictions.jsonl
      echo '{"carrier": "UA", "origin": "EWR"}' | bedplate invoke flight-delay --data -

    \b
    Exit codes:
      0  every request was answered
      1  some requests failed
      2  the model rejected a request
    """
    from bedplate.workflows.endpoint.invoke import InvokeRequest, invoke

    connection = options.connect(stack)
    spec = connection.model(model)
    total, row_source = _read_input(connection, model, data, rows)
    sample: list[RowPrediction] = []
    with _open_writer(output) as write, _show_progress(as_json, total) as reporter:

        def handle_prediction(prediction: RowPrediction) -> None:
            if write:
                write(_prediction_to_dict(prediction))
            if len(sample) <= MAX_ROWS_SHOWN:
                sample.append(prediction)

        request = InvokeRequest(model, row_source, total, batch, concurrency)
        result = invoke(connection, request, handle_prediction, reporter)
    if as_json:
        has_predictions = len(sample) <= MAX_ROWS_SHOWN and not output
        predictions = {"predictions": [_prediction_to_dict(p) for p in sample]} if has_predictions else {}
        emit_json(_result_to_dict(result) | predictions)
    elif output != "-":
        _print_result(result, sample, spec.data.keys)
    if result.failed:
        raise PlatformError(
            f"{result.failed} of {result.requests} requests failed: {result.first_failure}",
            next_step=f"bedplate status {model}",
        )


def _prediction_to_dict(prediction: RowPrediction) -> dict[str, Any]:
    return {**prediction.keys, "prediction": prediction.prediction, "release": prediction.release}


def _result_to_dict(result: InvokeResult) -> dict[str, Any]:
    return {
        "rows": result.rows,
        "requests": result.requests,
        "failed": result.failed,
        "seconds": round(result.duration_s, 3),
        "rows_per_s": round(result.rows_per_s, 1),
        "p50_ms": result.latency_ms(0.5),
        "p99_ms": result.latency_ms(0.99),
        "releases": dict(result.rows_by_release),
    }


def _read_input(
    connection: Connection, model: str, data: str | None, limit: int | None
) -> tuple[int | None, Iterable[Mapping[str, Any]]]:
    """Returns the number of rows, None when it is unknown, and the rows without the label."""
    from itertools import islice

    from bedplate.workflows.data.rows import read_json_lines, read_rows

    contract = connection.model(model).data
    if data == "-":
        return limit, islice(read_json_lines(sys.stdin.buffer, source="standard input"), limit)
    if data:
        return read_rows(Path(data), drop=(contract.label,), order_by=contract.time, limit=limit)
    from bedplate.workflows.data.holdout import download_holdout

    path = download_holdout(connection, model, None)
    return read_rows(path, drop=(contract.label,), order_by=contract.time, limit=limit or DEFAULT_ROWS)


@contextmanager
def _open_writer(output: str | None) -> Iterator[Callable[[Mapping[str, Any]], None] | None]:
    if output is None:
        yield None
    elif output == "-":
        yield lambda row: _write_line(sys.stdout, row)
    else:
        with Path(output).open("w", encoding="utf-8") as file:
            yield lambda row: _write_line(file, row)


def _write_line(file: TextIO, row: Mapping[str, Any]) -> None:
    file.write(json.dumps(row, default=str) + "\n")


@contextmanager
def _show_progress(as_json: bool, total: int | None) -> Iterator[Callable[[str, Mapping[str, Any]], None]]:
    from bedplate.workflows.stack_context import null_reporter

    if as_json or not sys.stderr.isatty():
        yield null_reporter
        return

    with progress_bar() as bar:
        task = bar.add_task("sending", total=total, note="")

        def update(_: str, fields: Mapping[str, Any]) -> None:
            failed = f", {fields['failed']} requests failed" if fields.get("failed") else ""
            bar.update(task, completed=fields["done"], note=f"{fields['done']:,} rows{failed}")

        yield update


def _print_result(result: InvokeResult, sample: list[RowPrediction], keys: tuple[str, ...]) -> None:
    from bedplate.domain.release import display_name

    if len(sample) <= MAX_ROWS_SHOWN:
        rows = [
            (
                *(str(row.keys.get(key, "")) for key in keys),
                "failed" if row.prediction is None else format_number(row.prediction),
                display_name(row.release or "-"),
            )
            for row in sample
        ]
        print_table(None, (*keys, "prediction", "release"), rows, right_aligned=("prediction",))
    releases = ", ".join(
        f"{display_name(release)} {count:,}" for release, count in result.rows_by_release.most_common()
    )
    p50, p99 = result.latency_ms(0.5), result.latency_ms(0.99)
    facts = [
        ("rows", f"{result.rows:,}"),
        ("requests", f"{result.requests:,} ({result.failed:,} failed)"),
        ("rate", f"{result.rows_per_s:,.0f} rows/s"),
        ("latency per request", "-" if p50 is None or p99 is None else f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"),
        ("rows by release", releases or "none"),
    ]
    print_table(None, ("", ""), facts)
