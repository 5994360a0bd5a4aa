"""Stored objects are charged by size and time, under the bucket's tags."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from bedplate.local.hooks import Usage
from bedplate.local.services.storage_meter import StorageMeter


class FakePlatform:
    """A platform with an empty bucket, and one with two versions of an object and a delete marker of no size."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.time = 0.0
        self.charges: list[Usage] = []
        versions = [SimpleNamespace(contentsize=600_000_000), SimpleNamespace(contentsize=400_000_000), object()]
        full = SimpleNamespace(arn="arn:aws:s3:::full", keys={"k": versions})
        empty = SimpleNamespace(arn="arn:aws:s3:::empty", keys={})
        tagger = SimpleNamespace(get_tag_dict_for_resource=lambda arn: {"Project": "p"})
        self._s3 = SimpleNamespace(buckets={"full": full, "empty": empty}, tagger=tagger)

    def now(self) -> float:
        return self.time

    def backend(self, service: str, region: str) -> Any:
        return self._s3

    def charge(self, usage: Usage) -> None:
        self.charges.append(usage)


def test_every_version_is_charged_for_the_time_since_the_last_step() -> None:
    platform: Any = FakePlatform()
    meter = StorageMeter(platform)
    platform.time = 3 * 86400.0
    meter.step()
    platform.time = 4 * 86400.0
    meter.step()
    assert [u.resource_arn for u in platform.charges] == ["arn:aws:s3:::full"] * 2
    assert [u.gb_month for u in platform.charges] == pytest.approx([0.1, 1 / 30])
    assert platform.charges[0].tags == {"Project": "p"}
