"""Finds who changed each drifted resource, in the account's CloudTrail event history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bedplate.domain.stacks.drift import StackDrift
from bedplate.errors import BedplateError
from bedplate.ports import Trail, TrailEvent


@dataclass(frozen=True, slots=True)
class Attribution:
    """The last change of each resource by URN since the last update, None without an event.

    `error` says why CloudTrail could not be queried.
    """

    events: Mapping[str, TrailEvent | None]
    error: str | None = None


def find_changes(trail: Trail, drift: StackDrift, state: Mapping[str, Any], *, since: datetime | None) -> Attribution:
    """Looks up every drifted resource; changes of the program that are not applied yet have no event.

    `state` is the stack's exported state, which contains each resource's physical name.
    """
    resources = (state.get("deployment") or {}).get("resources") or []
    names_by_urn = {resource["urn"]: _resource_names(resource) for resource in resources if resource.get("custom")}
    drifted = {difference.urn: difference.type for difference in drift.differences if difference.kind != "not applied"}
    events: dict[str, TrailEvent | None] = {}
    events_by_name: dict[str, Sequence[TrailEvent]] = {}
    try:
        for urn, resource_type in drifted.items():
            events[urn] = None
            for name in names_by_urn.get(urn, ()):
                if name not in events_by_name:
                    events_by_name[name] = trail.list_events(name, since=since)
                if event := _choose_event(resource_type, events_by_name[name]):
                    events[urn] = event
                    break
    except BedplateError as exc:
        return Attribution({urn: events.get(urn) for urn in drifted}, exc.message.splitlines()[0])
    return Attribution(events)


def _resource_names(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names that CloudTrail may use: id, name, bucket, ARN, and the ARN's last part."""
    outputs, inputs = resource.get("outputs") or {}, resource.get("inputs") or {}
    arn = str(outputs.get("arn") or inputs.get("arn") or "")
    names = [str(resource.get("id") or ""), str(inputs.get("name") or ""), str(inputs.get("bucket") or ""), arn]
    names.append(arn.rpartition("/")[2] if "/" in arn else arn.rpartition(":")[2])
    return tuple(dict.fromkeys(name for name in names if name))


def _choose_event(resource_type: str, events: Iterable[TrailEvent]) -> TrailEvent | None:
    """Returns the newest event; if resources share a name (as the parts of a bucket do), the newest that names
    this type.

    >>> from datetime import UTC, datetime
    >>> def event(name): return TrailEvent(datetime(2026, 1, 1, tzinfo=UTC), "ada", name, "1")
    >>> events = [event("PutBucketPolicy"), event("PutBucketVersioning")]
    >>> _choose_event("aws:s3/bucketVersioning:BucketVersioning", events).name
    'PutBucketVersioning'
    """
    all_events = list(events)
    type_name = resource_type.rpartition(":")[2].removesuffix("V2").removesuffix("Configuration")
    matching = [event for event in all_events if type_name.lower() in event.name.lower()]
    return next(iter(matching or all_events), None)
