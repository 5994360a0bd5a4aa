"""A rollout that takes more than one command, as a state machine: its phases, what leads from one to the next, and its
state as the ledger tells it.

A record says what is wanted from now on; the acts that bring it about follow the record and can be repeated. So a
process killed between any two steps leaves a state that the next tick goes on from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from bedplate.domain.ledger import Record
from bedplate.domain.names import CHALLENGER, VARIANT

Strategy = Literal["shadow", "ab", "bandit", "champion-challenger"]
STRATEGIES: tuple[Strategy, ...] = ("shadow", "ab", "bandit", "champion-challenger")
MIRRORED: tuple[Strategy, ...] = ("shadow", "champion-challenger")
"""The challenger answers copies of the requests, and its answers reach nobody."""

Phase = Literal[
    "proposed",
    "shadowing",
    "splitting",
    "paused",
    "passed",
    "promoting",
    "undoing",
    "promoted",
    "aborted",
    "rolled-back",
    "no-data",
]
Event = Literal[
    "asked",
    "mirrored",
    "split",
    "watched",
    "weighed",
    "passed",
    "failed",
    "starved",
    "pause",
    "resume",
    "promote",
    "abort",
    "promoted",
    "undone",
    "restored-failed",
    "restored-starved",
    "restored-aborted",
    "overtaken",
]
Verdict = Literal["PASS", "FAIL", "NO_DATA"]
OVER: frozenset[Phase] = frozenset({"promoted", "aborted", "rolled-back", "no-data"})
WATCHED: frozenset[Phase] = frozenset({"shadowing", "splitting"})
LIVE: frozenset[Phase] = frozenset({"shadowing", "splitting", "paused", "passed"})
"""Phases in which the endpoint should be on the split's configuration."""

TRANSITIONS: Mapping[tuple[Phase, Event], Phase] = {
    ("proposed", "asked"): "proposed",
    ("proposed", "mirrored"): "shadowing",
    ("proposed", "split"): "splitting",
    ("proposed", "undone"): "rolled-back",
    ("proposed", "abort"): "undoing",
    ("proposed", "overtaken"): "rolled-back",
    ("shadowing", "watched"): "shadowing",
    ("shadowing", "passed"): "passed",
    ("shadowing", "failed"): "undoing",
    ("shadowing", "starved"): "undoing",
    ("shadowing", "pause"): "paused",
    ("shadowing", "promote"): "promoting",
    ("shadowing", "abort"): "undoing",
    ("shadowing", "overtaken"): "rolled-back",
    ("splitting", "watched"): "splitting",
    ("splitting", "weighed"): "splitting",
    ("splitting", "passed"): "passed",
    ("splitting", "failed"): "undoing",
    ("splitting", "starved"): "undoing",
    ("splitting", "pause"): "paused",
    ("splitting", "promote"): "promoting",
    ("splitting", "abort"): "undoing",
    ("splitting", "overtaken"): "rolled-back",
    ("paused", "mirrored"): "shadowing",
    ("paused", "split"): "splitting",
    ("paused", "promote"): "promoting",
    ("paused", "abort"): "undoing",
    ("paused", "overtaken"): "rolled-back",
    ("passed", "failed"): "undoing",
    ("passed", "promote"): "promoting",
    ("passed", "abort"): "undoing",
    ("passed", "overtaken"): "rolled-back",
    ("promoting", "promoted"): "promoted",
    ("promoting", "undone"): "undoing",
    ("promoting", "abort"): "undoing",
    ("promoting", "overtaken"): "rolled-back",
    ("undoing", "restored-failed"): "rolled-back",
    ("undoing", "restored-starved"): "no-data",
    ("undoing", "restored-aborted"): "aborted",
    ("undoing", "overtaken"): "rolled-back",
}
"""`resume` is said as `mirrored` or `split`, whichever the strategy does."""


@dataclass(frozen=True, slots=True)
class RolloutTerms:
    """What a rollout was begun with; written into its first record and never changed."""

    strategy: Strategy
    champion: str
    champion_config: str
    challenger: str
    version: int
    split: str
    """The EndpointConfig that holds both."""
    share: float
    """Of requests that the challenger gets at first (ab, bandit), or of which it gets a copy (the others), 0 to 1."""
    max_s: float
    """After so long without a verdict it is NO_DATA."""
    auto_promote: bool = False
    promote_by: Literal["all-at-once", "canary", "linear"] = "all-at-once"
    """How the challenger takes over. SageMaker shifts part of the traffic only between configurations with the same
    production variants, so out of an A/B test or a bandit it is all at once."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Shares of the traffic that is answered, at the beginning."""
        if self.strategy in MIRRORED:
            return {VARIANT: 1.0}
        return {VARIANT: round(1 - self.share, 4), CHALLENGER: round(self.share, 4)}

    @property
    def running(self) -> Event:
        return "mirrored" if self.strategy in MIRRORED else "split"


@dataclass(frozen=True, slots=True)
class RolloutState:
    """One rollout as the ledger tells it. `seq` is its last record, `since` when its phase began."""

    id: str
    model: str
    terms: RolloutTerms
    phase: Phase
    begun_at: datetime
    since: datetime
    told_at: datetime
    seq: int
    actor: str
    weights: Mapping[str, float]
    asked_at: datetime | None = None
    verdict: Verdict | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    by: Literal["figures", "alarm", "person"] | None = None
    """What a FAIL rests on, or who aborted it."""
    why: Literal["failed", "starved", "aborted"] | None = None
    """What an `undoing` is for."""

    @property
    def over(self) -> bool:
        return self.phase in OVER


def can(phase: Phase, event: Event) -> bool:
    return (phase, event) in TRANSITIONS


def after(state: RolloutState, event: Event, record: Record) -> RolloutState:
    """The state behind a record. An event that the phase does not know changes nothing: it came too late.

    >>> can("promoted", "abort"), can("passed", "promote")
    (False, True)
    """
    phase = TRANSITIONS.get((state.phase, event))
    if phase is None:
        return state
    data = record.data
    why: dict[str, Literal["failed", "starved", "aborted"]] = {
        "failed": "failed",
        "undone": "failed",
        "starved": "starved",
        "abort": "aborted",
    }
    return replace(
        state,
        phase=phase,
        since=state.since if phase == state.phase else record.at,
        told_at=record.at,
        seq=record.seq,
        actor=record.actor,
        asked_at=record.at if event == "asked" else state.asked_at,
        weights=data.get("weights") or state.weights,
        verdict=data.get("verdict") or state.verdict,
        facts=data.get("facts") or state.facts,
        reason=data.get("reason") or state.reason,
        by=data.get("by") or state.by,
        why=why.get(event, state.why),
    )


def rollouts_in(records: Sequence[Record], model: str) -> tuple[RolloutState, ...]:
    """Every rollout of a model, oldest first.

    What other commands recorded counts too: a rollback ends a rollout, and so does a deployment of anything; one of its
    own challenger is its promotion.
    """
    found: list[RolloutState] = []
    for r in records:
        if r.model != model:
            continue
        if r.kind == "rollout" and r.data.get("event") == "proposed":
            found.append(_proposed(r))
        elif not found or found[-1].over:
            continue
        elif r.kind == "rollout" and r.data.get("rollout") == found[-1].id:
            found[-1] = after(found[-1], r.data["event"], r)
        elif r.kind == "deployed" and r.data.get("live") == found[-1].terms.challenger:
            found[-1] = _ended(found[-1], "promoted", r)
        elif r.kind in ("deployed", "rollback"):
            found[-1] = _ended(found[-1], "rolled-back", r)
    return tuple(found)


def open_rollout(records: Sequence[Record], model: str) -> RolloutState | None:
    """The one that is under way; there is at most one."""
    last = rollouts_in(records, model)[-1:]
    return last[0] if last and not last[0].over else None


def splits_in(records: Sequence[Record], model: str) -> Mapping[str, str]:
    """EndpointConfig of each split -> the champion in it, for who looks at an endpoint that has two releases."""
    return {s.terms.split: s.terms.champion for s in rollouts_in(records, model)}


def _proposed(r: Record) -> RolloutState:
    terms = RolloutTerms(**r.data["terms"])
    return RolloutState(
        str(r.data["rollout"]), str(r.model), terms, "proposed", r.at, r.at, r.at, r.seq, r.actor, terms.weights
    )


def _ended(state: RolloutState, phase: Phase, r: Record) -> RolloutState:
    return replace(state, phase=phase, since=r.at, told_at=r.at, seq=r.seq, actor=r.actor, reason=r.summary)
