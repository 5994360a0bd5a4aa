"""The states of metric alarms and composite alarms."""

from __future__ import annotations

from typing import Any

import pytest

from bedplate.local.metrics.alarms import (
    AlarmRuleError,
    Datapoint,
    alarm_names,
    evaluate_alarm,
    evaluate_rule,
    evaluation_periods,
)

ALARM: dict[str, Any] = {
    "EvaluationPeriods": 3,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "Period": 10,
}


def points(*values: float | None) -> list[Datapoint]:
    return [Datapoint(float(i), value) for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ((2, 2, 2), "ALARM"),
        ((2, 2, 1), "OK"),
        ((0, 0, 0), "OK"),
        ((None, None, None), "INSUFFICIENT_DATA"),
        ((None, None, 2), "ALARM"),
        ((None, 0, 2), "OK"),
    ],
)
def test_all_periods_must_breach_by_default(values: tuple[float | None, ...], state: str) -> None:
    assert evaluate_alarm(ALARM, points(*values), "OK").state == state


@pytest.mark.parametrize(("values", "state"), [((2, 0, 2), "ALARM"), ((2, 0, 0), "OK")])
def test_datapoints_to_alarm_requires_fewer_breaches(values: tuple[float, ...], state: str) -> None:
    assert evaluate_alarm({**ALARM, "DatapointsToAlarm": 2}, points(*values), "OK").state == state


@pytest.mark.parametrize(
    ("treatment", "no_data", "one_breach"),
    [
        ("missing", "INSUFFICIENT_DATA", "ALARM"),
        ("notBreaching", "OK", "OK"),
        ("breaching", "ALARM", "ALARM"),
        ("ignore", "ALARM", "ALARM"),
    ],
)
def test_treat_missing_data_determines_the_state_without_data(treatment: str, no_data: str, one_breach: str) -> None:
    alarm = {**ALARM, "TreatMissingData": treatment}
    assert evaluate_alarm(alarm, points(None, None, None), "ALARM").state == no_data
    assert evaluate_alarm(alarm, points(None, None, 2), "ALARM").state == one_breach


def test_ignore_keeps_the_state_with_too_little_data() -> None:
    assert evaluate_alarm({**ALARM, "TreatMissingData": "ignore"}, points(None, None, 2), "OK").state == "OK"


@pytest.mark.parametrize(
    ("operator", "less", "equal", "greater"),
    [
        ("GreaterThanThreshold", "OK", "OK", "ALARM"),
        ("GreaterThanOrEqualToThreshold", "OK", "ALARM", "ALARM"),
        ("LessThanThreshold", "ALARM", "OK", "OK"),
        ("LessThanOrEqualToThreshold", "ALARM", "ALARM", "OK"),
    ],
)
def test_comparison_operators(operator: str, less: str, equal: str, greater: str) -> None:
    alarm = {**ALARM, "EvaluationPeriods": 1, "ComparisonOperator": operator}
    assert [evaluate_alarm(alarm, points(v), "OK").state for v in (0.5, 1.0, 1.5)] == [less, equal, greater]


def test_low_sample_of_a_percentile_keeps_the_state_only_with_ignore() -> None:
    low = [Datapoint(0.0, 9.0, has_low_sample=True)]
    alarm = {**ALARM, "EvaluationPeriods": 1}
    assert evaluate_alarm({**alarm, "EvaluateLowSampleCountPercentile": "ignore"}, low, "OK").state == "OK"
    assert evaluate_alarm({**alarm, "EvaluateLowSampleCountPercentile": "evaluate"}, low, "OK").state == "ALARM"


def test_reason_names_the_values_and_the_threshold() -> None:
    reason = evaluate_alarm({**ALARM, "EvaluationPeriods": 1}, points(2.5), "OK").reason
    assert reason.startswith("Threshold Crossed")
    assert "[2.5]" in reason
    assert "greater than the threshold (1)" in reason


def test_the_last_period_ends_now() -> None:
    assert evaluation_periods(ALARM, 100.0) == [(70.0, 80.0), (80.0, 90.0), (90.0, 100.0)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('ALARM("a")', True),
        ('ALARM("a") AND ALARM("b")', False),
        ('ALARM("a") OR ALARM("b") AND FALSE', True),
        ('(ALARM("a") OR ALARM("b")) AND FALSE', False),
        ("NOT OK(b)", False),
        ("INSUFFICIENT_DATA(c) AND TRUE", True),
        ("ALARM(arn:aws:cloudwatch:us-east-1:123456789012:alarm:a)", True),
        ("ALARM(unknown)", False),
    ],
)
def test_composite_rules(rule: str, expected: bool) -> None:
    assert evaluate_rule(rule, {"a": "ALARM", "b": "OK", "c": "INSUFFICIENT_DATA"}) is expected


@pytest.mark.parametrize("rule", ["ALARM(", "AND", "ALARM(a) ALARM(b)", "(ALARM(a)", "WRONG(a)"])
def test_an_invalid_rule_is_an_error(rule: str) -> None:
    with pytest.raises(AlarmRuleError):
        evaluate_rule(rule, {})


def test_alarm_names_lists_every_occurrence_in_order() -> None:
    assert alarm_names('ALARM("a") OR (OK(b) AND NOT ALARM("a"))') == ["a", "b", "a"]
