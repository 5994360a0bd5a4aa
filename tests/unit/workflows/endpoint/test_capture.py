"""The latest captured requests."""

from __future__ import annotations

import json
from datetime import timedelta

from bedplate.workflows.endpoint.capture import latest
from fakes import EPOCH, FakeStackContext
from unit.workflows.release.test_deploy import E, capture, platform

__all__ = ["platform"]


def test_the_newest_records_come_oldest_first_and_no_more_than_are_wanted(platform: FakeStackContext) -> None:
    for minutes, answer in ((90, 0.9), (60, 0.6), (5, 0.5), (1, 0.1)):
        capture(platform, f"{E}-v1-0a1b2c3d", [answer], minutes_ago=minutes)
    assert [r.answers for r in latest(platform, "churn", answers=3)] == [(0.6,), (0.5,), (0.1,)]
    assert len(latest(platform, "churn", answers=100)) == 4


def test_only_the_version_and_the_time_asked_for_count(platform: FakeStackContext) -> None:
    capture(platform, f"{E}-v1-0a1b2c3d", [0.1], minutes_ago=30)
    capture(platform, f"{E}-v1-ffffffff", [0.2], minutes_ago=20)
    capture(platform, f"{E}-v2-0a1b2c3d", [0.3], minutes_ago=10)
    assert [r.answers for r in latest(platform, "churn", answers=9, version=1)] == [(0.1,), (0.2,)]
    before = EPOCH - timedelta(minutes=15)
    assert [r.answers for r in latest(platform, "churn", answers=9, until=before)] == [(0.1,), (0.2,)]


def test_requests_of_our_own_are_no_customers(platform: FakeStackContext) -> None:
    capture(platform, f"{E}-v1-0a1b2c3d", [0.1])
    (uri,) = (held for held in platform.objects.held if held.startswith("s3://capture/"))
    record = json.loads(platform.objects.held[uri])
    record["eventMetadata"]["inferenceId"] = "bedplate-proof"
    platform.objects.held[uri] = json.dumps(record).encode()
    assert latest(platform, "churn", answers=1) == ()


def test_an_illegible_file_hides_nothing_else(platform: FakeStackContext) -> None:
    capture(platform, f"{E}-v1-0a1b2c3d", [0.1])
    platform.objects.put(f"s3://capture/capture/churn/{E}/live/2013/07/01/11/59-30-000-x.jsonl", b"\xff{\nnot json\n")
    assert [r.answers for r in latest(platform, "churn", answers=9)] == [(0.1,)]
