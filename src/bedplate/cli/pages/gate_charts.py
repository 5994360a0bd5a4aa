"""Charts of one evaluation, in the manner of `charts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bedplate.cli.pages.charts import BAD, INK, MARKERS, MUTED, PALETTE, Band, as_svg, drawing

if TYPE_CHECKING:
    from bedplate.domain.calibration import Bin
    from bedplate.domain.curves import Line
    from bedplate.domain.explanation import Importance
    from bedplate.domain.latency import Timings

DASHED = (0, (4, 3))


def curves(series: Mapping[str, Line], *, x_label: str, y_label: str, diagonal: bool = False) -> str:
    """Lines over the unit square, the diagonal being what chance alone reaches."""
    with drawing(5.0, 3.6) as (figure, axes):
        for index, (name, line) in enumerate(series.items()):
            axes.plot(line.x, line.y, linewidth=1.8, color=PALETTE[index % len(PALETTE)], label=name)
        if diagonal:
            axes.plot([0, 1], [0, 1], linewidth=1, linestyle=DASHED, color=MUTED, label="chance")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.01)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.legend(loc="best", fontsize=9)
        return as_svg(figure, f"{y_label} over {x_label} of {', '.join(series)}")


def reliability(bins: Sequence[Bin]) -> str:
    """Mean score of each bin against the share with label 1, with its interval; on the diagonal scores are right."""
    top = min(1.0, 1.08 * max(max(b.high for b in bins), max(b.score for b in bins)))
    with drawing(5.0, 3.6) as (figure, axes):
        axes.plot([0, top], [0, top], linewidth=1, linestyle=DASHED, color=MUTED, label="right")
        axes.errorbar(
            [b.score for b in bins],
            [b.share for b in bins],
            yerr=[[max(0.0, b.share - b.low) for b in bins], [max(0.0, b.high - b.share) for b in bins]],
            fmt="o-",
            markersize=4.5,
            linewidth=1.3,
            color=PALETTE[0],
            label="observed, 95 %",
        )
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.set_xlabel("mean score of the bin")
        axes.set_ylabel("share with label 1")
        axes.legend(loc="upper left", fontsize=9)
        return as_svg(figure, f"Reliability diagram of {len(bins)} bins")


def residual_fan(lines: tuple[Line, Line, Line]) -> str:
    """Median residual and the middle 90 % of residuals over the predicted value."""
    low, middle, high = lines
    with drawing(7.6, 3.2) as (figure, axes):
        axes.fill_between(low.x, low.y, high.y, color=PALETTE[0], alpha=0.18, label="middle 90 %")
        axes.plot(middle.x, middle.y, marker="o", markersize=4, linewidth=1.6, color=PALETTE[0], label="median")
        axes.axhline(0, color=MUTED, linewidth=1, linestyle=DASHED)
        axes.set_xlabel("predicted")
        axes.set_ylabel("predicted minus actual")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return as_svg(figure, "Residuals over the predicted value")


def importances(rows: Sequence[Importance], *, candidate: str, champion: str) -> str:
    """Mean |SHAP| of both models side by side, as shares of each one's sum, the largest first."""
    totals = [sum(r.candidate or 0 for r in rows) or 1.0, sum(r.champion or 0 for r in rows) or 1.0]
    shown = rows[:20]
    both = any(r.champion is not None for r in rows)
    with drawing(7.6, 0.9 + (0.36 if both else 0.26) * len(shown)) as (figure, axes):
        at = range(len(shown))
        height = 0.38 if both else 0.62
        axes.barh(
            [i - (height / 2 if both else 0) for i in at],
            [100 * (r.candidate or 0) / totals[0] for r in shown],
            height,
            color=PALETTE[0],
            label=candidate,
        )
        if both:
            values = [100 * (r.champion or 0) / totals[1] for r in shown]
            axes.barh([i + height / 2 for i in at], values, height, color=PALETTE[1], hatch="//", label=champion)
        axes.set_yticks(list(at), [r.feature for r in shown])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("share of the mean |SHAP|, %")
        axes.legend(loc="lower right", fontsize=9)
        return as_svg(figure, f"Importance of features: {', '.join(r.feature for r in shown)}")


def groups(rows: Mapping[str, tuple[float, int]], judged: Sequence[str], *, x_label: str) -> str:
    """A bar a group; the groups that were compared are dark, those with too few rows pale."""
    with drawing(7.6, 0.9 + 0.3 * len(rows)) as (figure, axes):
        colors = [PALETTE[0] if name in judged else "#c3d3e0" for name in rows]
        drawn = axes.barh(range(len(rows)), [value for value, _ in rows.values()], 0.6, color=colors)
        axes.bar_label(drawn, [f"{value:.3g}" for value, _ in rows.values()], padding=3, fontsize=8.5, color=MUTED)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(rows)), [f"{name}  ({n:,} rows)" for name, (_, n) in rows.items()])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.12)
        axes.set_xlabel(x_label)
        return as_svg(figure, f"{x_label} by group: {', '.join(rows)}")


def timings(parts: Sequence[Timings], bands: Sequence[Band]) -> str:
    """How many requests took how long, on a logarithmic axis because the slow ones are what one looks for."""
    import math

    every = [ms for part in parts for ms in part.ms] + [band.at for band in bands]
    low, high = math.log10(max(1e-3, min(every))) - 0.05, math.log10(max(every)) + 0.05
    edges = [10 ** (low + (high - low) * i / 50) for i in range(51)]
    with drawing(7.6, 2.8) as (figure, axes):
        for index, part in enumerate(parts):
            label = f"{part.rows} row{'s' if part.rows > 1 else ''} a request ({len(part.ms)})"
            weights = [100 / len(part.ms)] * len(part.ms)
            axes.hist(part.ms, edges, weights=weights, color=PALETTE[index], alpha=0.7, label=label)
        for band in bands:
            axes.axvline(band.at, color=band.color, linewidth=1.3, linestyle=DASHED, label=band.label)
        axes.set_xscale("log")
        axes.set_xlabel("milliseconds")
        axes.set_ylabel("share of requests, %")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return as_svg(figure, "Time of single requests and of batches")


def intervals(rows: Sequence[tuple[str, float, float, float, str]], *, x_label: str, bands: Sequence[Band]) -> str:
    """A forest: a figure with its interval a row, coloured and marked by its verdict (PASS, FAIL, NO_DATA)."""
    tones = {"PASS": ("#00734f", MARKERS[0]), "FAIL": (BAD, MARKERS[5]), "NO_DATA": ("#9a6700", MARKERS[3])}
    with drawing(7.6, 0.9 + 0.28 * len(rows)) as (figure, axes):
        for outcome, (color, marker) in tones.items():
            mine = [(i, *row[1:4]) for i, row in enumerate(rows) if row[4] == outcome]
            if mine:
                values = [value for _, value, _, _ in mine]
                axes.errorbar(
                    values,
                    [i for i, *_ in mine],
                    xerr=[[max(0.0, v - low) for _, v, low, _ in mine], [max(0.0, high - v) for _, v, _, high in mine]],
                    fmt=marker,
                    markersize=5,
                    linewidth=1.3,
                    color=color,
                    label=outcome,
                )
        for band in bands:
            axes.axvline(band.at, color=band.color, linewidth=1.2, linestyle=DASHED, label=band.label)
        axes.set_yticks(range(len(rows)), [row[0] for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(x_label)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
        return as_svg(figure, f"{x_label}: {', '.join(row[0] for row in rows)}")
