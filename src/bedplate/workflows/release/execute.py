"""Executes the plan of a deployment or a rollback step by step and reports each step before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bedplate.domain.ledger import Kind, format_iso_ms
from bedplate.domain.metric_chart import MetricChart, draw_chart
from bedplate.domain.release import display_name, version_of
from bedplate.domain.rollout.bake import insufficient_traffic_message
from bedplate.domain.rollout.deployment import (
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
from bedplate.errors import BedplateError, Conflict, Locked, NotEnoughData, PlatformError, RolledBack
from bedplate.ports import AlarmState, GuardAlarm, ReleaseDraft, Reporter, TrafficRouting
from bedplate.workflows.endpoint.follow import FollowResult, follow_update
from bedplate.workflows.endpoint.probe import Probe, ProbeResult, verify_release
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext

CHART_LEAD = timedelta(minutes=5)
MAX_CHART_POINTS = 200
"""Datapoints of the alarm that are stored in the ledger, because CloudWatch keeps short periods only for a while."""
ABORT_ATTEMPTS = 100
"""How often an alarm is raised to roll an update back, with a pause of `ABORT_PAUSE_S`: for 30 seconds in total."""
ABORT_PAUSE_S = 0.3


@dataclass(frozen=True, slots=True)
class DeploymentTools:
    """The adapters, observations and settings that the steps of a plan need.

    `draft` is the release to create, `alarms` are those that roll the update back, and `data` is part of the ledger
    records of the start and of the outcome. Without `wait` the execution ends when the update has started.
    """

    stack: StackContext
    ledger: Ledger
    observed: ObservedEndpoint
    probe: Probe
    draft: ReleaseDraft | None = None
    guard: GuardAlarm | None = None
    alarms: tuple[str, ...] = ()
    bake_s: int = 0
    min_bake_predictions: int = 0
    """Predictions that the candidate must return during its bake to be promoted."""
    data: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    wait: bool = True


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """The result of a plan; `live` is the release that the endpoint reported, None when the command did not wait."""

    live: str | None
    probe_result: ProbeResult | None
    duration_s: float
    switch_s: float | None
    """Seconds from the start to the first prediction of the new release; None when no traffic moved."""


def execute(plan: Plan, tools: DeploymentTools, reporter: Reporter) -> ExecutionResult:
    """Executes the steps in order. After an interruption the same command observes again and continues.

    Raises Locked when another update was started first, RolledBack when SageMaker rolled the update back,
    NotEnoughData when it was rolled back because of insufficient traffic (both are recorded first), PlatformError for
    any other failure.
    """
    clock = tools.stack.clock
    started_at = clock.now()
    probe_result: ProbeResult | None = None
    attempt_seq = tools.observed.attempts[-1].seq if tools.observed.attempts else 0
    switch_s: float | None = None
    for number, step in enumerate(plan.steps, 1):
        reporter("step", {"number": number, "of": len(plan.steps), "message": step.message})
        if isinstance(step, RecordStart):
            attempt_seq = _record_start(tools, step)
        elif isinstance(step, Resume):
            _record_resume(tools, step)
        elif isinstance(step, Shift):
            _shift_traffic(tools, step, attempt_seq)
            if not tools.wait:
                return ExecutionResult(None, None, (clock.now() - started_at).total_seconds(), None)
        elif isinstance(step, Follow):
            _follow(tools, step, reporter)
        elif isinstance(step, Verify):
            probe_result = verify_release(tools.stack, tools.observed.endpoint, tools.probe, step.release)
            switch_s = (clock.now() - started_at).total_seconds() if plan.moves_traffic else None
        elif isinstance(step, RecordOutcome):
            _record_outcome(tools, step, probe_result, switch_s)
        else:
            _create_or_abort(tools, step)
    live = probe_result.release if probe_result else None
    return ExecutionResult(live, probe_result, (clock.now() - started_at).total_seconds(), switch_s)


def _follow(tools: DeploymentTools, step: Follow, reporter: Reporter) -> None:
    """Waits until the update has ended. Raises an error when another release than the expected one is live then."""
    result = follow_update(
        tools.stack,
        tools.observed,
        step.config,
        alarms=tools.alarms,
        bake_s=tools.bake_s,
        reporter=reporter,
        expect_rollback=step.expected_config != step.config,
        min_bake_predictions=tools.min_bake_predictions,
    )
    if result.insufficient_traffic:
        raise roll_back_insufficient_traffic(tools, step.config, result.predictions or 0, reporter)
    if result.state.config != step.expected_config:
        raise _unexpected_release_error(tools, step, result)


def _create_or_abort(tools: DeploymentTools, step: Step) -> None:
    if isinstance(step, CreateRelease):
        if tools.draft is None:
            raise PlatformError(f"The plan creates {step.release}, but the command prepared no such release")
        tools.stack.endpoints.create_release(tools.draft)
    elif isinstance(step, CreateGuard) and tools.guard:
        tools.stack.metrics.put_guard_alarm(tools.guard)
    elif isinstance(step, Abort):
        reason = f"rollback by {tools.stack.identity.actor}: {tools.reason or 'no reason given'}"
        abort_update(tools.stack, tools.observed.endpoint, step.alarm, reason)


def _record_start(tools: DeploymentTools, step: RecordStart) -> int:
    operation = "deployment of" if step.action == "deploy" else "rollback to"
    live = tools.observed.live
    data = {**tools.data, "action": step.action, "release": step.release, "previous": live, "reason": tools.reason}
    data |= {} if tools.wait else {"followed": False}
    summary = f"{operation} {display_name(step.release)} started, {display_name(live)} is live"
    return _record(tools, "deployment-started", step.version, summary, data)


def _record_resume(tools: DeploymentTools, step: Resume) -> None:
    operation = "rollback to" if step.action == "rollback" else "deployment of"
    start = f" (record {step.seq})" if step.seq else ""
    data = {"action": step.action, "release": step.release, "resumes": step.seq, "reason": tools.reason}
    _record(tools, "resumed", step.version, f"{operation} {display_name(step.release)}{start} resumed", data)


def _shift_traffic(tools: DeploymentTools, step: Shift, attempt_seq: int) -> None:
    traffic, endpoint = TrafficRouting(step.kind, step.step_pct, step.bake_s, step.alarms), tools.observed.endpoint
    try:
        tools.stack.endpoints.update(endpoint, step.config, traffic)
    except Conflict as exc:
        message = f"Endpoint {endpoint} rejected the update, because another update was started first"
        _record(tools, "alert", None, message, {"rejected_update": attempt_seq, "endpoint": endpoint})
        next_step = f"bedplate status {tools.observed.model}, then the same command again when the update has ended"
        raise Locked(message, next_step=next_step) from exc


def abort_update(stack: StackContext, endpoint: str, alarm: str, reason: str) -> None:
    """Makes SageMaker roll the update in flight back by putting an alarm that monitors it into ALARM.

    SageMaker checks alarms only at intervals, and CloudWatch resets the state of the alarm at its next evaluation, so
    the alarm is raised repeatedly until the update is no longer in flight.
    """
    for _ in range(ABORT_ATTEMPTS):
        if stack.endpoints.observe(endpoint).status != "Updating":
            return
        stack.metrics.raise_alarm(alarm, reason)
        stack.clock.sleep(ABORT_PAUSE_S)


def roll_back_insufficient_traffic(
    tools: DeploymentTools, config: str, predictions: float, reporter: Reporter
) -> NotEnoughData:
    """Rolls back an update whose bake has insufficient traffic, records it, and returns the error to raise.

    An alarm rolls the update back; if the update ended before that, another update returns all traffic.
    """
    observed, stack = tools.observed, tools.stack
    live, live_config = display_name(observed.live), observed.config_of(observed.live)
    reason = insufficient_traffic_message(config, predictions, tools.min_bake_predictions, tools.bake_s)
    reporter("step", {"number": 0, "of": 0, "message": f"Roll {display_name(config)} back: {reason}"})
    existing = stack.metrics.get_alarms(tools.alarms)
    alarm = next((name for name in reversed(tools.alarms) if name in existing), None)
    if alarm is not None:
        abort_update(stack, observed.endpoint, alarm, f"NO_DATA: {reason}")
    result = follow_update(stack, observed, live_config, alarms=(), bake_s=0, reporter=reporter, expect_rollback=True)
    if result.state.config != live_config:
        stack.endpoints.update(observed.endpoint, live_config, TrafficRouting("ALL_AT_ONCE", 100, 0, ()))
        follow_update(stack, observed, live_config, alarms=(), bake_s=0, reporter=reporter)
    data = {
        **tools.data,
        "live": verify_release(stack, observed.endpoint, tools.probe, observed.live).release,
        "release": config,
        "verdict": "NO_DATA",
        "predictions": predictions,
        "reason": reason,
        "alarm": {"name": alarm, "raised_by": "bedplate"} if alarm else None,
    }
    _record(tools, "deployment-rolled-back", version_of(config), f"{reason}; {live} is live", data)
    return NotEnoughData(
        f"Not promoted: {reason}. {live} is live.",
        next_step=f"bedplate invoke {observed.model} during the bake, a longer --bake, or --strategy all-at-once (it "
        "needs no traffic)",
    )


def _record_outcome(
    tools: DeploymentTools, step: RecordOutcome, result: ProbeResult | None, switch_s: float | None
) -> None:
    live = result.release if result else step.release
    name, reason, probe = display_name(step.release), tools.reason, None
    if step.kind == "deployment-rolled-back":
        reason = tools.observed.failure_reason or "rolled back by SageMaker while no command followed the update"
    if result:
        probe = {"rows": result.rows, "rows_source": result.rows_source, "mean_prediction": result.mean_prediction}
    data = {
        **tools.data,
        "live": live,
        "release": step.release,
        "previous": step.previous,
        "reason": reason,
        "probe": probe,
        "switch_s": switch_s,
    }
    summary = {
        "deployed": f"{name} is live",
        "rollback": f"{name} is live again" + (f": {reason}" if reason else ""),
        "deployment-rolled-back": f"SageMaker rolled {name} back, {display_name(live or '?')} is live",
    }[step.kind]
    _record(tools, step.kind, step.version, summary, data)


def _unexpected_release_error(tools: DeploymentTools, step: Follow, result: FollowResult) -> BedplateError:
    """Records that another release than the expected one is live, and returns the error to raise."""
    observed, state = tools.observed, result.state
    release, live = observed.release_of(step.config), observed.release_of(state.config)
    name, live_name = display_name(release), display_name(live)
    if step.expected_config != step.config:
        return PlatformError(
            f"The deployment of {name} could not be rolled back in time: {live_name} is live",
            next_step=f"bedplate rollback {observed.model}",
        )
    reason = describe_cause(result.alarm, state.failure_reason)
    chart = _alarm_chart(tools, result)
    data = {
        **tools.data,
        "live": verify_release(tools.stack, observed.endpoint, tools.probe, live).release,
        "release": release,
        "reason": reason,
        "alarm": _alarm_data(result.alarm, chart),
    }
    summary = f"SageMaker rolled {name} back, {live_name} is live: {reason}"
    _record(tools, "deployment-rolled-back", version_of(release), summary, data)
    return RolledBack(
        f"SageMaker rolled {name} back after {result.duration_s:.0f} s, {live_name} is live again: {reason}",
        next_step=f"bedplate monitor report {observed.model}, or bedplate ledger show --model {observed.model}",
        evidence=(f"  {chart.metric} of {chart.name}:", *draw_chart(chart)) if chart and chart.points else (),
    )


def _alarm_chart(tools: DeploymentTools, result: FollowResult) -> MetricChart | None:
    """Returns the alarm's datapoints from shortly before the update until now.

    The datapoint that raised the alarm is added when no other is as high: later predictions can have changed the value
    of its period.
    """
    alarm = result.alarm
    if alarm is None:
        return None
    now = tools.stack.clock.now()
    start = now - timedelta(seconds=result.duration_s) - CHART_LEAD
    points = list(tools.stack.metrics.list_alarm_datapoints(alarm.name, start=start, end=now + timedelta(seconds=1)))
    if alarm.datapoint is not None and all(value < alarm.datapoint for _, value in points):
        points = sorted([*points, (alarm.updated_at, alarm.datapoint)])
    return MetricChart(alarm.name, alarm.metric or "metric", tuple(points), alarm.threshold)


def describe_cause(alarm: AlarmState | None, failure_reason: str | None) -> str:
    """Describes why an update was rolled back, with the alarm's datapoint and threshold if an alarm did it.

    >>> describe_cause(None, None)
    'SageMaker gave no reason'
    """
    if alarm is None:
        return failure_reason or "SageMaker gave no reason"
    if alarm.datapoint is not None and alarm.threshold is not None and alarm.metric:
        return f"alarm {alarm.name}: {alarm.metric} was {alarm.datapoint:.4g}, above {alarm.threshold:.4g}"
    return f"alarm {alarm.name}: {alarm.reason or 'it went into ALARM'}"


def _alarm_data(alarm: AlarmState | None, chart: MetricChart | None) -> dict[str, Any] | None:
    if alarm is None:
        return None
    points = [[format_iso_ms(at), value] for at, value in chart.points][-MAX_CHART_POINTS:] if chart else []
    return {
        "name": alarm.name,
        "metric": alarm.metric,
        "datapoint": alarm.datapoint,
        "threshold": alarm.threshold,
        "points": points,
    }


def _record(tools: DeploymentTools, kind: Kind, version: int | None, summary: str, data: Mapping[str, Any]) -> int:
    """Writes a ledger record without the values that are None, and returns its number."""
    record = tools.ledger.record(
        kind,
        summary,
        actor=tools.stack.identity.actor,
        model=tools.observed.model,
        version=version,
        data={key: value for key, value in data.items() if value is not None},
    )
    return record.seq
