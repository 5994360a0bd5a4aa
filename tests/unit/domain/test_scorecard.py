from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bedplate.domain import scorecard as page
from builders import a_spec
from fakes import EPOCH

SPEC = a_spec(serving={"slo": {"latency_p99_ms": 100, "max_error_pct": 1}}, retraining={"max_age_days": 30})


@pytest.mark.parametrize(("days", "state"), [(0, "OK"), (29, "OK"), (30, "ALARM")])
def test_age_rings_from_the_day_that_model_yaml_names(days: int, state: str) -> None:
    assert page.age_line(EPOCH, EPOCH + timedelta(days=days), SPEC).state == state


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
def test_the_slo_is_held_against_latency_and_errors(
    p99: float | None, failed: float | None, requests: float, state: str
) -> None:
    assert page.slo_line(p99, failed, requests, SPEC).state == state


@pytest.mark.parametrize(
    ("spent", "state"),
    [
        ((10.0, 100.0, 90.0), "OK"),
        ((10.0, 100.0, 110.0), "WARN"),
        ((100.0, 100.0, None), "ALARM"),
        ((None, None, None), "NO_DATA"),
    ],
)
def test_money_rings_when_it_is_gone_and_warns_when_it_will_be(spent: Any, state: str) -> None:
    assert page.spend_line(*spent).state == state


@pytest.mark.parametrize(
    ("outcome", "state"), [("OK", "OK"), ("WARN", "WARN"), ("DRIFT", "ALARM"), ("NO_DATA", "NO_DATA")]
)
def test_drift_is_as_the_last_monitoring_said(outcome: str, state: str) -> None:
    line = page.drift_line((7, EPOCH, outcome, "PSI 0.4"), EPOCH + timedelta(days=3))
    assert (line.state, line.source) == (state, "ledger: record 7")
    assert "3 days ago" in line.answer
    assert page.drift_line(None, EPOCH).state == "NO_DATA"


@pytest.mark.parametrize(
    ("metric", "now", "was", "state"),
    [
        ("auc", 0.68, 0.72, "OK"),
        ("auc", 0.66, 0.72, "ALARM"),
        ("brier", 0.26, 0.2, "ALARM"),
        ("brier", 0.14, 0.2, "OK"),
    ],
)
def test_worse_answers_ring_in_the_direction_of_their_figure(metric: str, now: float, was: float, state: str) -> None:
    line = page.performance_line({metric: now}, {metric: was}, 900, {metric: 0.05}, "s3://a/drift.json")
    assert line.state == state
    assert "900 labelled rows" in line.answer
    assert page.performance_line({metric: None}, {}, 0, {}, "").state == "NO_DATA"


def test_what_nobody_approved_is_no_pass_and_a_force_is_a_warning() -> None:
    assert page.approval_line(None, None, None, forced=None).state == "NO_DATA"
    assert page.approval_line("ada", EPOCH, 3, forced=None).state == "OK"
    assert page.approval_line("ada", EPOCH, 3, forced="a drill").state == "WARN"


def test_an_open_alert_rings() -> None:
    assert page.alerts_line([], []).state == "OK"
    assert page.alerts_line(["churn-drift"], ["age: old"]).answer == "churn-drift; age: old"
    assert page.alerts_line([], ["age: old"]).state == "ALARM"
