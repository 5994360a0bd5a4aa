"""Objects, and signatures over them."""

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
    """Changes whenever the object is written anew."""


class Objects(Protocol):
    def get(self, uri: str) -> bytes: ...
    def get_many(self, uris: Sequence[str]) -> Iterator[bytes]:
        """Many at once, in order; NotFound when it comes to one that does not exist."""
        ...

    def put(self, uri: str, body: bytes, *, content_type: str = "application/octet-stream") -> None: ...
    def put_if_absent(self, uri: str, body: bytes) -> bool:
        """Conditional put: False, and nothing written, when the key exists."""
        ...

    def exists(self, uri: str) -> bool: ...
    def list(self, prefix_uri: str, *, after: str | None = None) -> Iterator[ObjectInfo]:
        """Objects below the prefix in key order; `after` is a URI to start behind."""
        ...

    def empty(self, bucket: str) -> int:
        """Delete every version of every object; how many could not be."""
        ...

    def upload(self, path: Path, uri: str, *, progress: Callable[[int], None] | None = None) -> None: ...
    def download(self, uri: str, path: Path) -> None: ...


class Signer(Protocol):
    """Signs with a key that nobody can copy, and says later whether a signature is the key's."""

    def sign(self, key: str, digest: bytes) -> bytes:
        """Signature of a SHA-256 digest (32 bytes) by the key with this ARN."""
        ...

    def verify(self, key: str, digest: bytes, signature: bytes) -> bool: ...
