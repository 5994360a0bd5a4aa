"""Cost Explorer's questions answered from charges: sums by time, tag and dimension, and what a forecast is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bedplate.local.billing.budgets import dimension, matches
from bedplate.local.billing.charges import Charge

_COSTS = ("UnblendedCost", "BlendedCost", "AmortizedCost", "NetUnblendedCost", "NetAmortizedCost")


def moment(text: str) -> datetime:
    """A date, or a time with hours, as Cost Explorer writes it, in UTC.

    >>> moment("2026-11-21").isoformat(), moment("2026-11-21T05:00:00Z").hour
    ('2026-11-21T00:00:00+00:00', 5)
    """
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def stretches(start: datetime, end: datetime, granularity: str) -> list[tuple[datetime, datetime]]:
    """[start, end) cut at hours, days or the first of months.

    >>> rows = stretches(moment("2026-11-21"), moment("2027-01-02"), "MONTHLY")
    >>> [(a.day, b.day) for a, b in rows]
    [(21, 1), (1, 1), (1, 2)]
    """
    cut: list[tuple[datetime, datetime]] = []
    at = start
    while at < end:
        if granularity == "HOURLY":
            later = at + timedelta(hours=1)
        elif granularity == "DAILY":
            later = at + timedelta(days=1)
        else:
            later = (at.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0)
        cut.append((at, min(later, end)))
        at = cut[-1][1]
    return cut


def cost_and_usage(charges: Sequence[Charge], asked: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    """ResultsByTime of GetCostAndUsage. A tag's group is `Key$value`, with no value for what has no such tag."""
    start, end = moment(asked["TimePeriod"]["Start"]), moment(asked["TimePeriod"]["End"])
    groups = asked.get("GroupBy") or []
    kept = [c for c in charges if not asked.get("Filter") or matches(c, asked["Filter"])]
    rows = []
    for since, until in stretches(start, end, asked.get("Granularity", "MONTHLY")):
        here = [c for c in kept if since.timestamp() <= c.hour < until.timestamp()]
        rows.append(
            {
                "TimePeriod": {"Start": _stamp(since, asked), "End": _stamp(until, asked)},
                "Total": {} if groups else metrics_of(here, asked["Metrics"]),
                "Groups": _grouped(here, groups, asked["Metrics"]) if groups else [],
                "Estimated": until.timestamp() > now - 86400,
            }
        )
    return rows


def metrics_of(charges: Iterable[Charge], names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Amounts by metric name; costs are one and the same here, as nothing is discounted."""
    charges = list(charges)
    usd, hours = sum(c.usd for c in charges), sum(c.quantity for c in charges)
    return {
        name: {"Amount": f"{usd:.10f}", "Unit": "USD"} if name in _COSTS else {"Amount": f"{hours:.10f}", "Unit": "N/A"}
        for name in names
    }


def _grouped(charges: Iterable[Charge], groups: Sequence[Mapping[str, str]], names: Sequence[str]) -> list[Any]:
    found: dict[tuple[str, ...], list[Charge]] = {}
    readers = [_reader(group) for group in groups]
    for charge in charges:
        found.setdefault(tuple(read(charge) for read in readers), []).append(charge)
    return [{"Keys": list(keys), "Metrics": metrics_of(rows, names)} for keys, rows in sorted(found.items())]


def _reader(group: Mapping[str, str]) -> Callable[[Charge], str]:
    key = group["Key"]
    if group.get("Type") == "TAG":
        return lambda charge: f"{key}${charge.tags.get(key.removeprefix('user:'), '')}"
    return lambda charge: dimension(charge, key)


def _stamp(at: datetime, asked: Mapping[str, Any]) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ" if asked.get("Granularity") == "HOURLY" else "%Y-%m-%d")
