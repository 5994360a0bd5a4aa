"""Decides what nobody waits for: from one look at every model to the acts that bring what was begun to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bedplate.domain.release import spoken
from bedplate.domain.rollout import Attempt, ObservedEndpoint
from bedplate.domain.versions.retraining import OpenRetraining, RetrainingSignal

GRACE_S = 30.0
"""Who follows an update records its end within that time; what is still open afterwards has nobody."""
FORSAKEN_S = 600.0
"""After so long an act that was recorded and moved nothing never will."""


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """One model, seen once: for `still_s` its endpoint has not changed, and its last act began `open_s` ago."""

    seen: ObservedEndpoint
    rollout: str | None = None
    """Id of the rollout that is open."""
    starved: float | None = None
    """Answers of a canary whose bake is about to end with too few of them; None when there is no such thing."""
    still_s: float = 0.0
    open_s: float = 0.0
    due: RetrainingSignal | None = None
    """What asks for a retraining, where model.yaml listens to it and no version of an earlier one waits."""
    retraining: OpenRetraining | None = None
    """The one that is open."""
    copies: tuple[str, ...] = ()
    """Endpoints with a copy of one release that nobody can be asking any more."""

    @property
    def attempt(self) -> Attempt | None:
        return self.seen.attempts[-1] if self.seen.attempts else None


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do about one model.

    `tick` a rollout, `undo` a bake without traffic, `finish` the record of a deployment or a rollback that has settled,
    `close` one that never moved anything, `retrain` because something asks for it, or on with one that is open, `sweep`
    away a copy that a killed command left.
    """

    kind: Literal["tick", "undo", "finish", "close", "retrain", "sweep"]
    model: str
    why: str
    seq: int = 0
    """The record that it answers."""
    endpoint: str = ""
    """The copy to sweep away."""


def decide(looks: Sequence[ModelSnapshot]) -> tuple[Action, ...]:
    """At most one act on the traffic of each model, and a retraining and some tidying beside it. Models do not wait for
    each other."""
    return tuple(
        action for look in looks for action in (_traffic(look), _training(look), *_tidying(look)) if action is not None
    )


def _traffic(look: ModelSnapshot) -> Action | None:
    seen, attempt = look.seen, look.attempt
    if look.rollout:
        return Action("tick", seen.model, f"rollout {look.rollout} is open")
    if attempt is None:
        return None
    name = spoken(attempt.release)
    if seen.busy:
        if look.starved is None:
            return None
        why = f"{name} gave {look.starved:.0f} of {attempt.needed_answers} answers, and its bake is about to end"
        return Action("undo", seen.model, why, attempt.seq)
    if attempt.followed and (look.still_s < GRACE_S or look.open_s < GRACE_S):
        return None
    if seen.live == attempt.release and not seen.split:
        return Action("finish", seen.model, f"{name} is live, and nobody recorded it", attempt.seq)
    if attempt.by_rollback or seen.modified_at <= attempt.at:
        if look.open_s < FORSAKEN_S:
            return None
        return Action("close", seen.model, f"the way to {name} was begun, and nothing ever moved", attempt.seq)
    return Action("finish", seen.model, f"{name} was undone, and nobody recorded it", attempt.seq)


def _tidying(look: ModelSnapshot) -> tuple[Action, ...]:
    why = "was left by a command that was killed, and costs money"
    return tuple(Action("sweep", look.seen.model, f"{name} {why}", endpoint=name) for name in look.copies)


def _training(look: ModelSnapshot) -> Action | None:
    if look.retraining is not None:
        held = look.retraining
        return Action("retrain", look.seen.model, f"the retraining of record {held.seq} is open", held.seq)
    if look.due is None:
        return None
    return Action("retrain", look.seen.model, look.due.why, look.due.seq)
