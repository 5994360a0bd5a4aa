"""`bedplate deploy`: deploy an approved version behind a guarded rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json
from bedplate.domain.formatting import format_number

if TYPE_CHECKING:
    from bedplate.workflows.release.deploy import DeployRequest

COMPARISON_STRATEGIES = ("shadow", "ab", "bandit", "champion-challenger")
STRATEGIES = ("all-at-once", "canary", "linear", *COMPARISON_STRATEGIES)


@click.command("deploy")
@click.argument("target", metavar="MODEL[:VERSION]")
@options.stack
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    help="How traffic is shifted; default: model.yaml. See docs/strategies.",
)
@click.option(
    "--canary-pct", type=click.IntRange(1, 50), help="Traffic of the canary, or of one linear step, in per cent."
)
@click.option(
    "--bake", "bake_s", type=click.IntRange(0, 3600), metavar="SECONDS", help="How long each step is observed."
)
@click.option("--force", is_flag=True, help="Deploy although an alarm is raised; needs --reason.")
@click.option("--reason", metavar="TEXT", help="Reason, stored in the ledger.")
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
    """Deploy an approved version (the newest one without VERSION) behind a guarded rollout.

    Changes the model's endpoint. Part of the traffic goes to the new release first. During the bake, any of its alarms
    rolls the endpoint back: errors, latency, or predictions distributed differently from the champion's. At the end the
    endpoint is invoked to verify which release answers. After an interruption, the same command resumes the deployment.

    With shadow, ab, bandit or champion-challenger, two releases run side by side until there is a verdict. The command
    follows the rollout (--no-wait leaves that to `bedplate reconcile`); `bedplate rollout` controls it.

    \b
    Examples:
      bedplate deploy flight-delay
      bedplate deploy flight-delay:3 --strategy canary --canary-pct 10 --bake 60
      bedplate deploy flight-delay:3 --strategy shadow --no-wait
      bedplate deploy flight-delay:3 --dry-run

    \b
    Exit codes:
      0  the release is live, or the challenger passed and `rollout promote` is next
      3  the challenger is not better
      4  the version is not approved
      5  the deployment was rolled back
      6  too little traffic or too few labels for a verdict
      7  another deployment or rollout is in progress
    """
    from bedplate.cli.views.rollout_view import RolloutView, plan_to_dict, print_plan
    from bedplate.domain.release import display_name
    from bedplate.workflows.release.deploy import DeployRequest, deploy, prepare

    model, version = options.parse_model_version(target)
    connection = options.connect_target(stack, as_json=as_json)
    request = DeployRequest(model, version, strategy, canary_pct, bake_s, force, reason, wait)
    effective_strategy = strategy or connection.model(model).rollout.strategy
    if effective_strategy in COMPARISON_STRATEGIES:
        _start_comparison(connection, request, effective_strategy, yes=yes, dry_run=dry_run, as_json=as_json)
        return
    prepared = prepare(connection, request)
    if dry_run:
        if as_json:
            emit_json({"release": prepared.release, "plan": plan_to_dict(prepared.plan)})
        else:
            print_plan(prepared.plan)
        return
    if not as_json:
        click.echo(prepared.plan.summary, err=True)
        for notice in prepared.plan.notices:
            click.echo(f"  {notice}", err=True)
    if prepared.plan.moves_traffic:
        is_local = connection.local_url is not None
        options.confirm(f"Move traffic of {model}?", assume_yes=yes or is_local, as_json=as_json)
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
                "seconds": round(outcome.duration_s, 3),
                "probe": outcome.probe_result,
                "plan": plan_to_dict(prepared.plan),
            }
        )
    elif outcome.live and (probe := outcome.probe_result):
        click.echo(
            f"{display_name(outcome.live)} is live: it answered {probe.rows} rows from {probe.rows_source} "
            f"(mean prediction {format_number(probe.mean_prediction, 3)}), {outcome.duration_s:.1f} s in total"
        )
    elif not wait and prepared.plan.steps:
        release = display_name(prepared.release)
        click.echo(f"{release} is being deployed. Next: the same command follows it and records the outcome.")


def _start_comparison(
    connection: Any, request: DeployRequest, strategy: Any, *, yes: bool, dry_run: bool, as_json: bool
) -> None:
    from dataclasses import asdict

    from bedplate.cli.views.experiment_view import ExperimentView, format_outcome
    from bedplate.workflows.release.rollout import follow_rollout, format_state, outcome_error, tick
    from bedplate.workflows.release.rollout_start import propose_rollout, start_rollout

    proposal = propose_rollout(connection, request, strategy)
    if as_json and dry_run:
        emit_json({"summary": proposal.summary, "notices": proposal.notices, "terms": asdict(proposal.terms)})
        return
    if not as_json:
        click.echo(proposal.summary, err=True)
        for notice in proposal.notices:
            click.echo(f"  {notice}", err=True)
    if dry_run:
        return
    question = f"Start a {strategy} rollout of v{proposal.terms.version} on {request.model}'s endpoint?"
    options.confirm(question, assume_yes=yes or connection.local_url is not None, as_json=as_json)
    state = start_rollout(connection, proposal, request.model, reason=request.reason)
    with ExperimentView(quiet=as_json) as view:
        if request.wait:
            state = follow_rollout(connection, request.model, view)
        else:
            result = tick(connection, request.model, view)
            state = result.state if result else state
    error = outcome_error(state)
    if error:
        raise error
    if as_json:
        emit_json(format_state(state))
    elif request.wait:
        click.echo(format_outcome(state))
    else:
        click.echo(
            f"The rollout is {state.phase}. Next: bedplate reconcile --loop; bedplate rollout status {request.model}"
        )
