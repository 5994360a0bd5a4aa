"""`bedplate models compare`: two versions side by side."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, remark, table

if TYPE_CHECKING:
    from bedplate.domain.evidence.metrics import Estimate
    from bedplate.domain.versions.comparison import MetricRow
    from bedplate.workflows.versions.compare import VersionComparison

STYLE = {"better": "green", "worse": "bold red", "cannot tell": "yellow"}


@click.command()
@click.argument("first", metavar="MODEL:VERSION")
@click.argument("second", metavar="[MODEL:]VERSION")
@click.option(
    "--score", is_flag=True, help="Let both answer the second one's holdout in a job, whatever was evaluated."
)
@click.option("--all", "everything", is_flag=True, help="Show what is the same too.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with charts here.")
@options.stack
@options.as_json
def compare(
    first: str, second: str, score: bool, everything: bool, html: Path | None, stack: str, as_json: bool
) -> None:
    """Compare two versions: metrics on the same held-out rows, segments, code, data, hyper-parameters, features.

    A difference is the second minus the first, row by row, with its 95 % interval: DeLong's for AUC, the paired
    bootstrap's for the others. `better` and `worse` are said when the whole interval lies on one side of nought. Two
    versions that were evaluated on different rows are compared by --score, which runs a processing job.

    \b
    Examples:
      bedplate models compare flight-delay:1 flight-delay:2
      bedplate models compare flight-delay:1 2 --html compare.html
      bedplate models compare flight-delay:1 3 --score --json
    """
    from bedplate.cli.views.progress_lines import say_progress, say_silently
    from bedplate.errors import UsageError
    from bedplate.wiring import connect
    from bedplate.workflows.versions.compare import compare as work
    from bedplate.workflows.versions.compare import to_json

    name, one = options.model_and_version(first)
    other, two = (name, int(second)) if second.isdigit() else options.model_and_version(second)
    if one is None or two is None or other != name:
        raise UsageError(
            "Two versions of one model expected, such as flight-delay:1 flight-delay:2",
            next_step=f"bedplate models list {name}",
        )
    at = connect(options.project_dir(), stack)
    found = work(at, name, one, two, say_silently if as_json else say_progress, score=score)
    if html:
        from bedplate.cli.pages.comparison import render

        html.write_text(render(found, stack=stack, made_at=at.clock.now()), encoding="utf-8")
        remark(f"Page: {html}")
    if as_json:
        emit_json(to_json(found))
        return
    _show(found, everything=everything)


def _show(found: VersionComparison, *, everything: bool) -> None:
    a, b = f"v{found.first.version}", f"v{found.second.version}"
    if found.figures:
        out().print(f"[bold]{found.model}[/bold]: {a} and {b} on the same {found.rows:,} held-out rows")
        cells = [_cells(f.metric, f) for f in found.figures]
        columns = ("Metric", a, b, f"{b} - {a}", "95 % interval", f"{b} is")
        table(None, columns, cells, right=columns[1:5])
        for column, values in found.segments.items():
            told = [_cells(value, f) for value, f in values.items() if everything or f.verdict != "cannot tell"]
            if told:
                table(f"{found.metric} by {column}", (column, *columns[1:]), told, right=columns[1:5])
            else:
                remark(f"{found.metric} by {column}: no value whose difference is clear (--all shows every one)")
    else:
        remark(f"No figures: {found.note}")
    for text in found.remarks:
        remark(text)
    rows = [r for r in found.made if everything or not r.same]
    table("Made of", ("", "", a, b), [(r.topic, r.name, _short(r.first), _short(r.second)) for r in rows])
    if not everything:
        remark(f"{sum(r.same for r in found.made)} more are the same: --all")


def _cells(name: str, f: MetricRow) -> tuple[object, ...]:
    from rich.text import Text

    interval = f"{_number(f.difference.low)} to {_number(f.difference.high)}"
    return (
        name,
        _value(f.first),
        _value(f.second),
        _value(f.difference),
        interval,
        Text(f.verdict, style=STYLE[f.verdict]),
    )


def _value(estimate: Estimate) -> str:
    return _number(estimate.value)


def _number(value: float) -> str:
    """
    >>> _number(0.12345), _number(float("nan"))
    ('0.1235', '-')
    """
    return f"{value:.4g}" if math.isfinite(value) else "-"


def _short(text: str) -> str:
    """
    >>> _short("a" * 64), _short("s3://bucket/some/key.parquet"), _short("0.1")
    ('aaaaaaaaaaaa', '.../some/key.parquet', '0.1')
    """
    if len(text) in (40, 64) and all(c in "0123456789abcdef" for c in text):
        return text[:12]
    return "..." + text[text.rindex("/", 0, text.rindex("/")) :] if text.startswith("s3://") else text
