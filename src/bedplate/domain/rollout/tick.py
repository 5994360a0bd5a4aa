"""Decides one tick of a rollout: which event is recorded and which action follows, from its state and the endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bedplate.domain.names import CHALLENGER, VARIANT
from bedplate.domain.rollout.state_machine import (
    MEASURED_PHASES,
    MIRRORED,
    MULTI_VARIANT_PHASES,
    Event,
    RolloutState,
    Verdict,
)

WEIGHT_TOLERANCE = 0.005
RECORD_INTERVAL = timedelta(minutes=10)
"""How often measurements without a verdict are recorded."""


@dataclass(frozen=True, slots=True)
class EndpointView:
    """The endpoint at one time; releases are named by their EndpointConfigs. `weights` are shares of the traffic."""

    config: str
    pending: str | None
    is_busy: bool
    can_roll_back: bool
    """Whether an update is in flight that an alarm can still roll back."""
    weights: Mapping[str, float]
    modified_at: datetime
    failure_reason: str | None = None
    alarms_raised: tuple[str, ...] = ()
    is_promoted: bool = False
    """Whether only the challenger is live, with its own EndpointConfig."""


@dataclass(frozen=True, slots=True)
class StrategyVerdict:
    """A strategy's verdict on the measurements; None to wait. `weights` are the weights to set next."""

    verdict: Verdict | None
    message: str
    measurements: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class CreateMultiVariantConfig:
    """Creates the challenger's release and the multi-variant EndpointConfig, and updates the endpoint to it."""

    message: str


@dataclass(frozen=True, slots=True)
class SetWeights:
    """Sets the weights of the production variants."""

    message: str
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PromoteChallenger:
    """Starts or finishes the challenger's own deployment."""

    message: str


@dataclass(frozen=True, slots=True)
class RestoreChampion:
    """Moves all traffic back to the champion alone."""

    message: str


@dataclass(frozen=True, slots=True)
class CancelUpdate:
    """Rolls an update in flight back by putting one of its alarms into ALARM."""

    message: str


TickAction = CreateMultiVariantConfig | SetWeights | PromoteChallenger | RestoreChampion | CancelUpdate
_RESTORE = RestoreChampion("Move all traffic to the champion")
_PROMOTE = PromoteChallenger("Promote the challenger")


@dataclass(frozen=True, slots=True)
class RolloutDecision:
    """An event to record (None: nothing to record), the action that follows it, and a `message` for people."""

    message: str
    event: Event | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    action: TickAction | None = None


def decide_tick(
    state: RolloutState, view: EndpointView, verdict: StrategyVerdict | None, now: datetime
) -> RolloutDecision:
    """Decides one tick. `verdict` is used only in the phases that measure, and may be None in the others.

    When the endpoint is on an EndpointConfig that this rollout neither requested nor started from, something else
    deployed it: the rollout then ends without an action, so that it never moves the traffic of another deployment.
    """
    if state.is_over:
        return RolloutDecision(f"over: {state.phase}")
    if state.phase == "proposed":
        return _decide_proposed(state, view)
    if state.phase == "promoting":
        return _decide_promoting(state, view)
    if state.phase == "rolling-back":
        return _decide_rolling_back(state, view)
    return _decide_multi_variant(state, view, verdict, now)


def _decide_proposed(state: RolloutState, view: EndpointView) -> RolloutDecision:
    terms, requested_at = state.terms, state.update_requested_at
    if view.config == terms.multi_variant_config and not view.is_busy:
        traffic = "copies of the requests" if terms.strategy in MIRRORED else f"{100 * terms.share:g} % of the traffic"
        return RolloutDecision(f"the challenger gets {traffic}", terms.start_event)
    if view.is_busy:
        is_own = view.pending in (terms.multi_variant_config, None)
        update = "both releases" if is_own else view.pending
        return RolloutDecision(f"the endpoint is being updated to {update}")
    if view.config != terms.champion_config:
        return _supersede(view)
    if requested_at and view.modified_at >= requested_at - timedelta(seconds=1) and view.failure_reason:
        reason = f"SageMaker rolled the update back: {view.failure_reason}"
        return RolloutDecision(reason, "rolled-back", {"verdict": "FAIL", "reason": reason, "decided_by": "alarm"})
    event: Event | None = None if requested_at else "update-requested"
    action = CreateMultiVariantConfig("Update the endpoint to both releases")
    return RolloutDecision("champion and challenger are deployed to the endpoint", event, {}, action)


def _decide_multi_variant(
    state: RolloutState, view: EndpointView, verdict: StrategyVerdict | None, now: datetime
) -> RolloutDecision:
    assert state.phase in MULTI_VARIANT_PHASES
    if view.is_busy:
        return RolloutDecision("the endpoint is being updated")
    if view.config != state.terms.multi_variant_config:
        return _supersede(view)
    weights = {VARIANT: 1.0, CHALLENGER: 0.0} if state.phase == "paused" else dict(state.weights)
    if state.terms.strategy in MIRRORED:
        weights = dict(view.weights)
    if view.alarms_raised and state.phase != "paused":
        reason = f"{', '.join(view.alarms_raised)} is in ALARM"
        data = {"verdict": "FAIL", "reason": reason, "decided_by": "alarm"}
        return RolloutDecision(reason, "failed", data, _RESTORE)
    set_weights = None if _weights_match(weights, view.weights) else _set_weights(weights)
    if state.phase == "passed" and state.terms.auto_promote:
        return RolloutDecision("the challenger passed and is promoted automatically", "promote", {}, _PROMOTE)
    if state.phase not in MEASURED_PHASES or verdict is None:
        return RolloutDecision(state.phase, action=set_weights)
    return _decide_verdict(state, verdict, now, set_weights)


def _decide_verdict(
    state: RolloutState, verdict: StrategyVerdict, now: datetime, set_weights: SetWeights | None
) -> RolloutDecision:
    message, measurements = verdict.message, dict(verdict.measurements)
    data = {"measurements": measurements, "verdict": verdict.verdict, "reason": message, "decided_by": "metrics"}
    if verdict.verdict == "PASS":
        return RolloutDecision(message, "passed", data)
    if verdict.verdict == "FAIL":
        return RolloutDecision(message, "failed", data, _RESTORE)
    if (now - state.started_at).total_seconds() >= state.terms.max_s:
        message = f"no verdict after {state.terms.max_s:g} s: {message}"
        data |= {"verdict": "NO_DATA", "reason": message}
        return RolloutDecision(message, "insufficient-traffic", data, _RESTORE)
    if verdict.weights and state.phase == "splitting" and not _weights_match(verdict.weights, state.weights):
        weights = dict(verdict.weights)
        return RolloutDecision(message, "weights-set", {**data, "weights": weights}, _set_weights(weights))
    if measurements and measurements != state.measurements and now - state.recorded_at >= RECORD_INTERVAL:
        return RolloutDecision(message, "measured", data, set_weights)
    return RolloutDecision(message, action=set_weights)


def _decide_promoting(state: RolloutState, view: EndpointView) -> RolloutDecision:
    if view.is_busy:
        return RolloutDecision("all traffic is moving to the challenger")
    if view.is_promoted or view.config == state.terms.multi_variant_config:
        return RolloutDecision("the challenger's own deployment continues", action=_PROMOTE)
    return _supersede(view)


def _decide_rolling_back(state: RolloutState, view: EndpointView) -> RolloutDecision:
    terms = state.terms
    own_configs = (terms.multi_variant_config, terms.challenger)
    if view.is_busy:
        cancel = CancelUpdate("Roll the update in flight back")
        is_own = view.can_roll_back and view.pending in own_configs
        return RolloutDecision("an update is in flight and must be rolled back", action=cancel if is_own else None)
    if view.config == terms.champion_config:
        events: dict[str | None, Event] = {
            "insufficient-traffic": "restored-insufficient-traffic",
            "aborted": "restored-aborted",
        }
        return RolloutDecision("only the champion is live", events.get(state.rollback_cause, "restored-failed"))
    if view.config in own_configs:
        return RolloutDecision("all traffic moves back to the champion", action=_RESTORE)
    return _supersede(view)


def _supersede(view: EndpointView) -> RolloutDecision:
    reason = f"the endpoint is on {view.config}, which this rollout did not request"
    return RolloutDecision(reason, "superseded", {"reason": reason})


def _set_weights(weights: Mapping[str, float]) -> SetWeights:
    return SetWeights(f"Set the weights: {format_weights(weights)}", weights)


def _weights_match(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return all(abs(a.get(name, 0.0) - b.get(name, 0.0)) < WEIGHT_TOLERANCE for name in {*a, *b})


def format_weights(weights: Mapping[str, float]) -> str:
    """Formats the variants' shares of the traffic in per cent.

    >>> format_weights({"live": 0.75, "challenger": 0.25})
    'live 75 %, challenger 25 %'
    """
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in weights.items())
