"""Reads and writes objects in S3."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bedplate.aws.errors import error_code, map_client_errors
from bedplate.aws.session import MAX_CONNECTIONS, Session
from bedplate.errors import Conflict, NotFound, UsageError
from bedplate.ports import ObjectInfo

MAX_READERS = MAX_CONNECTIONS
"""Number of objects read at the same time."""
_MAX_BATCH_SIZE = 16
"""Objects that one thread reads before it takes the next batch."""
_CONDITIONAL_WRITE_ATTEMPTS = 5


class S3Objects:
    """The `Objects` port. URIs are `s3://bucket/key`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, uri: str) -> bytes:
        """Returns an object's content. Raises NotFound for a key or bucket that does not exist."""
        bucket, key = split_uri(uri)
        with map_client_errors(f"Cannot read {uri}"):
            return bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def get_many(self, uris: Sequence[str]) -> Iterator[bytes]:
        """Yields the objects' contents in the order of `uris`. Raises NotFound at the first that does not exist."""
        from concurrent.futures import ThreadPoolExecutor

        from bedplate.aws.storage.bulk_reads import BulkReader

        readers = {bucket: BulkReader(self._session, bucket) for bucket in {split_uri(uri)[0] for uri in uris}}

        def read(batch: Sequence[str]) -> list[bytes]:
            bodies = []
            for uri in batch:
                bucket, key = split_uri(uri)
                body = readers[bucket].get(key)
                bodies.append(self.get(uri) if body is None else body)  # `get` retries, and raises the proper error
            return bodies

        size = max(1, min(_MAX_BATCH_SIZE, len(uris) // MAX_READERS))
        try:
            with ThreadPoolExecutor(MAX_READERS) as pool:
                for bodies in pool.map(read, [uris[start : start + size] for start in range(0, len(uris), size)]):
                    yield from bodies
        finally:
            for reader in readers.values():
                reader.close()

    def put(self, uri: str, body: bytes, *, content_type: str = "application/octet-stream") -> None:
        bucket, key = split_uri(uri)
        with map_client_errors(f"Cannot write {uri}"):
            self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    def put_if_absent(self, uri: str, body: bytes) -> bool:
        """Writes an object unless it exists (`If-None-Match: *`); returns whether it was written.

        Retries while S3 returns 409, which means that another conditional write of the key is in progress. Raises
        Conflict after the last attempt.
        """
        from botocore.exceptions import ClientError

        bucket, key = split_uri(uri)
        for _ in range(_CONDITIONAL_WRITE_ATTEMPTS):
            with map_client_errors(f"Cannot write {uri}"):
                try:
                    self._s3.put_object(
                        Bucket=bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*"
                    )
                    return True
                except ClientError as exc:
                    if error_code(exc) in ("PreconditionFailed", "412"):
                        return False
                    if error_code(exc) not in ("ConditionalRequestConflict", "409"):
                        raise
        raise Conflict(f"Cannot write {uri}: other commands are writing it at the same time; run the command again")

    def exists(self, uri: str) -> bool:
        """Returns whether the object exists; False for a bucket that does not exist."""
        bucket, key = split_uri(uri)
        try:
            with map_client_errors(f"Cannot read {uri}"):
                self._s3.head_object(Bucket=bucket, Key=key)
        except NotFound:
            return False
        return True

    def list(self, prefix_uri: str, *, start_after: str | None = None) -> Iterator[ObjectInfo]:
        """Yields the objects whose URI starts with `prefix_uri`, sorted by key, after the URI `start_after` if set."""
        bucket, prefix = split_uri(prefix_uri, key_needed=False)
        start = {"StartAfter": split_uri(start_after)[1]} if start_after else {}
        with map_client_errors(f"Cannot list {prefix_uri}"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **start):
                for entry in page.get("Contents", ()):
                    yield ObjectInfo(
                        f"s3://{bucket}/{entry['Key']}",
                        entry["Size"],
                        entry["LastModified"].astimezone(UTC),
                        entry["ETag"],
                    )

    def empty_bucket(self, bucket: str) -> int:
        """Deletes every version and delete marker; returns the number that S3 did not delete, such as locked versions.

        Returns 0 for a bucket that does not exist.
        """
        error_count = 0
        with contextlib.suppress(NotFound), map_client_errors(f"Cannot empty {bucket}"):
            for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                versions = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                identifiers = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in versions]
                if identifiers:
                    response = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": identifiers, "Quiet": True})
                    error_count += len(response.get("Errors", ()))
        return error_count

    def upload(self, path: Path, uri: str, *, progress: Callable[[int], None] | None = None) -> None:
        """Uploads large files in parallel parts; calls `progress` with the number of bytes of each step."""
        bucket, key = split_uri(uri)
        with map_client_errors(f"Cannot write {uri}"):
            self._s3.upload_file(str(path), bucket, key, Callback=progress)

    def download(self, uri: str, path: Path) -> None:
        """Downloads an object to `path`, which never holds a part of it: the file is renamed when it is complete."""
        bucket, key = split_uri(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with map_client_errors(f"Cannot read {uri}"):
                self._s3.download_file(bucket, key, str(partial))
            partial.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()

    @property
    def _s3(self) -> Any:
        return self._session.client("s3")


def split_uri(uri: str, *, key_needed: bool = True) -> tuple[str, str]:
    """Returns bucket and key of an `s3://` URI.

    >>> split_uri("s3://bucket/a/b.json")
    ('bucket', 'a/b.json')

    Raises UsageError for anything else.
    """
    parts = urlsplit(uri, allow_fragments=False)
    key = parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme != "s3" or not parts.netloc or (key_needed and not key):
        raise UsageError(f"{uri!r} is not the URI of an object: expected s3://bucket/key")
    return parts.netloc, key
