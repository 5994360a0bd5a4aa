"""Looks once: at a model's endpoint, its alarms, and what the ledger says of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bedplate.domain.ledger import Record
from bedplate.domain.names import is_split
from bedplate.domain.rollout import ObservedEndpoint, attempts_in, recorded_live
from bedplate.domain.rollout.machine import splits_in
from bedplate.ports import EndpointState
from bedplate.workflows.stack_context import StackContext

RELEASE = "BEDPLATE_RELEASE"
"""What a container is told that it is called."""


def observe(stack: StackContext, model: str, records: Sequence[Record], alarms: Sequence[str] = ()) -> ObservedEndpoint:
    """`alarms` are those whose state matters. Raises NotFound when the platform has no such model or endpoint."""
    state = stack.endpoints.observe(stack.names(model).endpoint)
    held = stack.metrics.alarms(alarms) if alarms else {}
    return seen(stack, model, state, records, tuple(name for name, a in held.items() if a.state == "ALARM"))


def seen(
    stack: StackContext, model: str, state: EndpointState, records: Sequence[Record], raised: tuple[str, ...] = ()
) -> ObservedEndpoint:
    """The same from an endpoint that has been looked at already."""
    blank = ObservedEndpoint(
        model=model,
        endpoint=state.name,
        status=state.status,
        live="",
        pending=state.pending_config,
        failure_reason=state.failure_reason,
        modified_at=state.modified_at,
        fallback_config=stack.outputs.fallback_releases.get(model, ""),
        attempts=attempts_in(records, model),
        recorded_live=recorded_live(records, model),
        alarms_raised=raised,
        config=state.config,
        splits=splits_in(records, model),
    )
    if is_split(state.config) and not blank.split:
        blank = replace(blank, splits={**blank.splits, state.config: _champion(stack, state.config)})
    return replace(blank, live=blank.release_of(state.config))


def _champion(stack: StackContext, split: str) -> str:
    """The first release in a split that the ledger does not tell of."""
    return str(stack.endpoints.release(split).environment.get(RELEASE, split))
