"""Writes what happens to a rollout into the ledger, and reads its state back: nobody decides on what is out of date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.domain.ledger import Entry, Record
from bedplate.domain.rollout.machine import Event, RolloutState, after, rollouts_in
from bedplate.errors import Conflict, Locked, NotFound
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext

MOVES: frozenset[str] = frozenset({"rollout", "deploying", "deployed", "rolled-back", "rollback"})
"""Records that a decision about a rollout must have seen."""


def tell(
    stack: StackContext, state: RolloutState, event: Event, told: str, data: Mapping[str, Any], since: int
) -> RolloutState:
    """The state after an event, on record. Raises Locked when anybody moved something behind record `since`."""
    kept = {key: value for key, value in data.items() if value is not None}
    phase = after(state, event, _blank(state, kept)).phase
    summary = f"{state.terms.strategy} rollout of v{state.terms.version} {event} ({phase}): {told}"
    full = {**kept, "rollout": state.id, "event": event, "phase": phase}
    record = append(stack, state.model, state.terms.version, summary, full, since)
    return after(state, event, record)


def _blank(state: RolloutState, data: Mapping[str, Any]) -> Record:
    return Record(state.seq, state.told_at, "rollout", state.model, state.terms.version, "", "", data, "", "")


def append(stack: StackContext, model: str, version: int, summary: str, data: Mapping[str, Any], since: int) -> Record:
    """Raises Locked as `tell`."""
    entry = Entry("rollout", model, version, stack.identity.person, summary, data)
    try:
        return Ledger.of(stack).append_unless(
            entry, since=since, forbids=lambda r: r.model == model and r.kind in MOVES
        )
    except Conflict as exc:
        raise Locked(exc.message, next_step=f"bedplate rollout status {model}") from exc


def last_rollout(stack: StackContext, model: str) -> RolloutState:
    """The model's newest rollout, over or not. Raises NotFound."""
    found = rollouts_in(Ledger.of(stack).records(), model)
    if not found:
        raise NotFound(f"{model} never had a rollout", next_step="bedplate deploy --help")
    return found[-1]
