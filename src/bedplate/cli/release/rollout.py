"""`bedplate rollout`: show, promote, pause, resume or abort a rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, format_seconds, print_table
from bedplate.errors import NotFound

if TYPE_CHECKING:
    from bedplate.domain.rollout.history import RolloutSummary
    from bedplate.workflows.release.rollout_status import RolloutStatus

RolloutCommand = Literal["promote", "pause", "resume", "abort"]


@click.group("rollout")
def command() -> None:
    """Show, promote, pause, resume or abort a rollout.

    A rollout is a canary or linear deployment during its bake, or a comparison of two releases over hours or days
    (shadow, A/B, bandit, champion-challenger). It is a state machine whose state is in the ledger. Each tick observes
    the endpoint once, decides, records and acts: `bedplate deploy` ticks while it waits, `bedplate reconcile` ticks
    all models, and `rollout tick` ticks once.

    \b
    Examples:
      bedplate deploy flight-delay:3 --strategy shadow --no-wait
      bedplate rollout status
      bedplate rollout promote flight-delay
    """


@command.command("status")
@click.argument("model", metavar="[MODEL]", required=False)
@options.stack
@options.as_json
def status(model: str | None, stack: str, as_json: bool) -> None:
    """Show the open rollout of MODEL, or of every model.

    \b
    Examples:
      bedplate rollout status
      bedplate rollout status flight-delay --json
    """
    from bedplate.workflows.release.rollout_status import read_rollout_status

    connection = options.connect(stack)
    statuses = [read_rollout_status(connection, name) for name in ([model] if model else connection.settings.models)]
    if as_json:
        emit_json([_status_to_dict(rollout_status) for rollout_status in statuses])
        return
    click.echo(connection.label, err=True)
    for rollout_status in statuses:
        _print_status(rollout_status)


@command.command("history")
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Number of newest entries.")
@options.stack
@options.as_json
def history(model: str | None, limit: int, stack: str, as_json: bool) -> None:
    """List deployments, rollouts and rollbacks, newest first, with verdict and reason.

    \b
    Examples:
      bedplate rollout history flight-delay
      bedplate rollout history --limit 5 --json
    """
    from bedplate.domain.release import display_name
    from bedplate.workflows.release.rollout_status import read_rollout_history

    connection = options.connect(stack)
    rollouts = [
        (name, rollout)
        for name in ([model] if model else connection.settings.models)
        for rollout in read_rollout_history(connection, name)
    ]
    rollouts = sorted(rollouts, key=lambda pair: pair[1].started_at, reverse=True)[:limit]
    if as_json:
        emit_json([{"model": name, **_rollout_to_dict(rollout)} for name, rollout in rollouts])
        return
    columns = ("model", "started", "strategy", "release", "champion", "phase", "verdict", "duration", "by", "reason")
    rows = [
        (
            name,
            f"{rollout.started_at:%Y-%m-%d %H:%M:%S}",
            rollout.strategy,
            display_name(rollout.release),
            display_name(rollout.champion) if rollout.champion else "",
            rollout.phase,
            rollout.verdict or "",
            _format_duration(rollout),
            rollout.actor,
            (rollout.reason or "")[:60],
        )
        for name, rollout in rollouts
    ]
    print_table(None, columns, rows, right_aligned=("duration",))


def _add_command(name: RolloutCommand, help_text: str) -> None:
    @command.command(name, help=help_text)
    @options.model
    @click.option("--reason", metavar="TEXT", help="Reason, stored in the ledger.")
    @options.stack
    @options.yes
    @options.wait
    @options.as_json
    def run(model: str, reason: str | None, stack: str, yes: bool, wait: bool, as_json: bool) -> None:
        _run_command(name, model, reason, stack, yes, wait, as_json)


def _run_command(
    name: RolloutCommand, model: str, reason: str | None, stack: str, yes: bool, wait: bool, as_json: bool
) -> None:
    from bedplate.cli.views.experiment_view import ExperimentView, format_outcome
    from bedplate.workflows.release.rollout import apply_command, follow_rollout, format_state, outcome_error

    connection = options.connect_target(stack, as_json=as_json)
    question = f"{name.capitalize()} the rollout of {model}?"
    options.confirm(question, assume_yes=yes or connection.local_url is not None, as_json=as_json)
    with ExperimentView(quiet=as_json) as view:
        state = apply_command(connection, model, name, reason=reason, reporter=view)
        if wait and state.phase in ("promoting", "rolling-back"):
            state = follow_rollout(connection, model, view)
    error = outcome_error(state) if name == "promote" else None
    if error:
        raise error
    if as_json:
        emit_json(format_state(state))
    else:
        click.echo(format_outcome(state))


_add_command(
    "promote",
    """Promote the challenger: give it all traffic.

It is guarded, verified and recorded like a deployment. Without a PASS verdict it needs --reason.

\b
Example:
  bedplate rollout promote flight-delay

\b
Exit codes:
  0  the challenger is live
  2  no rollout is open, or its verdict is not PASS and --reason is missing
  5  the promotion was rolled back
""",
)
_add_command(
    "pause",
    """Pause the rollout: the challenger gets no traffic and nothing is evaluated until `resume`.

\b
Example:
  bedplate rollout pause flight-delay --reason "holiday"
""",
)
_add_command(
    "resume",
    """Resume a paused rollout with the weights that it had.

\b
Example:
  bedplate rollout resume flight-delay
""",
)
_add_command(
    "abort",
    """Abort the rollout: return all traffic to the champion, even during a promotion.

\b
Example:
  bedplate rollout abort flight-delay --reason "wrong data"
""",
)


@command.command("tick")
@options.model
@options.stack
@options.as_json
def tick(model: str, stack: str, as_json: bool) -> None:
    """Run one tick of MODEL's rollout: observe, decide, record, act.

    It is safe to run two at the same time.

    \b
    Example:
      bedplate rollout tick flight-delay
    """
    from bedplate.cli.views.experiment_view import ExperimentView, format_tick
    from bedplate.workflows.release import rollout as work

    connection = options.connect(stack)
    with ExperimentView(quiet=as_json) as view:
        result = work.tick(connection, model, view)
    if result is None:
        raise NotFound(f"No rollout of {model} is open", next_step=f"bedplate rollout history {model}")
    if as_json:
        emit_json({**work.format_state(result.state), "message": result.decision.message})
    else:
        click.echo(format_tick(work.format_tick(result)))


def _rollout_to_dict(rollout: RolloutSummary) -> dict[str, Any]:
    return {
        "id": rollout.id,
        "strategy": rollout.strategy,
        "release": rollout.release,
        "version": rollout.version,
        "champion": rollout.champion,
        "phase": rollout.phase,
        "verdict": rollout.verdict,
        "started_at": rollout.started_at,
        "ended_at": rollout.ended_at,
        "actor": rollout.actor,
        "reason": rollout.reason,
        "switch_s": rollout.switch_s,
        "measurements": dict(rollout.state.measurements) if rollout.state else None,
    }


def _status_to_dict(status: RolloutStatus) -> dict[str, Any]:
    return {
        "model": status.model,
        "endpoint": status.endpoint,
        "status": status.status,
        "live": status.live,
        "weights": dict(status.weights),
        "shadows": dict(status.shadows),
        "open_rollout": _rollout_to_dict(status.open_rollout) if status.open_rollout else None,
        "verdict_message": status.verdict_message,
        "predictions": status.predictions,
        "bake_left_s": status.bake_left_s,
        "last_rollout": _rollout_to_dict(status.last_rollout) if status.last_rollout else None,
    }


def _print_status(status: RolloutStatus) -> None:
    from bedplate.cli.views.experiment_view import measurement_rows
    from bedplate.domain.release import display_name
    from bedplate.domain.rollout.tick import format_weights

    model, rollout, last = status.model, status.open_rollout, status.last_rollout
    if rollout is None:
        note = f"; the last one ({last.strategy} of {display_name(last.release)}) is {last.phase}" if last else ""
        click.echo(f"{model}: {display_name(status.live)} is live, no rollout is open{note}")
        return
    since = rollout.state.phase_since if rollout.state else rollout.started_at
    copies = f"; copies: {format_weights(status.shadows)}" if status.shadows else ""
    rows = [
        ("phase", f"{rollout.phase} since {since:%Y-%m-%d %H:%M:%S} UTC"),
        ("champion", display_name(rollout.champion) if rollout.champion else "?"),
        ("challenger", display_name(rollout.release)),
        ("traffic", format_weights(status.weights) + copies),
        ("endpoint", status.status),
        ("verdict", rollout.verdict or "none yet"),
    ]
    if status.predictions is not None:
        left = f", {status.bake_left_s:.0f} s of the bake left" if status.bake_left_s is not None else ""
        rows.append(("predictions", f"{status.predictions:.0f} of {rollout.min_bake_predictions} required{left}"))
    if status.verdict_message:
        rows.append(("measurements", status.verdict_message))
    rows += measurement_rows(rollout.state.measurements) if rollout.state else []
    print_table(f"{model}: {rollout.strategy} rollout {rollout.id}", ("", ""), rows)
    next_steps = {"passed": f"bedplate rollout promote {model}", "paused": f"bedplate rollout resume {model}"}
    if rollout.phase in next_steps:
        click.echo(f"Next:  {next_steps[rollout.phase]}", err=True)


def _format_duration(rollout: RolloutSummary) -> str:

    return format_seconds((rollout.ended_at - rollout.started_at).total_seconds()) if rollout.ended_at else "open"
