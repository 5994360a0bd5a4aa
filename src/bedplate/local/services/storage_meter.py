"""Charges S3 storage: the gigabyte-months of every object version, under the bucket's tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bedplate.local.hooks import Usage

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_MONTH_S = 30 * 86400.0
INTERVAL_S = 60.0


class StorageMeter:
    """Charges storage for the time since the last step. The time in which the platform is down is not charged."""

    def __init__(self, platform: LocalPlatform) -> None:
        self._platform = platform
        self._last_step = platform.now()

    def step(self) -> None:
        now = self._platform.now()
        elapsed_s, self._last_step = now - self._last_step, now
        with self._platform.lock:
            s3 = self._platform.backend("s3", "aws")
            buckets = [
                (bucket.arn, _bucket_size(bucket), s3.tagger.get_tag_dict_for_resource(bucket.arn))
                for bucket in s3.buckets.values()
            ]
        for arn, size, tags in buckets:
            if size:
                gb_month = size / 1e9 * elapsed_s / _MONTH_S
                usage = Usage(arn, "storage", now - elapsed_s, seconds=elapsed_s, gb_month=gb_month, tags=dict(tags))
                self._platform.charge(usage)


def _bucket_size(bucket: object) -> int:
    """Returns the bytes of all versions; a delete marker has none. moto's own `values()` has latest versions only."""
    versions = dict.values(bucket.keys)  # type: ignore[attr-defined]
    return sum(getattr(version, "contentsize", 0) for key_versions in versions for version in key_versions)
