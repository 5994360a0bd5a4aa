"""Stores metrics like CloudWatch, by namespace, name and dimensions, and computes their statistics."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.local.storage.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, namespace TEXT, name TEXT, dims TEXT, UNIQUE (namespace, name, dims)
);
CREATE TABLE IF NOT EXISTS points (
    series INTEGER, at REAL, n REAL, total REAL, low REAL, high REAL, unit TEXT
);
CREATE INDEX IF NOT EXISTS points_by_time ON points (series, at);
"""
_RETENTION_S = 90 * 86400


@dataclass(frozen=True, slots=True)
class Point:
    """`n` samples at one time, in epoch seconds; a single value has low == high == total / n."""

    time: float
    n: float
    total: float
    low: float
    high: float
    unit: str = "None"


@dataclass(frozen=True, slots=True)
class Metric:
    namespace: str
    name: str
    dims: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, shape: Mapping[str, Any]) -> Metric:
        """Returns the metric of a request: Namespace, MetricName, Dimensions [{Name, Value}]."""
        dims = tuple(sorted((d["Name"], d["Value"]) for d in shape.get("Dimensions") or ()))
        return cls(shape["Namespace"], shape["MetricName"], dims)


class MetricStore:
    def __init__(self, path: Path, now: float) -> None:
        self._db = Database(path, _SCHEMA)
        self._ids: dict[Metric, int] = {}
        self.commit, self.close = self._db.commit, self._db.close
        self._db.write("DELETE FROM points WHERE at < ?", (now - _RETENTION_S,))
        self._db.commit()

    def put(self, metric: Metric, points: Iterable[Point]) -> None:
        series = self._series_id(metric)
        self._db.write_many(
            "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(series, p.time, p.n, p.total, p.low, p.high, p.unit) for p in points],
        )

    def list_points(self, metric: Metric, start: float, end: float, unit: str | None = None) -> list[Point]:
        """Returns the points at start <= at < end, oldest first; with `unit`, only those in that unit."""
        rows = self._db.rows(
            "SELECT at, n, total, low, high, unit FROM points JOIN series ON series.id = points.series"
            " WHERE namespace = ? AND name = ? AND dims = ? AND at >= ? AND at < ? ORDER BY at",
            (metric.namespace, metric.name, json.dumps(metric.dims), start, end),
        )
        return [Point(*row) for row in rows if unit is None or row[5] == unit]

    def list_metrics(self, namespace: str | None = None, name: str | None = None) -> list[Metric]:
        """Returns every metric, or those of a namespace or name."""
        rows = self._db.rows(
            "SELECT namespace, name, dims FROM series WHERE (? IS NULL OR namespace = ?) AND (? IS NULL OR name = ?)"
            " ORDER BY namespace, name, dims",
            (namespace, namespace, name, name),
        )
        return [Metric(row[0], row[1], tuple((k, v) for k, v in json.loads(row[2]))) for row in rows]

    def _series_id(self, metric: Metric) -> int:
        if metric not in self._ids:
            key = (metric.namespace, metric.name, json.dumps(metric.dims))
            self._db.write("INSERT OR IGNORE INTO series (namespace, name, dims) VALUES (?, ?, ?)", key)
            rows = self._db.rows("SELECT id FROM series WHERE namespace = ? AND name = ? AND dims = ?", key)
            self._ids[metric] = int(rows[0][0])
        return self._ids[metric]


def parse_datum(datum: Mapping[str, Any], now: float) -> list[Point]:
    """Returns the points of one MetricDatum of PutMetricData: a Value, Values with Counts, or StatisticValues.

    >>> parse_datum({"Values": [1.0, 3.0], "Counts": [2.0, 1.0], "Timestamp": 5.0}, now=9.0)[0].total
    2.0
    """
    time, unit = float(datum.get("Timestamp") or now), datum.get("Unit") or "None"
    values = datum.get("Values")
    if values:
        counts = datum.get("Counts") or [1.0] * len(values)
        return [Point(time, n, v * n, v, v, unit) for v, n in zip(values, counts, strict=True)]
    stats = datum.get("StatisticValues")
    if stats:
        return [Point(time, stats["SampleCount"], stats["Sum"], stats["Minimum"], stats["Maximum"], unit)]
    value = float(datum.get("Value", 0.0))
    return [Point(time, 1.0, value, value, value, unit)]


def statistic(points: Sequence[Point], name: str) -> float | None:
    """Returns a statistic of the points; None without points, and for a percentile of StatisticValues.

    Supports SampleCount, Sum, Average, Minimum, Maximum, percentiles (`p99`, `p99.9`: nearest rank) and trimmed means
    (`tm90`). Raises ValueError for another name.

    >>> ps = [Point(0.0, 1, v, v, v) for v in (1.0, 2.0, 3.0, 10.0)]
    >>> statistic(ps, "Average"), statistic(ps, "p50"), statistic(ps, "p99"), statistic(ps, "SampleCount")
    (4.0, 2.0, 10.0, 4)
    """
    if not points:
        return None
    match name:
        case "SampleCount":
            return sum(p.n for p in points)
        case "Sum":
            return math.fsum(p.total for p in points)
        case "Average":
            count = sum(p.n for p in points)
            return math.fsum(p.total for p in points) / count if count else None
        case "Minimum":
            return min(p.low for p in points)
        case "Maximum":
            return max(p.high for p in points)
    ranked = re.fullmatch(r"(p|tm)(\d{1,3}(?:\.\d+)?)", name)
    if not ranked:
        raise ValueError(f"statistic {name} is not supported")
    if any(p.low != p.high for p in points):
        return None
    values = sorted((p.low, p.n) for p in points)
    rank = float(ranked[2]) / 100 * sum(n for _, n in values)
    return _trimmed_mean(values, rank) if ranked[1] == "tm" else _percentile(values, rank)


def min_samples(name: str) -> float:
    """Returns the number of samples below which CloudWatch has too few for a percentile; 0 for other statistics.

    >>> min_samples("p99"), min_samples("p50"), min_samples("Average")
    (1000.0, 20.0, 0.0)
    """
    ranked = re.fullmatch(r"p(\d{1,3}(?:\.\d+)?)", name)
    if not ranked:
        return 0.0
    q = float(ranked[1]) / 100
    return round(10 / (1 - q) if q >= 0.5 else 10 / q, 6) if 0 < q < 1 else 0.0


def _percentile(values: list[tuple[float, float]], rank: float) -> float:
    cumulative = 0.0
    for value, n in values:
        cumulative += n
        if cumulative >= rank - 1e-9:
            return value
    return values[-1][0]


def _trimmed_mean(values: list[tuple[float, float]], rank: float) -> float | None:
    count = total = 0.0
    for value, n in values:
        included = min(n, rank - count)
        if included <= 0:
            break
        count, total = count + included, total + included * value
    return total / count if count else None
