"""S3 objects, and KMS signatures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    uri: str
    size: int
    modified_at: datetime
    etag: str = ""
    """Changes whenever the object is overwritten."""


class Objects(Protocol):
    def get(self, uri: str) -> bytes: ...
    def get_many(self, uris: Sequence[str]) -> Iterator[bytes]:
        """Yields the objects in order, reading several at once. Raises NotFound on reaching one that does not exist."""
        ...

    def put(self, uri: str, body: bytes, *, content_type: str = "application/octet-stream") -> None: ...
    def put_if_absent(self, uri: str, body: bytes) -> bool:
        """Writes the object unless its key exists; returns whether it was written."""
        ...

    def exists(self, uri: str) -> bool: ...
    def list(self, prefix_uri: str, *, start_after: str | None = None) -> Iterator[ObjectInfo]:
        """Yields the objects below the prefix in key order, starting after the URI `start_after`."""
        ...

    def empty_bucket(self, bucket: str) -> int:
        """Deletes every version of every object; returns how many versions could not be deleted."""
        ...

    def upload(self, path: Path, uri: str, *, progress: Callable[[int], None] | None = None) -> None: ...
    def download(self, uri: str, path: Path) -> None: ...


class Signer(Protocol):
    """Signs and verifies with a key that cannot be exported."""

    def sign(self, key_arn: str, digest: bytes) -> bytes:
        """Returns the signature of a SHA-256 digest (32 bytes)."""
        ...

    def verify(self, key_arn: str, digest: bytes, signature: bytes) -> bool: ...
