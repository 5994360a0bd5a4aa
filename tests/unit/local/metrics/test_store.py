"""The metric store, statistics, and metric math."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bedplate.local.metrics.metric_math import UnknownExpressionError, evaluate_expression
from bedplate.local.metrics.metric_queries import alarm_datapoints, query_metrics
from bedplate.local.metrics.store import Metric, MetricStore, Point, parse_datum, statistic

LATENCY = Metric("AWS/SageMaker", "ModelLatency", (("EndpointName", "e"),))
SHAPE = {
    "Namespace": "AWS/SageMaker",
    "MetricName": "ModelLatency",
    "Dimensions": [{"Name": "EndpointName", "Value": "e"}],
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetricStore]:
    metric_store = MetricStore(tmp_path / "metrics.db", now=1000.0)
    yield metric_store
    metric_store.close()


def point(at: float, value: float) -> Point:
    return Point(at, 1.0, value, value, value)


def test_points_are_listed_in_order_of_time_and_by_series(store: MetricStore) -> None:
    store.put(LATENCY, [point(20.0, 2.0), point(10.0, 1.0), point(30.0, 3.0)])
    store.put(Metric("AWS/SageMaker", "ModelLatency", (("EndpointName", "other"),)), [point(15.0, 9.0)])
    assert [p.low for p in store.list_points(LATENCY, 10.0, 30.0)] == [1.0, 2.0]


def test_points_survive_a_restart(tmp_path: Path) -> None:
    first = MetricStore(tmp_path / "m.db", now=1000.0)
    first.put(LATENCY, [point(10.0, 1.0)])
    first.close()
    reopened = MetricStore(tmp_path / "m.db", now=1000.0)
    assert reopened.list_metrics() == [LATENCY]
    assert reopened.list_points(LATENCY, 0.0, 20.0) == [point(10.0, 1.0)]
    reopened.close()


def test_dimensions_in_another_order_are_the_same_series() -> None:
    dimensions = [{"Name": "B", "Value": "2"}, {"Name": "A", "Value": "1"}]
    metric = Metric.parse({"Namespace": "n", "MetricName": "m", "Dimensions": dimensions})
    assert metric.dims == (("A", "1"), ("B", "2"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("SampleCount", 6), ("Sum", 35.0), ("Average", 35 / 6), ("Minimum", 1.0), ("Maximum", 20.0)],
)
def test_statistics_over_values_and_sets(name: str, expected: float) -> None:
    datum = {"StatisticValues": {"SampleCount": 4, "Sum": 14.0, "Minimum": 2.0, "Maximum": 5.0}}
    points = [point(0, 1.0), point(0, 20.0), *parse_datum(datum, now=0.0)]
    assert statistic(points, name) == pytest.approx(expected)


def test_percentile_counts_repeated_values() -> None:
    points = parse_datum({"Values": [1.0, 100.0], "Counts": [99.0, 1.0]}, now=0.0)
    assert (statistic(points, "p99"), statistic(points, "p99.5"), statistic(points, "tm99")) == (1.0, 100.0, 1.0)


def test_statistic_sets_have_no_percentile() -> None:
    datum = {"StatisticValues": {"SampleCount": 4, "Sum": 14.0, "Minimum": 2.0, "Maximum": 5.0}}
    assert statistic(parse_datum(datum, now=0.0), "p99") is None


def test_an_unknown_statistic_is_an_error() -> None:
    with pytest.raises(ValueError, match="geometric"):
        statistic([point(0, 1)], "geometric")


def test_an_alarms_periods_slide_with_the_clock(store: MetricStore) -> None:
    store.put(LATENCY, [point(89.0, 7.0), point(95.0, 3.0)])
    alarm: dict[str, Any] = {**SHAPE, "Statistic": "Maximum", "Period": 10, "EvaluationPeriods": 2}
    assert [d.value for d in alarm_datapoints(store, alarm, 99.5)] == [7.0, 3.0]
    assert [d.value for d in alarm_datapoints(store, alarm, 110.0)] == [3.0, None]


def test_a_percentile_alarm_marks_datapoints_with_too_few_samples(store: MetricStore) -> None:
    store.put(LATENCY, [point(95.0, float(i)) for i in range(30)])
    alarm: dict[str, Any] = {
        **SHAPE, "ExtendedStatistic": "p50", "Period": 10, "EvaluationPeriods": 1,
        "EvaluateLowSampleCountPercentile": "ignore",
    }  # fmt: skip
    assert not alarm_datapoints(store, alarm, 100.0)[0].has_low_sample
    assert alarm_datapoints(store, {**alarm, "ExtendedStatistic": "p99"}, 100.0)[0].has_low_sample


def test_an_alarm_on_metric_math_evaluates_the_expression(store: MetricStore) -> None:
    errors = Metric("n", "Errors")
    store.put(errors, [point(95.0, 1.0)])
    store.put(Metric("n", "Requests"), [point(95.0, 1.0), point(96.0, 1.0), point(97.0, 1.0), point(98.0, 1.0)])

    def metric(name: str) -> dict[str, Any]:
        return {"Metric": {"Namespace": "n", "MetricName": name}, "Period": 10, "Stat": "Sum"}

    alarm: dict[str, Any] = {
        "EvaluationPeriods": 1,
        "Metrics": [
            {"Id": "rate", "Expression": "100 * e / r"},
            {"Id": "e", "MetricStat": metric("Errors"), "ReturnData": False},
            {"Id": "r", "MetricStat": metric("Requests"), "ReturnData": False},
        ],
    }
    assert alarm_datapoints(store, alarm, 100.0)[0].value == 25.0


def test_expressions_may_use_each_other_in_any_order(store: MetricStore) -> None:
    store.put(LATENCY, [point(65.0, 3.0)])
    queries = [
        {"Id": "b", "Expression": "a + 1"},
        {"Id": "a", "Expression": "m * 2"},
        {"Id": "m", "MetricStat": {"Metric": SHAPE, "Period": 60, "Stat": "Average"}},
    ]
    assert query_metrics(store, queries, 0.0, 120.0)["b"] == {60.0: 7.0}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("m1 + m2", {0.0: 6.0}),
        ("m1 / m2", {0.0: 0.5}),
        ("-m1", {0.0: -2.0, 60.0: -4.0}),
        ("FILL(m2, 0)", {0.0: 4.0, 60.0: 0.0}),
        ("FILL(m2, REPEAT)", {0.0: 4.0, 60.0: 4.0}),
        ("IF(m1 > 3, m1, 0)", {0.0: 0.0, 60.0: 4.0}),
        ("IF(m1 >= 2 AND m1 < 4, 1, 0)", {0.0: 1.0, 60.0: 0.0}),
        ("MAX([m1, m2])", {0.0: 4.0, 60.0: 4.0}),
        ("SUM(METRICS())", {0.0: 6.0, 60.0: 4.0}),
        ("AVG(m1)", {0.0: 3.0, 60.0: 3.0}),
        ("ABS(-m1) ^ 2", {0.0: 4.0, 60.0: 16.0}),
        ("RATE(m1)", {60.0: 2.0 / 60}),
        ("m1 / (m1 - m1)", {}),
    ],
)
def test_metric_math(expression: str, expected: dict[float, float]) -> None:
    assert evaluate_expression(expression, {"m1": {0.0: 2.0, 60.0: 4.0}, "m2": {0.0: 4.0}}, [0.0, 60.0]) == expected


@pytest.mark.parametrize("expression", ["m9 + 1", "EXPLODE(m1)", "m1 +", "__import__('os')", "m1.x"])
def test_unsupported_expressions_are_errors(expression: str) -> None:
    with pytest.raises(UnknownExpressionError):
        evaluate_expression(expression, {"m1": {0.0: 1.0}}, [0.0])
