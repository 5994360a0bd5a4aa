"""`bedplate rollout`: where a rollout stands, what became of earlier ones, and what a person wants of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from bedplate.cli import options

if TYPE_CHECKING:
    from bedplate.domain.rollout.history import RolloutSummary


@click.group("rollout")
def command() -> None:
    """Look at rollouts and steer them: canary and linear while they bake, and those that compare two releases for hours
    or days (shadow, A/B, bandit, champion-challenger).

    A rollout is a state machine whose state is in the ledger. Each tick looks at the world once, decides, records and
    acts; `bedplate deploy` ticks while it waits, `bedplate reconcile` for all models, and `rollout tick` once by hand.

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
    """Show what is under way, with its weights, figures and verdict; of every model when none is named.

    \b
    Examples:
      bedplate rollout status
      bedplate rollout status flight-delay --json
    """
    from bedplate.cli.views.render import emit_json
    from bedplate.wiring import connect
    from bedplate.workflows.release.rollout_status import standing

    platform = connect(options.project_dir(), stack)
    told = [standing(platform, name) for name in ([model] if model else platform.settings.models)]
    if as_json:
        emit_json([_standing_json(one) for one in told])
        return
    click.echo(platform.label, err=True)
    for one in told:
        _show_standing(one)


@command.command("history")
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The newest so many.")
@options.stack
@options.as_json
def history(model: str | None, limit: int, stack: str, as_json: bool) -> None:
    """List how traffic moved, newest first: every deployment, rollout and rollback with its verdict and why it ended.

    \b
    Examples:
      bedplate rollout history flight-delay
      bedplate rollout history --limit 5 --json
    """
    from bedplate.cli.views.render import emit_json, table
    from bedplate.domain.release import spoken
    from bedplate.wiring import connect
    from bedplate.workflows.release.rollout_status import past

    platform = connect(options.project_dir(), stack)
    found = [(name, m) for name in ([model] if model else platform.settings.models) for m in past(platform, name)]
    found = sorted(found, key=lambda pair: pair[1].begun_at, reverse=True)[:limit]
    if as_json:
        emit_json([{"model": name, **movement_json(m)} for name, m in found])
        return
    table(
        None,
        ("model", "begun", "strategy", "release", "instead of", "phase", "verdict", "lasted", "by", "why"),
        [
            (
                name,
                f"{m.begun_at:%Y-%m-%d %H:%M:%S}",
                m.strategy,
                spoken(m.release),
                spoken(m.champion) if m.champion else "",
                m.phase,
                m.verdict or "",
                _lasted(m),
                m.actor,
                (m.reason or "")[:60],
            )
            for name, m in found
        ],
        right=("lasted",),
    )


def _order(name: Literal["promote", "pause", "resume", "abort"], help_text: str) -> None:
    @command.command(name, help=help_text)
    @options.model
    @click.option("--reason", help="Why; goes into the ledger.")
    @options.stack
    @options.yes
    @options.wait
    @options.as_json
    def ordered(model: str, reason: str | None, stack: str, yes: bool, wait: bool, as_json: bool) -> None:
        _give(name, model, reason, stack, yes, wait, as_json)


def _give(
    name: Literal["promote", "pause", "resume", "abort"],
    model: str,
    reason: str | None,
    stack: str,
    yes: bool,
    wait: bool,
    as_json: bool,
) -> None:
    from bedplate.cli.views.experiment_view import ExperimentView, told_end
    from bedplate.cli.views.render import emit_json
    from bedplate.wiring import connect
    from bedplate.workflows.release.rollout import follow, order, outcome_error, state_json

    platform = connect(options.project_dir(), stack)
    if not as_json:
        click.echo(platform.label, err=True)
    options.confirm(
        f"{name.capitalize()} the rollout of {model}?",
        assume_yes=yes or platform.local_url is not None,
        as_json=as_json,
    )
    with ExperimentView(quiet=as_json) as view:
        state = order(platform, model, name, reason=reason, reporter=view)
        if wait and state.phase in ("promoting", "undoing"):
            state = follow(platform, model, view)
    error = outcome_error(state) if name == "promote" else None
    if error:
        raise error
    if as_json:
        emit_json(state_json(state))
    else:
        click.echo(told_end(state))


_order(
    "promote",
    """Give the challenger all traffic: guarded, proved and recorded like any deployment. Without a PASS it takes
--reason.

\b
Example:
  bedplate rollout promote flight-delay
""",
)
_order(
    "pause",
    """Let it rest: the challenger gets no traffic of an A/B test or bandit, and nothing is judged until `resume`.

\b
Example:
  bedplate rollout pause flight-delay --reason "holiday"
""",
)
_order(
    "resume",
    """Go on after a pause, with the weights there were.

\b
Example:
  bedplate rollout resume flight-delay
""",
)
_order(
    "abort",
    """Give it up: all traffic back to the champion, also out of a promotion in flight.

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
    """Do one tick by hand: look, decide, record, act. Two at once do nothing twice.

    \b
    Example:
      bedplate rollout tick flight-delay
    """
    from bedplate.cli.views.experiment_view import ExperimentView, line
    from bedplate.cli.views.render import emit_json
    from bedplate.errors import NotFound
    from bedplate.wiring import connect
    from bedplate.workflows.release.rollout import state_json
    from bedplate.workflows.release.rollout import tick as tick_once
    from bedplate.workflows.release.rollout import view as seen

    platform = connect(options.project_dir(), stack)
    with ExperimentView(quiet=as_json) as view:
        ticked = tick_once(platform, model, view)
    if ticked is None:
        raise NotFound(f"No rollout of {model} is open", next_step=f"bedplate rollout history {model}")
    if as_json:
        emit_json({**state_json(ticked.state), "told": ticked.decision.told})
    else:
        click.echo(line(seen(ticked)))


def movement_json(m: RolloutSummary) -> dict[str, Any]:
    """A movement as data."""
    return {
        "id": m.id,
        "strategy": m.strategy,
        "release": m.release,
        "version": m.version,
        "champion": m.champion,
        "phase": m.phase,
        "verdict": m.verdict,
        "begun_at": m.begun_at,
        "ended_at": m.ended_at,
        "actor": m.actor,
        "reason": m.reason,
        "took_s": m.took_s,
        "facts": dict(m.state.facts) if m.state else None,
    }


def _standing_json(one: Any) -> dict[str, Any]:
    return {
        "model": one.model,
        "endpoint": one.endpoint,
        "status": one.status,
        "live": one.live,
        "weights": dict(one.weights),
        "shadows": dict(one.shadows),
        "open": movement_json(one.open) if one.open else None,
        "judged": one.judged,
        "answers": one.answers,
        "bake_left_s": one.bake_left_s,
        "last": movement_json(one.last) if one.last else None,
    }


def _show_standing(one: Any) -> None:
    from bedplate.cli.views.experiment_view import facts_rows
    from bedplate.cli.views.render import table
    from bedplate.domain.release import spoken
    from bedplate.domain.rollout.ticking import spoken_weights

    if one.open is None:
        last = (
            f"; the last one ({one.last.strategy} of {spoken(one.last.release)}) is {one.last.phase}"
            if one.last
            else ""
        )
        click.echo(f"{one.model}: {spoken(one.live)} is live, no rollout is open{last}")
        return
    m = one.open
    rows = [
        ("phase", f"{m.phase} since {(m.state.since if m.state else m.begun_at):%Y-%m-%d %H:%M:%S} UTC"),
        ("champion", spoken(m.champion) if m.champion else "?"),
        ("challenger", spoken(m.release)),
        ("traffic", spoken_weights(one.weights) + (f"; copies: {spoken_weights(one.shadows)}" if one.shadows else "")),
        ("endpoint", one.status),
        ("verdict", m.verdict or "none yet"),
    ]
    if one.answers is not None:
        left = f", {one.bake_left_s:.0f} s of the bake left" if one.bake_left_s is not None else ""
        rows.append(("answers", f"{one.answers:.0f} of {m.needed_answers} needed{left}"))
    if one.judged:
        rows.append(("figures", one.judged))
    rows += facts_rows(m.state.facts) if m.state else []
    table(f"{one.model}: {m.strategy} rollout {m.id}", ("", ""), rows)
    next_step = {
        "passed": f"bedplate rollout promote {one.model}",
        "paused": f"bedplate rollout resume {one.model}",
    }.get(m.phase)
    if next_step:
        click.echo(f"Next:  {next_step}", err=True)


def _lasted(m: RolloutSummary) -> str:
    from bedplate.cli.views.render import seconds

    return seconds((m.ended_at - m.begun_at).total_seconds()) if m.ended_at else "open"
