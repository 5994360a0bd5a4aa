"""Reads and writes objects in S3."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bedplate.aws.errors import code_of, is_missing, translated
from bedplate.aws.session import POOL, Session
from bedplate.errors import Conflict, UsageError
from bedplate.ports import ObjectInfo

READERS = POOL
"""Objects that are read at once."""
_BATCH = 16
_CONDITIONAL_TRIES = 5


class S3Objects:
    """The `Objects` port. URIs are `s3://bucket/key`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, uri: str) -> bytes:
        """Raises NotFound for a key or bucket that does not exist."""
        bucket, key = split(uri)
        with translated(f"Cannot read {uri}"):
            return bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def get_many(self, uris: Sequence[str]) -> Iterator[bytes]:
        """Many at once, in order. Raises NotFound when it comes to one that does not exist."""
        from concurrent.futures import ThreadPoolExecutor

        from bedplate.aws.storage.bulk_reads import BulkReader

        readers = {bucket: BulkReader(self._session, bucket) for bucket in {split(uri)[0] for uri in uris}}

        def read(batch: Sequence[str]) -> list[bytes]:
            found = []
            for uri in batch:
                bucket, key = split(uri)
                body = readers[bucket].get(key)
                found.append(self.get(uri) if body is None else body)
            return found

        size = max(1, min(_BATCH, len(uris) // READERS))
        try:
            with ThreadPoolExecutor(READERS) as pool:
                for bodies in pool.map(read, [uris[at : at + size] for at in range(0, len(uris), size)]):
                    yield from bodies
        finally:
            for reader in readers.values():
                reader.close()

    def put(self, uri: str, body: bytes, *, content_type: str = "application/octet-stream") -> None:
        bucket, key = split(uri)
        with translated(f"Cannot write {uri}"):
            self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    def put_if_absent(self, uri: str, body: bytes) -> bool:
        """`If-None-Match: *`. S3 answers 409 while another conditional write of the key is under way: tried again."""
        from botocore.exceptions import ClientError

        bucket, key = split(uri)
        for _ in range(_CONDITIONAL_TRIES):
            with translated(f"Cannot write {uri}"):
                try:
                    self._s3.put_object(
                        Bucket=bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*"
                    )
                    return True
                except ClientError as exc:
                    if code_of(exc) in ("PreconditionFailed", "412"):
                        return False
                    if code_of(exc) not in ("ConditionalRequestConflict", "409"):
                        raise
        raise Conflict(f"Cannot write {uri}: others are writing it at the same time")

    def exists(self, uri: str) -> bool:
        from botocore.exceptions import ClientError

        bucket, key = split(uri)
        with translated(f"Cannot look at {uri}"):
            try:
                self._s3.head_object(Bucket=bucket, Key=key)
            except ClientError as exc:
                if is_missing(exc):
                    return False
                raise
        return True

    def list(self, prefix_uri: str, *, after: str | None = None) -> Iterator[ObjectInfo]:
        bucket, prefix = split(prefix_uri, key_needed=False)
        start = {"StartAfter": split(after)[1]} if after else {}
        with translated(f"Cannot list {prefix_uri}"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **start):
                for entry in page.get("Contents", ()):
                    yield ObjectInfo(
                        f"s3://{bucket}/{entry['Key']}",
                        entry["Size"],
                        entry["LastModified"].astimezone(UTC),
                        entry["ETag"],
                    )

    def empty(self, bucket: str) -> int:
        """Delete every version of every object; how many could not be (under a lock, say). A bucket that is gone is
        empty."""
        from botocore.exceptions import ClientError

        left = 0
        with translated(f"Cannot empty {bucket}"):
            try:
                for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                    held = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                    doomed = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in held]
                    if doomed:
                        done = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
                        left += len(done.get("Errors", ()))
            except ClientError as exc:
                if not is_missing(exc):
                    raise
        return left

    def upload(self, path: Path, uri: str, *, progress: Callable[[int], None] | None = None) -> None:
        """Large files in parts, in parallel; `progress` is told the bytes of each step."""
        bucket, key = split(uri)
        with translated(f"Cannot write {uri}"):
            self._s3.upload_file(str(path), bucket, key, Callback=progress)

    def download(self, uri: str, path: Path) -> None:
        """The file appears whole or not at all."""
        bucket, key = split(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with translated(f"Cannot read {uri}"):
                self._s3.download_file(bucket, key, str(partial))
            partial.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()

    @property
    def _s3(self) -> Any:
        return self._session.client("s3")


def split(uri: str, *, key_needed: bool = True) -> tuple[str, str]:
    """Bucket and key of an `s3://` URI.

    >>> split("s3://bucket/a/b.json")
    ('bucket', 'a/b.json')

    Raises UsageError for anything else.
    """
    parts = urlsplit(uri, allow_fragments=False)
    key = parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme != "s3" or not parts.netloc or (key_needed and not key):
        raise UsageError(f"{uri!r} is not the address of an object: s3://bucket/key expected")
    return parts.netloc, key
