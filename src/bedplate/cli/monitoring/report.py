"""`bedplate report`: one page of charts and evidence, readable offline."""

from __future__ import annotations

from pathlib import Path

import click

from bedplate.cli import options


@click.command("report")
@options.model
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Where the page goes; default MODEL-report.html."
)
@options.stack
@options.as_json
def command(model: str, out: Path | None, stack: str, as_json: bool) -> None:
    """Write one page of charts and evidence, readable offline.

    Who answered when, every gate, metrics by segment, drift over time, performance on late labels, what the schedules
    of model quality, bias and explainability found, and spend against budget; everything is in the one file, and
    nothing is loaded from anywhere.
    With --json the same figures, and no page.

    \b
    Example:
      bedplate report flight-delay --out report.html
    """
    from bedplate.cli.views.render import emit_json, remark
    from bedplate.wiring import connect
    from bedplate.workflows.watch.report import gather

    at = connect(options.project_dir(), stack)
    report = gather(at, model, where=at.label)
    if as_json:
        emit_json(report)
        return
    from bedplate.cli.pages.report import render

    path = out or Path(f"{model}-report.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(render(report), encoding="utf-8")
    temporary.replace(path)
    remark(f"{path.stat().st_size / 1024:,.0f} KiB, self-contained")
    click.echo(str(path))
