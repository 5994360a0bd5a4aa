"""The report as one HTML file: charts drawn from a `workflows.watch.report.Report`, nothing loaded from anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.cli.pages import charts
from bedplate.cli.pages.schedules import IN_LABELS_UNIT, watched
from bedplate.cli.pages.schedules import tile as watched_tile
from bedplate.cli.views.render import seconds, usd

if TYPE_CHECKING:
    from bedplate.domain.drift import DriftReport
    from bedplate.domain.drift.compare import ColumnDrift
    from bedplate.domain.drift.report import DriftWindow
    from bedplate.workflows.watch.report import Report

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
        watched=[watched(each) for each in report.scheduled],
        usd=usd,
        number=_number,
        empty=lambda text: Markup('<p class="none">{}</p>').format(text),
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
    if report.drift and report.drift.features:
        drift, worst = report.drift, _by_psi(report.drift)[:1]
        tone = {"OK": "good", "WARN": "warn", "DRIFT": "bad"}.get(drift.outcome, "")
        note = f"{worst[0][0]}, {drift.rows:,} rows" if worst else f"{drift.rows:,} rows are too few"
        tiles.append(Tile("largest drift (PSI)", _number(drift.max_psi) or "unknown", note, tone))
    if report.scheduled:
        tiles.append(Tile(*watched_tile(report.scheduled)))
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
    drawn = dict.fromkeys(("traffic", "segments", "drift", "features", "worst", "performance", "spend", "alarm"), "")
    if report.traffic and len(report.traffic.times) > 1:
        drawn["traffic"] = charts.shares(report.traffic.times, report.traffic.answers, marks=report.traffic.marks)
    if report.segments:
        bound = [
            charts.Band(at, f"gate for {column} {at:g}", color)
            for (column, at), color in zip(
                report.segment_bounds.items(), (charts.WARN, charts.BAD, charts.MUTED), strict=False
            )
            if at is not None
        ]
        drawn["segments"] = charts.estimates(report.segments, x_label=report.segment_metric, bands=bound)
    if report.drift:
        drawn |= _drift_charts(report.drift)
    if report.alarm:
        limit = report.alarm.threshold
        drawn["alarm"] = charts.lines(
            [f"{at:%H:%M:%S}" for at, _ in report.alarm.points],
            {report.alarm.metric: [value for _, value in report.alarm.points]},
            y_label=report.alarm.metric,
            bands=[charts.Band(limit, f"alarm {limit:g}", charts.BAD)] if limit is not None else [],
        )
    if report.spend:
        drawn["spend"] = charts.spend(report.spend)
    return drawn


def _drift_charts(drift: DriftReport) -> dict[str, str]:
    bands = [
        charts.Band(drift.psi_warn, f"look {drift.psi_warn:g}"),
        charts.Band(drift.psi_alert, f"alert {drift.psi_alert:g}", charts.BAD),
    ]
    drawn: dict[str, str] = {}
    ordered = _by_psi(drift)
    ticks = _ticks(drift.windows)
    if ordered:
        drawn["features"] = charts.bars(
            {name: d.psi for name, d in ordered[:FEATURES_SHOWN]}, x_label="PSI", bands=bands
        )
        name, worst = ordered[0]
        drawn["worst"] = charts.histogram_pair(worst.bins, worst.reference, worst.current, x_label=name)
    series: dict[str, list[float | None]] = {
        name: [w.psi.get(name) for w in drift.windows] for name, _ in ordered[:WORST_SHOWN]
    }
    series["predictions"] = [w.prediction_psi for w in drift.windows]
    if any(value is not None for values in series.values() for value in values):
        drawn["drift"] = charts.lines(ticks, series, y_label="PSI", bands=bands)
    told = list(dict.fromkeys(name for w in drift.windows for name, v in w.performance.items() if v is not None))
    parts = ([name for name in told if name not in IN_LABELS_UNIT], [name for name in told if name in IN_LABELS_UNIT])
    drawn["performance"] = "".join(
        charts.lines(
            ticks,
            {name: [w.performance.get(name) for w in drift.windows] for name in names},
            y_label=f"{' and '.join(names) if len(names) < 3 else 'metric'} on late labels",
            from_zero=False,
        )
        for names in parts
        if names
    )
    return drawn


def _ticks(windows: Sequence[DriftWindow]) -> list[str]:
    """The day a window begins, or its month where they go over more than a year."""
    long = bool(windows) and (windows[-1].start - windows[0].start).days > 366
    return [f"{w.start:%b %Y}" if long else f"{w.start:%d %b}" for w in windows]


def _by_psi(drift: DriftReport) -> list[tuple[str, ColumnDrift]]:
    """Features that could be judged, those that moved most first."""
    return sorted(((n, d) for n, d in drift.features.items() if d.verdict != "NO_DATA"), key=lambda item: -item[1].psi)


def _number(value: float | None) -> str:
    """
    >>> _number(0.73312), _number(12345.6), _number(None), _number(float("nan"))
    ('0.733', '12,346', '', '')
    """
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
