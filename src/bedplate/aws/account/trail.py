"""Asks CloudTrail's event history who touched a resource."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bedplate.aws.errors import translated
from bedplate.aws.session import Session
from bedplate.ports import TrailEvent

_LATEST = 50
"""Events of one answer; LookupEvents gives the newest first, and may be asked twice a second."""


class CloudTrailHistory:
    """The `Trail` port: 90 days of what changed something in this account and region."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def touching(self, resource: str, *, since: datetime | None = None) -> Sequence[TrailEvent]:
        """Changes of what carries this name or ARN, newest first, at most 50."""
        client: Any = self._session.client("cloudtrail")
        start = {"StartTime": since} if since else {}
        with translated(f"Cannot ask the event history about {resource}"):
            found = client.lookup_events(
                LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": resource}],
                MaxResults=_LATEST,
                **start,
            )
        return [_event(told) for told in found["Events"] if str(told.get("ReadOnly", "false")).lower() != "true"]


def _event(told: dict[str, Any]) -> TrailEvent:
    body = json.loads(told.get("CloudTrailEvent") or "{}")
    identity = body.get("userIdentity", {})
    person = told.get("Username") or identity.get("userName") or identity.get("arn") or identity.get("principalId")
    return TrailEvent(
        at=told["EventTime"].astimezone(UTC),
        person=str(person or "unknown"),
        name=told["EventName"],
        id=told["EventId"],
        agent=str(body.get("userAgent", "")),
    )
