"""Parses times as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from bedplate.errors import UsageError

_AGO = re.compile(r"^(\d+(?:\.\d+)?)\s*(second|minute|hour|day|week|s|min|h|d|w)s?\s+ago$")
_SECONDS = {"s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
_SECONDS |= {"w": 604800, "week": 604800}


def parse_time(text: str, now: datetime) -> datetime:
    """Parses `now`, `yesterday`, `2 hours ago` or an ISO 8601 time into UTC.

    A time without a zone is UTC; a date alone is its midnight.

    >>> noon = datetime(2013, 7, 2, 12, tzinfo=UTC)
    >>> parse_time("2 hours ago", noon).isoformat()
    '2013-07-02T10:00:00+00:00'
    >>> parse_time("2013-07-01T05:00:00+02:00", noon).isoformat()
    '2013-07-01T03:00:00+00:00'
    >>> parse_time("2013-07-01", noon) == parse_time("2013-07-01T00:00Z", noon)
    True

    Raises UsageError for anything else.
    """
    normalized = " ".join(text.lower().split())
    if normalized == "now":
        return now
    if normalized == "yesterday":
        return now - timedelta(days=1)
    match = _AGO.match(normalized)
    try:
        if match:
            return now - timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
        time = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a time: expected an ISO 8601 time (2013-07-01T12:00), 'now', 'yesterday' or '2 hours ago'"
        ) from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
