"""Builders of releases, observed endpoints and ledger records for the tests of deployments, rollbacks and rollouts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bedplate.domain.ledger import Record
from bedplate.domain.rollout.deployment import ObservedEndpoint
from fakes import EPOCH

ENDPOINT = "bedplate-local-churn"
FALLBACK_CONFIG = f"{ENDPOINT}-fallback"
V0 = f"{ENDPOINT}-v0"
V1, V2, V3 = (f"{ENDPOINT}-v{version}-0a1b2c3d" for version in (1, 2, 3))
"""Names of releases."""


def build_endpoint(**changes: Any) -> ObservedEndpoint:
    """An endpoint in service with release v1 live and recorded."""
    values: dict[str, Any] = {
        "model": "churn",
        "endpoint": ENDPOINT,
        "status": "InService",
        "live": V1,
        "pending": None,
        "failure_reason": None,
        "modified_at": EPOCH,
        "fallback_config": f"{ENDPOINT}-v0-1a2b3c4",
        "recorded_live": V1,
    }
    return ObservedEndpoint(**{**values, **changes})


def ledger_record(kind: str, seq: int, *, version: int = 2, summary: str = "", **data: Any) -> Record:
    """Record number `seq`, written `seq` minutes after EPOCH."""
    at = EPOCH + timedelta(minutes=seq)
    return Record(seq, at, kind, "churn", version, "ada", summary, data, prev="", hash="")  # type: ignore[arg-type]


def step_types(steps: Any) -> list[type]:
    return [type(step) for step in steps]
