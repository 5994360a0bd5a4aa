"""Draws an alarm's metric over time as text for a terminal, with the alarm's threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

HEIGHT, WIDTH = 8, 60
_EIGHTHS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class MetricChart:
    """An alarm's metric values around the time when it went into ALARM; points are in order of time."""

    name: str
    metric: str
    points: tuple[tuple[datetime, float], ...]
    threshold: float | None


def draw_chart(chart: MetricChart, *, height: int = HEIGHT, width: int = WIDTH) -> list[str]:
    """Returns the chart's lines from top to bottom, with a dashed threshold; empty for a chart without points.

    >>> from datetime import timedelta
    >>> start = datetime(2013, 7, 1, 12)
    >>> points = tuple((start + timedelta(minutes=i), v) for i, v in enumerate([0.0, 1.0, 2.0, 4.0]))
    >>> for line in draw_chart(MetricChart("e-errors", "Errors", points, 2.0), height=4, width=4):
    ...     print(line.rstrip())
              4 |   █
                |   █
              2 |--██
                | ███
                +----
                 12:00:00 to 12:03:00
    """
    if not chart.points:
        return []
    values = _columns([v for _, v in chart.points], width)
    threshold = chart.threshold
    top = max([*values, threshold or 0.0]) or 1.0
    rows = []
    dashed = -1 if threshold is None else min(height - 1, max(0, int(threshold / top * height - 1e-9)))
    for row in reversed(range(height)):
        cells = [_cell(value / top * height - row) for value in values]
        if row == dashed:
            cells = ["-" if cell == " " else cell for cell in cells]
        label = f"{top:.4g}" if row == height - 1 else f"{threshold:.4g}" if row == dashed else ""
        rows.append(f"  {label:>9} |{''.join(cells)}")
    times = f"{chart.points[0][0]:%H:%M:%S} to {chart.points[-1][0]:%H:%M:%S}"
    return [*rows, f"  {'':>9} +{'-' * len(values)}", f"  {'':>9}  {times}"]


def parse_chart(alarm: Mapping[str, Any] | None) -> MetricChart | None:
    """Parses the chart in a ledger record's `alarm`; None when the alarm has no points.

    >>> points = [["2013-07-01T12:00:00.000Z", 2.0]]
    >>> parse_chart({"name": "a", "metric": "m", "threshold": 1.0, "points": points}).points[0][1]
    2.0
    >>> parse_chart(None), parse_chart({"name": "a", "raised_by": "bedplate"})
    (None, None)
    """
    points = (alarm or {}).get("points")
    if not alarm or not points:
        return None
    values = tuple((datetime.fromisoformat(at), float(value)) for at, value in points)
    return MetricChart(alarm["name"], alarm.get("metric") or "metric", values, alarm.get("threshold"))


def _columns(values: Sequence[float], width: int) -> list[float]:
    """Returns at most `width` values: the largest of each run of points, so that no peak is lost."""
    size = -(-len(values) // width)
    return [max(values[start : start + size]) for start in range(0, len(values), size)]


def _cell(fill: float) -> str:
    return _EIGHTHS[max(0, min(8, round(fill * 8)))]
