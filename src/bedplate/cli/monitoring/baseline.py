"""`bedplate baseline`: compute the baseline of the live version."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json
from bedplate.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bedplate.ports import Reporter
    from bedplate.workflows.stack_context import StackContext
    from bedplate.workflows.watch.schedules import ScheduleChange


@click.command("baseline")
@options.model
@click.argument("version", metavar="[VERSION]", required=False)
@click.option("--schedules/--no-schedules", default=True, help="Also apply monitors.schedules of model.yaml.")
@options.stack
@options.wait
@options.as_json
def command(model: str, version: str | None, schedules: bool, stack: str, wait: bool, as_json: bool) -> None:
    """Compute the baseline of the live version, or of VERSION: what monitoring compares captured requests with.

    The baseline describes the training data, and the predictions on the holdout. Also creates or updates the schedules
    of model quality, bias and explainability that model.yaml declares, always with the evaluation of the live version
    (`bedplate monitor schedule` does only that).

    \b
    Examples:
      bedplate baseline flight-delay
      bedplate baseline flight-delay 3
    """
    from bedplate.cli.views.progress_lines import progress_reporter
    from bedplate.workflows.watch.baseline import compute_baseline
    from bedplate.workflows.watch.schedules import declared_schedules, list_schedules

    number = options.parse_model_version(f"{model}:{version}")[1] if version else None
    connection = options.connect(stack)
    reporter = progress_reporter(quiet=as_json)
    result = compute_baseline(connection, model, number, reporter, wait=wait)
    needs_schedules = schedules and (declared_schedules(connection.model(model)) or list_schedules(connection, model))
    changes, problem = _update_schedules(connection, model, reporter) if needs_schedules else ((), "")
    if as_json:
        emit_json({**asdict(result), "schedules": changes, "schedules_error": problem or None})
        return
    if changes:
        from bedplate.cli.monitoring.monitor import print_schedules

        print_schedules(model, changes, is_plan=False)
    if problem:
        click.echo(f"The schedules were not changed. {problem}", err=True)
    if result.job.status != "Completed":
        click.echo(f"Job {result.job.name} is running; monitoring uses its result when it is completed.")
        return
    rows = f" of {result.rows:,} rows" if result.rows else ""
    predictions = (
        "with predictions on the holdout" if result.has_predictions else "without predictions (never evaluated)"
    )
    click.echo(f"Baseline of v{result.version}: {len(result.features)} columns{rows}, {predictions}")
    click.echo(f"  {result.statistics_uri}")


def _update_schedules(stack: StackContext, model: str, reporter: Reporter) -> tuple[Sequence[ScheduleChange], str]:
    """Returns the changes of the schedules, or why none could be made: the baseline is useful without them."""
    from bedplate.workflows.watch.schedules import apply_schedules

    try:
        return apply_schedules(stack, model, None, reporter), ""
    except NotFound as exc:
        return (), f"{exc.message}. Next: {exc.next_step}" if exc.next_step else exc.message
