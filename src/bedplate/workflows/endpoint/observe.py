"""Looks once: at a model's endpoint, its alarms, and what the ledger says of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bedplate.domain.ledger import Record
from bedplate.domain.names import is_split
from bedplate.domain.rollout import Observed, attempts_in, recorded_live
from bedplate.domain.rollout.machine import splits_in
from bedplate.ports import EndpointState
from bedplate.workflows.stack_context import Platform

RELEASE = "BEDPLATE_RELEASE"
"""What a container is told that it is called."""


def observe(platform: Platform, model: str, records: Sequence[Record], alarms: Sequence[str] = ()) -> Observed:
    """`alarms` are those whose state matters. Raises NotFound when the platform has no such model or endpoint."""
    state = platform.endpoints.observe(platform.names(model).endpoint)
    held = platform.metrics.alarms(alarms) if alarms else {}
    return seen(platform, model, state, records, tuple(name for name, a in held.items() if a.state == "ALARM"))


def seen(
    platform: Platform, model: str, state: EndpointState, records: Sequence[Record], raised: tuple[str, ...] = ()
) -> Observed:
    """The same from an endpoint that has been looked at already."""
    blank = Observed(
        model=model,
        endpoint=state.name,
        status=state.status,
        live="",
        pending=state.pending_config,
        failure_reason=state.failure_reason,
        modified_at=state.modified_at,
        fallback_config=platform.outputs.fallback_releases.get(model, ""),
        attempts=attempts_in(records, model),
        recorded_live=recorded_live(records, model),
        alarms_raised=raised,
        config=state.config,
        splits=splits_in(records, model),
    )
    if is_split(state.config) and not blank.split:
        blank = replace(blank, splits={**blank.splits, state.config: _champion(platform, state.config)})
    return replace(blank, live=blank.release_of(state.config))


def _champion(platform: Platform, split: str) -> str:
    """The first release in a split that the ledger does not tell of."""
    return str(platform.endpoints.release(split).environment.get(RELEASE, split))
