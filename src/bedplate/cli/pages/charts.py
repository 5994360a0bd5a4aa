"""Draws charts as inline SVG with matplotlib; each function takes plain numbers and returns one `<svg>` element.

Text stays text (searchable, in the reader's own font). The colours are Okabe and Ito's, which colour-blind readers can
distinguish, and no meaning depends on colour alone.
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
"""Of all labels below an axis together; labels with more characters would overlap, so they are rotated."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bedplate",  # the same values give the same bytes
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
    """A threshold drawn across a chart, which the values should stay below (or above), with its label."""

    value: float
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
    """Draws one line per series over the same ticks; None leaves a gap.

    Args:
        ticks: labels of the x axis, in order.
        series: name -> one value per tick.
        y_label: what the values are, with their unit.
        bands: thresholds drawn across.
        from_zero: whether the y axis begins at 0; metrics such as AUC are easier to read without.
    """
    with _open_axes(7.6, 3.4) as (fig, axes):
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
            axes.axhline(band.value, color=band.color, linewidth=1.2, linestyle=(0, (4, 3)), label=band.label)
        step = max(1, -(-len(ticks) // 9))
        axes.set_xticks(list(positions)[::step], list(ticks)[::step])
        axes.set_ylabel(y_label)
        if from_zero:
            axes.set_ylim(bottom=0)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return _to_svg(fig, f"{y_label} over {len(ticks)} windows for {', '.join(series)}")


def estimates(rows: Mapping[str, Mapping[str, Estimate]], *, x_label: str, bands: Sequence[Band] = ()) -> str:
    """Draws dots with 95 % intervals: one row per segment, one colour and marker per version."""
    names = list(rows)
    versions = list(dict.fromkeys(v for by_version in rows.values() for v in by_version))
    with _open_axes(7.6, 0.9 + 0.34 * len(names)) as (fig, axes):
        for index, version in enumerate(versions):
            points = [(i, rows[name][version]) for i, name in enumerate(names) if version in rows[name]]
            offset = (index - (len(versions) - 1) / 2) * 0.24
            values = [e.value for _, e in points]
            axes.errorbar(
                values,
                [i + offset for i, _ in points],
                xerr=[[e.value - e.ci_low for _, e in points], [e.ci_high - e.value for _, e in points]],
                fmt=MARKERS[index % len(MARKERS)],
                markersize=5,
                linewidth=1.3,
                color=PALETTE[index % len(PALETTE)],
                label=version,
            )
        _label_rows(axes, names, x_label, bands)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return _to_svg(fig, f"{x_label} by segment: {', '.join(names)}")


def bars(rows: Mapping[str, float], *, x_label: str, bands: Sequence[Band] = ()) -> str:
    """Draws horizontal bars, longest first, coloured by the highest band that they pass."""
    ordered = sorted(rows.items(), key=lambda item: -item[1])
    with _open_axes(7.6, 0.9 + 0.28 * len(ordered)) as (fig, axes):
        by_value = sorted(bands, key=lambda b: -b.value)
        colors = [next((band.color for band in by_value if v >= band.value), PALETTE[0]) for _, v in ordered]
        containers = axes.barh(range(len(ordered)), [v for _, v in ordered], color=colors, height=0.62)
        background = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # a band's line stops behind a value
        axes.bar_label(containers, fmt="%.3g", padding=3, fontsize=8.5, color=MUTED, bbox=background)
        _label_rows(axes, [name for name, _ in ordered], x_label, bands)
        if bands:
            axes.legend(loc="lower right", fontsize=9)
        return _to_svg(fig, f"{x_label}: {', '.join(name for name, _ in ordered)}")


def histogram_pair(labels: Sequence[str], reference: Sequence[float], current: Sequence[float], *, x_label: str) -> str:
    """Draws two bars per bin, the shares of the baseline and of the live rows (0 to 1; each series sums to 1)."""
    with _open_axes(7.6, 2.6) as (fig, axes):
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
        return _to_svg(fig, f"Distribution of {x_label}, baseline and live")


def importance_pair(features: Sequence[str], reference: Sequence[float], current: Sequence[float]) -> str:
    """Draws two bars per feature: its share of the importance (0 to 1) at the evaluation, and in live predictions."""
    with _open_axes(7.6, 1.0 + 0.4 * len(features)) as (fig, axes):
        positions = range(len(features))
        axes.barh([p - 0.19 for p in positions], [100 * v for v in reference], 0.36, color=MUTED, label="evaluation")
        axes.barh([p + 0.19 for p in positions], [100 * v for v in current], 0.36, color=PALETTE[0], label="live")
        _label_rows(axes, features, "share of the importance, %")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return _to_svg(fig, f"Importance of {', '.join(features)}, at the evaluation and live")


def shares(
    times: Sequence[datetime], series: Mapping[str, Sequence[float]], *, marks: Mapping[datetime, str] | None = None
) -> str:
    """Draws the stacked shares of traffic by release over time.

    Args:
        times: start of each interval.
        series: release -> predictions in each interval.
        marks: time -> text of an event to mark on the chart.
    """
    marks = dict(sorted((marks or {}).items()))
    totals = [sum(values) or 1.0 for values in zip(*series.values(), strict=True)]
    start = times[0]
    seconds = [(time - start).total_seconds() for time in times]
    with _open_axes(7.6, 3.0) as (fig, axes):
        axes.stackplot(
            seconds,
            *[[100 * v / total for v, total in zip(values, totals, strict=True)] for values in series.values()],
            labels=list(series),
            colors=[PALETTE[i % len(PALETTE)] for i in range(len(series))],
            alpha=0.85,
        )
        label_positions = _spread_labels([(time - start).total_seconds() for time in marks], seconds[-1])
        for text_x, (time, text) in zip(label_positions, marks.items(), strict=True):
            x = (time - start).total_seconds()
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
        axes.set_xlim(seconds[0], seconds[-1])
        axes.set_ylabel("share of predictions, %")
        axes.set_xlabel(f"seconds since {start:%H:%M:%S} UTC")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return _to_svg(fig, "Share of predictions by release over time")


def spend(rows: Mapping[str, tuple[Mapping[str, float], float, Sequence[float]]]) -> str:
    """Draws spend against budget: one bar per budget, stacked by stage, in per cent of its limit.

    Args:
        rows: budget -> (stage -> USD, limit in USD, thresholds in per cent of the limit).
    """
    stages = list(dict.fromkeys(stage for by_stage, _, _ in rows.values() for stage in by_stage))
    with _open_axes(7.6, 1.1 + 0.5 * len(rows)) as (fig, axes):
        for i, (by_stage, limit, thresholds) in enumerate(rows.values()):
            left = 0.0
            for stage, amount in by_stage.items():
                width = 100 * amount / limit
                axes.barh(i, width, left=left, height=0.5, color=PALETTE[stages.index(stage) % len(PALETTE)])
                left += width
            axes.annotate(f" {left:.0f} %", (left, i), va="center", fontsize=9, fontweight="bold")
            for threshold in thresholds:
                color = BAD if threshold >= 100 else WARN
                axes.plot([threshold, threshold], [i - 0.36, i + 0.36], color=color, linewidth=1.6)
        for index, stage in enumerate(stages):
            axes.barh(0, 0, color=PALETTE[index % len(PALETTE)], label=stage)
        axes.plot([], [], color=WARN, label="threshold")
        _label_rows(axes, list(rows), "spend, % of the month's budget")
        axes.set_xlim(0, max(110.0, axes.get_xlim()[1] * 1.08))
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return _to_svg(fig, "Spend against budget: " + ", ".join(rows))


def _label_rows(axes: Axes, names: Sequence[str], x_label: str, bands: Sequence[Band] = ()) -> None:
    for band in bands:
        axes.axvline(band.value, color=band.color, linewidth=1.2, linestyle=(0, (4, 3)), label=band.label)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(x_label)


def _spread_labels(positions: Sequence[float], width: float, share: float = 0.06) -> list[float]:
    """Returns positions at which labels do not overlap, each at or right of its own position.

    >>> _spread_labels([0, 1, 50], 100)
    [0, 6.0, 50]
    """
    spread: list[float] = []
    for position in positions:
        spread.append(max(position, spread[-1] + share * width) if spread else position)
    return spread


@contextmanager
def _open_axes(width_in: float, height_in: float) -> Iterator[tuple[Figure, Axes]]:
    # Figure itself instead of pyplot: no global state, no display.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        fig = Figure(figsize=(width_in, height_in), layout="constrained")
        yield fig, fig.add_subplot()


def _to_svg(fig: Figure, description: str) -> str:
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    svg = text[text.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
