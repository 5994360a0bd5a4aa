"""`bedplate rollback`: put an earlier release back, and prove that it answers."""

from __future__ import annotations

import click

from bedplate.cli import options


@click.command("rollback")
@options.model
@options.stack
@click.option("--to", "to", metavar="VERSION", help="The version to go back to, 0 for the fallback.")
@click.option("--now", is_flag=True, help="Leave out the look at how the target last did.")
@click.option("--rescore", is_flag=True, help="Have the target answer the last captured requests first, in a job.")
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
    rescore: bool,
    force: bool,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put the previous healthy release back, or the one named by --to, and prove that it answers.

    Before the switch, what is known of the target is looked at: that its model and artifact exist, that the platform
    never had to undo it, and the errors, latency and answers of the end of its last turn. Then all traffic moves at
    once. A rollout in flight is undone by the alarm that watches it.

    \b
    Examples:
      bedplate rollback flight-delay --reason "complaints from the gate"
      bedplate rollback flight-delay --to 1 --now
      bedplate rollback flight-delay --rescore --dry-run

    Exit codes: 0 the target answers, 2 nothing to go back to, 4 the target is not healthy.
    """
    from bedplate.cli.rollout_view import RolloutView, plan_json, show_plan
    from bedplate.domain.release import spoken
    from bedplate.wiring import connect
    from bedplate.workflows.rollback import RollbackRequest, prepare, rollback

    version = options.model_and_version(f"{model}:{to}")[1] if to is not None else None
    platform = connect(options.project_dir(), stack)
    if not as_json:
        click.echo(platform.label, err=True)
    with RolloutView(quiet=as_json) as view:
        ready = prepare(platform, RollbackRequest(model, version, now, force, reason, rescore), view)
    plan = ready.prepared.plan
    if not as_json:
        for check in ready.checks:
            style = {"PASS": "green", "FAIL": "red", "NO_DATA": "yellow"}[check.verdict]
            click.echo(f"  {click.style(check.verdict, fg=style)} {check.what}: {check.told}", err=True)
    if dry_run:
        if as_json:
            from bedplate.cli.render import emit_json

            emit_json({"release": ready.prepared.release, "checks": ready.checks, "plan": plan_json(plan)})
        else:
            show_plan(plan)
        return
    if not as_json:
        click.echo(plan.summary, err=True)
    with RolloutView(quiet=as_json) as view:
        outcome = rollback(ready, view)
    if as_json:
        from bedplate.cli.render import emit_json

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
            f"mean {outcome.proof.mean_answer:.3f}, {outcome.seconds:.2f} s after the plan"
        )
