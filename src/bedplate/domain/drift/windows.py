"""Cuts time into days, weeks (from Monday) or months, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Size = Literal["day", "week", "month"]


@dataclass(frozen=True, slots=True)
class Span:
    """Rows `first` to `last` (not included), in order of time, between two moments."""

    start: datetime
    end: datetime
    first: int
    last: int


def spans(times: NDArray[Any], size: Size) -> tuple[Span, ...]:
    """Windows that hold rows, in order. `times` are sorted datetime64[us] in UTC.

    >>> times = np.array(["2013-07-01T05:00", "2013-07-07T23:59", "2013-07-08"], dtype="M8[us]")
    >>> [(s.start.day, s.end.day, s.first, s.last) for s in spans(times, "week")]
    [(1, 8, 0, 2), (8, 15, 2, 3)]
    """
    if not len(times):
        return ()
    starts = []
    start = start_of(moment(times[0]), size)
    while start <= moment(times[-1]):
        starts.append(start)
        start = following(start, size)
    cuts = np.searchsorted(times, np.array([naive(s) for s in (*starts, start)], dtype="M8[us]"), side="left")
    found = zip(starts, [*starts[1:], start], cuts, cuts[1:], strict=False)
    return tuple(Span(s, e, int(first), int(last)) for s, e, first, last in found if last > first)


def start_of(at: datetime, size: Size) -> datetime:
    """
    >>> start_of(datetime(2013, 7, 4, 12, tzinfo=UTC), "week").isoformat()
    '2013-07-01T00:00:00+00:00'
    """
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if size == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if size == "week" else day


def following(start: datetime, size: Size) -> datetime:
    if size == "month":
        return start_of(start + timedelta(days=31), "month")
    return start + timedelta(days=7 if size == "week" else 1)


def moment(time: Any) -> datetime:
    """An aware datetime of a datetime64."""
    found = np.datetime64(time, "us").astype(datetime)
    assert isinstance(found, datetime)
    return found.replace(tzinfo=UTC)


def naive(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)
