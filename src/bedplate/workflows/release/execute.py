"""Carries out the plan of a deployment or a rollback: each step is one call of a port, said aloud before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bedplate.domain.ledger import Kind, iso_ms
from bedplate.domain.metric_chart import MetricChart, drawn
from bedplate.domain.release import spoken, version_told
from bedplate.domain.rollout import (
    Abort,
    CreateGuard,
    CreateRelease,
    Follow,
    ObservedEndpoint,
    Plan,
    RecordOutcome,
    RecordStart,
    Resume,
    Shift,
    Step,
    Verify,
)
from bedplate.domain.rollout.bake import starved
from bedplate.errors import BedplateError, Conflict, Locked, NotEnoughData, PlatformError, RolledBack
from bedplate.ports import AlarmState, GuardAlarm, ReleaseDraft, Reporter, TrafficRouting
from bedplate.workflows.endpoint.follow import FollowResult, follow
from bedplate.workflows.endpoint.probe import Probe, ProbeResult, ask
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext

GRAPH_BEFORE = timedelta(minutes=5)
GRAPH_POINTS = 200
"""Points of the alarm's figure that go into the ledger, so that the graph outlives CloudWatch's fine periods."""
ABORT_TRIES = 100
ABORT_PAUSE_S = 0.3


@dataclass(frozen=True, slots=True)
class DeploymentTools:
    """What the steps are carried out with. `data` goes into the ledger with the beginning and the end."""

    platform: StackContext
    ledger: Ledger
    seen: ObservedEndpoint
    probe: Probe
    draft: ReleaseDraft | None = None
    guard: GuardAlarm | None = None
    alarms: tuple[str, ...] = ()
    bake_s: int = 0
    needed_answers: int = 0
    """Answers of the candidate without which its bake promotes nothing."""
    data: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    wait: bool = True


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """What was proved in the end; `live` is what the endpoint calls itself, None when nobody waited to ask."""

    live: str | None
    proof: ProbeResult | None
    seconds: float
    switched_s: float | None
    """From the beginning to the first answer of the new release, when traffic moved."""


def execute(plan: Plan, means: DeploymentTools, reporter: Reporter) -> ExecutionResult:
    """Carry out the steps in order.

    Raises Locked when somebody else's update came first, RolledBack when the platform undid the update, NotEnoughData
    when it was undone because too little was answered (both recorded by then), PlatformError for anything else. Run
    again, the same command observes anew and goes on.
    """
    clock = means.platform.clock
    begun = clock.now()
    proof: ProbeResult | None = None
    attempt = means.seen.attempts[-1].seq if means.seen.attempts else 0
    switched_s: float | None = None
    for number, step in enumerate(plan.steps, 1):
        reporter("step", {"number": number, "of": len(plan.steps), "message": step.message})
        if isinstance(step, RecordStart):
            attempt = _begin(means, step)
        elif isinstance(step, Resume):
            _take_up(means, step)
        elif isinstance(step, Shift):
            _shift(means, step, attempt)
            if not means.wait:
                return ExecutionResult(None, None, (clock.now() - begun).total_seconds(), None)
        elif isinstance(step, Follow):
            settled = follow(
                means.platform,
                means.seen,
                step.config,
                alarms=means.alarms,
                bake_s=means.bake_s,
                reporter=reporter,
                expect_undo=step.wanted != step.config,
                needed_answers=means.needed_answers,
            )
            if settled.starved:
                raise undo_starved(means, step.config, settled.answers or 0, reporter)
            if settled.state.config != step.wanted:
                raise _not_as_wanted(means, step, settled)
        elif isinstance(step, Verify):
            proof = ask(means.platform, means.seen.endpoint, means.probe, step.release)
            switched_s = (clock.now() - begun).total_seconds() if plan.moves_traffic else None
        elif isinstance(step, RecordOutcome):
            _end(means, step, proof, switched_s)
        else:
            _make(means, step)
    live = proof.release if proof else None
    return ExecutionResult(live, proof, (clock.now() - begun).total_seconds(), switched_s)


def _make(means: DeploymentTools, step: Step) -> None:
    if isinstance(step, CreateRelease):
        if means.draft is None:
            raise PlatformError(f"There is nothing to make {step.release} of")
        means.platform.endpoints.create_release(means.draft)
    elif isinstance(step, CreateGuard) and means.guard:
        means.platform.metrics.put_alarm(means.guard)
    elif isinstance(step, Abort):
        who = means.platform.identity.person
        abort(
            means.platform, means.seen.endpoint, step.alarm, f"rollback by {who}: {means.reason or 'no reason given'}"
        )


def _begin(means: DeploymentTools, step: RecordStart) -> int:
    verb = "deploy of" if step.act == "deploy" else "rollback to"
    data = {**means.data, "act": step.act, "release": step.release, "from": means.seen.live, "reason": means.reason}
    data |= {} if means.wait else {"followed": False}
    summary = f"{verb} {spoken(step.release)} begins, {spoken(means.seen.live)} is live"
    return _record(means, "deploying", step.version, summary, data)


def _take_up(means: DeploymentTools, step: Resume) -> None:
    what = "rollback to" if step.act == "rollback" else "deploy of"
    begun = f", begun in record {step.seq}," if step.seq else ""
    data = {"act": step.act, "release": step.release, "resumes": step.seq, "reason": means.reason}
    _record(means, "resumed", step.version, f"the {what} {spoken(step.release)}{begun} is taken up", data)


def _shift(means: DeploymentTools, step: Shift, attempt: int) -> None:
    traffic = TrafficRouting(step.kind, step.step_pct, step.bake_s, step.alarms)
    try:
        means.platform.endpoints.update(means.seen.endpoint, step.config, traffic)
    except Conflict as exc:
        what = f"Endpoint {means.seen.endpoint} takes no update: another one came first"
        _record(means, "alert", None, what, {"refused": attempt, "endpoint": means.seen.endpoint})
        raise Locked(
            what, next_step=f"bedplate status {means.seen.model}, then the same command again when it has settled"
        ) from exc


def abort(stack: StackContext, endpoint: str, alarm: str, why: str) -> None:
    """Have the platform undo the update in flight, by raising an alarm that watches it.

    The platform looks at alarms now and then, and CloudWatch puts a raised one back: raise it until it was seen.
    """
    for _ in range(ABORT_TRIES):
        if stack.endpoints.observe(endpoint).status != "Updating":
            return
        stack.metrics.raise_alarm(alarm, why)
        stack.clock.sleep(ABORT_PAUSE_S)


def undo_starved(means: DeploymentTools, config: str, answers: float, reporter: Reporter) -> NotEnoughData:
    """A bake without traffic is undone by the platform's own mechanism; where that came too late, by switching back."""
    seen, platform = means.seen, means.platform
    back_to = seen.config_of(seen.live)
    why = starved(config, answers, means.needed_answers, means.bake_s)
    reporter("step", {"number": 0, "of": 0, "message": f"Undo the rollout of {spoken(config)}: {why}"})
    held = platform.metrics.alarms(means.alarms)
    alarm = next((name for name in reversed(means.alarms) if name in held), None)
    if alarm is not None:
        abort(platform, seen.endpoint, alarm, f"NO_DATA: {why}")
    settled = follow(platform, seen, back_to, alarms=(), bake_s=0, reporter=reporter, expect_undo=True)
    if settled.state.config != back_to:
        platform.endpoints.update(seen.endpoint, back_to, TrafficRouting("ALL_AT_ONCE", 100, 0, ()))
        follow(platform, seen, back_to, alarms=(), bake_s=0, reporter=reporter)
    proof = ask(platform, seen.endpoint, means.probe, seen.live)
    data = {
        **means.data,
        "live": proof.release,
        "release": config,
        "verdict": "NO_DATA",
        "answers": answers,
        "reason": why,
        "alarm": {"name": alarm, "raised_by": "bedplate"} if alarm else None,
    }
    _record(means, "rolled-back", version_told(config), f"{why}; {spoken(seen.live)} is live", data)
    return NotEnoughData(
        f"Not promoted: {why}. {spoken(seen.live)} answers.",
        next_step=f"bedplate invoke {seen.model} while it bakes, a longer --bake, or --strategy all-at-once (it needs "
        "no traffic)",
    )


def _end(means: DeploymentTools, step: RecordOutcome, proof: ProbeResult | None, switched_s: float | None) -> None:
    live = proof.release if proof else step.release
    told = {
        **means.data,
        "live": live,
        "release": step.release,
        "from": step.previous,
        "reason": means.reason,
        "proof": {"rows": proof.rows, "rows_from": proof.rows_from, "mean_answer": proof.mean_answer}
        if proof
        else None,
        "took_s": switched_s,
    }
    summary = {
        "deployed": f"{spoken(step.release)} is live",
        "rollback": f"{spoken(step.release)} is live again" + (f": {means.reason}" if means.reason else ""),
        "rolled-back": f"the platform undid {spoken(step.release)}, {spoken(live or '?')} is live",
    }[step.kind]
    if step.kind == "rolled-back":
        told["reason"] = means.seen.failure_reason or "undone by the platform while nobody watched"
    _record(means, step.kind, step.version, summary, told)


def _not_as_wanted(means: DeploymentTools, step: Follow, settled: FollowResult) -> BedplateError:
    """The endpoint settled on another release than the wanted one: ask it, record it, and say why."""
    seen, state = means.seen, settled.state
    tried, live = seen.release_of(step.config), seen.release_of(state.config)
    if step.wanted != step.config:
        return PlatformError(
            f"The rollout of {spoken(tried)} could not be undone in time: {spoken(live)} is live",
            next_step=f"bedplate rollback {seen.model}",
        )
    proof = ask(means.platform, seen.endpoint, means.probe, live)
    why = cause(settled.alarm, state.failure_reason)
    graph = _graph(means, settled)
    data = {
        **means.data,
        "live": proof.release,
        "release": tried,
        "reason": why,
        "alarm": _alarm_data(settled.alarm, graph),
    }
    summary = f"the platform undid {spoken(tried)}, {spoken(live)} is live: {why}"
    _record(means, "rolled-back", version_told(tried), summary, data)
    return RolledBack(
        f"The platform rolled {spoken(tried)} back after {settled.seconds:.0f} s, {spoken(live)} answers again: {why}",
        next_step=f"bedplate monitor report {seen.model}, or bedplate ledger show --model {seen.model}",
        evidence=(f"  {graph.metric} of {graph.name}:", *drawn(graph)) if graph and graph.points else (),
    )


def _graph(means: DeploymentTools, settled: FollowResult) -> MetricChart | None:
    """What the alarm looked at from some time before the update until now.

    Its own reading is among them where it was the highest: later answers may have changed that period's figure since.
    """
    alarm = settled.alarm
    if alarm is None:
        return None
    now = means.platform.clock.now()
    start = now - timedelta(seconds=settled.seconds) - GRAPH_BEFORE
    points = list(means.platform.metrics.figures(alarm.name, start=start, end=now + timedelta(seconds=1)))
    if alarm.figure is not None and all(value < alarm.figure for _, value in points):
        points = sorted([*points, (alarm.updated_at, alarm.figure)])
    return MetricChart(alarm.name, alarm.metric or "figure", tuple(points), alarm.threshold)


def cause(alarm: AlarmState | None, failure_reason: str | None) -> str:
    """Why an update was undone, with the figure and its bound where an alarm did it.

    >>> cause(None, None)
    'the platform gave no reason'
    """
    if alarm is None:
        return failure_reason or "the platform gave no reason"
    if alarm.figure is not None and alarm.threshold is not None and alarm.metric:
        return f"alarm {alarm.name}: {alarm.metric} was {alarm.figure:.4g}, above {alarm.threshold:.4g}"
    return f"alarm {alarm.name}: {alarm.reason or 'it was raised'}"


def _alarm_data(alarm: AlarmState | None, graph: MetricChart | None) -> dict[str, Any] | None:
    if alarm is None:
        return None
    points = [[iso_ms(at), value] for at, value in graph.points][-GRAPH_POINTS:] if graph else []
    told = {"name": alarm.name, "metric": alarm.metric, "figure": alarm.figure, "threshold": alarm.threshold}
    return {**told, "points": points}


def _record(means: DeploymentTools, kind: Kind, version: int | None, summary: str, data: Mapping[str, Any]) -> int:
    record = means.ledger.record(
        kind,
        summary,
        actor=means.platform.identity.person,
        model=means.seen.model,
        version=version,
        data={key: value for key, value in data.items() if value is not None},
    )
    return record.seq
