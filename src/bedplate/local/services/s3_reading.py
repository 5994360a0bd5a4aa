"""Serves plain GetObject requests without moto, which holds the lock for a millisecond for each read."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from moto.s3.models import ARCHIVE_STORAGE_CLASSES

from bedplate.local.storage.blobs import Blob

_PLAIN_HOST = re.compile(r"^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$")
_PLAIN_QUERIES = ("", "x-id=GetObject")
_SPECIAL = re.compile(r"^HTTP_(RANGE|ORIGIN|IF_.*)$")

IsAllowed = Callable[[Any, str, str], bool]
"""(bucket, action, the resource's ARN) -> whether no policy denies the call."""
ObjectResponse = tuple[dict[str, str], Blob]


def read_object(
    buckets: Mapping[str, Any], environ: Mapping[str, Any], key_class: Any, is_allowed: IsAllowed
) -> ObjectResponse | None:
    """Returns the headers and the bytes of an object for a signed GET; None for a request that moto must handle.

    Those are ranges, conditions, versions, other queries, denied calls and missing objects. The caller holds the lock.
    """
    path = environ.get("PATH_INFO", "/")
    bucket_name, _, name = path[1:].partition("/")
    if (
        environ["REQUEST_METHOD"] != "GET"
        or not name
        or environ.get("RAW_URI", path).partition("?")[0] != path  # a percent-encoded key
        or environ.get("QUERY_STRING", "") not in _PLAIN_QUERIES
        or not _PLAIN_HOST.match(environ.get("HTTP_HOST", ""))
        or not environ.get("HTTP_AUTHORIZATION")
        or any(map(_SPECIAL.match, environ))
    ):
        return None
    bucket = buckets.get(bucket_name)
    if bucket is None or name not in bucket.keys:
        return None
    key = bucket.keys[name]
    if not isinstance(key, key_class) or key.storage_class in ARCHIVE_STORAGE_CLASSES or key._expiry is not None:
        return None
    if not is_allowed(bucket, "s3:GetObject", f"arn:{bucket.partition}:s3:::{bucket_name}/{name}"):
        return None
    return _build_headers(key, checked=environ.get("HTTP_X_AMZ_CHECKSUM_MODE") == "ENABLED"), key.blob


def _build_headers(key: Any, *, checked: bool) -> dict[str, str]:
    """Returns the headers that moto would send, in moto's order of precedence."""
    headers = {"x-amz-version-id": key.version_id} if key.version_id != "null" else {}
    headers |= key.response_dict
    if checked and key.checksum_algorithm:
        parts = f"-{key.checksum_parts}" if key.checksum_type == "COMPOSITE" else ""
        headers[f"x-amz-checksum-{key.checksum_algorithm.lower()}"] = f"{key.checksum_value}{parts}"
        if key.checksum_type:
            headers["x-amz-checksum-type"] = key.checksum_type
    headers |= {**key.metadata, "Accept-Ranges": "bytes", "x-amzn-requestid": uuid.uuid4().hex}
    return {name: str(value) for name, value in headers.items()}
