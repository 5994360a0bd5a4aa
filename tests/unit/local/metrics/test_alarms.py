"""When a metric alarm or a composite alarm is in which state."""

from __future__ import annotations

from typing import Any

import pytest

from bedplate.local.metrics.alarms import AlarmRuleError, Datapoint, holds, judge, names_in, window

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
    assert judge(ALARM, points(*values), "OK").state == state


@pytest.mark.parametrize(("values", "state"), [((2, 0, 2), "ALARM"), ((2, 0, 0), "OK")])
def test_datapoints_to_alarm_asks_for_fewer(values: tuple[float, ...], state: str) -> None:
    assert judge({**ALARM, "DatapointsToAlarm": 2}, points(*values), "OK").state == state


@pytest.mark.parametrize(
    ("treat", "nothing", "one_breach"),
    [
        ("missing", "INSUFFICIENT_DATA", "ALARM"),
        ("notBreaching", "OK", "OK"),
        ("breaching", "ALARM", "ALARM"),
        ("ignore", "ALARM", "ALARM"),
    ],
)
def test_missing_data_counts_as_the_alarm_says(treat: str, nothing: str, one_breach: str) -> None:
    alarm = {**ALARM, "TreatMissingData": treat}
    assert judge(alarm, points(None, None, None), "ALARM").state == nothing
    assert judge(alarm, points(None, None, 2), "ALARM").state == one_breach


def test_ignore_keeps_ok_when_there_is_too_little_to_judge() -> None:
    assert judge({**ALARM, "TreatMissingData": "ignore"}, points(None, None, 2), "OK").state == "OK"


@pytest.mark.parametrize(
    ("operator", "below", "equal", "above"),
    [
        ("GreaterThanThreshold", "OK", "OK", "ALARM"),
        ("GreaterThanOrEqualToThreshold", "OK", "ALARM", "ALARM"),
        ("LessThanThreshold", "ALARM", "OK", "OK"),
        ("LessThanOrEqualToThreshold", "ALARM", "ALARM", "OK"),
    ],
)
def test_every_comparison_has_its_own_side(operator: str, below: str, equal: str, above: str) -> None:
    alarm = {**ALARM, "EvaluationPeriods": 1, "ComparisonOperator": operator}
    assert [judge(alarm, points(v), "OK").state for v in (0.5, 1.0, 1.5)] == [below, equal, above]


def test_low_sample_of_a_percentile_keeps_the_state_only_when_told_to() -> None:
    low = [Datapoint(0.0, 9.0, low_sample=True)]
    alarm = {**ALARM, "EvaluationPeriods": 1}
    assert judge({**alarm, "EvaluateLowSampleCountPercentile": "ignore"}, low, "OK").state == "OK"
    assert judge({**alarm, "EvaluateLowSampleCountPercentile": "evaluate"}, low, "OK").state == "ALARM"


def test_reason_names_the_values_and_the_threshold() -> None:
    reason = judge({**ALARM, "EvaluationPeriods": 1}, points(2.5), "OK").reason
    assert reason.startswith("Threshold Crossed")
    assert "[2.5]" in reason
    assert "greater than the threshold (1)" in reason


def test_the_last_period_ends_now() -> None:
    assert window(ALARM, 100.0) == [(70.0, 80.0), (80.0, 90.0), (90.0, 100.0)]


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
def test_composite_rule_follows_the_states(rule: str, expected: bool) -> None:
    assert holds(rule, {"a": "ALARM", "b": "OK", "c": "INSUFFICIENT_DATA"}) is expected


@pytest.mark.parametrize("rule", ["ALARM(", "AND", "ALARM(a) ALARM(b)", "(ALARM(a)", "WRONG(a)"])
def test_a_rule_that_cannot_be_read_is_an_error(rule: str) -> None:
    with pytest.raises(AlarmRuleError):
        holds(rule, {})


def test_names_in_a_rule_are_found_once_each_time_they_stand_there() -> None:
    assert names_in('ALARM("a") OR (OK(b) AND NOT ALARM("a"))') == ["a", "b", "a"]
