"""`bedplate rollback`: put an earlier release back, and prove that it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.domain.formatting import figure

if TYPE_CHECKING:
    from bedplate.domain.rollback import HealthCheck
    from bedplate.workflows.stack_context import StackContext


@click.command("rollback")
@options.model
@options.stack
@click.option("--to", "to", metavar="VERSION", help="The version to go back to, 0 for the fallback.")
@click.option(
    "--now", is_flag=True, help="Leave out the look at how the target did, and its re-scoring: seconds count."
)
@click.option("--drill", is_flag=True, help="Rehearse on a copy of the target, time it, record it; nothing moves.")
@click.option("--live", is_flag=True, help="With --drill: on the live endpoint, there and back.")
@click.option("--force", is_flag=True, help="Go back to a release that is not healthy; needs --reason.")
@click.option("--reason", help="Why; goes into the ledger.")
@click.option("--yes", "-y", is_flag=True, expose_value=False, help="Accepted and without effect: it never asks.")
@options.dry_run
@options.as_json
def command(
    model: str,
    stack: str,
    to: str | None,
    now: bool,
    drill: bool,
    live: bool,
    force: bool,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put the previous healthy release back, or the one named by --to, and prove that it answers.

    Before the switch, what is known of the target is looked at: that its model and artifact exist, that the platform
    never had to undo it, and the errors, latency and answers of the end of its last turn. It also answers the last
    1,000 captured requests on a copy of its own: a wrong answer refuses, a different one is told. Then all traffic
    moves at once. A rollout in flight is undone by the alarm that watches it, and two releases that share the traffic
    end with the champion alone. On AWS a copy takes minutes to come up: --now skips it.

    \b
    Examples:
      bedplate rollback flight-delay --reason "complaints from the gate"
      bedplate rollback flight-delay --to 1 --now
      bedplate rollback flight-delay --drill

    Exit codes: 0 the target answers, 2 nothing to go back to, 3 a drill found it unfit, 4 the target is not healthy.
    """
    from bedplate.cli.views.rollout_view import RolloutView, plan_json, show_plan
    from bedplate.domain.release import spoken
    from bedplate.errors import UsageError
    from bedplate.wiring import connect
    from bedplate.workflows.release.rollback import RollbackRequest, prepare, rollback

    version = options.model_and_version(f"{model}:{to}")[1] if to is not None else None
    if live and not drill:
        raise UsageError("--live belongs to --drill", next_step=f"bedplate rollback {model} --drill --live")
    platform = connect(options.project_dir(), stack)
    if not as_json:
        click.echo(platform.label, err=True)
    if drill:
        _rehearse(platform, model, version, live=live, reason=reason, as_json=as_json)
        return
    with RolloutView(quiet=as_json) as view:
        ready = prepare(platform, RollbackRequest(model, version, now, force, reason), view)
    plan = ready.prepared.plan
    if not as_json:
        _show_checks(ready.checks)
    if dry_run:
        if as_json:
            from bedplate.cli.views.render import emit_json

            emit_json({"release": ready.prepared.release, "checks": ready.checks, "plan": plan_json(plan)})
        else:
            show_plan(plan)
        return
    if not as_json:
        click.echo(plan.summary, err=True)
    with RolloutView(quiet=as_json) as view:
        outcome = rollback(ready, view)
    if as_json:
        from bedplate.cli.views.render import emit_json

        emit_json(
            {
                "model": model,
                "version": ready.prepared.version,
                "live": outcome.live,
                "seconds": round(outcome.seconds, 3),
                "switched_s": outcome.switched_s,
                "proof": outcome.proof,
                "checks": ready.checks,
                "plan": plan_json(plan),
            }
        )
    elif outcome.live and outcome.proof:
        click.echo(
            f"{spoken(outcome.live)} answers again: {outcome.proof.rows} rows from {outcome.proof.rows_from}, "
            f"mean {figure(outcome.proof.mean_answer, 3)}, {outcome.seconds:.2f} s after the plan"
        )


def _show_checks(checks: tuple[HealthCheck, ...]) -> None:
    for check in checks:
        style = {"PASS": "green", "FAIL": "red"}.get(check.verdict, "yellow")
        click.echo(f"  {click.style(check.verdict, fg=style)} {check.what}: {check.told}", err=True)


def _rehearse(
    stack: StackContext, model: str, version: int | None, *, live: bool, reason: str | None, as_json: bool
) -> None:
    from bedplate.cli.views.render import emit_json, table
    from bedplate.cli.views.rollout_view import RolloutView
    from bedplate.domain.release import spoken
    from bedplate.errors import GateFailed
    from bedplate.workflows.release.drill import drill

    with RolloutView(quiet=as_json) as view:
        done = drill(stack, model, version, view, live=live, reason=reason)
    if as_json:
        emit_json(done)
    else:
        _show_checks(done.checks)
        where = "the live endpoint, there and back" if live else "a copy; nothing moved"
        click.echo(f"Rollback of {model} to {spoken(done.target)}, rehearsed on {where}")
        table(
            None,
            ("part", "seconds"),
            [*((name, f"{value:.2f}") for name, value in done.parts.items())],
            right=("seconds",),
        )
        click.echo(f"The target answered {done.answered_s:.2f} s after the beginning.")
    if not done.ok:
        raise GateFailed(
            f"{spoken(done.target)} is not fit to go back to",
            next_step=f"bedplate rollback {model} --drill --to VERSION",
        )
