"""Answering metric queries: one statistic per period, or metric math over several, for GetMetricData and for alarms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bedplate.local.metrics.alarms import Datapoint, window
from bedplate.local.metrics.metric_math import Series, calculate
from bedplate.local.metrics.store import Metric, MetricStore, percentile_needs, statistic


def series_of(store: MetricStore, stat: Mapping[str, Any], stretches: Sequence[tuple[float, float]]) -> Series:
    """The statistic of a MetricStat (Metric, Stat, Unit) in each stretch that has data, by the stretch's start."""
    if not stretches:
        return {}
    metric = Metric.of(stat["Metric"])
    points = store.between(metric, stretches[0][0], stretches[-1][1], stat.get("Unit"))
    made: Series = {}
    first = 0
    for start, end in stretches:
        while first < len(points) and points[first].at < start:
            first += 1
        last = first
        while last < len(points) and points[last].at < end:
            last += 1
        value = statistic(points[first:last], stat["Stat"])
        if value is not None:
            made[start] = value
        first = last
    return made


def answers(store: MetricStore, queries: Sequence[Mapping[str, Any]], start: float, end: float) -> dict[str, Series]:
    """GetMetricData's queries, each with its series by id; periods lie on multiples of themselves."""
    made: dict[str, Series] = {}
    for query in (q for q in queries if q.get("MetricStat")):
        stretches = aligned(start, end, int(query["MetricStat"].get("Period") or query.get("Period") or 60))
        made[query["Id"]] = series_of(store, query["MetricStat"], stretches)
    return _with_math(queries, made, sorted({at for series in made.values() for at in series}))


def aligned(start: float, end: float, period: int) -> list[tuple[float, float]]:
    """The periods that begin in [start, end), on multiples of the period.

    >>> aligned(65.0, 190.0, 60)
    [(60.0, 120.0), (120.0, 180.0), (180.0, 240.0)]
    """
    first = int(start // period)
    last = -int(-end // period)
    return [(float(i * period), float((i + 1) * period)) for i in range(first, last)]


def datapoints(store: MetricStore, alarm: Mapping[str, Any], now: float) -> list[Datapoint]:
    """What a metric alarm looks at: one datapoint for each of its evaluation periods, the last one ending now.

    CloudWatch cuts time at multiples of the period; here the periods slide, so that an alarm answers within about a
    second of the data.
    """
    stretches = window(alarm, now)
    if alarm.get("Metrics"):
        series = _math_series(store, alarm, stretches)
        return [Datapoint(start, series.get(start)) for start, _ in stretches]
    stat = alarm.get("ExtendedStatistic") or alarm["Statistic"]
    shape = {"Metric": alarm, "Stat": stat, "Unit": alarm.get("Unit")}
    series = series_of(store, shape, stretches)
    needs = percentile_needs(stat)
    low: Series = {}
    if needs and alarm.get("EvaluateLowSampleCountPercentile") == "ignore":
        counts = series_of(store, {**shape, "Stat": "SampleCount"}, stretches)
        low = {at: n for at, n in counts.items() if n < needs}
    return [Datapoint(start, series.get(start), start in low) for start, _ in stretches]


def _math_series(store: MetricStore, alarm: Mapping[str, Any], stretches: list[tuple[float, float]]) -> Series:
    """The one query of an alarm's metric math that returns data."""
    queries = alarm["Metrics"]
    made = {q["Id"]: series_of(store, q["MetricStat"], stretches) for q in queries if q.get("MetricStat")}
    times = [start for start, _ in stretches]
    made = _with_math(queries, made, times)
    wanted = alarm.get("ThresholdMetricId")
    returned = [q["Id"] for q in queries if q.get("ReturnData", True) and q["Id"] != wanted]
    return made[returned[-1]] if returned else {}


def _with_math(queries: Sequence[Mapping[str, Any]], made: dict[str, Series], times: list[float]) -> dict[str, Series]:
    """Add the expressions' series; one may use another's, in any order."""
    waiting = [q for q in queries if q.get("Expression")]
    while waiting:
        ready = [q for q in waiting if not any(_speaks_of(q["Expression"], other["Id"]) for other in waiting)]
        for query in ready or waiting[:1]:
            made[query["Id"]] = calculate(query["Expression"], made, times)
            waiting.remove(query)
    return made


def _speaks_of(expression: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", expression) is not None
