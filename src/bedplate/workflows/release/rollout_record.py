"""Appends the events of a rollout to the ledger and reads its state, so that no decision rests on outdated state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.domain.ledger import LIVE_KINDS, Entry, Record
from bedplate.domain.release import display_name
from bedplate.domain.rollout.state_machine import TRANSITIONS, Event, RolloutState, apply_event, list_rollouts
from bedplate.errors import Conflict, Locked, NotFound
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext

TRAFFIC_KINDS: frozenset[str] = frozenset({"rollout", "deployment-started", *LIVE_KINDS})
"""Kinds of records that a decision about a rollout must take into account."""


def record_event(
    stack: StackContext, state: RolloutState, event: Event, message: str, data: Mapping[str, Any], since: int
) -> RolloutState:
    """Records an event and returns the state after it.

    Raises Locked when another command moved traffic or the rollout after record number `since`.
    """
    phase = TRANSITIONS.get((state.phase, event), state.phase)
    summary = f"{state.terms.strategy} rollout of v{state.terms.version} {event} ({phase}): {message}"
    values = {key: value for key, value in data.items() if value is not None}
    values |= {"rollout": state.id, "event": event, "phase": phase}
    record = append_rollout_record(stack, state.model, state.terms.version, summary, values, since)
    return apply_event(state, event, record)


def append_rollout_record(
    stack: StackContext, model: str, version: int, summary: str, data: Mapping[str, Any], since: int
) -> Record:
    """Appends a rollout's record. Raises Locked as `record_event` does."""
    entry = Entry("rollout", model, version, stack.identity.actor, summary, data)
    try:
        return Ledger.of(stack).append_unless(
            entry, since=since, conflicts=lambda r: r.model == model and r.kind in TRAFFIC_KINDS
        )
    except Conflict as exc:
        raise Locked(exc.message, next_step=f"bedplate rollout status {model}") from exc


def open_rollout_error(state: RolloutState) -> Locked:
    """Returns the error for a command that an open rollout blocks."""
    return Locked(
        f"A rollout of {display_name(state.terms.challenger)} ({state.terms.strategy}) is {state.phase}",
        next_step=f"bedplate rollout status {state.model}, then rollout promote or rollout abort",
    )


def find_last_rollout(stack: StackContext, model: str) -> RolloutState:
    """Returns the model's newest rollout, open or over. Raises NotFound when there is none."""
    rollouts = list_rollouts(Ledger.of(stack).records(), model)
    if not rollouts:
        raise NotFound(f"{model} never had a rollout", next_step="bedplate deploy --help")
    return rollouts[-1]
