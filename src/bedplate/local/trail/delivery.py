"""Trails at work: what their selectors ask for, written as CloudTrail's files into their bucket."""

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
"""AWS delivers about every five minutes."""


class TrailDelivery:
    """One file for each trail that logs and has something new. How far a trail is, is kept with it."""

    def __init__(self, platform: PlatformInternals) -> None:
        self._platform = platform
        self._selectors: list[dict[str, Any]] = []

    def asks_for(self, call: ApiCall) -> bool:
        """Whether some trail records this data event of S3; called for each, so it looks at a list of its own."""
        arns = [name for kind, name in call.resources if kind == "AWS::S3::Object"]
        return any(_names_object(selector, arns) for selector in self._selectors)

    def step(self) -> None:
        with self._platform.lock:
            trails = [t for t in self._platform.backend("cloudtrail").trails.values() if t.status.is_logging]
            self._selectors = [selector for trail in trails for selector in trail.event_selectors]
            started = {trail.trail_name: getattr(trail, "delivered_to", None) for trail in trails}
        for trail in trails:
            since = started[trail.trail_name]
            if since is None:  # a trail begins with what comes after it
                self._keep(trail, self._platform.trail.last)
                continue
            events = self._platform.trail.after(since)
            if events:
                self._deliver(trail, events)

    def _deliver(self, trail: Any, events: list[Event]) -> None:
        wanted = [event.body for event in events if _wants(trail, event)]
        if wanted:
            moment = datetime.fromtimestamp(self._platform.now(), UTC)
            account, region = self._platform.account_id, trail.region_name
            prefix = f"{trail.s3_key_prefix}/" if trail.s3_key_prefix else ""
            key = (
                f"{prefix}AWSLogs/{account}/CloudTrail/{region}/{moment:%Y/%m/%d}/"
                f"{account}_CloudTrail_{region}_{moment:%Y%m%dT%H%MZ}_{uuid.uuid4().hex[:16]}.json.gz"
            )
            body = gzip.compress(json.dumps({"Records": wanted}).encode())
            try:
                self._platform.put_object(trail.bucket_name, key, body, "application/json")
            except KeyError:  # the bucket is gone: AWS says so in the trail's status and goes on
                self._platform.log(f"trail {trail.trail_name}: there is no bucket {trail.bucket_name}")
        self._keep(trail, events[-1].seq)

    def _keep(self, trail: Any, seq: int) -> None:
        with self._platform.lock:
            trail.delivered_to = seq
            self._platform.store.mark("cloudtrail")


def _wants(trail: Any, event: Event) -> bool:
    selectors = trail.event_selectors
    if not event.data_event:
        return not selectors or any(selector.get("IncludeManagementEvents", True) for selector in selectors)
    arns = [name for kind, name in event.resources if kind == "AWS::S3::Object"]
    return any(_names_object(selector, arns) for selector in selectors)


def _names_object(selector: dict[str, Any], arns: list[str]) -> bool:
    if selector.get("ReadWriteType") == "ReadOnly":
        return False
    asked = [r["Values"] for r in selector.get("DataResources") or () if r["Type"] == "AWS::S3::Object"]
    return any(arn.startswith(prefix) for prefixes in asked for prefix in prefixes for arn in arns)
