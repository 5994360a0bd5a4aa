"""Computes Cost Explorer's results from charges: amounts by time, tag and dimension."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bedplate.local.billing.budgets import dimension_value, matches
from bedplate.local.billing.charges import Charge

_COSTS = ("UnblendedCost", "BlendedCost", "AmortizedCost", "NetUnblendedCost", "NetAmortizedCost")


def parse_time(text: str) -> datetime:
    """Parses Cost Explorer's dates and times, in UTC.

    >>> parse_time("2026-11-21").isoformat(), parse_time("2026-11-21T05:00:00Z").hour
    ('2026-11-21T00:00:00+00:00', 5)
    """
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def split_periods(start: datetime, end: datetime, granularity: str) -> list[tuple[datetime, datetime]]:
    """Splits [start, end) at full hours, days or the first of months; `granularity` is HOURLY, DAILY or MONTHLY.

    >>> rows = split_periods(parse_time("2026-11-21"), parse_time("2027-01-02"), "MONTHLY")
    >>> [(a.day, b.day) for a, b in rows]
    [(21, 1), (1, 1), (1, 2)]
    """
    periods: list[tuple[datetime, datetime]] = []
    while start < end:
        if granularity == "HOURLY":
            boundary = start + timedelta(hours=1)
        elif granularity == "DAILY":
            boundary = start + timedelta(days=1)
        else:
            boundary = (start.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0)
        periods.append((start, min(boundary, end)))
        start = periods[-1][1]
    return periods


def cost_and_usage(charges: Sequence[Charge], request: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    """Returns the ResultsByTime of GetCostAndUsage. A tag's group is called `Key$value`, or `Key$` without the tag."""
    start, end = parse_time(request["TimePeriod"]["Start"]), parse_time(request["TimePeriod"]["End"])
    groups = request.get("GroupBy") or []
    matching = [c for c in charges if not request.get("Filter") or matches(c, request["Filter"])]
    results = []
    for since, until in split_periods(start, end, request.get("Granularity", "MONTHLY")):
        selected = [c for c in matching if since.timestamp() <= c.hour < until.timestamp()]
        results.append(
            {
                "TimePeriod": {"Start": _format_time(since, request), "End": _format_time(until, request)},
                "Total": {} if groups else sum_metrics(selected, request["Metrics"]),
                "Groups": _group_charges(selected, groups, request["Metrics"]) if groups else [],
                "Estimated": until.timestamp() > now - 86400,
            }
        )
    return results


def sum_metrics(charges: Iterable[Charge], names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Returns the amounts by metric name. All cost metrics are equal, because the local platform has no discounts."""
    charges = list(charges)
    usd, hours = sum(c.usd for c in charges), sum(c.quantity for c in charges)
    return {
        name: {"Amount": f"{usd:.10f}", "Unit": "USD"} if name in _COSTS else {"Amount": f"{hours:.10f}", "Unit": "N/A"}
        for name in names
    }


def _group_charges(charges: Iterable[Charge], groups: Sequence[Mapping[str, str]], names: Sequence[str]) -> list[Any]:
    by_keys: dict[tuple[str, ...], list[Charge]] = {}
    for charge in charges:
        by_keys.setdefault(tuple(_group_key(charge, group) for group in groups), []).append(charge)
    return [{"Keys": list(keys), "Metrics": sum_metrics(rows, names)} for keys, rows in sorted(by_keys.items())]


def _group_key(charge: Charge, group: Mapping[str, str]) -> str:
    key = group["Key"]
    if group.get("Type") == "TAG":
        return f"{key}${charge.tags.get(key.removeprefix('user:'), '')}"
    return dimension_value(charge, key)


def _format_time(time: datetime, request: Mapping[str, Any]) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ" if request.get("Granularity") == "HOURLY" else "%Y-%m-%d")
