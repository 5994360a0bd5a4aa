"""Delivers trails: writes the events that a trail's selectors match to its bucket, in CloudTrail's files."""

from __future__ import annotations

import gzip
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from bedplate.local.trail.calls import ApiCall
from bedplate.local.trail.event_history import Event
from bedplate.local.trail.platform_internals import PlatformInternals

INTERVAL_S = 10.0
"""Seconds between deliveries; AWS delivers about every five minutes."""


class TrailDelivery:
    """Writes one file for each logging trail with new events. A trail's record has the number of its last event."""

    def __init__(self, platform: PlatformInternals) -> None:
        self._platform = platform
        self._selectors: list[dict[str, Any]] = []

    def is_recorded(self, call: ApiCall) -> bool:
        """Returns whether a trail records this S3 data event, by cached selectors: it is called for every event."""
        arns = [name for kind, name in call.resources if kind == "AWS::S3::Object"]
        return any(_selects_object(selector, arns) for selector in self._selectors)

    def deliver(self) -> None:
        with self._platform.lock:
            trails = [t for t in self._platform.backend("cloudtrail").trails.values() if t.status.is_logging]
            self._selectors = [selector for trail in trails for selector in trail.event_selectors]
            positions = {trail.trail_name: getattr(trail, "delivered_to", None) for trail in trails}
        for trail in trails:
            since = positions[trail.trail_name]
            if since is None:  # a new trail starts with the events after its creation
                self._set_position(trail, self._platform.trail.last_seq)
                continue
            events = self._platform.trail.list_after(since)
            if events:
                self._deliver_trail(trail, events)

    def _deliver_trail(self, trail: Any, events: list[Event]) -> None:
        records = [event.body for event in events if _is_selected(trail, event)]
        if records:
            time = datetime.fromtimestamp(self._platform.now(), UTC)
            account, region = self._platform.account_id, trail.region_name
            prefix = f"{trail.s3_key_prefix}/" if trail.s3_key_prefix else ""
            key = (
                f"{prefix}AWSLogs/{account}/CloudTrail/{region}/{time:%Y/%m/%d}/"
                f"{account}_CloudTrail_{region}_{time:%Y%m%dT%H%MZ}_{uuid.uuid4().hex[:16]}.json.gz"
            )
            body = gzip.compress(json.dumps({"Records": records}).encode())
            try:
                self._platform.put_object(trail.bucket_name, key, body, "application/json")
            except KeyError:  # AWS, too, continues without the bucket, and reports it in the trail's status
                self._platform.log(f"trail {trail.trail_name}: there is no bucket {trail.bucket_name}")
        self._set_position(trail, events[-1].seq)

    def _set_position(self, trail: Any, seq: int) -> None:
        with self._platform.lock:
            trail.delivered_to = seq
            self._platform.store.mark("cloudtrail")


def _is_selected(trail: Any, event: Event) -> bool:
    selectors = trail.event_selectors
    if not event.is_data_event:
        return not selectors or any(selector.get("IncludeManagementEvents", True) for selector in selectors)
    arns = [name for kind, name in event.resources if kind == "AWS::S3::Object"]
    return any(_selects_object(selector, arns) for selector in selectors)


def _selects_object(selector: dict[str, Any], arns: list[str]) -> bool:
    if selector.get("ReadWriteType") == "ReadOnly":
        return False
    resources = [r for r in selector.get("DataResources") or () if r["Type"] == "AWS::S3::Object"]
    return any(arn.startswith(tuple(resource["Values"])) for resource in resources for arn in arns)
