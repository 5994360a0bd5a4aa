"""Defines the state machine of a rollout that runs for hours or days, and reads its state from the ledger.

A record states what is wanted from now on; the actions that bring it about follow the record and can be repeated.
Therefore the next tick continues correctly from the state that a process leaves when it is killed between two steps.
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
"""Strategies in which the challenger gets copies of the requests and its predictions are not returned to callers."""

Phase = Literal[
    "proposed",
    "shadowing",
    "splitting",
    "paused",
    "passed",
    "promoting",
    "rolling-back",
    "promoted",
    "aborted",
    "rolled-back",
    "no-data",
]
Event = Literal[
    "update-requested",
    "shadow-started",
    "split-started",
    "measured",
    "weights-set",
    "passed",
    "failed",
    "insufficient-traffic",
    "pause",
    "promote",
    "abort",
    "rolled-back",
    "restored-failed",
    "restored-insufficient-traffic",
    "restored-aborted",
    "superseded",
]
Verdict = Literal["PASS", "FAIL", "NO_DATA"]
RollbackCause = Literal["failed", "insufficient-traffic", "aborted"]
FINAL_PHASES: frozenset[Phase] = frozenset({"promoted", "aborted", "rolled-back", "no-data"})
MEASURED_PHASES: frozenset[Phase] = frozenset({"shadowing", "splitting"})
MULTI_VARIANT_PHASES: frozenset[Phase] = frozenset({"shadowing", "splitting", "paused", "passed"})
"""Phases in which the endpoint should be on the multi-variant EndpointConfig."""

TRANSITIONS: Mapping[tuple[Phase, Event], Phase] = {
    ("proposed", "update-requested"): "proposed",
    ("proposed", "shadow-started"): "shadowing",
    ("proposed", "split-started"): "splitting",
    ("proposed", "rolled-back"): "rolled-back",
    ("proposed", "abort"): "rolling-back",
    ("proposed", "superseded"): "rolled-back",
    ("shadowing", "measured"): "shadowing",
    ("shadowing", "passed"): "passed",
    ("shadowing", "failed"): "rolling-back",
    ("shadowing", "insufficient-traffic"): "rolling-back",
    ("shadowing", "pause"): "paused",
    ("shadowing", "promote"): "promoting",
    ("shadowing", "abort"): "rolling-back",
    ("shadowing", "superseded"): "rolled-back",
    ("splitting", "measured"): "splitting",
    ("splitting", "weights-set"): "splitting",
    ("splitting", "passed"): "passed",
    ("splitting", "failed"): "rolling-back",
    ("splitting", "insufficient-traffic"): "rolling-back",
    ("splitting", "pause"): "paused",
    ("splitting", "promote"): "promoting",
    ("splitting", "abort"): "rolling-back",
    ("splitting", "superseded"): "rolled-back",
    ("paused", "shadow-started"): "shadowing",
    ("paused", "split-started"): "splitting",
    ("paused", "promote"): "promoting",
    ("paused", "abort"): "rolling-back",
    ("paused", "superseded"): "rolled-back",
    ("passed", "failed"): "rolling-back",
    ("passed", "promote"): "promoting",
    ("passed", "abort"): "rolling-back",
    ("passed", "superseded"): "rolled-back",
    ("promoting", "rolled-back"): "rolling-back",
    ("promoting", "abort"): "rolling-back",
    ("promoting", "superseded"): "rolled-back",
    ("rolling-back", "restored-failed"): "rolled-back",
    ("rolling-back", "restored-insufficient-traffic"): "no-data",
    ("rolling-back", "restored-aborted"): "aborted",
    ("rolling-back", "superseded"): "rolled-back",
}
"""The command `resume` is recorded as `shadow-started` or `split-started`, depending on the strategy. A deployment of
the challenger ends the rollout as `promoted`; see `list_rollouts`."""


@dataclass(frozen=True, slots=True)
class RolloutTerms:
    """The fixed terms of a rollout, stored in its first record."""

    strategy: Strategy
    champion: str
    champion_config: str
    challenger: str
    version: int
    multi_variant_config: str
    """The EndpointConfig that serves both releases."""
    share: float
    """The challenger's initial share of the requests (ab, bandit) or of the copied requests (others), 0 to 1."""
    max_s: float
    """Without a verdict after this time the rollout ends with NO_DATA."""
    auto_promote: bool = False
    promotion_strategy: Literal["all-at-once", "canary", "linear"] = "all-at-once"
    """How traffic moves to a promoted challenger. SageMaker shifts part of the traffic only between configurations with
    the same production variants, so an A/B test or a bandit is promoted all at once."""

    @property
    def weights(self) -> Mapping[str, float]:
        """The initial shares of the traffic by production variant."""
        if self.strategy in MIRRORED:
            return {VARIANT: 1.0}
        return {VARIANT: round(1 - self.share, 4), CHALLENGER: round(self.share, 4)}

    @property
    def start_event(self) -> Event:
        return "shadow-started" if self.strategy in MIRRORED else "split-started"


@dataclass(frozen=True, slots=True)
class RolloutState:
    """The state of one rollout. `seq` is its last record's number, `phase_since` the time when its phase began."""

    id: str
    model: str
    terms: RolloutTerms
    phase: Phase
    started_at: datetime
    phase_since: datetime
    recorded_at: datetime
    seq: int
    actor: str
    weights: Mapping[str, float]
    update_requested_at: datetime | None = None
    verdict: Verdict | None = None
    measurements: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    decided_by: Literal["metrics", "alarm", "person"] | None = None
    """What led to a FAIL, or who aborted the rollout."""
    rollback_cause: RollbackCause | None = None
    """Why the rollout is in the phase `rolling-back`."""

    @property
    def is_over(self) -> bool:
        return self.phase in FINAL_PHASES


def is_allowed(phase: Phase, event: Event) -> bool:
    return (phase, event) in TRANSITIONS


def apply_event(state: RolloutState, event: Event, record: Record) -> RolloutState:
    """Returns the state after a record. An event that the phase does not allow came too late and changes nothing.

    >>> is_allowed("promoted", "abort"), is_allowed("passed", "promote")
    (False, True)
    """
    phase = TRANSITIONS.get((state.phase, event))
    if phase is None:
        return state
    data = record.data
    causes: dict[str, RollbackCause] = {
        "failed": "failed",
        "rolled-back": "failed",
        "insufficient-traffic": "insufficient-traffic",
        "abort": "aborted",
    }
    return replace(
        state,
        phase=phase,
        phase_since=state.phase_since if phase == state.phase else record.at,
        recorded_at=record.at,
        seq=record.seq,
        actor=record.actor,
        update_requested_at=record.at if event == "update-requested" else state.update_requested_at,
        weights=data.get("weights") or state.weights,
        verdict=data.get("verdict") or state.verdict,
        measurements=data.get("measurements") or state.measurements,
        reason=data.get("reason") or state.reason,
        decided_by=data.get("decided_by") or state.decided_by,
        rollback_cause=causes.get(event, state.rollback_cause),
    )


def list_rollouts(records: Sequence[Record], model: str) -> tuple[RolloutState, ...]:
    """Returns every rollout of a model, oldest first.

    Records of other commands count too: a rollback or a deployment ends an open rollout, and a deployment of its
    challenger is its promotion.
    """
    rollouts: list[RolloutState] = []
    for record in records:
        if record.model != model:
            continue
        if record.kind == "rollout" and record.data.get("event") == "proposed":
            rollouts.append(_initial_state(record))
        elif not rollouts or rollouts[-1].is_over:
            continue
        elif record.kind == "rollout" and record.data.get("rollout") == rollouts[-1].id:
            rollouts[-1] = apply_event(rollouts[-1], record.data["event"], record)
        elif record.kind == "deployed" and record.data.get("live") == rollouts[-1].terms.challenger:
            rollouts[-1] = _close(rollouts[-1], "promoted", record)
        elif record.kind in ("deployed", "rollback"):
            rollouts[-1] = _close(rollouts[-1], "rolled-back", record)
    return tuple(rollouts)


def find_open_rollout(records: Sequence[Record], model: str) -> RolloutState | None:
    """Returns a model's open rollout; there is at most one."""
    last = list_rollouts(records, model)[-1:]
    return last[0] if last and not last[0].is_over else None


def champions_by_config(records: Sequence[Record], model: str) -> Mapping[str, str]:
    """Returns the champion of each multi-variant EndpointConfig of a model."""
    return {s.terms.multi_variant_config: s.terms.champion for s in list_rollouts(records, model)}


def _initial_state(record: Record) -> RolloutState:
    terms, at = RolloutTerms(**record.data["terms"]), record.at
    rollout = str(record.data["rollout"])
    return RolloutState(
        rollout, str(record.model), terms, "proposed", at, at, at, record.seq, record.actor, terms.weights
    )


def _close(state: RolloutState, phase: Phase, record: Record) -> RolloutState:
    end: dict[str, Any] = {"phase_since": record.at, "recorded_at": record.at, "seq": record.seq, "actor": record.actor}
    return replace(state, phase=phase, reason=record.summary, **end)
