"""Reads a moment as people write it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from bedplate.errors import UsageError

_AGO = re.compile(r"^(\d+(?:\.\d+)?)\s*(second|minute|hour|day|week|s|min|h|d|w)s?\s+ago$")
_SECONDS = {"s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
_SECONDS |= {"w": 604800, "week": 604800}


def parse_moment(text: str, now: datetime) -> datetime:
    """`now`, `yesterday`, `2 hours ago`, or ISO 8601; without a zone it is UTC, a date alone is its first moment.

    >>> noon = datetime(2013, 7, 2, 12, tzinfo=UTC)
    >>> parse_moment("2 hours ago", noon).isoformat()
    '2013-07-02T10:00:00+00:00'
    >>> parse_moment("2013-07-01T05:00:00+02:00", noon).isoformat()
    '2013-07-01T03:00:00+00:00'
    >>> parse_moment("2013-07-01", noon) == parse_moment("2013-07-01T00:00Z", noon)
    True

    Raises UsageError for anything else.
    """
    said = " ".join(text.lower().split())
    if said == "now":
        return now
    if said == "yesterday":
        return now - timedelta(days=1)
    match = _AGO.match(said)
    try:
        if match:
            return now - timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time: an ISO 8601 time (2013-07-01T12:00), 'now', 'yesterday' or '2 hours ago' expected"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
