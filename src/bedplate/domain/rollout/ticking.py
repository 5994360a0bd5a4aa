"""Decides one tick of a rollout: from its state and one look at the world to what is recorded and done next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bedplate.domain.names import CHALLENGER, VARIANT
from bedplate.domain.rollout.machine import LIVE, MIRRORED, WATCHED, Event, RolloutState, Verdict

SAME_WEIGHT = 0.005
RECORD_EVERY = timedelta(minutes=10)
"""How often figures alone are written down."""


@dataclass(frozen=True, slots=True)
class EndpointView:
    """One look at the endpoint; names are EndpointConfigs'. `weights` are shares of the traffic that is answered."""

    config: str
    pending: str | None
    busy: bool
    undoable: bool
    """An update is in flight that an alarm can still undo."""
    weights: Mapping[str, float]
    modified_at: datetime
    failure_reason: str | None = None
    alarms_raised: tuple[str, ...] = ()
    promoted: bool = False
    """The challenger alone is live, by its own name."""


@dataclass(frozen=True, slots=True)
class StrategyVerdict:
    """What the figures say: None for not yet. `weights` are the ones that the strategy wants from now on."""

    verdict: Verdict | None
    told: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class CreateSplit:
    """Challenger and split come into being, and the endpoint is asked to take the split."""

    message: str


@dataclass(frozen=True, slots=True)
class SetWeights:
    message: str
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PromoteChallenger:
    """The challenger's own deployment: begun, or recorded to its end."""

    message: str


@dataclass(frozen=True, slots=True)
class RestoreChampion:
    """All traffic back to the champion alone."""

    message: str


@dataclass(frozen=True, slots=True)
class CancelUpdate:
    """An update in flight is undone by an alarm."""

    message: str


Act = CreateSplit | SetWeights | PromoteChallenger | RestoreChampion | CancelUpdate


@dataclass(frozen=True, slots=True)
class RolloutDecision:
    """First the record (`event`, None: nothing to write), then the act; `told` for who watches."""

    told: str
    event: Event | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    act: Act | None = None


def decide(
    state: RolloutState, world: EndpointView, judgement: StrategyVerdict | None, now: datetime
) -> RolloutDecision:
    """One tick. `judgement` is looked at in the phases that watch, and may be None elsewhere.

    Whatever the endpoint is on that this rollout neither asked for nor began from is somebody else's doing, and ends it
    without an act: nobody's traffic is moved twice.
    """
    if state.over:
        return RolloutDecision(f"over: {state.phase}")
    if state.phase == "proposed":
        return _proposed(state, world)
    if state.phase == "promoting":
        return _promoting(state, world)
    if state.phase == "undoing":
        return _undoing(state, world)
    return _live(state, world, judgement, now)


def _proposed(state: RolloutState, world: EndpointView) -> RolloutDecision:
    terms = state.terms
    if world.config == terms.split and not world.busy:
        how = "answers copies of the requests" if terms.strategy in MIRRORED else f"gets {100 * terms.share:g} %"
        return RolloutDecision(f"the challenger {how}", terms.running)
    if world.busy:
        ours = world.pending in (terms.split, None)
        return RolloutDecision("the endpoint takes both releases" if ours else f"{world.pending} is on its way")
    if world.config != terms.champion_config:
        return _overtaken(world)
    if state.asked_at and world.modified_at >= state.asked_at - timedelta(seconds=1) and world.failure_reason:
        why = f"the platform undid it: {world.failure_reason}"
        return RolloutDecision(why, "undone", {"verdict": "FAIL", "reason": why, "by": "alarm"})
    asked: Event | None = None if state.asked_at else "asked"
    return RolloutDecision(
        "champion and challenger are put behind the endpoint", asked, {}, CreateSplit("Put both behind it")
    )


def _live(
    state: RolloutState, world: EndpointView, judgement: StrategyVerdict | None, now: datetime
) -> RolloutDecision:
    assert state.phase in LIVE
    if world.busy:
        return RolloutDecision("the endpoint is being updated")
    if world.config != state.terms.split:
        return _overtaken(world)
    wanted = {VARIANT: 1.0, CHALLENGER: 0.0} if state.phase == "paused" else dict(state.weights)
    if state.terms.strategy in MIRRORED:
        wanted = dict(world.weights)
    if world.alarms_raised and state.phase != "paused":
        why = f"{', '.join(world.alarms_raised)} is in ALARM"
        data = {"verdict": "FAIL", "reason": why, "by": "alarm"}
        return RolloutDecision(why, "failed", data, RestoreChampion("All traffic to the champion"))
    weigh = None if _same(wanted, world.weights) else SetWeights(f"Weights: {spoken_weights(wanted)}", wanted)
    if state.phase == "passed" and state.terms.auto_promote:
        return RolloutDecision(
            "it passed, and is promoted by itself", "promote", {}, PromoteChallenger("Promote the challenger")
        )
    if state.phase not in WATCHED or judgement is None:
        return RolloutDecision(state.phase, act=weigh)
    return _judged(state, judgement, now, weigh)


def _judged(
    state: RolloutState, judgement: StrategyVerdict, now: datetime, weigh: SetWeights | None
) -> RolloutDecision:
    data = {"facts": dict(judgement.facts), "verdict": judgement.verdict, "reason": judgement.told, "by": "figures"}
    if judgement.verdict == "PASS":
        return RolloutDecision(judgement.told, "passed", data)
    if judgement.verdict == "FAIL":
        return RolloutDecision(judgement.told, "failed", data, RestoreChampion("All traffic to the champion"))
    if (now - state.begun_at).total_seconds() >= state.terms.max_s:
        told = f"no verdict after {state.terms.max_s:g} s: {judgement.told}"
        return RolloutDecision(
            told,
            "starved",
            {**data, "verdict": "NO_DATA", "reason": told},
            RestoreChampion("All traffic to the champion"),
        )
    if judgement.weights and state.phase == "splitting" and not _same(judgement.weights, state.weights):
        weights = dict(judgement.weights)
        act = SetWeights(f"Weights: {spoken_weights(weights)}", weights)
        return RolloutDecision(judgement.told, "weighed", {**data, "weights": weights}, act)
    if judgement.facts and judgement.facts != state.facts and now - state.told_at >= RECORD_EVERY:
        return RolloutDecision(judgement.told, "watched", data, weigh)
    return RolloutDecision(judgement.told, act=weigh)


def _promoting(state: RolloutState, world: EndpointView) -> RolloutDecision:
    if world.busy:
        return RolloutDecision("the challenger takes all traffic")
    if world.promoted or world.config == state.terms.split:
        return RolloutDecision(
            "the challenger's own deployment goes on", act=PromoteChallenger("Promote the challenger")
        )
    return _overtaken(world)


def _undoing(state: RolloutState, world: EndpointView) -> RolloutDecision:
    terms = state.terms
    if world.busy:
        ours = world.undoable and world.pending in (terms.split, terms.challenger)
        return RolloutDecision(
            "an update is being undone", act=CancelUpdate("Undo the update in flight") if ours else None
        )
    if world.config == terms.champion_config:
        end: dict[str | None, Event] = {
            "failed": "restored-failed",
            "starved": "restored-starved",
            "aborted": "restored-aborted",
        }
        return RolloutDecision("the champion alone answers", end.get(state.why, "restored-failed"))
    if world.config in (terms.split, terms.challenger):
        return RolloutDecision(
            "all traffic goes back to the champion", act=RestoreChampion("All traffic to the champion")
        )
    return _overtaken(world)


def _overtaken(world: EndpointView) -> RolloutDecision:
    why = f"the endpoint is on {world.config}, which this rollout did not ask for"
    return RolloutDecision(why, "overtaken", {"reason": why})


def _same(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return all(abs(a.get(name, 0.0) - b.get(name, 0.0)) < SAME_WEIGHT for name in {*a, *b})


def spoken_weights(weights: Mapping[str, float]) -> str:
    """Shares in percent.

    >>> spoken_weights({"live": 0.75, "challenger": 0.25})
    'live 75 %, challenger 25 %'
    """
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in weights.items())
