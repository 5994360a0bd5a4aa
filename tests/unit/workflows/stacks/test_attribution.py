"""Who changed drifted resources, according to CloudTrail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bedplate.domain.stacks.drift import PropertyDrift, StackDrift
from bedplate.errors import PlatformError
from bedplate.ports import TrailEvent
from bedplate.workflows.stacks.attribution import find_changes

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
STATE = {
    "deployment": {
        "resources": [
            {"urn": "u:b", "custom": True, "id": "the-bucket", "outputs": {"bucket": "the-bucket"}},
            {
                "urn": "u:t",
                "custom": True,
                "id": "arn:aws:sns:r:1:alerts",
                "outputs": {"arn": "arn:aws:sns:r:1:alerts"},
            },
        ]
    }
}


@dataclass
class FakeTrail:
    events: dict[str, list[TrailEvent]] = field(default_factory=dict)
    queries: list[tuple[str, datetime | None]] = field(default_factory=list)
    error: Exception | None = None

    def list_events(self, resource: str, *, since: datetime | None = None) -> Sequence[TrailEvent]:
        if self.error:
            raise self.error
        self.queries.append((resource, since))
        return self.events.get(resource, [])


def event(person: str, name: str) -> TrailEvent:
    return TrailEvent(WHEN, person, name, "id")


def build_drift(*urns: str, kind: str = "aws:s3/bucketVersioning:BucketVersioning") -> StackDrift:
    return StackDrift(tuple(PropertyDrift("changed", urn, kind, "n", "p", 1, 1, 2) for urn in urns))


def test_the_newest_event_of_the_resource_type_is_chosen() -> None:
    newest_first = [event("eve", "PutBucketPolicy"), event("ada", "PutBucketVersioning"), event("bob", "CreateBucket")]
    trail = FakeTrail({"the-bucket": newest_first})
    attribution = find_changes(trail, build_drift("u:b", "u:b"), STATE, since=WHEN)
    assert attribution.events["u:b"] == event("ada", "PutBucketVersioning")
    assert trail.queries == [("the-bucket", WHEN)]  # once for all properties


def test_an_event_with_the_short_resource_name_is_found() -> None:
    trail = FakeTrail({"alerts": [event("eve", "SetTopicAttributes")]})
    assert (
        find_changes(trail, build_drift("u:t", kind="aws:sns/topic:Topic"), STATE, since=None).events["u:t"].username
        == "eve"
    )  # type: ignore[union-attr]


def test_a_resource_without_events_has_no_attribution() -> None:
    attribution = find_changes(FakeTrail(), build_drift("u:b", "u:never-heard-of"), STATE, since=WHEN)
    assert attribution.events == {"u:b": None, "u:never-heard-of": None}
    assert attribution.error is None


def test_a_denied_trail_is_an_error_of_the_attribution() -> None:
    attribution = find_changes(
        FakeTrail(error=PlatformError("AccessDenied: no\nreally")), build_drift("u:b"), STATE, since=WHEN
    )
    assert (attribution.events, attribution.error) == ({"u:b": None}, "AccessDenied: no")


def test_unapplied_program_changes_have_no_attribution() -> None:
    drift = StackDrift((PropertyDrift("not applied", "u:b", "aws:x/y:Z", "n", "p", 2, 1, 1),))
    trail = FakeTrail()
    assert find_changes(trail, drift, STATE, since=None).events == {}
    assert trail.queries == []
