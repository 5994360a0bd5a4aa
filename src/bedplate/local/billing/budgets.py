"""The arithmetic of budgets: which charges a budget counts, its period, the forecast, and which alerts are due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bedplate.local.billing.charges import Charge

_DAY_S = 86400.0
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` until before `end`, in epoch seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class BudgetSpend:
    """Dollars so far in the period, and at its end if things go on as in the last day."""

    actual_usd: float
    forecast_usd: float


def period_of(time_unit: str, now: float) -> Period:
    """The calendar period, in UTC, that `now` falls into; `time_unit` is DAILY, MONTHLY, QUARTERLY or ANNUALLY.

    >>> p = period_of("MONTHLY", datetime(2026, 11, 21, tzinfo=UTC).timestamp())
    >>> (p.end - p.start) / 86400
    30.0
    """
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if time_unit == "DAILY":
        return Period(day.timestamp(), (day + timedelta(days=1)).timestamp())
    months = {"QUARTERLY": 3, "ANNUALLY": 12}.get(time_unit, 1)
    first = day.replace(day=1, month=(day.month - 1) // months * months + 1)
    later = first.month - 1 + months
    after = first.replace(year=first.year + later // 12, month=later % 12 + 1)
    return Period(first.timestamp(), after.timestamp())


def counted(charges: Iterable[Charge], budget: Mapping[str, Any]) -> list[Charge]:
    """The charges that a budget's CostFilters or FilterExpression let through; without either, all of them."""
    filters: Mapping[str, list[str]] = budget.get("CostFilters") or {}
    expression = budget.get("FilterExpression")
    return [c for c in charges if _passes(c, filters) and (expression is None or matches(c, expression))]


def matches(charge: Charge, expression: Mapping[str, Any]) -> bool:
    """Whether a charge satisfies an expression of Cost Explorer: And, Or, Not, Dimensions, Tags.

    >>> c = Charge(0, "arn", "training", "ml.m5.large", 1, 1, 1, tags={"Model": "churn"})
    >>> matches(c, {"Not": {"Tags": {"Key": "Model", "Values": ["churn"]}}})
    False
    """
    if "And" in expression:
        return all(matches(charge, e) for e in expression["And"])
    if "Or" in expression:
        return any(matches(charge, e) for e in expression["Or"])
    if "Not" in expression:
        return not matches(charge, expression["Not"])
    clause = expression.get("Tags") or expression.get("Dimensions") or {}
    key = clause.get("Key", "")
    value = charge.tags.get(key.removeprefix("user:")) if "Tags" in expression else dimension(charge, key)
    options = clause.get("MatchOptions") or ["EQUALS"]
    if "ABSENT" in options:
        return not value
    return _matched(value or "", clause.get("Values") or [], options)


def dimension(charge: Charge, key: str) -> str:
    """A charge's value of a Cost Explorer dimension; empty for one that it does not have."""
    arn = charge.resource_arn.split(":")
    return {
        "SERVICE": charge.service,
        "USAGE_TYPE": charge.billing_code,
        "INSTANCE_TYPE": charge.instance_type,
        "RESOURCE_ID": charge.resource_arn,
        "LINKED_ACCOUNT": arn[4] if len(arn) > 4 else "",
        "REGION": arn[3] if len(arn) > 3 else "",
    }.get(key, "")


def spend(charges: Iterable[Charge], period: Period, now: float) -> BudgetSpend:
    """Actual dollars, and the forecast: actual plus the rate of the last 24 hours until the period's end.

    The rate is taken over at least an hour, so that the first seconds of an endpoint do not become a fortune. A charge
    stands for its whole hour, which is what the rate's divisor counts from.
    """
    charges = list(charges)
    actual = sum(c.usd for c in charges if period.start <= c.hour < period.end)
    recent = [c for c in charges if c.hour >= now - _DAY_S]
    if not recent:
        return BudgetSpend(actual, actual)
    span_s = min(_DAY_S, max(_HOUR_S, now - min(c.hour for c in recent)))
    rate = sum(c.usd for c in recent) / span_s
    return BudgetSpend(actual, actual + rate * max(0.0, period.end - now))


def threshold_usd(notification: Mapping[str, Any], limit_usd: float) -> float:
    """The amount at which a notification fires, whether its threshold is a percentage (the default) or dollars."""
    threshold = float(notification["Threshold"])
    if notification.get("ThresholdType", "PERCENTAGE") == "PERCENTAGE":
        return limit_usd * threshold / 100
    return threshold


def crossed(notification: Mapping[str, Any], limit_usd: float, now: BudgetSpend) -> bool:
    """Whether a notification's threshold is passed by what it looks at, actual or forecast."""
    amount = now.actual_usd if notification["NotificationType"] == "ACTUAL" else now.forecast_usd
    bound = threshold_usd(notification, limit_usd)
    operator = notification.get("ComparisonOperator", "GREATER_THAN")
    if operator == "LESS_THAN":
        return amount < bound
    return amount > bound if operator == "GREATER_THAN" else amount == bound


def _passes(charge: Charge, filters: Mapping[str, list[str]]) -> bool:
    """Values of one filter, and of one tag, are alternatives; filters, and different tags, must all hold."""
    for name, wanted in filters.items():
        if name == "TagKeyValue":
            by_key: dict[str, list[str]] = {}
            for text in wanted:
                key, _, value = text.partition("$")
                by_key.setdefault(key.removeprefix("user:"), []).append(value)
            if not all(charge.tags.get(key, "") in values for key, values in by_key.items()):
                return False
        elif name in _FILTERS and dimension(charge, _FILTERS[name]) not in wanted:
            return False
    return True


_FILTERS = {
    "Service": "SERVICE",
    "UsageType": "USAGE_TYPE",
    "InstanceType": "INSTANCE_TYPE",
    "LinkedAccount": "LINKED_ACCOUNT",
    "Region": "REGION",
}


def _matched(value: str, wanted: list[str], options: list[str]) -> bool:
    if "CASE_INSENSITIVE" in options:
        value, wanted = value.lower(), [w.lower() for w in wanted]
    if "STARTS_WITH" in options:
        return any(value.startswith(w) for w in wanted)
    if "ENDS_WITH" in options:
        return any(value.endswith(w) for w in wanted)
    if "CONTAINS" in options:
        return any(w in value for w in wanted)
    return value in wanted
