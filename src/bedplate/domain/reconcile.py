"""Decides, from one snapshot of every model, which actions finish the operations that no running command follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bedplate.domain.release import display_name
from bedplate.domain.rollout.deployment import Attempt, ObservedEndpoint
from bedplate.domain.versions.retraining import OpenRetraining, RetrainingSignal

GRACE_S = 30.0
"""A command that follows an update records its outcome within this time; an update still open later has no follower."""
ORPHANED_AFTER_S = 600.0
"""After this time a recorded operation that has moved no traffic is considered orphaned."""


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """One model at one time. Its endpoint was last modified `unchanged_s` ago, its last attempt began `attempt_age_s`
    ago."""

    observed: ObservedEndpoint
    rollout_id: str | None = None
    """Id of the open rollout."""
    insufficient_predictions: float | None = None
    """Predictions of a canary whose bake is about to end with too few of them; None otherwise."""
    unchanged_s: float = 0.0
    attempt_age_s: float = 0.0
    due_signal: RetrainingSignal | None = None
    """The signal that requires a retraining, if model.yaml enables it and no version of an earlier retraining waits."""
    open_retraining: OpenRetraining | None = None
    orphaned_copies: tuple[str, ...] = ()
    """Endpoints with a copy of one release that no running command uses any more."""

    @property
    def attempt(self) -> Attempt | None:
        return self.observed.attempts[-1] if self.observed.attempts else None


@dataclass(frozen=True, slots=True)
class Action:
    """One action on one model.

    `tick` advances a rollout, `roll-back` ends a bake without traffic, `finish` records the outcome of a deployment or
    a rollback that has ended, `close` ends one that never moved any traffic, `retrain` starts or continues a
    retraining, `delete-copy` deletes a copy that a killed command left.
    """

    kind: Literal["tick", "roll-back", "finish", "close", "retrain", "delete-copy"]
    model: str
    reason: str
    seq: int = 0
    """The record that the action responds to."""
    endpoint: str = ""
    """The copy to delete."""


def decide_actions(snapshots: Sequence[ModelSnapshot]) -> tuple[Action, ...]:
    """Returns at most one traffic action and one retraining per model, and the deletions of its orphaned copies.

    The actions of different models do not depend on each other.
    """
    return tuple(
        action
        for snapshot in snapshots
        for action in (_traffic_action(snapshot), _retraining_action(snapshot), *_cleanup_actions(snapshot))
        if action is not None
    )


def _traffic_action(snapshot: ModelSnapshot) -> Action | None:
    observed, attempt = snapshot.observed, snapshot.attempt
    if snapshot.rollout_id:
        return Action("tick", observed.model, f"rollout {snapshot.rollout_id} is open")
    if attempt is None:
        return None
    name, count = display_name(attempt.release), snapshot.insufficient_predictions
    if observed.is_busy:
        if count is None:
            return None
        reason = f"{name} returned {count:.0f} of {attempt.min_bake_predictions} predictions, and its bake is ending"
        return Action("roll-back", observed.model, reason, attempt.seq)
    if attempt.is_followed and (snapshot.unchanged_s < GRACE_S or snapshot.attempt_age_s < GRACE_S):
        return None
    if observed.live == attempt.release and not observed.is_multi_variant:
        return Action("finish", observed.model, f"{name} is live, but its outcome is not recorded", attempt.seq)
    if attempt.is_rollback or observed.modified_at <= attempt.started_at:
        if snapshot.attempt_age_s < ORPHANED_AFTER_S:
            return None
        return Action("close", observed.model, f"the move to {name} started, but no traffic moved", attempt.seq)
    return Action("finish", observed.model, f"{name} was rolled back, but its outcome is not recorded", attempt.seq)


def _cleanup_actions(snapshot: ModelSnapshot) -> tuple[Action, ...]:
    reason = "was left by a killed command, and costs money"
    model, names = snapshot.observed.model, snapshot.orphaned_copies
    return tuple(Action("delete-copy", model, f"{name} {reason}", endpoint=name) for name in names)


def _retraining_action(snapshot: ModelSnapshot) -> Action | None:
    model, retraining, signal = snapshot.observed.model, snapshot.open_retraining, snapshot.due_signal
    if retraining is not None:
        return Action("retrain", model, f"the retraining of record {retraining.seq} is open", retraining.seq)
    return Action("retrain", model, signal.reason, signal.seq) if signal is not None else None
