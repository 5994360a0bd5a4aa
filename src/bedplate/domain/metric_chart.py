"""Draws a metric over time as text: a few lines of a terminal, with the bound that it should have kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

HEIGHT, WIDTH = 8, 60
_EIGHTHS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class MetricChart:
    """An alarm's figure around the time at which it was raised; points in order of time."""

    name: str
    metric: str
    points: tuple[tuple[datetime, float], ...]
    threshold: float | None


def drawn(graph: MetricChart, *, height: int = HEIGHT, width: int = WIDTH) -> list[str]:
    """Lines from the top down; the threshold is dashed where no bar covers it. Empty without a point.

    >>> from datetime import timedelta
    >>> start = datetime(2013, 7, 1, 12)
    >>> points = tuple((start + timedelta(minutes=i), v) for i, v in enumerate([0.0, 1.0, 2.0, 4.0]))
    >>> for line in drawn(MetricChart("e-errors", "Errors", points, 2.0), height=4, width=4):
    ...     print(line.rstrip())
              4 |   █
                |   █
              2 |--██
                | ███
                +----
                 12:00:00 to 12:03:00
    """
    if not graph.points:
        return []
    values = _columns([v for _, v in graph.points], width)
    bound = graph.threshold
    top = max([*values, bound or 0.0]) or 1.0
    rows = []
    at = None if bound is None else min(height - 1, max(0, int(bound / top * height - 1e-9)))
    for row in reversed(range(height)):
        cells = [_cell(value / top * height - row) for value in values]
        if row == at:
            cells = ["-" if cell == " " else cell for cell in cells]
        label = f"{top:.4g}" if row == height - 1 else f"{bound:.4g}" if row == at and bound is not None else ""
        rows.append(f"  {label:>9} |{''.join(cells)}")
    times = f"{graph.points[0][0]:%H:%M:%S} to {graph.points[-1][0]:%H:%M:%S}"
    return [*rows, f"  {'':>9} +{'-' * len(values)}", f"  {'':>9}  {times}"]


def kept(told: Mapping[str, Any] | None) -> MetricChart | None:
    """The graph in a record of the ledger; None where an alarm left no points.

    >>> kept({"name": "a", "metric": "m", "threshold": 1.0, "points": [["2013-07-01T12:00:00.000Z", 2.0]]}).points[0][1]
    2.0
    >>> kept(None), kept({"name": "a", "raised_by": "bedplate"})
    (None, None)
    """
    points = (told or {}).get("points")
    if not told or not points:
        return None
    moments = tuple((datetime.fromisoformat(at), float(value)) for at, value in points)
    return MetricChart(told["name"], told.get("metric") or "figure", moments, told.get("threshold"))


def _columns(values: Sequence[float], width: int) -> list[float]:
    """At most `width` of them: the largest of each run, so that a peak is never lost."""
    each = -(-len(values) // width)
    return [max(values[at : at + each]) for at in range(0, len(values), each)]


def _cell(fill: float) -> str:
    return _EIGHTHS[max(0, min(8, round(fill * 8)))]
