"""Computes a budget's period, its charges, its actual and forecast spend, and whether thresholds are crossed."""

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
    """The time [start, end), in epoch seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class BudgetSpend:
    """Dollars spent so far in the period, and forecast for its end at the rate of the last day."""

    actual_usd: float
    forecast_usd: float


def budget_period(time_unit: str, now: float) -> Period:
    """Returns the calendar period, in UTC, that contains `now`; `time_unit` is DAILY, MONTHLY, QUARTERLY or ANNUALLY.

    >>> p = budget_period("MONTHLY", datetime(2026, 11, 21, tzinfo=UTC).timestamp())
    >>> (p.end - p.start) / 86400
    30.0
    """
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if time_unit == "DAILY":
        return Period(day.timestamp(), (day + timedelta(days=1)).timestamp())
    months = {"QUARTERLY": 3, "ANNUALLY": 12}.get(time_unit, 1)
    first = day.replace(day=1, month=(day.month - 1) // months * months + 1)
    month_index = first.month - 1 + months
    next_start = first.replace(year=first.year + month_index // 12, month=month_index % 12 + 1)
    return Period(first.timestamp(), next_start.timestamp())


def filter_charges(charges: Iterable[Charge], budget: Mapping[str, Any]) -> list[Charge]:
    """Returns the charges that match a budget's CostFilters and FilterExpression; without either, all of them."""
    filters: Mapping[str, list[str]] = budget.get("CostFilters") or {}
    expression = budget.get("FilterExpression")
    return [c for c in charges if _passes_filters(c, filters) and (expression is None or matches(c, expression))]


def matches(charge: Charge, expression: Mapping[str, Any]) -> bool:
    """Returns whether a charge matches a Cost Explorer expression: And, Or, Not, Dimensions, Tags.

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
    value = charge.tags.get(key.removeprefix("user:")) if "Tags" in expression else dimension_value(charge, key)
    options = clause.get("MatchOptions") or ["EQUALS"]
    if "ABSENT" in options:
        return not value
    return _matches_values(value or "", clause.get("Values") or [], options)


def dimension_value(charge: Charge, key: str) -> str:
    """Returns a charge's value of a Cost Explorer dimension; empty for an unsupported dimension."""
    arn = charge.resource_arn.split(":")
    return {
        "SERVICE": charge.service,
        "USAGE_TYPE": charge.billing_code,
        "INSTANCE_TYPE": charge.instance_type,
        "RESOURCE_ID": charge.resource_arn,
        "LINKED_ACCOUNT": arn[4] if len(arn) > 4 else "",
        "REGION": arn[3] if len(arn) > 3 else "",
    }.get(key, "")


def compute_spend(charges: Iterable[Charge], period: Period, now: float) -> BudgetSpend:
    """Returns the actual spend, and the forecast: actual plus the rate of the last 24 hours until the period's end.

    The rate is taken over at least an hour, so that the first seconds of an endpoint do not forecast a huge amount. Its
    time starts at the hour of the first charge, because a charge belongs to a whole hour.
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
    """Returns a notification's threshold in dollars; its ThresholdType is a percentage (the default) or dollars."""
    threshold = float(notification["Threshold"])
    if notification.get("ThresholdType", "PERCENTAGE") == "PERCENTAGE":
        return limit_usd * threshold / 100
    return threshold


def is_threshold_crossed(notification: Mapping[str, Any], limit_usd: float, spend: BudgetSpend) -> bool:
    """Returns whether the actual or forecast spend, whichever the notification is for, crosses its threshold."""
    amount = spend.actual_usd if notification["NotificationType"] == "ACTUAL" else spend.forecast_usd
    threshold = threshold_usd(notification, limit_usd)
    operator = notification.get("ComparisonOperator", "GREATER_THAN")
    if operator == "LESS_THAN":
        return amount < threshold
    return amount > threshold if operator == "GREATER_THAN" else amount == threshold


def _passes_filters(charge: Charge, filters: Mapping[str, list[str]]) -> bool:
    """Returns whether a charge matches every filter and every tag: one of the values of each."""
    for name, accepted in filters.items():
        if name == "TagKeyValue":
            by_key: dict[str, list[str]] = {}
            for text in accepted:
                key, _, value = text.partition("$")
                by_key.setdefault(key.removeprefix("user:"), []).append(value)
            if not all(charge.tags.get(key, "") in values for key, values in by_key.items()):
                return False
        elif name in _FILTERS and dimension_value(charge, _FILTERS[name]) not in accepted:
            return False
    return True


_FILTERS = {
    "Service": "SERVICE",
    "UsageType": "USAGE_TYPE",
    "InstanceType": "INSTANCE_TYPE",
    "LinkedAccount": "LINKED_ACCOUNT",
    "Region": "REGION",
}


def _matches_values(value: str, accepted: list[str], options: list[str]) -> bool:
    if "CASE_INSENSITIVE" in options:
        value, accepted = value.lower(), [text.lower() for text in accepted]
    if "STARTS_WITH" in options:
        return value.startswith(tuple(accepted))
    if "ENDS_WITH" in options:
        return value.endswith(tuple(accepted))
    if "CONTAINS" in options:
        return any(text in value for text in accepted)
    return value in accepted
