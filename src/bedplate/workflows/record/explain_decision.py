"""Finds a captured prediction and the ledger's records that led to it; changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bedplate.domain.data.capture import CapturedRequest
from bedplate.domain.decision_evidence import DecisionEvidence, find_evidence
from bedplate.errors import NotFound
from bedplate.ports import Package
from bedplate.settings import DataContract
from bedplate.workflows.endpoint.capture import find_event
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext, find_package

HIDDEN = "(not for debugging)"


@dataclass(frozen=True, slots=True)
class DecisionTrace:
    """A captured prediction and its evidence.

    `package` is None for the fallback, for an unknown release, and when the version is no longer registered.
    """

    model: str
    request: CapturedRequest
    capture_uri: str
    evidence: DecisionEvidence
    package: Package | None


def explain_decision(
    stack: StackContext, model: str, event_id: str, *, since: datetime | None = None, until: datetime | None = None
) -> DecisionTrace:
    """Returns the evidence of the prediction with this eventId, or with this inferenceId that the caller set.

    Raises NotFound for an unknown model, and for an event that is not captured (between the two times).
    """
    contract = stack.model(model).data
    match = find_event(stack, model, event_id, since=since, until=until)
    if match is None:
        raise NotFound(
            f"No captured request of {model} has the eventId or inferenceId {event_id!r} "
            f"(capture stores serving.capture_pct of the requests, for capture_retention_days)",
            next_step=f"bedplate status {model}",
        )
    request, uri = match
    evidence = find_evidence(Ledger.of(stack).records(), model, request.release, request.inference_time)
    request = replace(request, rows=mask_columns(request.rows, contract))
    return DecisionTrace(model, request, uri, evidence, find_package(stack, model, evidence.version))


def mask_columns(rows: Sequence[Mapping[str, Any]], contract: DataContract) -> tuple[dict[str, Any], ...]:
    """Returns the rows with the values hidden in columns whose purposes do not allow debugging; nulls stay visible."""
    hidden = set(contract.excluded_columns("debugging"))
    return tuple(
        {name: HIDDEN if name in hidden and value is not None else value for name, value in row.items()} for row in rows
    )
