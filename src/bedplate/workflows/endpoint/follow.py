"""Follows an endpoint update until it has ended, and reports its progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedplate.domain.rollout.bake import BakeStatus, judge_bake, margin_s
from bedplate.domain.rollout.deployment import ObservedEndpoint
from bedplate.errors import PlatformError
from bedplate.ports import AlarmState, EndpointState, Reporter
from bedplate.workflows.stack_context import StackContext

POLL_LOCAL_S = 0.2
POLL_AWS_S = 5.0
COUNT_INTERVAL_S = 2.0
GRACE_S = 15.0
"""How long an endpoint may still show the state before an update that it has accepted."""
LOOK_BACK_S = 10.0
"""Predictions are counted in periods of ten seconds, starting with the period of the update request."""
SETTLED_STATUSES = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")


@dataclass(frozen=True, slots=True)
class FollowResult:
    """The endpoint's state after the update, and the alarm that was in ALARM during the update.

    With `insufficient_traffic` the update has not ended: the bake is about to end with only `predictions` predictions.
    """

    state: EndpointState
    alarm: AlarmState | None
    duration_s: float
    predictions: float | None = None
    insufficient_traffic: bool = False


def follow_update(
    stack: StackContext,
    observed: ObservedEndpoint,
    config: str,
    *,
    alarms: Sequence[str],
    bake_s: int,
    reporter: Reporter,
    expect_rollback: bool = False,
    min_bake_predictions: int = 0,
) -> FollowResult:
    """Polls until the update to `config` has ended, or until its bake is about to end with too few predictions.

    Reports `rollout` events with status, phase, share of traffic, remaining bake seconds, alarm states and prediction
    counts. Raises PlatformError when the endpoint is not in service afterwards.
    """
    started_at = stack.clock.now()
    pause_s = POLL_LOCAL_S if stack.identity.local_url else POLL_AWS_S
    raised: AlarmState | None = None
    was_busy = observed.is_busy
    counted_at: datetime | None = None
    counts: dict[str, float] = {}
    has_enough = not min_bake_predictions
    since = min([started_at, *(a.started_at for a in observed.attempts[-1:])]) - timedelta(seconds=LOOK_BACK_S)
    predictions: float | None = None
    while True:
        state = stack.endpoints.observe(observed.endpoint)
        now = stack.clock.now()
        waited_s = (now - started_at).total_seconds()
        is_settled = state.status in SETTLED_STATUSES
        was_busy = was_busy or not is_settled
        has_ended = is_settled and (was_busy or state.config == config or expect_rollback or waited_s > GRACE_S)
        states = stack.metrics.get_alarms(alarms) if alarms and not (has_ended and state.config == config) else {}
        raised = raised or next((a for a in states.values() if a.state == "ALARM"), None)
        if has_ended:
            if state.status != "InService":
                raise PlatformError(
                    f"Endpoint {observed.endpoint} is {state.status}: {state.failure_reason or 'no reason given'}",
                    next_step=f"bedplate rollback {observed.model} --now",
                )
            return FollowResult(state, raised, waited_s, predictions)
        left_s = bake_left_s(state, now, bake_s)
        if not has_enough and left_s is not None:
            predictions = count_predictions(stack, observed.endpoint, config, since, now)
            bake = BakeStatus(left_s, predictions, min_bake_predictions, margin_s(bake_s, poll_s=pause_s))
            verdict = judge_bake(bake)
            has_enough = verdict == "PASS"
            if verdict == "NO_DATA":
                return FollowResult(state, raised, waited_s, predictions, insufficient_traffic=True)
        if bake_s and (counted_at is None or (now - counted_at).total_seconds() >= COUNT_INTERVAL_S):
            counts, counted_at = _recent_predictions(stack, observed, config, now), now
        fields = {
            "status": state.status,
            "phase": state.pending_phase,
            "live": observed.release_of(state.config),
            "pending": state.pending_config and observed.release_of(state.pending_config),
            "share": state.pending_share,
            "bake_left_s": left_s,
            "alarms": {name: alarm.state for name, alarm in states.items()},
        }
        reporter("rollout", {**fields, **counts})
        stack.clock.sleep(pause_s)


def bake_left_s(state: EndpointState, now: datetime, bake_s: int) -> float | None:
    """Returns the remaining seconds of the bake; None while nothing bakes."""
    if state.pending_phase != "Baking" or state.pending_since is None:
        return None
    return max(0.0, bake_s - (now - state.pending_since).total_seconds())


def count_predictions(
    stack: StackContext, endpoint: str, release: str, since: datetime, until: datetime, *, period_s: int = 10
) -> float:
    """Returns the number of predictions that a release reported (`Bedplate/Serving`), in periods of `period_s`."""
    datapoints = stack.metrics.list_datapoints(
        "Bedplate/Serving",
        "Predictions",
        {"Endpoint": endpoint, "Release": release},
        start=since,
        end=until + timedelta(seconds=period_s),
        period_s=period_s,
        stat="Sum",
    )
    return sum(value for _, value in datapoints)


def _recent_predictions(
    stack: StackContext, observed: ObservedEndpoint, config: str, now: datetime
) -> dict[str, float]:
    """Returns the predictions of the old and the new release in the last minute."""
    start, releases = now - timedelta(seconds=60), {"predictions_old": observed.live, "predictions_new": config}
    counts = {k: count_predictions(stack, observed.endpoint, release, start, now) for k, release in releases.items()}
    return {key: count for key, count in counts.items() if count}
