"""Sums spending by group, by day, by stage of a model's life, and per thousand predictions."""

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
    """A group's part of the total. `pct` is 0 to 100."""

    group: str
    usd: float
    pct: float


@dataclass(frozen=True, slots=True)
class Spending:
    """The spending of a period: shares by amount, largest first, and days in order."""

    total_usd: float
    shares: tuple[CostShare, ...]
    days: tuple[tuple[date, float], ...]


def find_stage(usage_type: str) -> Stage:
    """Returns the stage of a model's life that a bill's usage type belongs to.

    >>> find_stage("USE1-Train:ml.m5.large"), find_stage("USE1-Host:ml.m5.large"), find_stage("TimedStorage-ByteHrs")
    ('training', 'serving', 'storage')
    >>> find_stage("USE1-Requests-Tier1")
    'other'
    """
    return next((stage for word, stage in _STAGES if word.lower() in usage_type.lower()), "other")


def sum_spending(spends: Iterable[tuple[date, str, float]]) -> Spending:
    """Sums (day, group, US dollars). An empty bill has a total of zero and no shares.

    >>> day = date(2013, 7, 1)
    >>> sum_spending([(day, "a", 1.0), (day, "b", 3.0)]).shares[0]
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


def usd_per_thousand(usd: float, predictions: float) -> float | None:
    """Returns US dollars for a thousand predictions; None if there were none.

    >>> usd_per_thousand(0.5, 2000), usd_per_thousand(0.5, 0)
    (0.25, None)
    """
    return 1000 * usd / predictions if predictions else None


def find_crossed_thresholds(
    thresholds: Iterable[tuple[str, float, str]], *, limit_usd: float, actual_usd: float, forecast_usd: float | None
) -> tuple[tuple[str, float], ...]:
    """Returns the crossed thresholds of a budget, given as (kind, percent, state): those that AWS reports as ALARM, and
    those that the amounts exceed, because AWS evaluates a budget only a few times a day.

    >>> thresholds = [("ACTUAL", 50, "OK"), ("ACTUAL", 80, "OK"), ("FORECASTED", 100, "OK")]
    >>> find_crossed_thresholds(thresholds, limit_usd=10, actual_usd=6, forecast_usd=12)
    (('ACTUAL', 50), ('FORECASTED', 100))
    """
    spent_usd = {"ACTUAL": actual_usd, "FORECASTED": forecast_usd or 0.0}
    return tuple((k, pct) for k, pct, state in thresholds if state == "ALARM" or spent_usd[k] > limit_usd * pct / 100)
