"""Who changed what drifted: asked of the account's event history, resource by resource."""

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
    """By URN the last change that the trail knows since the last run, None where it knows none.

    `error` says why the trail could not be asked at all.
    """

    events: Mapping[str, TrailEvent | None]
    error: str | None = None


def find_changes(trail: Trail, drift: StackDrift, state: Mapping[str, Any], *, since: datetime | None) -> Attribution:
    """Ask for every resource that the world has otherwise; what the program has not applied yet nobody changed.

    `state` is the stack's exported state, which knows what each resource is called in the world.
    """
    called = {r["urn"]: _resource_names(r) for r in (state.get("deployment") or {}).get("resources") or [] if r.get("custom")}
    drifted = {each.urn: each.type for each in drift.differences if each.kind != "not applied"}
    found: dict[str, TrailEvent | None] = {}
    asked: dict[str, Sequence[TrailEvent]] = {}
    try:
        for urn, kind in drifted.items():
            found[urn] = None
            for name in called.get(urn, ()):
                if name not in asked:
                    asked[name] = trail.list_events(name, since=since)
                if event := _choose_event(kind, asked[name]):
                    found[urn] = event
                    break
    except BedplateError as exc:
        return Attribution({urn: found.get(urn) for urn in drifted}, exc.message.splitlines()[0])
    return Attribution(found)


def _resource_names(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """What the trail may call it: its id, its name, its ARN, and what stands behind the ARN's type."""
    outputs, inputs = resource.get("outputs") or {}, resource.get("inputs") or {}
    arn = str(outputs.get("arn") or inputs.get("arn") or "")
    names = [str(resource.get("id") or ""), str(inputs.get("name") or ""), str(inputs.get("bucket") or ""), arn]
    names.append(arn.rpartition("/")[2] if "/" in arn else arn.rpartition(":")[2])
    return tuple(dict.fromkeys(name for name in names if name))


def _choose_event(kind: str, events: Iterable[TrailEvent]) -> TrailEvent | None:
    """The newest event; where several resources share a name (all that hang on a bucket), one that names this kind.

    >>> from datetime import UTC, datetime
    >>> def at(name): return TrailEvent(datetime(2026, 1, 1, tzinfo=UTC), "ada", name, "1")
    >>> _choose_event("aws:s3/bucketVersioning:BucketVersioning", [at("PutBucketPolicy"), at("PutBucketVersioning")]).name
    'PutBucketVersioning'
    """
    known = list(events)
    noun = kind.rpartition(":")[2].removesuffix("V2").removesuffix("Configuration")
    near = [event for event in known if noun.lower() in event.name.lower()]
    return next(iter(near or known), None)
