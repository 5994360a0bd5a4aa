"""Runs metric queries for GetMetricData and for alarms: a statistic for each period, or metric math over several."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bedplate.local.metrics.alarms import Datapoint, evaluation_periods
from bedplate.local.metrics.metric_math import Series, evaluate_expression
from bedplate.local.metrics.store import Metric, MetricStore, min_samples, statistic


def query_series(store: MetricStore, stat: Mapping[str, Any], periods: Sequence[tuple[float, float]]) -> Series:
    """Returns the statistic of a MetricStat (Metric, Stat, Unit) by the start of each period that has data."""
    if not periods:
        return {}
    metric = Metric.parse(stat["Metric"])
    points = store.list_points(metric, periods[0][0], periods[-1][1], stat.get("Unit"))
    series: Series = {}
    first = 0
    for start, end in periods:
        while first < len(points) and points[first].time < start:
            first += 1
        last = first
        while last < len(points) and points[last].time < end:
            last += 1
        value = statistic(points[first:last], stat["Stat"])
        if value is not None:
            series[start] = value
        first = last
    return series


def query_metrics(
    store: MetricStore, queries: Sequence[Mapping[str, Any]], start: float, end: float
) -> dict[str, Series]:
    """Returns the series of GetMetricData's queries by id. Each period starts at a multiple of its length."""
    series: dict[str, Series] = {}
    for query in (q for q in queries if q.get("MetricStat")):
        periods = aligned_periods(start, end, int(query["MetricStat"].get("Period") or query.get("Period") or 60))
        series[query["Id"]] = query_series(store, query["MetricStat"], periods)
    return _add_expressions(queries, series, sorted({time for points in series.values() for time in points}))


def aligned_periods(start: float, end: float, period: int) -> list[tuple[float, float]]:
    """Returns the periods that overlap [start, end) and start at multiples of `period`, all in epoch seconds.

    >>> aligned_periods(65.0, 190.0, 60)
    [(60.0, 120.0), (120.0, 180.0), (180.0, 240.0)]
    """
    first = int(start // period)
    last = -int(-end // period)
    return [(float(i * period), float((i + 1) * period)) for i in range(first, last)]


def alarm_datapoints(store: MetricStore, alarm: Mapping[str, Any], now: float) -> list[Datapoint]:
    """Returns one datapoint for each of a metric alarm's evaluation periods, the last of which ends now.

    CloudWatch's periods start at multiples of the period; these end now, so that an alarm reacts within about a second.
    """
    periods = evaluation_periods(alarm, now)
    if alarm.get("Metrics"):
        series = _math_series(store, alarm, periods)
        return [Datapoint(start, series.get(start)) for start, _ in periods]
    stat = alarm.get("ExtendedStatistic") or alarm["Statistic"]
    metric_stat = {"Metric": alarm, "Stat": stat, "Unit": alarm.get("Unit")}
    series = query_series(store, metric_stat, periods)
    needed = min_samples(stat)
    low: Series = {}
    if needed and alarm.get("EvaluateLowSampleCountPercentile") == "ignore":
        counts = query_series(store, {**metric_stat, "Stat": "SampleCount"}, periods)
        low = {time: count for time, count in counts.items() if count < needed}
    return [Datapoint(start, series.get(start), start in low) for start, _ in periods]


def _math_series(store: MetricStore, alarm: Mapping[str, Any], periods: list[tuple[float, float]]) -> Series:
    """Returns the series of the only query in an alarm's metric math that returns data."""
    queries = alarm["Metrics"]
    series = {q["Id"]: query_series(store, q["MetricStat"], periods) for q in queries if q.get("MetricStat")}
    series = _add_expressions(queries, series, [start for start, _ in periods])
    band = alarm.get("ThresholdMetricId")
    returned = [q["Id"] for q in queries if q.get("ReturnData", True) and q["Id"] != band]
    return series[returned[-1]] if returned else {}


def _add_expressions(
    queries: Sequence[Mapping[str, Any]], series: dict[str, Series], times: list[float]
) -> dict[str, Series]:
    """Adds the series of the expressions to `series`; an expression may use another one, in any order."""
    pending = [q for q in queries if q.get("Expression")]
    while pending:
        ready = [q for q in pending if not any(_refers_to(q["Expression"], other["Id"]) for other in pending)]
        for query in ready or pending[:1]:
            series[query["Id"]] = evaluate_expression(query["Expression"], series, times)
            pending.remove(query)
    return series


def _refers_to(expression: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", expression) is not None
