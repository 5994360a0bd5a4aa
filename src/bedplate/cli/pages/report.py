"""The report as one HTML file: charts drawn from a `workflows.report.Report`, nothing loaded from anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.cli.pages import charts
from bedplate.cli.render import seconds, usd

if TYPE_CHECKING:
    from bedplate.workflows.report import Report

WORST_SHOWN = 6
FEATURES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure at the top of the page; `tone` is a class of the style sheet: good, warn, bad or nothing."""

    title: str
    figure: str
    note: str
    tone: str = ""


def render(report: Report) -> str:
    """The page. Sections without figures say so instead of being left out."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(
        (Path(__file__).parent / "report.html.j2").read_text(encoding="utf-8")
    )
    drawn = {name: Markup(svg) if svg else "" for name, svg in _charts(report).items()}
    return template.render(
        r=report,
        tiles=_tiles(report),
        charts=drawn,
        usd=usd,
        number=_number,
        none=lambda text: Markup('<p class="none">{}</p>').format(text),
    )


def _tiles(report: Report) -> list[Tile]:
    live = report.live
    tiles = [
        Tile(
            "live now",
            live.release_short if live else "release 0",
            f"since {live.since:%H:%M:%S} UTC" if live else "the fallback",
        )
    ]
    if report.drift:
        worst = max((f.psi for f in report.drift.features if not math.isnan(f.psi)), default=math.nan)
        tone = "bad" if worst >= report.psi_alert else "warn" if worst >= report.psi_warn else "good"
        tiles.append(
            Tile("largest drift (PSI)", _number(worst), f"{report.worst_feature}, {report.drift.rows:,} rows", tone)
        )
    if report.last_rollback:
        took = report.last_rollback.took_s
        tiles.append(
            Tile(
                "last rollback",
                seconds(took) if took is not None else "done",
                f"to v{report.last_rollback.version}",
                "good",
            )
        )
    for budget in report.budgets[:1]:
        share = 100 * budget.actual_usd / budget.limit_usd
        tone = "bad" if share >= 100 else "warn" if share >= 80 else "good"
        tiles.append(
            Tile("spent this month", usd(budget.actual_usd), f"{share:.0f} % of {usd(budget.limit_usd)}", tone)
        )
    tiles.append(
        Tile(
            "ledger",
            f"{len(report.acts)} records",
            "verified" if report.ledger_whole else "BROKEN",
            "good" if report.ledger_whole else "bad",
        )
    )
    return tiles


def _charts(report: Report) -> dict[str, str]:
    bands = [
        charts.Band(report.psi_warn, f"look {report.psi_warn:g}"),
        charts.Band(report.psi_alert, f"alert {report.psi_alert:g}", charts.BAD),
    ]
    drawn = dict.fromkeys(("traffic", "segments", "drift", "features", "worst", "performance", "spend"), "")
    if report.traffic and len(report.traffic.times) > 1:
        drawn["traffic"] = charts.shares(report.traffic.times, report.traffic.answers, marks=report.traffic.marks)
    if report.segments:
        rows = {
            name: {version: charts.Estimate(e.value, e.low, e.high, e.n) for version, e in by_version.items()}
            for name, by_version in report.segments.items()
        }
        bound = (
            []
            if report.segment_bound is None
            else [charts.Band(report.segment_bound, f"gate {report.segment_bound:g}")]
        )
        drawn["segments"] = charts.estimates(rows, x_label=report.segment_metric, bands=bound)
    drift = report.drift
    if drift:
        ordered = sorted((f for f in drift.features if not math.isnan(f.psi)), key=lambda f: -f.psi)
        drawn["features"] = charts.bars({f.name: f.psi for f in ordered[:FEATURES_SHOWN]}, x_label="PSI", bands=bands)
        if drift.windows:
            shown = [f.name for f in ordered[:WORST_SHOWN]]
            series: Mapping[str, list[float | None]] = {
                **{name: [w.psi.get(name) for w in drift.windows] for name in shown},
                "predictions": [w.prediction_psi for w in drift.windows],
            }
            drawn["drift"] = charts.lines([w.label for w in drift.windows], series, y_label="PSI", bands=bands)
            if any(w.performance for w in drift.windows):
                metrics = list(dict.fromkeys(name for w in drift.windows for name in w.performance))
                drawn["performance"] = charts.lines(
                    [w.label for w in drift.windows],
                    {name: [w.performance.get(name) for w in drift.windows] for name in metrics},
                    y_label="metric on late labels",
                    from_zero=False,
                )
        if ordered and ordered[0].bins:
            worst = ordered[0]
            drawn["worst"] = charts.histogram_pair(worst.bins, worst.reference, worst.current, x_label=worst.name)
    if report.spend:
        drawn["spend"] = charts.spend(report.spend)
    return drawn


def _number(value: float | None) -> str:
    """
    >>> _number(0.73312), _number(12345.6), _number(None), _number(float("nan"))
    ('0.733', '12,346', '', '')
    """
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
