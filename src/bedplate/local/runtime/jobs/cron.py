"""Parses AWS's cron and rate expressions and computes when they are due, in UTC."""

from __future__ import annotations

import calendar
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_MONTHS = {name.upper(): n for n, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_RATE = re.compile(r"^rate\((\d+) (minute|hour|day)s?\)$")
_RATE_S = {"minute": 60, "hour": 3600, "day": 86_400}
_YEARS_AHEAD = 8


@dataclass(frozen=True, slots=True)
class Cron:
    """The allowed values of each field. Weekdays are AWS's, with Sunday as 1."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]

    def next_after(self, timestamp: float) -> float | None:
        """Returns the first due time after `timestamp` (epoch seconds), None if there is none within eight years."""
        earliest = datetime.fromtimestamp(timestamp, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        day = earliest.date()
        for _ in range(366 * _YEARS_AHEAD):
            weekday = day.isoweekday() % 7 + 1
            matches_date = day.year in self.years and day.month in self.months and day.day in self.days
            if matches_date and weekday in self.weekdays:
                for hour, minute in itertools.product(sorted(self.hours), sorted(self.minutes)):
                    due = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                    if due >= earliest:
                        return due.timestamp()
            day += timedelta(days=1)
        return None


@dataclass(frozen=True, slots=True)
class Rate:
    interval_s: float

    def next_after(self, timestamp: float) -> float | None:
        return timestamp + self.interval_s


def parse_schedule(expression: str) -> Cron | Rate:
    """Parses `cron(minute hour day-of-month month day-of-week year)` or `rate(n unit)`. Raises ValueError.

    Supports `*`, `?`, lists, ranges, steps and names, but not `L`, `W` and `#`.

    >>> hourly = parse_schedule("cron(0 * ? * * *)")
    >>> hourly.next_after(1), hourly.next_after(3600)
    (3600.0, 7200.0)
    >>> parse_schedule("rate(1 day)").next_after(0)
    86400.0
    """
    rate = _RATE.match(expression.strip())
    if rate and int(rate[1]) > 0:
        return Rate(float(rate[1]) * _RATE_S[rate[2]])
    inner = re.match(r"^cron\((.+)\)$", expression.strip())
    fields: Sequence[str] = inner[1].split() if inner else ()
    if len(fields) != 6:
        formats = "cron(minute hour day-of-month month day-of-week year) or rate(n unit)"
        raise ValueError(f'"{expression}" is not a schedule expression: expected {formats}')
    return Cron(
        minutes=_parse_field(fields[0], 0, 59),
        hours=_parse_field(fields[1], 0, 23),
        days=_parse_field(fields[2], 1, 31),
        months=_parse_field(fields[3], 1, 12, _MONTHS),
        weekdays=_parse_field(fields[4], 1, 7, _WEEKDAYS),
        years=_parse_field(fields[5], 1970, 2199),
    )


def _parse_field(text: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    """Returns the values that a field allows.

    >>> sorted(_parse_field("1-5/2,9", 0, 10)), sorted(_parse_field("0/4", 0, 10))
    ([1, 3, 5, 9], [0, 4, 8])
    >>> sorted(_parse_field("MON,FRI", 1, 7, _WEEKDAYS))
    [2, 6]
    """
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if first in ("*", "?") else _parse_number(first, names, text)
        end = _parse_number(last, names, text) if last else high if first in ("*", "?") or step else start
        step_size = _parse_number(step, None, text) if step else 1
        if not (low <= start <= high and low <= end <= high and step_size > 0):
            raise ValueError(f'"{text}" is not between {low} and {high}')
        values.update(range(start, end + 1, step_size))
    if not values:
        raise ValueError(f'"{text}" has no value')
    return frozenset(values)


def _parse_number(text: str, names: dict[str, int] | None, field: str) -> int:
    if names and text.upper() in names:
        return names[text.upper()]
    if not text.isdigit():
        raise ValueError(f'"{field}" is not valid: use numbers, names, *, ?, lists, ranges and steps')
    return int(text)
