"""Splits rows into time windows: days, weeks (from Monday) or months, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

WindowSize = Literal["day", "week", "month"]


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """The rows `first` to `last` (exclusive), in order of time, from `start` to `end` (exclusive)."""

    start: datetime
    end: datetime
    first: int
    last: int


def split_windows(times: NDArray[Any], size: WindowSize) -> tuple[TimeWindow, ...]:
    """Returns the windows that contain rows, in order. `times` are sorted datetime64[us] in UTC.

    >>> times = np.array(["2013-07-01T05:00", "2013-07-07T23:59", "2013-07-08"], dtype="M8[us]")
    >>> [(s.start.day, s.end.day, s.first, s.last) for s in split_windows(times, "week")]
    [(1, 8, 0, 2), (8, 15, 2, 3)]
    """
    if not len(times):
        return ()
    starts = []
    start = window_start(to_datetime(times[0]), size)
    while start <= to_datetime(times[-1]):
        starts.append(start)
        start = next_window_start(start, size)
    cuts = np.searchsorted(times, np.array([to_naive_utc(s) for s in (*starts, start)], dtype="M8[us]"), side="left")
    bounds = zip(starts, [*starts[1:], start], cuts, cuts[1:], strict=False)
    return tuple(TimeWindow(s, e, int(first), int(last)) for s, e, first, last in bounds if last > first)


def window_start(time: datetime, size: WindowSize) -> datetime:
    """Returns the start of the window that contains `time`.

    >>> window_start(datetime(2013, 7, 4, 12, tzinfo=UTC), "week").isoformat()
    '2013-07-01T00:00:00+00:00'
    """
    day = time.replace(hour=0, minute=0, second=0, microsecond=0)
    if size == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if size == "week" else day


def next_window_start(start: datetime, size: WindowSize) -> datetime:
    """Returns the start of the window after the one that begins at `start`."""
    if size == "month":
        return window_start(start + timedelta(days=31), "month")
    return start + timedelta(days=7 if size == "week" else 1)


def to_datetime(time: Any) -> datetime:
    """Returns a datetime64 as a datetime in UTC."""
    converted = np.datetime64(time, "us").astype(datetime)
    assert isinstance(converted, datetime)
    return converted.replace(tzinfo=UTC)


def to_naive_utc(time: datetime) -> datetime:
    """Returns the time in UTC without a time zone, as numpy expects it."""
    return time.astimezone(UTC).replace(tzinfo=None)
