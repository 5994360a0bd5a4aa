"""Looks once: at a model's endpoint, its alarms, and what the ledger says of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bedplate.domain.ledger import Record
from bedplate.domain.rollout import Observed, attempts_in, recorded_live
from bedplate.ports import EndpointState
from bedplate.workflows.platform import Platform


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
    )
    return replace(blank, live=blank.release_of(state.config))
