"""`bedplate reconcile`: bring what was begun to its end, once or on a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bedplate.cli import options

if TYPE_CHECKING:
    from bedplate.workflows.release.reconcile import ActionResult


@click.command("reconcile")
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--once/--loop", "once", default=True, show_default=True, help="One look, or one after the other.")
@click.option(
    "--every", "every_s", type=click.FloatRange(1, 3600), default=60, show_default=True, metavar="SECONDS",
    help="When the next look is due: of a loop, or of the timer that starts this.",
)  # fmt: skip
@options.stack
@options.yes
@options.as_json
def command(model: str | None, once: bool, every_s: float, stack: str, yes: bool, as_json: bool) -> None:
    """Look at every model (or one), and do what nobody waits for: tick open rollouts, undo a canary whose bake is about
    to end without traffic, record the end of deployments and rollbacks that were interrupted, delete the copy that a
    killed rollback left, and begin and follow the retraining that a signal asks for. What is fine is left alone; two at
    once do nothing twice.

    On AWS an event rule starts it; on a laptop run it in a second terminal.

    \b
    Examples:
      bedplate reconcile
      bedplate reconcile flight-delay --loop --every 10
      bedplate reconcile --json

    Exit codes: 0 done, also when there was nothing to do; 1 an act failed (the next look tries again).
    """
    from bedplate.cli.views.experiment_view import ExperimentView
    from bedplate.cli.views.render import emit_json
    from bedplate.wiring import connect
    from bedplate.workflows.release.reconcile import reconcile

    platform = connect(options.project_dir(), stack)
    if not as_json:
        click.echo(platform.label, err=True)
    options.confirm(
        f"Reconcile {model or 'every model'}?", assume_yes=yes or platform.local_url is not None, as_json=as_json
    )
    models = [model] if model else list(platform.settings.models)
    while True:
        with ExperimentView(quiet=as_json) as view:
            done = reconcile(platform, models, view, every_s=every_s)
        if as_json:
            emit_json([_plain(one) for one in done])
        else:
            _show(done, quiet=not once)
        if once:
            raise SystemExit(0 if all(one.ok for one in done) else 1)
        platform.clock.sleep(every_s)


def _plain(one: ActionResult) -> dict[str, object]:
    action = one.action
    return {
        "model": action.model,
        "action": action.kind,
        "why": action.why,
        "ok": one.ok,
        "told": one.told,
        "next_step": one.next_step,
    }


def _show(done: tuple[ActionResult, ...], *, quiet: bool) -> None:
    for one in done:
        mark = click.style("ok", fg="green") if one.ok else click.style("failed", fg="red")
        click.echo(f"{one.action.model} {one.action.kind} {mark}: {one.told}")
        if one.next_step:
            click.echo(f"  Next:  {one.next_step}")
    if not done and not quiet:
        click.echo("Nothing to do: no rollout is open, nothing was interrupted, no drift waits for an answer.")
