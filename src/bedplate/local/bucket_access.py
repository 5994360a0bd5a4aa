"""The buckets of this platform from the inside: what the runtime reads and writes without going over the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bedplate.local.storage.blobs import Blob, BlobStore, body_chunks
from bedplate.local.trail.platform_internals import PlatformInternals


class BucketAccess:
    """Every method takes the platform's lock, and raises KeyError with a sentence for what is not there."""

    def __init__(self, platform: PlatformInternals) -> None:
        self._platform = platform

    def get(self, bucket: str, key: str) -> bytes:
        with self._platform.lock:
            return self._find(bucket, key).blob.read()  # type: ignore[no-any-return]

    def path(self, bucket: str, key: str) -> Path:
        with self._platform.lock:
            return Path(self._find(bucket, key).blob.path)

    def names(self, bucket: str, prefix: str) -> list[str]:
        with self._platform.lock:
            keys = self._bucket(bucket).keys
            return sorted(name for name in list(keys) if name.startswith(prefix) and _live(keys[name]))

    def put(self, bucket: str, key: str, body: bytes | Path, content_type: str) -> None:
        data: bytes | Blob = body if isinstance(body, bytes) else _received(body)
        with self._platform.lock:
            self._bucket(bucket)
            stored = self._platform.backend("s3", "aws").put_object(bucket, key, data)
            stored.set_metadata({"Content-Type": content_type})
            self._platform.store.mark("s3", "sqs", "sns", "events")

    def _bucket(self, bucket: str) -> Any:
        buckets = self._platform.backend("s3", "aws").buckets
        if bucket not in buckets:
            raise KeyError(f"there is no bucket {bucket}")
        return buckets[bucket]

    def _find(self, bucket: str, key: str) -> Any:
        found = _live(self._bucket(bucket).keys.get(key))
        if found is None:
            raise KeyError(f"there is no object s3://{bucket}/{key}")
        return found


def _live(found: Any) -> Any | None:
    """The object of an entry of moto's key store; None for nothing, and for a delete marker."""
    from moto.s3.models import FakeKey

    return found if isinstance(found, FakeKey) else None


def _received(path: Path) -> Blob:
    with path.open("rb") as file:
        return BlobStore.current.receive(body_chunks(file.read, None))
