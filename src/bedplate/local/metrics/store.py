"""Measurements over time, as CloudWatch keeps them: series by namespace, name and dimensions, and their statistics."""

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
_KEPT_S = 90 * 86400


@dataclass(frozen=True, slots=True)
class Point:
    """`n` samples at one moment; a single value has low == high == total / n."""

    at: float
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
    def of(cls, shape: Mapping[str, Any]) -> Metric:
        """From AWS's shape: Namespace, MetricName, Dimensions [{Name, Value}]."""
        dims = tuple(sorted((d["Name"], d["Value"]) for d in shape.get("Dimensions") or ()))
        return cls(shape["Namespace"], shape["MetricName"], dims)


class MetricStore:
    def __init__(self, path: Path, now: float) -> None:
        self._db = Database(path, _SCHEMA)
        self._ids: dict[Metric, int] = {}
        self.commit, self.close = self._db.commit, self._db.close
        self._db.write("DELETE FROM points WHERE at < ?", (now - _KEPT_S,))
        self._db.commit()

    def put(self, metric: Metric, points: Iterable[Point]) -> None:
        series = self._id(metric)
        self._db.write_many(
            "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(series, p.at, p.n, p.total, p.low, p.high, p.unit) for p in points],
        )

    def between(self, metric: Metric, start: float, end: float, unit: str | None = None) -> list[Point]:
        """Points at start <= at < end, oldest first; with `unit`, only those measured in it."""
        rows = self._db.rows(
            "SELECT at, n, total, low, high, unit FROM points JOIN series ON series.id = points.series"
            " WHERE namespace = ? AND name = ? AND dims = ? AND at >= ? AND at < ? ORDER BY at",
            (metric.namespace, metric.name, json.dumps(metric.dims), start, end),
        )
        return [Point(*row) for row in rows if unit is None or row[5] == unit]

    def metrics(self, namespace: str | None = None, name: str | None = None) -> list[Metric]:
        """Every series there is, or those of a namespace or name."""
        rows = self._db.rows(
            "SELECT namespace, name, dims FROM series WHERE (? IS NULL OR namespace = ?) AND (? IS NULL OR name = ?)"
            " ORDER BY namespace, name, dims",
            (namespace, namespace, name, name),
        )
        return [Metric(row[0], row[1], tuple((k, v) for k, v in json.loads(row[2]))) for row in rows]

    def _id(self, metric: Metric) -> int:
        found = self._ids.get(metric)
        if found is None:
            key = (metric.namespace, metric.name, json.dumps(metric.dims))
            self._db.write("INSERT OR IGNORE INTO series (namespace, name, dims) VALUES (?, ?, ?)", key)
            rows = self._db.rows("SELECT id FROM series WHERE namespace = ? AND name = ? AND dims = ?", key)
            found = self._ids[metric] = int(rows[0][0])
        return found


def points_of(datum: Mapping[str, Any], now: float) -> list[Point]:
    """The points of one MetricDatum of PutMetricData: a Value, Values with Counts, or StatisticValues.

    >>> points_of({"Values": [1.0, 3.0], "Counts": [2.0, 1.0], "Timestamp": 5.0}, now=9.0)[0].total
    2.0
    """
    at, unit = float(datum.get("Timestamp") or now), datum.get("Unit") or "None"
    values = datum.get("Values")
    if values:
        counts = datum.get("Counts") or [1.0] * len(values)
        return [Point(at, n, v * n, v, v, unit) for v, n in zip(values, counts, strict=True)]
    stats = datum.get("StatisticValues")
    if stats:
        return [Point(at, stats["SampleCount"], stats["Sum"], stats["Minimum"], stats["Maximum"], unit)]
    value = float(datum.get("Value", 0.0))
    return [Point(at, 1.0, value, value, value, unit)]


def statistic(points: Sequence[Point], name: str) -> float | None:
    """A statistic over points; None without any, or for a percentile over sets whose values are not known.

    Known are SampleCount, Sum, Average, Minimum, Maximum, percentiles (`p99`, `p99.9`: nearest rank) and trimmed means
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
        raise ValueError(f"statistic {name} is not known")
    if any(p.low != p.high for p in points):
        return None
    values = sorted((p.low, p.n) for p in points)
    rank = float(ranked[2]) / 100 * sum(n for _, n in values)
    return _trimmed_mean(values, rank) if ranked[1] == "tm" else _ranked(values, rank)


def percentile_needs(name: str) -> float:
    """Samples below which CloudWatch calls a percentile's sample low; 0 for what is no percentile.

    >>> percentile_needs("p99"), percentile_needs("p50"), percentile_needs("Average")
    (1000.0, 20.0, 0.0)
    """
    ranked = re.fullmatch(r"p(\d{1,3}(?:\.\d+)?)", name)
    if not ranked:
        return 0.0
    q = float(ranked[1]) / 100
    return round(10 / (1 - q) if q >= 0.5 else 10 / q, 6) if 0 < q < 1 else 0.0


def _ranked(values: list[tuple[float, float]], rank: float) -> float:
    seen = 0.0
    for value, n in values:
        seen += n
        if seen >= rank - 1e-9:
            return value
    return values[-1][0]


def _trimmed_mean(values: list[tuple[float, float]], rank: float) -> float | None:
    kept = total = 0.0
    for value, n in values:
        take = min(n, rank - kept)
        if take <= 0:
            break
        kept, total = kept + take, total + take * value
    return total / kept if kept else None
