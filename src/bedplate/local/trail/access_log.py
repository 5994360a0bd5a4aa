"""S3's server access log: who asked which bucket for what, written now and then into the bucket that it says."""

from __future__ import annotations

import uuid
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from bedplate.local.trail.platform_internals import PlatformInternals

INTERVAL_S = 20.0
"""AWS delivers within hours, by best effort."""
_WAITING = 50_000
_OWNER = "0" * 64


@dataclass(frozen=True, slots=True)
class AccessLogEntry:
    """One request to S3."""

    at: float
    method: str
    bucket: str
    key: str
    query: str
    status: str
    error: str
    requester: str
    user_agent: str
    took_ms: float


class AccessLog:
    """`note` only remembers; `step` writes one object for each bucket that was asked and says where to log."""

    def __init__(self, platform: PlatformInternals) -> None:
        self._platform = platform
        self._waiting: deque[AccessLogEntry] = deque(maxlen=_WAITING)

    def note(self, access: AccessLogEntry) -> None:
        self._waiting.append(access)

    def step(self) -> None:
        by_bucket: dict[str, list[AccessLogEntry]] = defaultdict(list)
        while self._waiting:
            access = self._waiting.popleft()
            by_bucket[access.bucket].append(access)
        for bucket, accesses in by_bucket.items():
            self._deliver(bucket, accesses)

    def _deliver(self, name: str, accesses: list[AccessLogEntry]) -> None:
        with self._platform.lock:
            buckets = self._platform.backend("s3", "aws").buckets
            target = _target(buckets, name)
            if target is None:
                return
            bucket, prefix = target
            moment = datetime.fromtimestamp(accesses[-1].at, UTC).strftime("%Y-%m-%d-%H-%M-%S")
            body = "".join(f"{line(access)}\n" for access in accesses).encode()
            key = f"{prefix}{moment}-{uuid.uuid4().hex[:16].upper()}"
            self._platform.put_object(bucket, key, body, "text/plain")


def _target(buckets: Any, name: str) -> tuple[str, str] | None:
    logging = buckets[name].logging if name in buckets else {}
    if not logging or logging.get("TargetBucket") not in buckets:
        return None
    return logging["TargetBucket"], logging.get("TargetPrefix") or ""


def line(access: AccessLogEntry) -> str:
    """A line of S3's format, up to the user agent; what is not known is a dash.

    >>> line(AccessLogEntry(0, "GET", "b", "a key", "", "200", "", "ada", "boto", 1.5)).split(" ", 8)[-1]
    'a%20key "GET /b/a%20key HTTP/1.1" 200 - - - 2 - "-" "boto" -'
    """
    when = datetime.fromtimestamp(access.at, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    key = quote(access.key) or "-"
    kind = "OBJECT" if access.key else "BUCKET"
    path = quote(f"/{access.bucket}/{access.key}".rstrip("/")) + (f"?{access.query}" if access.query else "")
    return (
        f"{_OWNER} {access.bucket} [{when}] 127.0.0.1 {quote(access.requester) or '-'} {uuid.uuid4().hex[:16].upper()}"
        f' REST.{access.method}.{kind} {key} "{access.method} {path} HTTP/1.1" {access.status} {access.error or "-"}'
        f' - - {access.took_ms:.0f} - "-" "{access.user_agent}" -'
    )
