"""`bedplate reconcile`: resume or finish interrupted rollouts and deployments, once or in a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json

if TYPE_CHECKING:
    from bedplate.workflows.release.reconcile import ActionResult


@click.command("reconcile")
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--once/--loop", "once", default=True, show_default=True, help="Run once, or repeat until stopped.")
@click.option(
    "--every", "every_s", type=click.FloatRange(1, 3600), default=60, show_default=True, metavar="SECONDS",
    help="Time between two runs: of the loop, or of the timer that starts this command.",
)  # fmt: skip
@options.stack
@options.yes
@options.as_json
def command(model: str | None, once: bool, every_s: float, stack: str, yes: bool, as_json: bool) -> None:
    """Resume or finish what was interrupted, for MODEL or for every model.

    Ticks open rollouts; rolls back a canary whose bake is about to end without traffic; records the outcome of
    interrupted deployments and rollbacks; deletes the endpoint copy that an interrupted rollback left behind; starts
    and follows the retraining that a signal requests. It is safe to run twice at the same time. On AWS an event rule
    starts it; on a laptop, run it in a second terminal.

    \b
    Examples:
      bedplate reconcile
      bedplate reconcile flight-delay --loop --every 10
      bedplate reconcile --json

    \b
    Exit codes:
      0  everything was done, or there was nothing to do
      1  an action failed; the next run tries again
    """
    from bedplate.cli.views.experiment_view import ExperimentView
    from bedplate.workflows.release.reconcile import reconcile

    connection = options.connect_target(stack, as_json=as_json)
    options.confirm(
        f"Reconcile {model or 'every model'}?", assume_yes=yes or connection.local_url is not None, as_json=as_json
    )
    models = [model] if model else list(connection.settings.models)
    while True:
        with ExperimentView(quiet=as_json) as view:
            results = reconcile(connection, models, view, every_s=every_s)
        if as_json:
            emit_json([_result_to_dict(result) for result in results])
        else:
            _print_results(results, quiet=not once)
        if once:
            raise SystemExit(0 if all(result.ok for result in results) else 1)
        connection.clock.sleep(every_s)


def _result_to_dict(result: ActionResult) -> dict[str, object]:
    action = result.action
    return {
        "model": action.model,
        "action": action.kind,
        "reason": action.reason,
        "ok": result.ok,
        "message": result.message,
        "next_step": result.next_step,
    }


def _print_results(results: tuple[ActionResult, ...], *, quiet: bool) -> None:
    for result in results:
        mark = click.style("ok", fg="green") if result.ok else click.style("failed", fg="red")
        click.echo(f"{result.action.model} {result.action.kind} {mark}: {result.message}")
        if result.next_step:
            click.echo(f"  Next:  {result.next_step}")
    if not results and not quiet:
        click.echo("Nothing to do: no rollout is open, nothing was interrupted, no retraining is requested.")
