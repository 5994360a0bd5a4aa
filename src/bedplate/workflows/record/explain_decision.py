"""Finds a captured prediction, and everything on record that it rests on. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bedplate.domain.data.capture import CapturedRequest
from bedplate.domain.decision import DecisionGrounds, grounds
from bedplate.errors import NotFound
from bedplate.ports import Package
from bedplate.settings import DataContract
from bedplate.workflows.endpoint.capture import find_event
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext

HIDDEN = "(not for debugging)"


@dataclass(frozen=True, slots=True)
class DecisionTrace:
    """`package` is None for the fallback, for an unknown release, and when the version is no longer registered."""

    model: str
    event: CapturedRequest
    capture_uri: str
    grounds: DecisionGrounds
    package: Package | None


def explain(
    stack: StackContext, model: str, event_id: str, *, since: datetime | None = None, until: datetime | None = None
) -> DecisionTrace:
    """From an eventId, or the inferenceId that a caller gave, to the grounds of the answer.

    Raises NotFound for an unknown model, and for an event that the capture does not hold (between the two times).
    """
    contract = stack.model(model).data
    found = find_event(stack, model, event_id, since=since, until=until)
    if found is None:
        raise NotFound(
            f"No captured request of {model} has the eventId or inferenceId {event_id!r} "
            f"(capture holds serving.capture_pct of the requests, for capture_retention_days)",
            next_step=f"bedplate status {model}",
        )
    event, uri = replace(found[0], rows=masked(found[0].rows, contract)), found[1]
    basis = grounds(Ledger.of(stack).records(), model, event.release, event.at)
    return DecisionTrace(model, event, uri, basis, _package(stack, model, basis.version))


def masked(rows: Sequence[Mapping[str, Any]], contract: DataContract) -> tuple[dict[str, Any], ...]:
    """Rows as somebody may see them who looks for a fault: that a column had a value, not which, where its purposes do
    not allow debugging."""
    hidden = set(contract.forbidden_for("debugging"))
    return tuple(
        {name: HIDDEN if name in hidden and value is not None else value for name, value in row.items()} for row in rows
    )


def _package(stack: StackContext, model: str, version: int | None) -> Package | None:
    if not version:
        return None
    try:
        return stack.registry.get(stack.names(model).package_group, version)
    except NotFound:
        return None
