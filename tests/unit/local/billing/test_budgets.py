"""Budget periods, filters, forecasts and thresholds, and the price of usage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bedplate.local.billing.budgets import (
    BudgetSpend,
    budget_period,
    compute_spend,
    filter_charges,
    is_threshold_crossed,
    matches,
    threshold_usd,
)
from bedplate.local.billing.charges import Charge, price_usage
from bedplate.local.hooks import Usage

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()
HOUR = 3600
IS_A: dict[str, Any] = {"Tags": {"Key": "Model", "Values": ["a"]}}


def charge(usd: float, *, hours_ago: int = 0, kind: str = "endpoint", **tags: str) -> Charge:
    return Charge(
        int(NOW - hours_ago * HOUR), "arn:aws:sagemaker:us-east-1:1:x/y", kind, "ml.m5.large", 1, 1, usd, tags=tags
    )


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        ("DAILY", (2026, 11, 21), (2026, 11, 22)),
        ("MONTHLY", (2026, 11, 1), (2026, 12, 1)),
        ("QUARTERLY", (2026, 10, 1), (2027, 1, 1)),
        ("ANNUALLY", (2026, 1, 1), (2027, 1, 1)),
    ],
)
def test_period_is_the_calendar_period(unit: str, start: tuple[int, int, int], end: tuple[int, int, int]) -> None:
    period = budget_period(unit, NOW)
    assert (period.start, period.end) == tuple(datetime(*day, tzinfo=UTC).timestamp() for day in (start, end))


def test_budget_without_a_filter_counts_everything() -> None:
    assert filter_charges([charge(1, Model="a"), charge(2)], {}) == [charge(1, Model="a"), charge(2)]


def test_a_charge_matches_one_value_of_every_tag() -> None:
    rows = [charge(1, Model="a", Stack="local"), charge(2, Model="b", Stack="local"), charge(3, Model="a", Stack="dev")]
    filters = {"TagKeyValue": ["user:Model$a", "user:Model$b", "user:Stack$local"]}
    assert [c.usd for c in filter_charges(rows, {"CostFilters": filters})] == [1, 2]


def test_a_charge_matches_every_filter() -> None:
    rows = [charge(1, kind="training", Model="a"), charge(2, kind="endpoint", Model="a")]
    filters = {"TagKeyValue": ["user:Model$a"], "UsageType": ["USE1-Train:ml.m5.large"]}
    assert [c.usd for c in filter_charges(rows, {"CostFilters": filters})] == [1]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"Tags": {"Key": "Model", "Values": ["a"]}}, True),
        ({"Tags": {"Key": "Model", "Values": ["b"]}}, False),
        ({"Not": {"Tags": {"Key": "Model", "Values": ["b"]}}}, True),
        ({"Tags": {"Key": "Owner", "MatchOptions": ["ABSENT"]}}, True),
        ({"Tags": {"Key": "Model", "Values": ["A"], "MatchOptions": ["CASE_INSENSITIVE", "EQUALS"]}}, True),
        ({"Dimensions": {"Key": "INSTANCE_TYPE", "Values": ["ml.m5"], "MatchOptions": ["STARTS_WITH"]}}, True),
        ({"And": [IS_A, {"Dimensions": {"Key": "REGION", "Values": ["x"]}}]}, False),
        ({"Or": [{"Tags": {"Key": "Model", "Values": ["z"]}}, IS_A]}, True),
    ],
)  # fmt: skip
def test_expressions_of_cost_explorer(expression: dict[str, Any], expected: bool) -> None:
    assert matches(charge(1, Model="a"), expression) is expected


def test_forecast_uses_the_rate_of_the_last_day() -> None:
    period = budget_period("MONTHLY", NOW)
    rows = [charge(1.0, hours_ago=h) for h in range(1, 25)] + [charge(100.0, hours_ago=200)]
    now = compute_spend(rows, period, NOW)
    remaining_h = (period.end - NOW) / HOUR
    assert now.actual_usd == pytest.approx(124.0)
    assert now.forecast_usd == pytest.approx(124.0 + remaining_h * 1.0)


def test_forecast_of_the_first_seconds_uses_the_rate_over_an_hour() -> None:
    period = budget_period("MONTHLY", NOW)
    now = compute_spend([charge(0.01)], period, NOW + 5)
    assert now.forecast_usd == pytest.approx(0.01 + 0.01 * (period.end - NOW - 5) / HOUR)


def test_without_recent_charges_the_forecast_is_the_actual_spend() -> None:
    assert compute_spend([charge(3, hours_ago=100)], budget_period("MONTHLY", NOW), NOW) == BudgetSpend(3, 3)


def test_charges_of_an_earlier_period_do_not_count() -> None:
    assert compute_spend([charge(3, hours_ago=24 * 25)], budget_period("MONTHLY", NOW), NOW).actual_usd == 0


@pytest.mark.parametrize(
    ("notification", "limit", "usd"),
    [
        ({"Threshold": 80}, 10, 8),
        ({"Threshold": 80, "ThresholdType": "PERCENTAGE"}, 10, 8),
        ({"Threshold": 7, "ThresholdType": "ABSOLUTE_VALUE"}, 10, 7),
    ],
)
def test_threshold_is_a_share_of_the_limit_or_dollars(notification: dict[str, Any], limit: float, usd: float) -> None:
    assert threshold_usd(notification, limit) == usd


@pytest.mark.parametrize(
    ("kind", "operator", "expected"),
    [
        ("ACTUAL", "GREATER_THAN", False),
        ("FORECASTED", "GREATER_THAN", True),
        ("ACTUAL", "LESS_THAN", True),
        ("FORECASTED", "EQUAL_TO", False),
    ],
)
def test_a_notification_compares_actual_or_forecast_spend(kind: str, operator: str, expected: bool) -> None:
    notification = {"NotificationType": kind, "ComparisonOperator": operator, "Threshold": 50}
    assert is_threshold_crossed(notification, 10, BudgetSpend(actual_usd=4, forecast_usd=6)) is expected


def test_exactly_the_threshold_is_not_greater_than_it() -> None:
    assert not is_threshold_crossed({"NotificationType": "ACTUAL", "Threshold": 50}, 10, BudgetSpend(5, 5))


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage("arn", "training", 0, "ml.m5.large", seconds=1800, count=2), 0.115),
        (Usage("arn", "processing", 0, "ml.t3.medium", seconds=3600), 0.05),
        (Usage("arn", "endpoint", 0, "ml.t2.medium", seconds=3600), 0.056),
        (Usage("arn", "storage", 0, gb_month=100), 2.3),
    ],
)
def test_usage_is_priced_by_type_time_and_count(usage: Usage, usd: float) -> None:
    assert price_usage(usage, NOW).usd == pytest.approx(usd)


def test_an_unknown_instance_type_costs_nothing_and_counts_as_unpriced() -> None:
    unknown = price_usage(Usage("arn", "training", 0, "ml.x1.huge", seconds=60, count=3), NOW)
    assert (unknown.usd, unknown.unpriced_s) == (0.0, 180.0)
