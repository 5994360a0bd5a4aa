"""Objects' bytes as files: taken from the network in pieces, never whole in memory, immutable once stored."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """A stretch of a stored file. Behaves like bytes as far as moto looks: length, truth, slices."""

    path: Path
    offset: int
    length: int
    md5: str = ""
    checksums: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> Blob:
        start, stop, step = part.indices(self.length)
        if step != 1:
            raise ValueError("a stretch of a file has no stride")
        return Blob(self.path, self.offset + start, max(0, stop - start))

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)

    def opened(self) -> BlobStream:
        """Open it now: the bytes stay readable even when the object is deleted before they are sent."""
        file = self.path.open("rb")
        file.seek(self.offset)
        return BlobStream(file, self.length)

    def checksum(self, algorithm: str) -> str:
        """The checksum in base64, as S3's headers have it; computed when it was not while receiving."""
        known = dict(self.checksums).get(algorithm.upper())
        if known:
            return known
        with self.opened() as reading:
            return digest_of(reading.chunks(), algorithm)


class BlobStream:
    """An open stretch of a file, to be sent once."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        self.file, self.length = file, length

    def __enter__(self) -> BlobStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def chunks(self) -> Iterator[bytes]:
        left = self.length
        with self.file:
            while left > 0 and (piece := self.file.read(min(CHUNK, left))):
                left -= len(piece)
                yield piece


class BlobStore:
    """The folder of objects. What is thrown away is deleted only after a snapshot no longer speaks of it."""

    current: ClassVar[BlobStore]  # of this process: unpickled objects find their files through it

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._trash: list[Path] = []
        self._doomed: list[Path] = []

    def receive(self, chunks: Iterable[bytes], algorithm: str = "") -> Blob:
        """Write what arrives to a new file, hashing on the way."""
        path = self._incoming / uuid.uuid4().hex
        md5, size = hashlib.md5(usedforsecurity=False), 0
        extra = Digest(algorithm) if algorithm else None
        with path.open("wb") as file:
            for piece in chunks:
                file.write(piece)
                md5.update(piece)
                size += len(piece)
                if extra:
                    extra.update(piece)
        checksums = ((algorithm.upper(), extra.base64()),) if extra else ()
        return Blob(path, 0, size, md5.hexdigest(), checksums)

    def keep(self, value: bytes | Blob) -> Blob:
        """The bytes as a file of the store's own: an incoming file is moved in, a stored one linked, a part copied."""
        if not isinstance(value, Blob):
            value = self.receive([value])
        name = uuid.uuid4().hex
        path = self.folder / name[:2] / name
        path.parent.mkdir(exist_ok=True)
        if value.path.parent == self._incoming:
            value.path.rename(path)
        elif value.offset == 0 and value.path.stat().st_size == value.length:
            os.link(value.path, path)
        else:
            with value.opened() as reading:
                value = self.receive(reading.chunks())
            value.path.rename(path)
        md5 = value.md5 or _md5(Blob(path, 0, value.length))
        return Blob(path, 0, value.length, md5, value.checksums)

    def throw(self, blob: Blob) -> None:
        self._trash.append(blob.path)

    def before_snapshot(self) -> None:
        """What was thrown away until now is not in the snapshot that is about to be made."""
        self._doomed += self._trash
        self._trash = []

    def after_snapshot(self) -> None:
        doomed, self._doomed = self._doomed, []
        for path in doomed:
            path.unlink(missing_ok=True)

    def sweep(self, used: set[Path]) -> int:
        """At the start: remove files that no object speaks of, left by a kill. Returns how many."""
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)
        orphans = [p for p in self.folder.glob("??/*") if p not in used]
        for path in orphans:
            path.unlink()
        return len(orphans)


class Digest:
    """One of S3's checksum algorithms, fed piece by piece. CRC32C and CRC64NVME need a library that is not there:
    like moto, CRC32 stands in for them."""

    def __init__(self, algorithm: str) -> None:
        name = algorithm.upper()
        self._hash: Any = {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256}.get(name, lambda: None)()
        self._crc = 0

    def update(self, piece: bytes) -> None:
        if self._hash is not None:
            self._hash.update(piece)
        else:
            self._crc = zlib.crc32(piece, self._crc)

    def digest(self) -> bytes:
        return bytes(self._hash.digest()) if self._hash is not None else self._crc.to_bytes(4, "big")

    def base64(self) -> str:
        return base64.b64encode(self.digest()).decode()


def digest_of(chunks: Iterable[bytes], algorithm: str) -> str:
    """The checksum of some pieces, in base64.

    >>> digest_of([b"a", b"b"], "CRC32") == digest_of([b"ab"], "crc32")
    True
    """
    digest = Digest(algorithm)
    for piece in chunks:
        digest.update(piece)
    return digest.base64()


def body_chunks(read: Callable[[int], bytes], length: int | None) -> Iterator[bytes]:
    """A request's body in pieces; `length` None reads until the end."""
    left = length
    while left is None or left > 0:
        piece = read(CHUNK if left is None else min(CHUNK, left))
        if not piece:
            return
        if left is not None:
            left -= len(piece)
        yield piece


def decoded_chunks(read: Callable[[int], bytes], readline: Callable[[], bytes]) -> Iterator[bytes]:
    """The content of an aws-chunked body, signed or not; signatures and trailers are passed over.

    >>> import io
    >>> body = io.BytesIO(b"3;chunk-signature=x\\r\\nabc\\r\\n0\\r\\nx-amz-checksum-crc32:AA==\\r\\n\\r\\n")
    >>> b"".join(decoded_chunks(body.read, body.readline))
    b'abc'
    """
    while line := readline():
        size = int(re.split(rb"[;\r\n]", line, maxsplit=1)[0] or b"0", 16)
        if size == 0:
            break
        yield from body_chunks(read, size)
        readline()
    while readline().strip():
        pass


def _md5(blob: Blob) -> str:
    md5 = hashlib.md5(usedforsecurity=False)
    with blob.opened() as reading:
        for piece in reading.chunks():
            md5.update(piece)
    return md5.hexdigest()
