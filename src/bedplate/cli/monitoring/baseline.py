"""`bedplate baseline`: record what normal looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bedplate.cli import options

if TYPE_CHECKING:
    from bedplate.ports import Reporter
    from bedplate.wiring import Connection
    from bedplate.workflows.watch.schedules import ScheduleChange


@click.command("baseline")
@options.model
@click.argument("version", required=False)
@click.option("--schedules/--no-schedules", default=True, help="Also what monitors.schedules of model.yaml asks for.")
@options.stack
@options.wait
@options.as_json
def command(model: str, version: str | None, schedules: bool, stack: str, wait: bool, as_json: bool) -> None:
    """Record what normal looks like for the live version, or for VERSION: what it learned from, and what it answered on
    the rows held out. The monitoring schedule compares with it from then on. The schedules of model quality, bias and
    explainability that model.yaml asks for are made too, always by the live version's evaluation (bedplate monitor
    schedule makes those alone).

    \b
    Examples:
      bedplate baseline flight-delay
      bedplate baseline flight-delay 3
    """
    from bedplate.cli.views.progress_lines import say_progress, say_silently
    from bedplate.wiring import connect
    from bedplate.workflows.watch.baseline import baseline
    from bedplate.workflows.watch.schedules import asked_for, standing_schedules

    number = options.model_and_version(f"{model}:{version}")[1] if version else None
    platform = connect(options.project_dir(), stack)
    say = say_silently if as_json else say_progress
    made = baseline(platform, model, number, say, wait=wait)
    wanted = schedules and (asked_for(platform.model(model)) or standing_schedules(platform, model))
    changes, lacking = _scheduled(platform, model, say) if wanted else ((), None)
    if as_json:
        from dataclasses import asdict

        from bedplate.cli.views.render import emit_json

        emit_json({**asdict(made), "schedules": changes, "schedules_lacking": lacking})
        return
    if changes:
        from bedplate.cli.monitoring.monitor import show_schedules

        show_schedules(model, changes, planned=False)
    if lacking:
        click.echo(f"Schedules are as they were. {lacking}", err=True)
    if made.job.status != "Completed":
        click.echo(f"Job {made.job.name} is under way; monitoring finds its result when it is done")
        return
    rows = f" of {made.rows:,} rows" if made.rows else ""
    answers = "with the answers on the holdout" if made.has_answers else "without answers: it was never evaluated"
    click.echo(f"Baseline of v{made.version}: {len(made.features)} columns{rows}, {answers}")
    click.echo(f"  {made.statistics_uri}")


def _scheduled(platform: Connection, model: str, reporter: Reporter) -> tuple[tuple[ScheduleChange, ...], str | None]:
    """What was done to the schedules, or why nothing could be: a baseline is worth having without them."""
    from bedplate.errors import NotFound
    from bedplate.workflows.watch.schedules import schedule

    try:
        return schedule(platform, model, None, reporter), None
    except NotFound as exc:
        return (), f"{exc.message}. Next: {exc.next_step}" if exc.next_step else exc.message
