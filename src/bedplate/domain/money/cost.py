"""Adds up what was spent: by group, by day, by stage of a model's life, and per thousand predictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

Stage = Literal["training", "serving", "processing", "storage", "other"]
_STAGES: tuple[tuple[str, Stage], ...] = (
    ("Train", "training"),
    ("Processing", "processing"),
    ("Host", "serving"),
    ("TimedStorage", "storage"),
    ("Endpoint", "serving"),
    ("ServerlessInf", "serving"),
)


@dataclass(frozen=True, slots=True)
class CostShare:
    """One group's part of the whole. `pct` is 0 to 100."""

    group: str
    usd: float
    pct: float


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent in a time: largest group first, and each day in order."""

    total_usd: float
    shares: tuple[CostShare, ...]
    days: tuple[tuple[date, float], ...]


def stage_of(usage_type: str) -> Stage:
    """The stage of a model's life that a line of the bill belongs to.

    >>> stage_of("USE1-Train:ml.m5.large"), stage_of("USE1-Host:ml.m5.large"), stage_of("TimedStorage-ByteHrs")
    ('training', 'serving', 'storage')
    >>> stage_of("USE1-Requests-Tier1")
    'other'
    """
    return next((stage for word, stage in _STAGES if word.lower() in usage_type.lower()), "other")


def add_up(spends: Iterable[tuple[date, str, float]]) -> Spending:
    """From (day, group, US dollars). An empty bill is a total of zero without shares.

    >>> day = date(2013, 7, 1)
    >>> add_up([(day, "a", 1.0), (day, "b", 3.0)]).shares[0]
    CostShare(group='b', usd=3.0, pct=75.0)
    """
    groups: dict[str, float] = {}
    days: dict[date, float] = {}
    for day, group, usd in spends:
        groups[group] = groups.get(group, 0.0) + usd
        days[day] = days.get(day, 0.0) + usd
    total = sum(groups.values())
    ranked = sorted(groups.items(), key=lambda item: (-item[1], item[0]))
    shares = tuple(CostShare(group, usd, 100 * usd / total if total else 0.0) for group, usd in ranked)
    return Spending(total, shares, tuple(sorted(days.items())))


def per_thousand(usd: float, predictions: float) -> float | None:
    """US dollars for a thousand predictions; None where none were made.

    >>> per_thousand(0.5, 2000), per_thousand(0.5, 0)
    (0.25, None)
    """
    return 1000 * usd / predictions if predictions else None


def crossed(
    thresholds: Iterable[tuple[str, float, str]], *, limit_usd: float, actual_usd: float, forecast_usd: float | None
) -> tuple[tuple[str, float], ...]:
    """Thresholds of a budget, (kind, percent, state), that are behind us: those that AWS says are in ALARM, and those
    that the figures say are, for AWS looks at a budget only some times a day.

    >>> crossed([("ACTUAL", 50, "OK"), ("ACTUAL", 80, "OK"), ("FORECASTED", 100, "OK")], limit_usd=10, actual_usd=6,
    ...         forecast_usd=12)
    (('ACTUAL', 50), ('FORECASTED', 100))
    """
    figures = {"ACTUAL": actual_usd, "FORECASTED": forecast_usd or 0.0}
    return tuple((k, pct) for k, pct, state in thresholds if state == "ALARM" or figures[k] > limit_usd * pct / 100)
