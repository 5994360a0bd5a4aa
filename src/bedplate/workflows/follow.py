"""Watches an endpoint until an update has settled, and tells what is to be seen meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedplate.domain.rollout import Observed
from bedplate.errors import PlatformError
from bedplate.ports import AlarmState, EndpointState, Say
from bedplate.workflows.platform import Platform

POLL_LOCAL_S = 0.2
POLL_AWS_S = 5.0
FIGURES_EVERY_S = 2.0
GRACE_S = 15.0
"""How long an endpoint may look as if nothing had been asked of it, after an update was accepted."""
SETTLED = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")


@dataclass(frozen=True, slots=True)
class Settled:
    """Where the endpoint came to rest, and the alarm that was seen raised on the way."""

    state: EndpointState
    alarm: AlarmState | None
    seconds: float


def follow(
    platform: Platform,
    seen: Observed,
    config: str,
    *,
    alarms: Sequence[str],
    bake_s: int,
    say: Say,
    expect_undo: bool = False,
) -> Settled:
    """Poll until the update to `config` has settled, one way or the other.

    Says `rollout` with status, phase, share of traffic, seconds left of the bake, alarms and figures. Raises
    PlatformError when the endpoint is broken afterwards.
    """
    begun = platform.clock.now()
    pause_s = POLL_LOCAL_S if platform.identity.local_url else POLL_AWS_S
    raised: AlarmState | None = None
    busy = seen.busy
    figures_at: datetime | None = None
    figures: dict[str, float] = {}
    while True:
        state = platform.endpoints.observe(seen.endpoint)
        now = platform.clock.now()
        waited_s = (now - begun).total_seconds()
        busy = busy or state.status not in SETTLED
        done = state.status in SETTLED and (busy or state.config == config or expect_undo or waited_s > GRACE_S)
        held = platform.metrics.alarms(alarms) if alarms and not (done and state.config == config) else {}
        raised = raised or next((a for a in held.values() if a.state == "ALARM"), None)
        if done:
            if state.status != "InService":
                raise PlatformError(
                    f"Endpoint {seen.endpoint} is {state.status}: {state.failure_reason or 'no reason was given'}",
                    next_step=f"bedplate rollback {seen.model} --now",
                )
            return Settled(state, raised, waited_s)
        if bake_s and (figures_at is None or (now - figures_at).total_seconds() >= FIGURES_EVERY_S):
            figures, figures_at = _figures(platform, seen, config, now), now
        say("rollout", _view(seen, state, now, bake_s, held, figures))
        platform.clock.sleep(pause_s)


def _view(
    seen: Observed,
    state: EndpointState,
    now: datetime,
    bake_s: int,
    held: object,
    figures: dict[str, float],
) -> dict[str, object]:
    baking = state.pending_phase == "Baking" and state.pending_since is not None
    left = bake_s - (now - state.pending_since).total_seconds() if baking and state.pending_since else None
    states = {name: alarm.state for name, alarm in held.items()} if isinstance(held, dict) else {}
    return {
        "status": state.status,
        "phase": state.pending_phase,
        "live": seen.release_of(state.config),
        "pending": state.pending_config and seen.release_of(state.pending_config),
        "share": state.pending_share,
        "bake_left_s": None if left is None else max(0.0, left),
        "alarms": states,
        **figures,
    }


def _figures(platform: Platform, seen: Observed, config: str, now: datetime) -> dict[str, float]:
    """Answers given in the last minute by the old and the new release."""
    found: dict[str, float] = {}
    for key, release in (("answers_old", seen.live), ("answers_new", config)):
        points = platform.metrics.series(
            "Bedplate/Serving",
            "Answers",
            {"Endpoint": seen.endpoint, "Release": release},
            start=now - timedelta(seconds=60),
            end=now + timedelta(seconds=10),
            period_s=10,
            stat="Sum",
        )
        if points:
            found[key] = sum(value for _, value in points)
    return found
