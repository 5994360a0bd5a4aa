"""`bedplate models compare`: compare two versions of a model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, print_table, warn
from bedplate.errors import UsageError

if TYPE_CHECKING:
    from bedplate.domain.versions.comparison import MetricRow
    from bedplate.workflows.versions.compare import VersionComparison

STYLE = {"better": "green", "worse": "bold red", "cannot tell": "yellow"}


@click.command()
@click.argument("first", metavar="MODEL:VERSION")
@click.argument("second", metavar="[MODEL:]VERSION")
@click.option("--score", is_flag=True, help="Score the second version's holdout with both, in a processing job.")
@click.option("--all", "show_all", is_flag=True, help="Also show what is the same in both.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with charts to this file.")
@options.stack
@options.as_json
def compare(first: str, second: str, score: bool, show_all: bool, html: Path | None, stack: str, as_json: bool) -> None:
    """Compare two versions: metrics on the same held-out rows, and their inputs.

    Inputs are code, data, hyperparameters and features. Differences are the second minus the first, paired row by row,
    with 95 % intervals: DeLong's for AUC, the paired bootstrap's for other metrics. The verdict is `better` or `worse`
    when the whole interval is on one side of zero. Versions that were evaluated on different rows need --score. Changes
    nothing, except that --score runs a job.

    \b
    Examples:
      bedplate models compare flight-delay:1 flight-delay:2
      bedplate models compare flight-delay:1 2 --html compare.html
      bedplate models compare flight-delay:1 3 --score --json
    """
    from bedplate.cli.views.progress_lines import progress_reporter
    from bedplate.workflows.versions.compare import compare_versions as compare_versions
    from bedplate.workflows.versions.compare import to_json

    name, first_version = options.parse_model_version(first)
    second_name, second_version = (name, int(second)) if second.isdigit() else options.parse_model_version(second)
    if first_version is None or second_version is None or second_name != name:
        raise UsageError(
            "Expected two versions of one model, such as flight-delay:1 flight-delay:2",
            next_step=f"bedplate models list {name}",
        )
    connection = options.connect(stack)
    reporter = progress_reporter(quiet=as_json)
    comparison = compare_versions(connection, name, first_version, second_version, reporter, score=score)
    if html:
        from bedplate.cli.pages.comparison import render

        html.write_text(render(comparison, stack=stack, created_at=connection.clock.now()), encoding="utf-8")
        warn(f"Page: {html}")
    if as_json:
        emit_json(to_json(comparison))
        return
    _print_comparison(comparison, show_all=show_all)


def _print_comparison(comparison: VersionComparison, *, show_all: bool) -> None:
    a, b = f"v{comparison.first.version}", f"v{comparison.second.version}"
    if comparison.metrics:
        console().print(f"[bold]{comparison.model}[/bold]: {a} and {b} on the same {comparison.rows:,} held-out rows")
        cells = [_format_row(row.metric, row) for row in comparison.metrics]
        columns = ("Metric", a, b, f"{b} - {a}", "95 % interval", f"{b} is")
        print_table(None, columns, cells, right_aligned=columns[1:5])
        for column, by_value in comparison.segments.items():
            title = f"{comparison.segment_metric} by {column}"
            visible = {value: row for value, row in by_value.items() if show_all or row.verdict != "cannot tell"}
            if visible:
                cells = [_format_row(value, row) for value, row in visible.items()]
                print_table(title, (column, *columns[1:]), cells, right_aligned=columns[1:5])
            else:
                warn(f"{title}: no value differs significantly (--all shows every value)")
    else:
        warn(f"No metrics: {comparison.note}")
    for text in comparison.warnings:
        warn(text)
    rows = [r for r in comparison.provenance if show_all or not r.is_same]
    print_table("Inputs", ("", "", a, b), [(r.topic, r.name, _shorten(r.first), _shorten(r.second)) for r in rows])
    if not show_all:
        warn(f"{sum(r.is_same for r in comparison.provenance)} more inputs are the same (--all shows them)")


def _format_row(name: str, row: MetricRow) -> tuple[object, ...]:
    from rich.text import Text

    interval = f"{_format_value(row.difference.ci_low)} to {_format_value(row.difference.ci_high)}"
    values = (_format_value(estimate.value) for estimate in (row.first, row.second, row.difference))
    return (name, *values, interval, Text(row.verdict, style=STYLE[row.verdict]))


def _format_value(value: float) -> str:
    """
    >>> _format_value(0.12345), _format_value(float("nan"))
    ('0.1235', '-')
    """
    return f"{value:.4g}" if math.isfinite(value) else "-"


def _shorten(text: str) -> str:
    """Shortens a hash to 12 digits and an S3 URI to its last two parts.

    >>> _shorten("a" * 64), _shorten("s3://bucket/some/key.parquet"), _shorten("0.1")
    ('aaaaaaaaaaaa', '.../some/key.parquet', '0.1')
    """
    if len(text) in (40, 64) and all(c in "0123456789abcdef" for c in text):
        return text[:12]
    return "..." + text[text.rindex("/", 0, text.rindex("/")) :] if text.startswith("s3://") else text
