"""`bedplate report`: write an offline HTML report of one model."""

from __future__ import annotations

from pathlib import Path

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, warn


@click.command("report")
@options.model
@click.option(
    "--out", "path", type=click.Path(dir_okay=False, path_type=Path), help="File; default: MODEL-report.html."
)
@options.stack
@options.as_json
def command(model: str, path: Path | None, stack: str, as_json: bool) -> None:
    """Write an offline HTML report of MODEL: one file with charts and tables that loads nothing from anywhere.

    It shows traffic by release, every gate, metrics by segment, drift over time, performance on late labels, the
    results of the schedules of model quality, bias and explainability, and spend against budget. --json prints the same
    values and writes no file.

    \b
    Example:
      bedplate report flight-delay --out report.html
    """
    from bedplate.cli.pages.report import render
    from bedplate.workflows.watch.report import build_report

    connection = options.connect(stack)
    report = build_report(connection, model, target=connection.label)
    if as_json:
        emit_json(report)
        return
    path = path or Path(f"{model}-report.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(render(report), encoding="utf-8")
    temporary.replace(path)
    warn(f"{path.stat().st_size / 1024:,.0f} KiB, self-contained")
    click.echo(str(path))
