"""Metering what lies in buckets: gigabyte-months of every version, charged to the bucket's tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bedplate.local.hooks import Usage

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_MONTH_S = 30 * 86400.0
INTERVAL_S = 60.0


class StorageMeter:
    """Charges what was stored since the last look; while the platform is down, nothing is stored on anyone's bill."""

    def __init__(self, platform: LocalPlatform) -> None:
        self._platform = platform
        self._last = platform.now()

    def step(self) -> None:
        now = self._platform.now()
        passed_s, self._last = now - self._last, now
        with self._platform.lock:
            s3 = self._platform.backend("s3", "aws")
            found = [
                (bucket.arn, _size(bucket), s3.tagger.get_tag_dict_for_resource(bucket.arn))
                for bucket in s3.buckets.values()
            ]
        for arn, size, tags in found:
            if size:
                gb_month = size / 1e9 * passed_s / _MONTH_S
                usage = Usage(arn, "storage", now - passed_s, seconds=passed_s, gb_month=gb_month, tags=dict(tags))
                self._platform.charge(usage)


def _size(bucket: object) -> int:
    versions = dict.values(bucket.keys)  # type: ignore[attr-defined]
    return sum(getattr(key, "contentsize", 0) for rows in versions for key in rows)
