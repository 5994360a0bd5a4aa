"""`bedplate deploy`: release an approved version behind a guarded rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.domain.formatting import figure

if TYPE_CHECKING:
    from bedplate.workflows.release.deploy import DeployRequest

COMPARING = ("shadow", "ab", "bandit", "champion-challenger")
STRATEGIES = ("all-at-once", "canary", "linear", *COMPARING)


@click.command("deploy")
@click.argument("target", metavar="MODEL[:VERSION]")
@options.stack
@click.option("--strategy", type=click.Choice(STRATEGIES), help="How traffic moves; see docs/strategies.")
@click.option("--canary-pct", type=click.IntRange(1, 50), help="Share of the canary, or of a linear step.")
@click.option(
    "--bake", "bake_s", type=click.IntRange(0, 3600), metavar="SECONDS", help="How long each step is watched."
)
@click.option("--force", is_flag=True, help="Go ahead although an alarm is raised; needs --reason.")
@click.option("--reason", help="Why; goes into the ledger.")
@options.wait
@options.yes
@options.dry_run
@options.as_json
def command(
    target: str,
    stack: str,
    strategy: str | None,
    canary_pct: int | None,
    bake_s: int | None,
    force: bool,
    reason: str | None,
    wait: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Release an approved version (the newest one, unless you name another) behind a guarded rollout.

    Part of the traffic goes to the new release first. While it is watched, any of its alarms puts the old one back:
    errors, latency, and the new answers' distribution against the champion's. Afterwards the endpoint itself is asked
    which release answers. Run again after an interruption, it goes on where it was.

    \b
    Examples:
      bedplate deploy flight-delay
      bedplate deploy flight-delay:3 --strategy canary --canary-pct 10 --bake 60
      bedplate deploy flight-delay:3 --strategy shadow --no-wait
      bedplate deploy flight-delay:3 --dry-run

    With shadow, ab, bandit or champion-challenger two releases run side by side until one is the better one: the
    command follows it (or leaves it to `bedplate reconcile`), and `bedplate rollout` steers it.

    Exit codes: 0 live (or passed, and waiting for `rollout promote`), 3 the challenger is not the better one, 4 not
    approved, 5 rolled back by the platform, 6 not enough traffic or labels to judge it, 7 something else is moving.
    """
    from bedplate.cli.views.render import emit_json
    from bedplate.cli.views.rollout_view import RolloutView, plan_json, show_plan
    from bedplate.domain.release import spoken
    from bedplate.wiring import connect
    from bedplate.workflows.release.deploy import DeployRequest, deploy, prepare

    model, version = options.model_and_version(target)
    platform = connect(options.project_dir(), stack)
    if not as_json:
        click.echo(platform.label, err=True)
    request = DeployRequest(model, version, strategy, canary_pct, bake_s, force, reason, wait)
    comparing = strategy or platform.model(model).rollout.strategy
    if comparing in COMPARING:
        _side_by_side(platform, request, comparing, yes=yes, dry_run=dry_run, as_json=as_json)
        return
    prepared = prepare(platform, request)
    if dry_run:
        if as_json:
            emit_json({"release": prepared.release, "plan": plan_json(prepared.plan)})
        else:
            show_plan(prepared.plan)
        return
    if not as_json:
        click.echo(prepared.plan.summary, err=True)
        for remark in prepared.plan.remarks:
            click.echo(f"  {remark}", err=True)
    if prepared.plan.moves_traffic:
        options.confirm(f"Move traffic of {model}?", assume_yes=yes or platform.local_url is not None, as_json=as_json)
    with RolloutView(quiet=as_json) as view:
        outcome = deploy(prepared, view)
    if as_json:
        emit_json(
            {
                "model": model,
                "version": prepared.version,
                "release": prepared.release,
                "live": outcome.live,
                "changed": prepared.plan.moves_traffic,
                "seconds": round(outcome.seconds, 3),
                "proof": outcome.proof,
                "plan": plan_json(prepared.plan),
            }
        )
    elif outcome.live and outcome.proof:
        click.echo(
            f"{spoken(outcome.live)} is live: it answered {outcome.proof.rows} rows from {outcome.proof.rows_from} "
            f"(mean {figure(outcome.proof.mean_answer, 3)}), {outcome.seconds:.1f} s in all"
        )
    elif not wait and prepared.plan.steps:
        click.echo(f"{spoken(prepared.release)} is on its way. Next: the same command follows it and records the end.")


def _side_by_side(
    platform: Any, request: DeployRequest, strategy: Any, *, yes: bool, dry_run: bool, as_json: bool
) -> None:
    from dataclasses import asdict

    from bedplate.cli.views.experiment_view import ExperimentView, told_end
    from bedplate.cli.views.render import emit_json
    from bedplate.workflows.release.rollout import follow, outcome_error, state_json, tick
    from bedplate.workflows.release.rollout_start import begin, propose

    beginning = propose(platform, request, strategy)
    if as_json and dry_run:
        emit_json({"summary": beginning.summary, "remarks": beginning.remarks, "terms": asdict(beginning.terms)})
        return
    if not as_json:
        click.echo(beginning.summary, err=True)
        for remark in beginning.remarks:
            click.echo(f"  {remark}", err=True)
    if dry_run:
        return
    question = f"Put v{beginning.terms.version} behind {request.model}'s endpoint?"
    options.confirm(question, assume_yes=yes or platform.local_url is not None, as_json=as_json)
    state = begin(platform, beginning, request.model, reason=request.reason)
    with ExperimentView(quiet=as_json) as view:
        if request.wait:
            state = follow(platform, request.model, view)
        else:
            ticked = tick(platform, request.model, view)
            state = ticked.state if ticked else state
    error = outcome_error(state)
    if error:
        raise error
    if as_json:
        emit_json(state_json(state))
    elif request.wait:
        click.echo(told_end(state))
    else:
        click.echo(
            f"The rollout is {state.phase}. Next: bedplate reconcile --loop; bedplate rollout status {request.model}"
        )
