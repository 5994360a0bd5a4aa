"""`bedplate rollback`: roll back to an earlier release, and verify that it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, print_table
from bedplate.domain.formatting import format_number
from bedplate.errors import GateFailed, UsageError

if TYPE_CHECKING:
    from bedplate.domain.rollback import HealthCheck
    from bedplate.workflows.stack_context import StackContext


@click.command("rollback")
@options.model
@options.stack
@click.option("--to", "to", metavar="VERSION", help="Version to roll back to; 0 is the fallback.")
@click.option(
    "--now", is_flag=True, help="Skip the checks of the target's history and the re-scoring, to save seconds."
)
@click.option(
    "--drill", is_flag=True, help="Rehearse on a copy of the endpoint, measure and record it; moves no traffic."
)
@click.option("--live", is_flag=True, help="With --drill: rehearse on the live endpoint, to the target and back.")
@click.option("--force", is_flag=True, help="Roll back to a release that is not healthy; needs --reason.")
@click.option("--reason", metavar="TEXT", help="Reason, stored in the ledger.")
@click.option("--yes", "-y", is_flag=True, expose_value=False, help="Has no effect: this command never asks.")
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
    """Roll back to the previous healthy release, or to the one named by --to, and verify that it answers.

    Checks the target first: its Model and artifact exist, no deployment of it was rolled back, and its errors, latency
    and predictions were in order at the end of its last live period. A copy of the target also answers the last 1,000
    captured requests: a wrong answer rejects it, a changed one is reported. On AWS the copy takes minutes to start;
    --now skips it. Then all traffic moves at once. A deployment in progress is rolled back through its own alarm; two
    releases that share the traffic end with the champion alone.

    \b
    Examples:
      bedplate rollback flight-delay --reason "complaints from the gate"
      bedplate rollback flight-delay --to 1 --now
      bedplate rollback flight-delay --drill

    \b
    Exit codes:
      0  the target answers
      2  there is no release to roll back to
      3  the drill found that the target is not healthy
      4  the target is not healthy; --force overrides this
    """
    from bedplate.cli.views.rollout_view import RolloutView, plan_to_dict, print_plan
    from bedplate.domain.release import display_name
    from bedplate.workflows.release.rollback import RollbackRequest, prepare, rollback

    version = options.parse_model_version(f"{model}:{to}")[1] if to is not None else None
    if live and not drill:
        raise UsageError("--live needs --drill", next_step=f"bedplate rollback {model} --drill --live")
    connection = options.connect_target(stack, as_json=as_json)
    if drill:
        _run_drill(connection, model, version, live=live, reason=reason, as_json=as_json)
        return
    with RolloutView(quiet=as_json) as view:
        prepared = prepare(connection, RollbackRequest(model, version, now, force, reason), view)
    plan = prepared.deployment.plan
    if not as_json:
        _print_checks(prepared.checks)
    if dry_run:
        if as_json:
            emit_json({"release": prepared.deployment.release, "checks": prepared.checks, "plan": plan_to_dict(plan)})
        else:
            print_plan(plan)
        return
    if not as_json:
        click.echo(plan.summary, err=True)
    with RolloutView(quiet=as_json) as view:
        outcome = rollback(prepared, view)
    if as_json:
        emit_json(
            {
                "model": model,
                "version": prepared.deployment.version,
                "live": outcome.live,
                "seconds": round(outcome.duration_s, 3),
                "switch_s": outcome.switch_s,
                "probe": outcome.probe_result,
                "checks": prepared.checks,
                "plan": plan_to_dict(plan),
            }
        )
    elif outcome.live and (probe := outcome.probe_result):
        click.echo(
            f"{display_name(outcome.live)} is live again: it answered {probe.rows} rows from {probe.rows_source} "
            f"(mean prediction {format_number(probe.mean_prediction, 3)}), {outcome.duration_s:.2f} s after the plan"
        )


def _print_checks(checks: tuple[HealthCheck, ...]) -> None:
    for check in checks:
        style = {"PASS": "green", "FAIL": "red"}.get(check.verdict, "yellow")
        click.echo(f"  {click.style(check.verdict, fg=style)} {check.name}: {check.detail}", err=True)


def _run_drill(
    stack: StackContext, model: str, version: int | None, *, live: bool, reason: str | None, as_json: bool
) -> None:
    from bedplate.cli.views.rollout_view import RolloutView
    from bedplate.domain.release import display_name
    from bedplate.workflows.release.drill import drill

    with RolloutView(quiet=as_json) as view:
        result = drill(stack, model, version, view, live=live, reason=reason)
    if as_json:
        emit_json(result)
    else:
        _print_checks(result.checks)
        place = "the live endpoint, to the target and back" if live else "a copy; no traffic moved"
        click.echo(f"Rollback of {model} to {display_name(result.target)}, rehearsed on {place}")
        rows = [(name, f"{value:.2f}") for name, value in result.durations_s.items()]
        print_table(None, ("part", "seconds"), rows, right_aligned=("seconds",))
        click.echo(f"The target answered {result.first_prediction_s:.2f} s after the start.")
    if not result.ok:
        raise GateFailed(
            f"{display_name(result.target)} is not healthy enough to roll back to",
            next_step=f"bedplate rollback {model} --drill --to VERSION",
        )
