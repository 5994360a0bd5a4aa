"""When a schedule is due: AWS's cron and rate expressions, in UTC."""

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
    """Allowed values of each field. Weekdays as AWS counts them, Sunday is 1."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]

    def next_after(self, moment: float) -> float | None:
        """The first due time after `moment` (epoch seconds); None when there is none within eight years."""
        first = datetime.fromtimestamp(moment, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        day = first.date()
        for _ in range(366 * _YEARS_AHEAD):
            weekday = day.isoweekday() % 7 + 1
            dated = day.year in self.years and day.month in self.months and day.day in self.days
            if dated and weekday in self.weekdays:
                for hour, minute in itertools.product(sorted(self.hours), sorted(self.minutes)):
                    due = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                    if due >= first:
                        return due.timestamp()
            day += timedelta(days=1)
        return None


@dataclass(frozen=True, slots=True)
class Rate:
    every_s: float

    def next_after(self, moment: float) -> float | None:
        return moment + self.every_s


def parse(expression: str) -> Cron | Rate:
    """Read `cron(minute hour day-of-month month day-of-week year)` or `rate(n unit)`. Raises ValueError.

    `*`, `?`, lists, ranges, steps and names are understood; `L`, `W` and `#` are not.

    >>> hourly = parse("cron(0 * ? * * *)")
    >>> hourly.next_after(1), hourly.next_after(3600)
    (3600.0, 7200.0)
    >>> parse("rate(1 day)").next_after(0)
    86400.0
    """
    rate = _RATE.match(expression.strip())
    if rate and int(rate[1]) > 0:
        return Rate(float(rate[1]) * _RATE_S[rate[2]])
    inner = re.match(r"^cron\((.+)\)$", expression.strip())
    fields: Sequence[str] = inner[1].split() if inner else ()
    if len(fields) != 6:
        raise ValueError(
            f'"{expression}" is no schedule: cron(minute hour day-of-month month day-of-week year) or rate(n unit) '
            "was expected"
        )
    return Cron(
        minutes=_field(fields[0], 0, 59),
        hours=_field(fields[1], 0, 23),
        days=_field(fields[2], 1, 31),
        months=_field(fields[3], 1, 12, _MONTHS),
        weekdays=_field(fields[4], 1, 7, _WEEKDAYS),
        years=_field(fields[5], 1970, 2199),
    )


def _field(text: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    """
    >>> sorted(_field("1-5/2,9", 0, 10)), sorted(_field("0/4", 0, 10)), sorted(_field("MON,FRI", 1, 7, _WEEKDAYS))
    ([1, 3, 5, 9], [0, 4, 8], [2, 6])
    """
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if first in ("*", "?") else _number(first, names, text)
        end = _number(last, names, text) if last else high if first in ("*", "?") or step else start
        every = _number(step, None, text) if step else 1
        if not (low <= start <= high and low <= end <= high and every > 0):
            raise ValueError(f'"{text}" is not between {low} and {high}')
        values.update(range(start, end + 1, every))
    if not values:
        raise ValueError(f'"{text}" names no value')
    return frozenset(values)


def _number(text: str, names: dict[str, int] | None, whole: str) -> int:
    if names and text.upper() in names:
        return names[text.upper()]
    if not text.isdigit():
        raise ValueError(f'"{whole}" cannot be read: numbers, names, *, ?, lists, ranges and steps are understood')
    return int(text)
