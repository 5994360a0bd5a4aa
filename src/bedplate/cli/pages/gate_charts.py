"""Charts of one evaluation: each function takes plain figures and returns one `<svg>` element."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bedplate.cli.pages.charts import BAD, INK, MUTED, PALETTE, Band
from bedplate.cli.pages.svg import CHAR, Drawing, Scale
from bedplate.domain.formatting import short

if TYPE_CHECKING:
    from bedplate.domain.evidence.calibration import Bin
    from bedplate.domain.evidence.curves import Curve
    from bedplate.domain.evidence.explanation import Importance
    from bedplate.domain.evidence.latency import Timings

WIDE, ROW, TOP, BOTTOM = 760.0, 26.0, 28.0, 42.0
PALE = "#c3d3e0"
MARKS = {"PASS": ("#00734f", "circle"), "FAIL": (BAD, "cross"), "NO_DATA": ("#9a6700", "diamond")}


def curves(series: Mapping[str, Curve], *, x_label: str, y_label: str, diagonal: bool = False) -> str:
    """Lines over the unit square, the diagonal being what chance alone reaches."""
    drawn, x, y = _square(1.0, x_label, y_label)
    if diagonal:
        drawn.line(x(0), y(0), x(1), y(1), MUTED, dashed=True)
    for index, line in reversed(list(enumerate(series.values()))):  # the first one on top
        drawn.path([(x(a), y(b)) for a, b in zip(line.x, line.y, strict=True)], PALETTE[index % len(PALETTE)])
    told = [(PALETTE[i % len(PALETTE)], "solid", name) for i, name in enumerate(series)]
    drawn.legend(56, [*told, *([(MUTED, "dashed", "chance")] if diagonal else [])])
    return drawn.done(f"{y_label} over {x_label} of {', '.join(series)}")


def reliability(bins: Sequence[Bin]) -> str:
    """Mean score of each bin against the share with label 1, with its interval; on the diagonal scores are right."""
    top = min(1.0, 1.08 * max(max(b.high for b in bins), max(b.score for b in bins)))
    drawn, x, y = _square(top, "mean score of the bin", "share with label 1")
    drawn.line(x(0), y(0), x(top), y(top), MUTED, dashed=True)
    drawn.path([(x(b.score), y(b.share)) for b in bins], PALETTE[0], 1.2)
    for b in bins:
        drawn.line(x(b.score), y(b.low), x(b.score), y(b.high), PALETTE[0], 1.6)
        drawn.mark(x(b.score), y(b.share), PALETTE[0])
    drawn.legend(56, [(PALETTE[0], "circle", "observed, 95 %"), (MUTED, "dashed", "right")])
    return drawn.done(f"Reliability diagram of {len(bins)} bins")


def residual_fan(lines: tuple[Curve, Curve, Curve]) -> str:
    """Median residual and the middle 90 % of residuals over the predicted value."""
    low, middle, high = lines
    height = 300.0
    drawn = Drawing(WIDE, height)
    x = Scale(min(middle.x), max(middle.x), 70, WIDE - 16)
    y = Scale(min(0.0, *low.y), max(0.0, *high.y), height - BOTTOM, TOP)
    drawn.axis_x(x, TOP, height - BOTTOM, "predicted")
    drawn.axis_y(y, 70, WIDE - 16, "predicted minus actual")
    edge = [(x(a), y(b)) for a, b in zip(low.x, low.y, strict=True)]
    edge += [(x(a), y(b)) for a, b in reversed(list(zip(high.x, high.y, strict=True)))]
    drawn.area(edge, PALETTE[0])
    drawn.line(x.start, y(0), x.end, y(0), MUTED, dashed=True)
    drawn.path([(x(a), y(b)) for a, b in zip(middle.x, middle.y, strict=True)], PALETTE[0])
    drawn.legend(70, [(PALETTE[0], "solid", "median"), ("#cfe1ee", "bar", "middle 90 %")])
    return drawn.done("Residuals over the predicted value")


def importances(rows: Sequence[Importance], *, candidate: str, champion: str) -> str:
    """Mean |SHAP| of both models side by side, as shares of each one's sum, the largest first."""
    totals = [sum(r.candidate or 0 for r in rows) or 1.0, sum(r.champion or 0 for r in rows) or 1.0]
    shown = rows[:20]
    both = any(r.champion is not None for r in rows)
    pairs = [(100 * (r.candidate or 0) / totals[0], 100 * (r.champion or 0) / totals[1]) for r in shown]
    most = max((max(pair) for pair in pairs), default=0) or 1.0
    drawn, x = _rows([r.feature for r in shown], 0.0, most * 1.06, "share of the mean |SHAP|, %")
    for i, (own, theirs) in enumerate(pairs):
        y = TOP + ROW * i
        drawn.bar(x(0), y + 4, x(own), y + (13 if both else 20), PALETTE[0])
        if both:
            drawn.bar(x(0), y + 13, x(theirs), y + 22, PALETTE[1])
    told = [(PALETTE[0], "bar", candidate), *([(PALETTE[1], "bar", champion)] if both else [])]
    drawn.legend(x.start, told)
    return drawn.done(f"Importance of features: {', '.join(r.feature for r in shown)}")


def strengths(rows: Mapping[str, float], *, x_label: str, bands: Sequence[Band], start: float) -> str:
    """A bar a row from `start` on; what lies before it is nothing. Bands are drawn across."""
    most = max([*rows.values(), *(band.at for band in bands)])
    drawn, x = _rows(list(rows), start, start + 1.06 * max(most - start, 1e-9), x_label)
    for i, value in enumerate(rows.values()):
        y = TOP + ROW * i
        drawn.bar(x(start), y + 5, x(max(start, value)), y + 21, PALETTE[0])
        drawn.text(x(max(start, value)) + 5, y + 17, short(float(f"{value:.3g}")), color=MUTED)
    _across(drawn, x, bands, len(rows))
    drawn.legend(x.start, [(band.color, "dashed", band.label) for band in bands])
    return drawn.done(f"{x_label}: {', '.join(rows)}")


def groups(rows: Mapping[str, tuple[float, int]], judged: Sequence[str], *, x_label: str) -> str:
    """A bar a group; the two that were compared are dark, the others pale."""
    values = [value for value, _ in rows.values()]
    low, high = min(0.0, *values), max(0.0, *values)
    wide = (high - low) or 1.0
    names = [f"{name}  ({n:,} rows)" for name, (_, n) in rows.items()]
    ends = low - (0.12 * wide if low < 0 else 0), high + 0.15 * wide
    drawn, x = _rows(names, *ends, x_label, width=500.0)
    for i, (name, (value, _)) in enumerate(rows.items()):
        y = TOP + ROW * i
        drawn.bar(x(0), y + 5, x(value), y + 21, PALETTE[0] if name in judged else PALE)
        beside = x(value) + (5 if value >= 0 else -5)
        drawn.text(beside, y + 17, short(float(f"{value:.3g}")), color=MUTED, anchor="start" if value >= 0 else "end")
    drawn.line(x(0), TOP, x(0), TOP + ROW * len(rows), INK)
    drawn.legend(x.start, [(PALETTE[0], "bar", "compared"), (PALE, "bar", "between them, or too few rows")])
    return drawn.done(f"{x_label} by group: {', '.join(rows)}")


def timings(parts: Sequence[Timings], bands: Sequence[Band]) -> str:
    """How many requests took how long, on a logarithmic axis because the slow ones are what one looks for."""
    every = [ms for part in parts for ms in part.ms] + [band.at for band in bands]
    low, high = max(1e-3, min(every)) / 1.1, max(every) * 1.1
    edges = [low * (high / low) ** (i / 60) for i in range(61)]
    shares = []
    for part in parts:
        counts = [0] * 60
        for ms in part.ms:
            counts[min(59, max(0, bisect.bisect_right(edges, ms) - 1))] += 1
        shares.append([100 * count / max(1, len(part.ms)) for count in counts])
    height = 260.0
    drawn = Drawing(WIDE, height)
    x = Scale(low, high, 60, WIDE - 16, log=True)
    y = Scale(0, 1.08 * max(max(share) for share in shares), height - BOTTOM, TOP)
    drawn.axis_x(x, TOP, height - BOTTOM, "milliseconds")
    drawn.axis_y(y, 60, WIDE - 16, "share of requests, %")
    for index, share in enumerate(shares):
        for i, value in enumerate(share):
            if value:
                drawn.bar(x(edges[i]), y(0), x(edges[i + 1]), y(value), PALETTE[index], 0.7)
    told = [
        (PALETTE[i], "bar", f"{part.rows} row{'s' * (part.rows > 1)} a request ({len(part.ms)})")
        for i, part in enumerate(parts)
    ]
    for band in bands:
        drawn.line(x(band.at), TOP, x(band.at), height - BOTTOM, band.color, 1.5, dashed=True)
    drawn.legend(60, [*told, *((band.color, "dashed", band.label) for band in bands)])
    return drawn.done("Time of single requests and of batches")


def intervals(rows: Sequence[tuple[str, float, float, float, str]], *, x_label: str, bands: Sequence[Band]) -> str:
    """A forest: a figure with its interval a row, coloured and marked by its verdict (PASS, FAIL, NO_DATA)."""
    ends = [end for _, _, low, high, _ in rows for end in (low, high)] + [band.at for band in bands]
    wide = (max(ends) - min(ends)) or 1.0
    drawn, x = _rows([row[0] for row in rows], min(ends) - 0.03 * wide, max(ends) + 0.03 * wide, x_label)
    _across(drawn, x, bands, len(rows))
    for i, (_, value, low, high, outcome) in enumerate(rows):
        color, shape = MARKS[outcome]
        y = TOP + ROW * i + ROW / 2
        if high > low:
            drawn.line(x(low), y, x(high), y, color, 1.8)
        drawn.mark(x(value), y, color, shape)
    used = [(*MARKS[outcome], outcome) for outcome in MARKS if any(row[4] == outcome for row in rows)]
    drawn.legend(x.start, [*used, *((band.color, "dashed", band.label) for band in bands)])
    return drawn.done(f"{x_label}: {', '.join(row[0] for row in rows)}")


def _square(top: float, x_label: str, y_label: str) -> tuple[Drawing, Scale, Scale]:
    drawn = Drawing(500.0, 360.0)
    x, y = Scale(0, top, 56, 486), Scale(0, top, 360 - BOTTOM, TOP)
    drawn.axis_x(x, TOP, 360 - BOTTOM, x_label)
    drawn.axis_y(y, 56, 486, y_label)
    return drawn, x, y


def _rows(names: Sequence[str], low: float, high: float, x_label: str, *, width: float = WIDE) -> tuple[Drawing, Scale]:
    """A named row each, 26 pixels high, beside a common axis."""
    left = 16 + CHAR * max(len(name) for name in names)
    drawn = Drawing(width, TOP + ROW * len(names) + BOTTOM)
    x = Scale(low, high, left, width - 40)
    drawn.axis_x(x, TOP, TOP + ROW * len(names), x_label)
    for i, name in enumerate(names):
        drawn.text(left - 8, TOP + ROW * i + 17, name, anchor="end")
    return drawn, x


def _across(drawn: Drawing, x: Scale, bands: Sequence[Band], rows: int) -> None:
    for band in bands:
        drawn.line(x(band.at), TOP, x(band.at), TOP + ROW * rows, band.color, 1.5, dashed=True)
