"""Reads and writes the platform's S3 objects directly, for the runtime in the same process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bedplate.local.storage.blobs import Blob, BlobStore, body_chunks
from bedplate.local.trail.platform_internals import PlatformInternals


class BucketAccess:
    """Every method takes the platform's lock, and raises KeyError for a bucket or object that does not exist."""

    def __init__(self, platform: PlatformInternals) -> None:
        self._platform = platform

    def get(self, bucket: str, key: str) -> bytes:
        with self._platform.lock:
            return self._object(bucket, key).blob.read()  # type: ignore[no-any-return]

    def path(self, bucket: str, key: str) -> Path:
        with self._platform.lock:
            return Path(self._object(bucket, key).blob.path)

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        with self._platform.lock:
            keys = self._bucket(bucket).keys
            return sorted(name for name in list(keys) if name.startswith(prefix) and _current_object(keys[name]))

    def put(self, bucket: str, key: str, body: bytes | Path, content_type: str) -> None:
        data: bytes | Blob = body if isinstance(body, bytes) else _receive_file(body)
        with self._platform.lock:
            self._bucket(bucket)
            entry = self._platform.backend("s3", "aws").put_object(bucket, key, data)
            entry.set_metadata({"Content-Type": content_type})
            self._platform.store.mark("s3", "sqs", "sns", "events")

    def _bucket(self, bucket: str) -> Any:
        buckets = self._platform.backend("s3", "aws").buckets
        if bucket not in buckets:
            raise KeyError(f"there is no bucket {bucket}")
        return buckets[bucket]

    def _object(self, bucket: str, key: str) -> Any:
        entry = _current_object(self._bucket(bucket).keys.get(key))
        if entry is None:
            raise KeyError(f"there is no object s3://{bucket}/{key}")
        return entry


def _current_object(entry: Any) -> Any | None:
    """Returns an entry of moto's key store if it is an object; None for a delete marker or a missing entry."""
    from moto.s3.models import FakeKey

    return entry if isinstance(entry, FakeKey) else None


def _receive_file(path: Path) -> Blob:
    with path.open("rb") as file:
        return BlobStore.current.receive(body_chunks(file.read, None))
