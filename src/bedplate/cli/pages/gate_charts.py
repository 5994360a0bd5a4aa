"""Draws the charts of one evaluation; each function takes plain numbers and returns one `<svg>` element."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bedplate.cli.pages.charts import BAD, INK, MUTED, PALETTE, Band
from bedplate.cli.pages.svg import CHARACTER_WIDTH, Drawing, Scale
from bedplate.domain.formatting import format_count, format_short

if TYPE_CHECKING:
    from bedplate.domain.evidence.calibration import CalibrationBin
    from bedplate.domain.evidence.curves import Curve
    from bedplate.domain.evidence.explanation import Importance
    from bedplate.domain.evidence.latency import Timings

WIDE, ROW, TOP, BOTTOM = 760.0, 26.0, 28.0, 42.0
PALE = "#c3d3e0"
MARKS = {"PASS": ("#00734f", "circle"), "FAIL": (BAD, "cross"), "NO_DATA": ("#9a6700", "diamond")}


def curves(series: Mapping[str, Curve], *, x_label: str, y_label: str, diagonal: bool = False) -> str:
    """Draws curves over the unit square, with `diagonal` also the diagonal, which random scores reach."""
    drawing, x, y = _square_axes(1.0, x_label, y_label)
    if diagonal:
        drawing.line(x(0), y(0), x(1), y(1), MUTED, dashed=True)
    for index, curve in reversed(list(enumerate(series.values()))):  # the first curve on top
        drawing.path([(x(a), y(b)) for a, b in zip(curve.x, curve.y, strict=True)], PALETTE[index % len(PALETTE)])
    entries = [(PALETTE[i % len(PALETTE)], "solid", name) for i, name in enumerate(series)]
    drawing.legend(56, [*entries, *([(MUTED, "dashed", "chance")] if diagonal else [])])
    return drawing.to_svg(f"{y_label} over {x_label} of {', '.join(series)}")


def reliability(bins: Sequence[CalibrationBin]) -> str:
    """Draws each bin's mean score against its share of positive labels (0 to 1), with its 95 % interval."""
    top = min(1.0, 1.08 * max(max(b.ci_high for b in bins), max(b.mean_predicted for b in bins)))
    drawing, x, y = _square_axes(top, "mean score of the bin", "share of positive labels")
    drawing.line(x(0), y(0), x(top), y(top), MUTED, dashed=True)
    drawing.path([(x(b.mean_predicted), y(b.fraction_positive)) for b in bins], PALETTE[0], 1.2)
    for b in bins:
        drawing.line(x(b.mean_predicted), y(b.ci_low), x(b.mean_predicted), y(b.ci_high), PALETTE[0], 1.6)
        drawing.mark(x(b.mean_predicted), y(b.fraction_positive), PALETTE[0])
    drawing.legend(56, [(PALETTE[0], "circle", "observed, 95 %"), (MUTED, "dashed", "perfectly calibrated")])
    return drawing.to_svg(f"Reliability diagram of {len(bins)} bins")


def residual_fan(lines: tuple[Curve, Curve, Curve]) -> str:
    """Draws the median residual and the middle 90 % of residuals over the predicted value, in the label's unit."""
    low, middle, high = lines
    height = 300.0
    drawing = Drawing(WIDE, height)
    x = Scale(min(middle.x), max(middle.x), 70, WIDE - 16)
    y = Scale(min(0.0, *low.y), max(0.0, *high.y), height - BOTTOM, TOP)
    drawing.axis_x(x, TOP, height - BOTTOM, "predicted value")
    drawing.axis_y(y, 70, WIDE - 16, "predicted minus actual")
    edge = [(x(a), y(b)) for a, b in zip(low.x, low.y, strict=True)]
    edge += [(x(a), y(b)) for a, b in reversed(list(zip(high.x, high.y, strict=True)))]
    drawing.area(edge, PALETTE[0])
    drawing.line(x.start, y(0), x.end, y(0), MUTED, dashed=True)
    drawing.path([(x(a), y(b)) for a, b in zip(middle.x, middle.y, strict=True)], PALETTE[0])
    drawing.legend(70, [(PALETTE[0], "solid", "median"), ("#cfe1ee", "bar", "middle 90 %")])
    return drawing.to_svg("Residuals over the predicted value")


def importances(rows: Sequence[Importance], *, candidate: str, champion: str) -> str:
    """Draws mean |SHAP| of both models side by side, in per cent of each model's sum, the largest first."""
    totals = [sum(r.candidate or 0 for r in rows) or 1.0, sum(r.champion or 0 for r in rows) or 1.0]
    features = rows[:20]
    has_champion = any(r.champion is not None for r in rows)
    pairs = [(100 * (r.candidate or 0) / totals[0], 100 * (r.champion or 0) / totals[1]) for r in features]
    maximum = max((max(pair) for pair in pairs), default=0) or 1.0
    drawing, x = _row_axis([r.feature for r in features], 0.0, maximum * 1.06, "share of the mean |SHAP|, %")
    for i, (candidate_pct, champion_pct) in enumerate(pairs):
        y = TOP + ROW * i
        drawing.bar(x(0), y + 4, x(candidate_pct), y + (13 if has_champion else 20), PALETTE[0])
        if has_champion:
            drawing.bar(x(0), y + 13, x(champion_pct), y + 22, PALETTE[1])
    entries = [(PALETTE[0], "bar", candidate), *([(PALETTE[1], "bar", champion)] if has_champion else [])]
    drawing.legend(x.start, entries)
    return drawing.to_svg(f"Importance of features: {', '.join(r.feature for r in features)}")


def bars_from(rows: Mapping[str, float], *, x_label: str, bands: Sequence[Band], start: float) -> str:
    """Draws one bar per row, from `start` on; a value below `start` has an empty bar."""
    maximum = max([*rows.values(), *(band.value for band in bands)])
    drawing, x = _row_axis(list(rows), start, start + 1.06 * max(maximum - start, 1e-9), x_label)
    for i, value in enumerate(rows.values()):
        y = TOP + ROW * i
        drawing.bar(x(start), y + 5, x(max(start, value)), y + 21, PALETTE[0])
        drawing.text(x(max(start, value)) + 5, y + 17, format_short(float(f"{value:.3g}")), color=MUTED)
    _draw_bands(drawing, x, bands, len(rows))
    drawing.legend(x.start, [(band.color, "dashed", band.label) for band in bands])
    return drawing.to_svg(f"{x_label}: {', '.join(rows)}")


def groups(rows: Mapping[str, tuple[float, int]], compared: Sequence[str], *, x_label: str) -> str:
    """Draws one bar per group; the two compared groups are dark, the others pale."""
    values = [value for value, _ in rows.values()]
    low, high = min(0.0, *values), max(0.0, *values)
    span = (high - low) or 1.0
    names = [f"{name}  ({n:,} rows)" for name, (_, n) in rows.items()]
    ends = low - (0.12 * span if low < 0 else 0), high + 0.15 * span
    drawing, x = _row_axis(names, *ends, x_label, width=500.0)
    for i, (name, (value, _)) in enumerate(rows.items()):
        y = TOP + ROW * i
        drawing.bar(x(0), y + 5, x(value), y + 21, PALETTE[0] if name in compared else PALE)
        text = format_short(float(f"{value:.3g}"))
        drawing.text(
            x(value) + (5 if value >= 0 else -5), y + 17, text, color=MUTED, anchor="start" if value >= 0 else "end"
        )
    drawing.line(x(0), TOP, x(0), TOP + ROW * len(rows), INK)
    drawing.legend(x.start, [(PALETTE[0], "bar", "compared"), (PALE, "bar", "between them, or too few rows")])
    return drawing.to_svg(f"{x_label} by group: {', '.join(rows)}")


def latency_histogram(parts: Sequence[Timings], bands: Sequence[Band]) -> str:
    """Draws the distribution of request latencies on a logarithmic axis, which shows the slow requests."""
    latencies_ms = [ms for part in parts for ms in part.latencies_ms] + [band.value for band in bands]
    low, high = max(1e-3, min(latencies_ms)) / 1.1, max(latencies_ms) * 1.1
    edges = [low * (high / low) ** (i / 60) for i in range(61)]
    shares = []
    for part in parts:
        counts = [0] * 60
        for ms in part.latencies_ms:
            counts[min(59, max(0, bisect.bisect_right(edges, ms) - 1))] += 1
        shares.append([100 * count / max(1, len(part.latencies_ms)) for count in counts])
    height = 260.0
    drawing = Drawing(WIDE, height)
    x = Scale(low, high, 60, WIDE - 16, log=True)
    y = Scale(0, 1.08 * max(max(share) for share in shares), height - BOTTOM, TOP)
    drawing.axis_x(x, TOP, height - BOTTOM, "latency of a request, ms")
    drawing.axis_y(y, 60, WIDE - 16, "share of requests, %")
    for index, share in enumerate(shares):
        for i, value in enumerate(share):
            if value:
                drawing.bar(x(edges[i]), y(0), x(edges[i + 1]), y(value), PALETTE[index], 0.7)
    labels = (f"{format_count(p.rows_per_request, 'row')} per request ({len(p.latencies_ms)} requests)" for p in parts)
    entries = [(PALETTE[i], "bar", label) for i, label in enumerate(labels)]
    for band in bands:
        drawing.line(x(band.value), TOP, x(band.value), height - BOTTOM, band.color, 1.5, dashed=True)
    drawing.legend(60, [*entries, *((band.color, "dashed", band.label) for band in bands)])
    return drawing.to_svg("Latency of single-row requests and of batches")


def intervals(rows: Sequence[tuple[str, float, float, float, str]], *, x_label: str, bands: Sequence[Band]) -> str:
    """Draws a forest plot: one value with its interval per row, coloured and marked by verdict."""
    ends = [end for _, _, low, high, _ in rows for end in (low, high)] + [band.value for band in bands]
    span = (max(ends) - min(ends)) or 1.0
    drawing, x = _row_axis([row[0] for row in rows], min(ends) - 0.03 * span, max(ends) + 0.03 * span, x_label)
    _draw_bands(drawing, x, bands, len(rows))
    for i, (_, value, low, high, outcome) in enumerate(rows):
        color, shape = MARKS[outcome]
        y = TOP + ROW * i + ROW / 2
        if high > low:
            drawing.line(x(low), y, x(high), y, color, 1.8)
        drawing.mark(x(value), y, color, shape)
    entries = [(*MARKS[outcome], outcome) for outcome in MARKS if any(row[4] == outcome for row in rows)]
    drawing.legend(x.start, [*entries, *((band.color, "dashed", band.label) for band in bands)])
    return drawing.to_svg(f"{x_label}: {', '.join(row[0] for row in rows)}")


def _square_axes(top: float, x_label: str, y_label: str) -> tuple[Drawing, Scale, Scale]:
    drawing = Drawing(500.0, 360.0)
    x, y = Scale(0, top, 56, 486), Scale(0, top, 360 - BOTTOM, TOP)
    drawing.axis_x(x, TOP, 360 - BOTTOM, x_label)
    drawing.axis_y(y, 56, 486, y_label)
    return drawing, x, y


def _row_axis(
    names: Sequence[str], low: float, high: float, x_label: str, *, width: float = WIDE
) -> tuple[Drawing, Scale]:
    """Returns a drawing with one labelled row per name, 26 pixels high, and their common x axis."""
    left = 16 + CHARACTER_WIDTH * max(len(name) for name in names)
    drawing = Drawing(width, TOP + ROW * len(names) + BOTTOM)
    x = Scale(low, high, left, width - 40)
    drawing.axis_x(x, TOP, TOP + ROW * len(names), x_label)
    for i, name in enumerate(names):
        drawing.text(left - 8, TOP + ROW * i + 17, name, anchor="end")
    return drawing, x


def _draw_bands(drawing: Drawing, x: Scale, bands: Sequence[Band], rows: int) -> None:
    for band in bands:
        drawing.line(x(band.value), TOP, x(band.value), TOP + ROW * rows, band.color, 1.5, dashed=True)
