"""What the platform writes by itself for auditors: S3's access logs and the files of trails."""

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


class World:
    """As much of a platform as the two deliveries see."""

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
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def an_access(bucket: str, key: str = "k") -> AccessLogEntry:
    return AccessLogEntry(60.0, "GET", bucket, key, "", "200", "", "ada", "boto", 1.0)


def test_requests_are_logged_where_the_bucket_says_and_nowhere_else(world: World) -> None:
    world.buckets = {
        "data": SimpleNamespace(logging={"TargetBucket": "logs", "TargetPrefix": "access/data/"}),
        "quiet": SimpleNamespace(logging={}),
        "logs": SimpleNamespace(logging={}),
    }
    log = AccessLog(world)
    for access in (an_access("data"), an_access("data", "other"), an_access("quiet"), an_access("gone")):
        log.note(access)
    log.step()
    (((bucket, key), body),) = world.written.items()
    assert bucket == "logs"
    assert key.startswith("access/data/1970-01-01-00-01-00-")
    assert [line.split(" ")[8] for line in body.decode().splitlines()] == ["k", "other"]
    log.step()
    assert len(world.written) == 1


def a_trail(selectors: list[dict[str, Any]]) -> Any:
    return SimpleNamespace(
        trail_name="t",
        region_name="us-east-1",
        s3_key_prefix="",
        bucket_name="trails",
        event_selectors=selectors,
        status=SimpleNamespace(is_logging=True),
    )


def a_put(bucket: str, key: str) -> ApiRequest:
    return ApiRequest(60.0, "s3", "", method="PUT", path=f"/{bucket}/{key}")


def test_a_trail_delivers_what_changed_and_the_objects_it_asks_for(world: World) -> None:
    ledger = {"DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::ledger/"]}]}
    world.trails["t"] = a_trail([{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True, **ledger}])
    delivery = TrailDelivery(world)
    world.trail.keep_data_event = delivery.asks_for
    delivery.step()  # it begins now
    world.trail.note(ApiRequest(60.0, "iam", "CreateRole", body=b"Action=CreateRole&RoleName=r"))
    world.trail.note(a_put("ledger", "ledger/0000000001.json"))
    world.trail.note(a_put("data", "rows.parquet"))
    delivery.step()
    (((bucket, key), body),) = world.written.items()
    assert bucket == "trails"
    assert key.startswith("AWSLogs/123456789012/CloudTrail/us-east-1/1970/01/02/")
    records = json.loads(gzip.decompress(body))["Records"]
    assert [(r["eventName"], r["eventCategory"]) for r in records] == [
        ("CreateRole", "Management"),
        ("PutObject", "Data"),
    ]
    delivery.step()
    assert len(world.written) == 1
    assert [e.body["eventName"] for e in world.trail.lookup()] == ["CreateRole"], "objects are in no event history"


def test_a_trail_that_is_switched_off_delivers_nothing(world: World) -> None:
    world.trails["t"] = a_trail([])
    delivery = TrailDelivery(world)
    delivery.step()
    world.trails["t"].status.is_logging = False
    world.trail.note(ApiRequest(60.0, "iam", "CreateRole", body=b"Action=CreateRole&RoleName=r"))
    delivery.step()
    assert world.written == {}
