"""The delivery of S3's access logs and of trails."""

from __future__ import annotations

import gzip
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bedplate.local.trail.access_log import AccessLog, AccessLogEntry
from bedplate.local.trail.calls import ApiRequest
from bedplate.local.trail.delivery import TrailDelivery
from bedplate.local.trail.event_history import EventHistory


class FakePlatform:
    """`PlatformInternals` in memory."""

    account_id = "123456789012"

    def __init__(self, folder: Path) -> None:
        self.lock = threading.RLock()
        self.written: dict[tuple[str, str], bytes] = {}
        self.buckets: dict[str, Any] = {}
        self.trails: dict[str, Any] = {}
        self.trail = EventHistory(folder / "trail.db", self.account_id, self.now)
        self.store = SimpleNamespace(mark=lambda *_: None)

    def now(self) -> float:
        return 86400.0

    def backend(self, service: str, region: str | None = None) -> Any:
        return self

    def put_object(self, bucket: str, key: str, body: bytes | Path, content_type: str = "") -> None:
        assert isinstance(body, bytes)
        self.written[bucket, key] = body

    def log(self, line: str) -> None:
        raise AssertionError(line)


@pytest.fixture
def platform(tmp_path: Path) -> FakePlatform:
    return FakePlatform(tmp_path)


def build_entry(bucket: str, key: str = "k") -> AccessLogEntry:
    return AccessLogEntry(60.0, "GET", bucket, key, "", "200", "", "ada", "boto", 1.0)


def test_requests_are_logged_only_in_the_buckets_target(platform: FakePlatform) -> None:
    platform.buckets = {
        "data": SimpleNamespace(logging={"TargetBucket": "logs", "TargetPrefix": "access/data/"}),
        "quiet": SimpleNamespace(logging={}),
        "logs": SimpleNamespace(logging={}),
    }
    log = AccessLog(platform)
    for entry in (build_entry("data"), build_entry("data", "other"), build_entry("quiet"), build_entry("gone")):
        log.record(entry)
    log.deliver()
    (((bucket, key), body),) = platform.written.items()
    assert bucket == "logs"
    assert key.startswith("access/data/1970-01-01-00-01-00-")
    assert [line.split(" ")[8] for line in body.decode().splitlines()] == ["k", "other"]
    log.deliver()
    assert len(platform.written) == 1


def build_trail(selectors: list[dict[str, Any]]) -> Any:
    return SimpleNamespace(
        trail_name="t",
        region_name="us-east-1",
        s3_key_prefix="",
        bucket_name="trails",
        event_selectors=selectors,
        status=SimpleNamespace(is_logging=True),
    )


def build_put(bucket: str, key: str) -> ApiRequest:
    return ApiRequest(60.0, "s3", "", method="PUT", path=f"/{bucket}/{key}")


def test_a_trail_delivers_management_events_and_the_selected_data_events(platform: FakePlatform) -> None:
    ledger = {"DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::ledger/"]}]}
    platform.trails["t"] = build_trail([{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True, **ledger}])
    delivery = TrailDelivery(platform)
    platform.trail.is_recorded = delivery.is_recorded
    delivery.deliver()  # the trail starts here
    platform.trail.record(ApiRequest(60.0, "iam", "CreateRole", body=b"Action=CreateRole&RoleName=r"))
    platform.trail.record(build_put("ledger", "ledger/0000000001.json"))
    platform.trail.record(build_put("data", "rows.parquet"))
    delivery.deliver()
    (((bucket, key), body),) = platform.written.items()
    assert bucket == "trails"
    assert key.startswith("AWSLogs/123456789012/CloudTrail/us-east-1/1970/01/02/")
    records = json.loads(gzip.decompress(body))["Records"]
    assert [(r["eventName"], r["eventCategory"]) for r in records] == [
        ("CreateRole", "Management"),
        ("PutObject", "Data"),
    ]
    delivery.deliver()
    assert len(platform.written) == 1
    assert [e.body["eventName"] for e in platform.trail.lookup()] == ["CreateRole"], (
        "the event history has no data events"
    )


def test_a_stopped_trail_delivers_nothing(platform: FakePlatform) -> None:
    platform.trails["t"] = build_trail([])
    delivery = TrailDelivery(platform)
    delivery.deliver()
    platform.trails["t"].status.is_logging = False
    platform.trail.record(ApiRequest(60.0, "iam", "CreateRole", body=b"Action=CreateRole&RoleName=r"))
    delivery.deliver()
    assert platform.written == {}
