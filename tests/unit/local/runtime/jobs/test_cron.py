"""Cron and rate expressions have a next due time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bedplate.local.runtime.jobs.cron import parse_schedule

HOUR = 3600.0

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()


def epoch(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("expression", "now", "due"),
    [
        ("cron(0 * ? * * *)", NOON, NOON + HOUR),
        ("cron(0 * ? * * *)", NOON - 1, NOON),
        ("cron(30 6 ? * MON-FRI *)", NOON, epoch(2026, 3, 2, 6, 30)),
        ("cron(0 17/3 ? * * *)", NOON, epoch(2026, 3, 1, 17)),
        ("cron(15 10 31 * ? *)", NOON, epoch(2026, 3, 31, 10, 15)),
        ("cron(0 0 29 FEB ? *)", NOON, epoch(2028, 2, 29)),
        ("rate(5 minutes)", NOON, NOON + 300),
    ],
)
def test_expression_has_its_next_due_time(expression: str, now: float, due: float) -> None:
    assert parse_schedule(expression).next_after(now) == due


def test_expression_for_a_past_year_is_never_due() -> None:
    assert parse_schedule("cron(0 0 1 1 ? 1999)").next_after(NOON) is None


@pytest.mark.parametrize(
    "expression", ["hourly", "cron(0 * * * *)", "cron(61 * ? * * *)", "cron(x * ? * * *)", "rate(0 days)"]
)
def test_invalid_expression_raises_value_error(expression: str) -> None:
    with pytest.raises(ValueError):
        parse_schedule(expression)
