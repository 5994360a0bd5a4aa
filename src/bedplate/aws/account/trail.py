"""Finds who changed a resource in CloudTrail's event history."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bedplate.aws.errors import map_client_errors
from bedplate.aws.session import Session
from bedplate.ports import TrailEvent

_MAX_EVENTS = 50
"""LookupEvents returns at most 50 events, newest first; AWS allows two calls a second."""


class CloudTrailHistory:
    """The `Trail` port: the last 90 days of changes in this account and region."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list_events(self, resource: str, *, since: datetime | None = None) -> Sequence[TrailEvent]:
        """Returns at most 50 changes of the resource with this name or ARN, newest first."""
        client: Any = self._session.client("cloudtrail")
        start = {"StartTime": since} if since else {}
        with map_client_errors(f"Cannot look up the events of {resource}"):
            response = client.lookup_events(
                LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": resource}],
                MaxResults=_MAX_EVENTS,
                **start,
            )
        return [_parse_event(event) for event in response["Events"] if str(event.get("ReadOnly")).lower() != "true"]


def _parse_event(event: dict[str, Any]) -> TrailEvent:
    identity = json.loads(event.get("CloudTrailEvent") or "{}").get("userIdentity", {})
    username = event.get("Username") or identity.get("userName") or identity.get("arn") or identity.get("principalId")
    return TrailEvent(
        time=event["EventTime"].astimezone(UTC),
        username=str(username or "unknown"),
        name=event["EventName"],
        id=event["EventId"],
    )
