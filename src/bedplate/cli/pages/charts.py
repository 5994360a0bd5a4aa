"""Charts as inline SVG: each function takes plain figures and returns one `<svg>` element.

Text stays text (searchable, in the reader's own font); colours are Okabe and Ito's, which colour-blind readers can tell
apart, and no meaning hangs on colour alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bedplate.domain.evidence.metrics import Estimate

INK, MUTED, GRID = "#1f2933", "#6b7785", "#e3e7ec"
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a6d1d", "#7a5195")
GOOD, WARN, BAD = "#009E73", "#E69F00", "#D55E00"
MAX_TICK_CHARACTERS = 80
"""Of all labels below an axis together; more than that would run into each other."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bedplate",  # the same figures give the same bytes
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True, slots=True)
class Band:
    """A horizontal line that a figure should stay below (or above), and what it means."""

    at: float
    label: str
    color: str = WARN


def lines(
    ticks: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    y_label: str,
    bands: Sequence[Band] = (),
    from_zero: bool = True,
) -> str:
    """One line a series over the same ticks; None leaves a gap.

    Args:
        ticks: labels of the x axis, in order.
        series: name -> as many figures as there are ticks.
        y_label: what the figures are, with their unit.
        bands: thresholds drawn across.
        from_zero: whether the y axis begins at 0; figures such as AUC are better read without.
    """
    with _figure(7.6, 3.4) as (figure, axes):
        positions = range(len(ticks))
        for index, (name, values) in enumerate(series.items()):
            axes.plot(
                positions,
                [float("nan") if v is None else v for v in values],
                marker=MARKERS[index % len(MARKERS)],
                markersize=4.5,
                linewidth=1.8,
                color=PALETTE[index % len(PALETTE)],
                label=name,
            )
        for band in bands:
            axes.axhline(band.at, color=band.color, linewidth=1.2, linestyle=(0, (4, 3)), label=band.label)
        every = max(1, -(-len(ticks) // 9))
        axes.set_xticks(list(positions)[::every], list(ticks)[::every])
        axes.set_ylabel(y_label)
        if from_zero:
            axes.set_ylim(bottom=0)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return _svg(figure, f"{y_label} over {len(ticks)} windows for {', '.join(series)}")


def estimates(rows: Mapping[str, Mapping[str, Estimate]], *, x_label: str, bands: Sequence[Band] = ()) -> str:
    """Dots with 95 % intervals: a row a segment, a colour and marker a version."""
    names = list(rows)
    versions = list(dict.fromkeys(v for by_version in rows.values() for v in by_version))
    with _figure(7.6, 0.9 + 0.34 * len(names)) as (figure, axes):
        for index, version in enumerate(versions):
            points = [(i, rows[name][version]) for i, name in enumerate(names) if version in rows[name]]
            offset = (index - (len(versions) - 1) / 2) * 0.24
            values = [e.value for _, e in points]
            axes.errorbar(
                values,
                [i + offset for i, _ in points],
                xerr=[[e.value - e.low for _, e in points], [e.high - e.value for _, e in points]],
                fmt=MARKERS[index % len(MARKERS)],
                markersize=5,
                linewidth=1.3,
                color=PALETTE[index % len(PALETTE)],
                label=version,
            )
        for band in bands:
            axes.axvline(band.at, color=band.color, linewidth=1.2, linestyle=(0, (4, 3)), label=band.label)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(x_label)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return _svg(figure, f"{x_label} by segment: {', '.join(names)}")


def bars(rows: Mapping[str, float], *, x_label: str, bands: Sequence[Band] = ()) -> str:
    """Horizontal bars, longest first, coloured by the highest band they pass."""
    ordered = sorted(rows.items(), key=lambda item: -item[1])
    with _figure(7.6, 0.9 + 0.28 * len(ordered)) as (figure, axes):
        colors = [
            next((b.color for b in sorted(bands, key=lambda b: -b.at) if v >= b.at), PALETTE[0]) for _, v in ordered
        ]
        drawn = axes.barh(range(len(ordered)), [v for _, v in ordered], color=colors, height=0.62)
        under = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # a band's line stops behind a figure
        axes.bar_label(drawn, fmt="%.3g", padding=3, fontsize=8.5, color=MUTED, bbox=under)
        for band in bands:
            axes.axvline(band.at, color=band.color, linewidth=1.2, linestyle=(0, (4, 3)), label=band.label)
        axes.set_yticks(range(len(ordered)), [name for name, _ in ordered])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(x_label)
        if bands:
            axes.legend(loc="lower right", fontsize=9)
        return _svg(figure, f"{x_label}: {', '.join(name for name, _ in ordered)}")


def histogram_pair(labels: Sequence[str], reference: Sequence[float], current: Sequence[float], *, x_label: str) -> str:
    """Two shares a bin, side by side: what was normal, and what arrives now (each sums to 1)."""
    with _figure(7.6, 2.6) as (figure, axes):
        positions = range(len(labels))
        axes.bar([p - 0.2 for p in positions], [100 * v for v in reference], 0.38, color=MUTED, label="baseline")
        axes.bar([p + 0.2 for p in positions], [100 * v for v in current], 0.38, color=PALETTE[1], label="live")
        axes.set_xticks(list(positions), list(labels), fontsize=8)
        if sum(map(len, labels)) > MAX_TICK_CHARACTERS:
            axes.tick_params(axis="x", rotation=30)
            for label in axes.get_xticklabels():
                label.set_horizontalalignment("right")
        axes.set_xlabel(x_label)
        axes.set_ylabel("share of rows, %")
        axes.grid(visible=False, axis="x")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return _svg(figure, f"Distribution of {x_label}, baseline and live")


def importance_pair(features: Sequence[str], reference: Sequence[float], current: Sequence[float]) -> str:
    """Two bars a feature: its share of the importance (0 to 1) at the evaluation, and in live answers."""
    with _figure(7.6, 1.0 + 0.4 * len(features)) as (figure, axes):
        positions = range(len(features))
        axes.barh([p - 0.19 for p in positions], [100 * v for v in reference], 0.36, color=MUTED, label="evaluation")
        axes.barh([p + 0.19 for p in positions], [100 * v for v in current], 0.36, color=PALETTE[0], label="live")
        axes.set_yticks(list(positions), list(features))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("share of the importance, %")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return _svg(figure, f"Importance of {', '.join(features)}, at the evaluation and live")


def shares(
    times: Sequence[datetime], series: Mapping[str, Sequence[float]], *, marks: Mapping[datetime, str] | None = None
) -> str:
    """Stacked shares of traffic over time: who answered.

    Args:
        times: start of each interval.
        series: release -> answers in each interval.
        marks: moments to name on the chart.
    """
    marks = dict(sorted((marks or {}).items()))
    totals = [sum(values) or 1.0 for values in zip(*series.values(), strict=True)]
    start = times[0]
    minutes = [(t - start).total_seconds() for t in times]
    with _figure(7.6, 3.0) as (figure, axes):
        axes.stackplot(
            minutes,
            *[[100 * v / total for v, total in zip(values, totals, strict=True)] for values in series.values()],
            labels=list(series),
            colors=[PALETTE[i % len(PALETTE)] for i in range(len(series))],
            alpha=0.85,
        )
        for text_x, (at, text) in zip(
            _apart([(m - start).total_seconds() for m in marks], minutes[-1]), marks.items(), strict=True
        ):
            x = (at - start).total_seconds()
            axes.axvline(x, color=INK, linewidth=0.9)
            axes.annotate(
                text,
                (x, 1.0),
                (text_x, 1.06),
                xycoords=("data", "axes fraction"),
                rotation=35,
                fontsize=8,
                arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.6},
            )
        axes.set_ylim(0, 100)
        axes.set_xlim(minutes[0], minutes[-1])
        axes.set_ylabel("share of answers, %")
        axes.set_xlabel(f"seconds since {start:%H:%M:%S} UTC")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return _svg(figure, "Share of answers by release over time")


def spend(rows: Mapping[str, tuple[Mapping[str, float], float, Sequence[float]]]) -> str:
    """Spend against budget: a bar a budget, stacked by stage, in percent of its limit.

    Args:
        rows: budget -> (stage -> USD, limit in USD, thresholds in percent of the limit).
    """
    stages = list(dict.fromkeys(stage for by_stage, _, _ in rows.values() for stage in by_stage))
    with _figure(7.6, 1.1 + 0.5 * len(rows)) as (figure, axes):
        for i, (by_stage, limit, thresholds) in enumerate(rows.values()):
            left = 0.0
            for stage, amount in by_stage.items():
                width = 100 * amount / limit
                axes.barh(i, width, left=left, height=0.5, color=PALETTE[stages.index(stage) % len(PALETTE)])
                left += width
            axes.annotate(f" {left:.0f} %", (left, i), va="center", fontsize=9, fontweight="bold")
            for threshold in thresholds:
                axes.plot(
                    [threshold, threshold], [i - 0.36, i + 0.36], color=BAD if threshold >= 100 else WARN, linewidth=1.6
                )
        for index, stage in enumerate(stages):
            axes.barh(0, 0, color=PALETTE[index % len(PALETTE)], label=stage)
        axes.plot([], [], color=WARN, label="threshold")
        axes.set_yticks(range(len(rows)), list(rows))
        axes.invert_yaxis()
        axes.set_xlim(0, max(110.0, axes.get_xlim()[1] * 1.08))
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("% of the month's budget")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return _svg(figure, "Spend against budget: " + ", ".join(rows))


def _apart(places: Sequence[float], width: float, share: float = 0.06) -> list[float]:
    """Where labels may stand so that neighbours do not overlap, each at or right of its own place.

    >>> _apart([0, 1, 50], 100)
    [0, 6.0, 50]
    """
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + share * width) if found else place)
    return found


@contextmanager
def _figure(width_in: float, height_in: float) -> Iterator[tuple[Figure, Axes]]:
    # The object interface: no pyplot, no global state, no display.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        yield figure, figure.add_subplot()


def _svg(figure: Figure, description: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    svg = text[text.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
