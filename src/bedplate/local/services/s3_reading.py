"""GetObject answered directly where it is a plain one: by way of moto each read takes a millisecond, under the lock."""

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

Allowed = Callable[[Any, str, str], bool]
"""(bucket, action, resource's ARN) -> whether nothing denies it."""
Answer = tuple[dict[str, str], Blob]


def read(buckets: Mapping[str, Any], environ: Mapping[str, Any], key_class: Any, allowed: Allowed) -> Answer | None:
    """Headers and bytes of the object that a signed GET names; None for whatever moto is to answer: parts of it,
    conditions, versions by name, other queries, refusals, what is missing. Hold the lock."""
    path = environ.get("PATH_INFO", "/")
    bucket_name, _, name = path[1:].partition("/")
    if (
        environ["REQUEST_METHOD"] != "GET"
        or not name
        or environ.get("RAW_URI", path).partition("?")[0] != path  # a name that is quoted on the way
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
    if not allowed(bucket, "s3:GetObject", f"arn:{bucket.partition}:s3:::{bucket_name}/{name}"):
        return None
    return _headers(key, checked=environ.get("HTTP_X_AMZ_CHECKSUM_MODE") == "ENABLED"), key.blob


def _headers(key: Any, *, checked: bool) -> dict[str, str]:
    """moto's, in moto's order of precedence."""
    headers = {"x-amz-version-id": key.version_id} if key.version_id != "null" else {}
    headers |= key.response_dict
    if checked and key.checksum_algorithm:
        parts = f"-{key.checksum_parts}" if key.checksum_type == "COMPOSITE" else ""
        headers[f"x-amz-checksum-{key.checksum_algorithm.lower()}"] = f"{key.checksum_value}{parts}"
        if key.checksum_type:
            headers["x-amz-checksum-type"] = key.checksum_type
    headers |= {**key.metadata, "Accept-Ranges": "bytes", "x-amzn-requestid": uuid.uuid4().hex}
    return {name: str(value) for name, value in headers.items()}
