"""`bedplate baseline`: record what normal looks like."""

from __future__ import annotations

import click

from bedplate.cli import options


@click.command("baseline")
@options.model
@click.argument("version", required=False)
@options.stack
@options.wait
@options.as_json
def command(model: str, version: str | None, stack: str, wait: bool, as_json: bool) -> None:
    """Record what normal looks like for the live version, or for VERSION: what it learned from, and what it answered on
    the rows held out. The monitoring schedule compares with it from then on.

    \b
    Examples:
      bedplate baseline flight-delay
      bedplate baseline flight-delay 3
    """
    from bedplate.cli.progress_lines import say_progress, say_silently
    from bedplate.wiring import connect
    from bedplate.workflows.baseline import baseline

    number = options.model_and_version(f"{model}:{version}")[1] if version else None
    platform = connect(options.project_dir(), stack)
    made = baseline(platform, model, number, say_silently if as_json else say_progress, wait=wait)
    if as_json:
        from bedplate.cli.render import emit_json

        emit_json(made)
        return
    if made.job.status != "Completed":
        click.echo(f"Job {made.job.name} is under way; monitoring finds its result when it is done")
        return
    rows = f" of {made.rows:,} rows" if made.rows else ""
    answers = "with the answers on the holdout" if made.has_answers else "without answers: it was never evaluated"
    click.echo(f"Baseline of v{made.version}: {len(made.features)} columns{rows}, {answers}")
    click.echo(f"  {made.statistics_uri}")
