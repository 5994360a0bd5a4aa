"""Watches an endpoint until an update has settled, and tells what is to be seen meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedplate.domain.rollout import ObservedEndpoint
from bedplate.domain.rollout.bake import BakeStatus, judge_bake, margin_s
from bedplate.errors import PlatformError
from bedplate.ports import AlarmState, EndpointState, Reporter
from bedplate.workflows.stack_context import StackContext

POLL_LOCAL_S = 0.2
POLL_AWS_S = 5.0
FIGURES_EVERY_S = 2.0
GRACE_S = 15.0
"""How long an endpoint may look as if nothing had been asked of it, after an update was accepted."""
LOOK_BACK_S = 10.0
"""Answers are counted in periods of ten seconds: from the one in which the update was asked for."""
SETTLED = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")


@dataclass(frozen=True, slots=True)
class FollowResult:
    """Where the endpoint came to rest, and the alarm that was seen raised on the way.

    `starved` says that it did not: the bake is about to end, and only `answers` were counted.
    """

    state: EndpointState
    alarm: AlarmState | None
    seconds: float
    answers: float | None = None
    starved: bool = False


def follow(
    stack: StackContext,
    seen: ObservedEndpoint,
    config: str,
    *,
    alarms: Sequence[str],
    bake_s: int,
    reporter: Reporter,
    expect_undo: bool = False,
    needed_answers: int = 0,
) -> FollowResult:
    """Poll until the update to `config` has settled, one way or the other, or until its bake is about to end with fewer
    than `needed_answers` answers.

    Says `rollout` with status, phase, share of traffic, seconds left of the bake, alarms and figures. Raises
    PlatformError when the endpoint is broken afterwards.
    """
    begun = stack.clock.now()
    pause_s = POLL_LOCAL_S if stack.identity.local_url else POLL_AWS_S
    raised: AlarmState | None = None
    busy = seen.busy
    figures_at: datetime | None = None
    figures: dict[str, float] = {}
    fed = not needed_answers
    since = min([begun, *(a.at for a in seen.attempts[-1:])]) - timedelta(seconds=LOOK_BACK_S)
    answers: float | None = None
    while True:
        state = stack.endpoints.observe(seen.endpoint)
        now = stack.clock.now()
        waited_s = (now - begun).total_seconds()
        busy = busy or state.status not in SETTLED
        done = state.status in SETTLED and (busy or state.config == config or expect_undo or waited_s > GRACE_S)
        held = stack.metrics.alarms(alarms) if alarms and not (done and state.config == config) else {}
        raised = raised or next((a for a in held.values() if a.state == "ALARM"), None)
        if done:
            if state.status != "InService":
                raise PlatformError(
                    f"Endpoint {seen.endpoint} is {state.status}: {state.failure_reason or 'no reason was given'}",
                    next_step=f"bedplate rollback {seen.model} --now",
                )
            return FollowResult(state, raised, waited_s, answers)
        left_s = bake_left(state, now, bake_s)
        if not fed and left_s is not None:
            answers = answers_since(stack, seen.endpoint, config, since, now)
            verdict = judge_bake(BakeStatus(left_s, answers, needed_answers, margin_s(bake_s, poll_s=pause_s)))
            fed = verdict == "PASS"
            if verdict == "NO_DATA":
                return FollowResult(state, raised, waited_s, answers, starved=True)
        if bake_s and (figures_at is None or (now - figures_at).total_seconds() >= FIGURES_EVERY_S):
            figures, figures_at = _figures(stack, seen, config, now), now
        reporter("rollout", _view(seen, state, now, bake_s, held, figures))
        stack.clock.sleep(pause_s)


def _view(
    seen: ObservedEndpoint,
    state: EndpointState,
    now: datetime,
    bake_s: int,
    held: object,
    figures: dict[str, float],
) -> dict[str, object]:
    left = bake_left(state, now, bake_s)
    states = {name: alarm.state for name, alarm in held.items()} if isinstance(held, dict) else {}
    return {
        "status": state.status,
        "phase": state.pending_phase,
        "live": seen.release_of(state.config),
        "pending": state.pending_config and seen.release_of(state.pending_config),
        "share": state.pending_share,
        "bake_left_s": left,
        "alarms": states,
        **figures,
    }


def bake_left(state: EndpointState, now: datetime, bake_s: int) -> float | None:
    """Seconds; None while nothing bakes."""
    if state.pending_phase != "Baking" or state.pending_since is None:
        return None
    return max(0.0, bake_s - (now - state.pending_since).total_seconds())


def answers_since(stack: StackContext, endpoint: str, release: str, since: datetime, until: datetime) -> float:
    """Answers that a release counted itself (`Bedplate/Serving`), to 10 seconds."""
    points = stack.metrics.series(
        "Bedplate/Serving",
        "Answers",
        {"Endpoint": endpoint, "Release": release},
        start=since,
        end=until + timedelta(seconds=10),
        period_s=10,
        stat="Sum",
    )
    return sum(value for _, value in points)


def _figures(stack: StackContext, seen: ObservedEndpoint, config: str, now: datetime) -> dict[str, float]:
    """Answers given in the last minute by the old and the new release."""
    found: dict[str, float] = {}
    for key, release in (("answers_old", seen.live), ("answers_new", config)):
        counted = answers_since(stack, seen.endpoint, release, now - timedelta(seconds=60), now)
        if counted:
            found[key] = counted
    return found
