"""Stores the bytes of S3 objects in immutable files, and streams them without holding an object in memory."""

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
    """A range of a stored file. Like bytes it has length, truth value and slices, which is all that moto uses."""

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
            raise ValueError("a Blob has no slices with a step")
        return Blob(self.path, self.offset + start, max(0, stop - start))

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)

    def open_stream(self) -> BlobStream:
        """Opens the file; the bytes stay readable when the object is deleted before they are sent."""
        file = self.path.open("rb")
        file.seek(self.offset)
        return BlobStream(file, self.length)

    def checksum(self, algorithm: str) -> str:
        """Returns the checksum in base64, as in S3's headers; computes it unless `receive` did."""
        stored = dict(self.checksums).get(algorithm.upper())
        if stored:
            return stored
        with self.open_stream() as stream:
            return checksum_of(stream.chunks(), algorithm)


class BlobStream:
    """An open range of a file, to be read once."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        self.file, self.length = file, length

    def __enter__(self) -> BlobStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def chunks(self) -> Iterator[bytes]:
        remaining = self.length
        with self.file:
            while remaining > 0 and (chunk := self.file.read(min(CHUNK, remaining))):
                remaining -= len(chunk)
                yield chunk


class BlobStore:
    """The folder of objects' files. A discarded file is deleted once the latest snapshot no longer refers to it."""

    current: ClassVar[BlobStore]  # this process's store, through which unpickled objects find their files

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._discarded: list[Path] = []
        self._deletable: list[Path] = []

    def receive(self, chunks: Iterable[bytes], algorithm: str = "") -> Blob:
        """Writes the chunks to a new file and returns it with its MD5 and, with `algorithm`, that checksum."""
        path = self._incoming / uuid.uuid4().hex
        md5, size = hashlib.md5(usedforsecurity=False), 0
        digest = Digest(algorithm) if algorithm else None
        with path.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                md5.update(chunk)
                size += len(chunk)
                if digest:
                    digest.update(chunk)
        checksums = ((algorithm.upper(), digest.base64()),) if digest else ()
        return Blob(path, 0, size, md5.hexdigest(), checksums)

    def store(self, value: bytes | Blob) -> Blob:
        """Stores the bytes in a file of their own: moves an incoming file, links a stored one, copies a part of one."""
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
            with value.open_stream() as stream:
                value = self.receive(stream.chunks())
            value.path.rename(path)
        md5 = value.md5 or _md5(Blob(path, 0, value.length))
        return Blob(path, 0, value.length, md5, value.checksums)

    def discard(self, blob: Blob) -> None:
        self._discarded.append(blob.path)

    def before_snapshot(self) -> None:
        """Marks the discarded files as deletable after the next snapshot, which does not refer to them."""
        self._deletable += self._discarded
        self._discarded = []

    def after_snapshot(self) -> None:
        paths, self._deletable = self._deletable, []
        for path in paths:
            path.unlink(missing_ok=True)

    def remove_orphans(self, used: set[Path]) -> int:
        """Deletes, at the start, the files that no object refers to, which a kill left behind. Returns how many."""
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)
        orphans = [p for p in self.folder.glob("??/*") if p not in used]
        for path in orphans:
            path.unlink()
        return len(orphans)


class Digest:
    """One of S3's checksum algorithms. Like moto, uses CRC32 in place of CRC32C and CRC64NVME, which need a library."""

    def __init__(self, algorithm: str) -> None:
        name = algorithm.upper()
        self._hash: Any = {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256}.get(name, lambda: None)()
        self._crc = 0

    def update(self, chunk: bytes) -> None:
        if self._hash is not None:
            self._hash.update(chunk)
        else:
            self._crc = zlib.crc32(chunk, self._crc)

    def digest(self) -> bytes:
        return bytes(self._hash.digest()) if self._hash is not None else self._crc.to_bytes(4, "big")

    def base64(self) -> str:
        return base64.b64encode(self.digest()).decode()


def checksum_of(chunks: Iterable[bytes], algorithm: str) -> str:
    """Returns the checksum of the concatenated chunks, in base64.

    >>> checksum_of([b"a", b"b"], "CRC32") == checksum_of([b"ab"], "crc32")
    True
    """
    digest = Digest(algorithm)
    for chunk in chunks:
        digest.update(chunk)
    return digest.base64()


def body_chunks(read: Callable[[int], bytes], length: int | None) -> Iterator[bytes]:
    """Yields a request's body in chunks; with `length` None until the end of the stream."""
    remaining = length
    while remaining is None or remaining > 0:
        chunk = read(CHUNK if remaining is None else min(CHUNK, remaining))
        if not chunk:
            return
        if remaining is not None:
            remaining -= len(chunk)
        yield chunk


def decoded_chunks(read: Callable[[int], bytes], readline: Callable[[], bytes]) -> Iterator[bytes]:
    """Yields the content of an aws-chunked body, signed or not, without its signatures and trailers.

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
    with blob.open_stream() as stream:
        for chunk in stream.chunks():
            md5.update(chunk)
    return md5.hexdigest()
