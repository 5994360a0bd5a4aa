"""Who changed what drifted, as far as the trail knows."""

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
    asked: list[tuple[str, datetime | None]] = field(default_factory=list)
    fault: Exception | None = None

    def list_events(self, resource: str, *, since: datetime | None = None) -> Sequence[TrailEvent]:
        if self.fault:
            raise self.fault
        self.asked.append((resource, since))
        return self.events.get(resource, [])


def event(person: str, name: str) -> TrailEvent:
    return TrailEvent(WHEN, person, name, "id")


def drifted(*urns: str, kind: str = "aws:s3/bucketVersioning:BucketVersioning") -> StackDrift:
    return StackDrift(tuple(PropertyDrift("changed", urn, kind, "n", "p", 1, 1, 2) for urn in urns))


def test_of_several_changes_the_newest_of_this_kind_counts() -> None:
    newest_first = [event("eve", "PutBucketPolicy"), event("ada", "PutBucketVersioning"), event("bob", "CreateBucket")]
    trail = FakeTrail({"the-bucket": newest_first})
    found = find_changes(trail, drifted("u:b", "u:b"), STATE, since=WHEN)
    assert found.events["u:b"] == event("ada", "PutBucketVersioning")
    assert trail.asked == [("the-bucket", WHEN)]  # once, however many properties


def test_what_the_trail_calls_by_its_short_name_is_found_too() -> None:
    trail = FakeTrail({"alerts": [event("eve", "SetTopicAttributes")]})
    assert find_changes(trail, drifted("u:t", kind="aws:sns/topic:Topic"), STATE, since=None).events["u:t"].username == "eve"  # type: ignore[union-attr]


def test_what_the_trail_does_not_know_is_unknown() -> None:
    found = find_changes(FakeTrail(), drifted("u:b", "u:never-heard-of"), STATE, since=WHEN)
    assert found.events == {"u:b": None, "u:never-heard-of": None}
    assert found.error is None


def test_a_trail_that_may_not_be_asked_is_said_and_drift_is_told_nevertheless() -> None:
    found = find_changes(FakeTrail(fault=PlatformError("AccessDenied: no\nreally")), drifted("u:b"), STATE, since=WHEN)
    assert (found.events, found.error) == ({"u:b": None}, "AccessDenied: no")


def test_nobody_changed_what_the_program_has_not_applied_yet() -> None:
    ahead = StackDrift((PropertyDrift("not applied", "u:b", "aws:x/y:Z", "n", "p", 2, 1, 1),))
    trail = FakeTrail()
    assert find_changes(trail, ahead, STATE, since=None).events == {}
    assert trail.asked == []
