"""Writes S3's server access logs: the requests to each bucket, delivered to its target bucket."""

from __future__ import annotations

import uuid
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from bedplate.local.trail.platform_internals import PlatformInternals

INTERVAL_S = 20.0
"""Seconds between deliveries; AWS delivers within hours, without a guarantee."""
_MAX_PENDING = 50_000
_OWNER = "0" * 64


@dataclass(frozen=True, slots=True)
class AccessLogEntry:
    """One request to S3."""

    time: float
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
    """`record` only queues an entry; `deliver` writes one log object for each bucket with logging."""

    def __init__(self, platform: PlatformInternals) -> None:
        self._platform = platform
        self._pending: deque[AccessLogEntry] = deque(maxlen=_MAX_PENDING)

    def record(self, entry: AccessLogEntry) -> None:
        self._pending.append(entry)

    def deliver(self) -> None:
        by_bucket: dict[str, list[AccessLogEntry]] = defaultdict(list)
        while self._pending:
            entry = self._pending.popleft()
            by_bucket[entry.bucket].append(entry)
        for bucket, entries in by_bucket.items():
            self._deliver_bucket(bucket, entries)

    def _deliver_bucket(self, name: str, entries: list[AccessLogEntry]) -> None:
        with self._platform.lock:
            buckets = self._platform.backend("s3", "aws").buckets
            target = _find_target(buckets, name)
            if target is None:
                return
            bucket, prefix = target
            time = datetime.fromtimestamp(entries[-1].time, UTC).strftime("%Y-%m-%d-%H-%M-%S")
            body = "".join(f"{format_line(entry)}\n" for entry in entries).encode()
            key = f"{prefix}{time}-{uuid.uuid4().hex[:16].upper()}"
            self._platform.put_object(bucket, key, body, "text/plain")


def _find_target(buckets: Any, name: str) -> tuple[str, str] | None:
    logging = buckets[name].logging if name in buckets else {}
    if not logging or logging.get("TargetBucket") not in buckets:
        return None
    return logging["TargetBucket"], logging.get("TargetPrefix") or ""


def format_line(entry: AccessLogEntry) -> str:
    """Returns a line in S3's format, up to the user agent; unknown values are dashes.

    >>> format_line(AccessLogEntry(0, "GET", "b", "a key", "", "200", "", "ada", "boto", 1.5)).split(" ", 8)[-1]
    'a%20key "GET /b/a%20key HTTP/1.1" 200 - - - 2 - "-" "boto" -'
    """
    time = datetime.fromtimestamp(entry.time, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    key = quote(entry.key) or "-"
    kind = "OBJECT" if entry.key else "BUCKET"
    path = quote(f"/{entry.bucket}/{entry.key}".rstrip("/")) + (f"?{entry.query}" if entry.query else "")
    return (
        f"{_OWNER} {entry.bucket} [{time}] 127.0.0.1 {quote(entry.requester) or '-'} {uuid.uuid4().hex[:16].upper()}"
        f' REST.{entry.method}.{kind} {key} "{entry.method} {path} HTTP/1.1" {entry.status} {entry.error or "-"}'
        f' - - {entry.took_ms:.0f} - "-" "{entry.user_agent}" -'
    )
