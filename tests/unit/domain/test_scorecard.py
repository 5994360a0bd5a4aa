"""The states of a scorecard's lines."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bedplate.domain import scorecard as card
from builders import a_spec
from fakes import EPOCH

SPEC = a_spec(serving={"slo": {"latency_p99_ms": 100, "max_error_pct": 1}}, retraining={"max_age_days": 30})


@pytest.mark.parametrize(("days", "state"), [(0, "OK"), (29, "OK"), (30, "ALARM")])
def test_age_is_in_alarm_from_the_maximum_age_on(days: int, state: str) -> None:
    assert card.age_line(EPOCH, EPOCH + timedelta(days=days), SPEC).state == state


@pytest.mark.parametrize(
    ("p99", "failed", "requests", "state"),
    [
        (99.0, 1.0, 10, "OK"),
        (101.0, 0.0, 10, "ALARM"),
        (50.0, 1.1, 10, "ALARM"),
        (None, 0.0, 10, "OK"),
        (None, None, 0, "NO_DATA"),
    ],
)
def test_slo_line_checks_latency_and_errors(
    p99: float | None, failed: float | None, requests: float, state: str
) -> None:
    assert card.slo_line(p99, failed, requests, SPEC).state == state


@pytest.mark.parametrize(
    ("spend", "state"),
    [
        ((10.0, 100.0, 90.0), "OK"),
        ((10.0, 100.0, 110.0), "WARN"),
        ((100.0, 100.0, None), "ALARM"),
        ((None, None, None), "NO_DATA"),
    ],
)
def test_spend_is_in_alarm_above_the_budget_and_warns_by_the_forecast(spend: Any, state: str) -> None:
    assert card.spend_line(*spend).state == state


@pytest.mark.parametrize(
    ("outcome", "state"), [("OK", "OK"), ("WARN", "WARN"), ("DRIFT", "ALARM"), ("NO_DATA", "NO_DATA")]
)
def test_drift_line_shows_the_last_monitoring(outcome: str, state: str) -> None:
    line = card.drift_line((7, EPOCH, outcome, "PSI 0.4"), EPOCH + timedelta(days=3))
    assert (line.state, line.source) == (state, "ledger: record 7")
    assert "3 days ago" in line.detail
    assert card.drift_line(None, EPOCH).state == "NO_DATA"


@pytest.mark.parametrize(
    ("metric", "current", "holdout", "state"),
    [
        ("auc", 0.68, 0.72, "OK"),
        ("auc", 0.66, 0.72, "ALARM"),
        ("brier", 0.26, 0.2, "ALARM"),
        ("brier", 0.14, 0.2, "OK"),
    ],
)
def test_performance_is_in_alarm_when_a_metric_gets_worse(
    metric: str, current: float, holdout: float, state: str
) -> None:
    line = card.performance_line({metric: current}, {metric: holdout}, 900, {metric: 0.05}, "s3://a/drift.json")
    assert line.state == state
    assert "900 labelled rows" in line.detail
    assert card.performance_line({metric: None}, {}, 0, {}, "").state == "NO_DATA"


def test_missing_approval_is_no_data_and_a_forced_one_is_a_warning() -> None:
    assert card.approval_line(None, None, None, forced=None).state == "NO_DATA"
    assert card.approval_line("ada", EPOCH, 3, forced=None).state == "OK"
    assert card.approval_line("ada", EPOCH, 3, forced="a drill").state == "WARN"


def test_open_alert_is_in_alarm() -> None:
    assert card.alerts_line([], []).state == "OK"
    assert card.alerts_line(["churn-drift"], ["age: old"]).detail == "churn-drift; age: old"
    assert card.alerts_line([], ["age: old"]).state == "ALARM"
