"""Renders the report of one model as one HTML file that loads nothing from anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bedplate.cli.pages import charts
from bedplate.cli.pages.schedules import build_section, build_tile, join_names, split_by_unit
from bedplate.cli.pages.templates import Tile, render_template
from bedplate.cli.views.render import format_seconds, format_usd

if TYPE_CHECKING:
    from bedplate.domain.drift import DriftReport
    from bedplate.domain.drift.column_drift import ColumnDrift
    from bedplate.domain.drift.report import DriftWindow
    from bedplate.workflows.watch.report import Report

MAX_FEATURES_OVER_TIME = 6
MAX_FEATURES = 20


def render(report: Report) -> str:
    """Returns the page. A section without data says so instead of being left out."""
    return render_template(
        "report.html.j2",
        report=report,
        tiles=_build_tiles(report),
        charts=_draw_charts(report),
        sections=[build_section(schedule) for schedule in report.schedules],
        usd=format_usd,
        number=_format_value,
    )


def _build_tiles(report: Report) -> list[Tile]:
    live = report.live
    tiles = [Tile("live now", "release 0", "the fallback")]
    if live:
        tiles = [Tile("live now", live.display_name, f"since {live.since:%H:%M:%S} UTC")]
    if report.drift and report.drift.features:
        drift, largest = report.drift, _by_psi(report.drift)[:1]
        tone = {"OK": "good", "WARN": "warn", "DRIFT": "bad"}.get(drift.outcome, "")
        note = f"{largest[0][0]}, {drift.rows:,} rows" if largest else f"{drift.rows:,} rows are too few"
        tiles.append(Tile("largest drift (PSI)", _format_value(drift.max_psi) or "unknown", note, tone))
    if report.schedules:
        tiles.append(build_tile(report.schedules))
    if report.last_rollback:
        duration_s = report.last_rollback.duration_s
        duration = format_seconds(duration_s) if duration_s is not None else "done"
        tiles.append(Tile("last rollback", duration, f"to v{report.last_rollback.version}", "good"))
    for budget in report.budgets[:1]:
        pct = 100 * budget.actual_usd / budget.limit_usd
        tone = "bad" if pct >= 100 else "warn" if pct >= 80 else "good"
        note = f"{pct:.0f} % of {format_usd(budget.limit_usd)}"
        tiles.append(Tile("spent this month", format_usd(budget.actual_usd), note, tone))
    state, tone = ("verified", "good") if report.is_ledger_intact else ("BROKEN", "bad")
    return [*tiles, Tile("ledger", f"{len(report.events)} records", state, tone)]


def _draw_charts(report: Report) -> dict[str, str]:
    svgs = dict.fromkeys(("traffic", "segments", "drift", "features", "largest", "performance", "spend", "alarm"), "")
    if report.traffic and len(report.traffic.times) > 1:
        svgs["traffic"] = charts.shares(report.traffic.times, report.traffic.predictions, marks=report.traffic.marks)
    if report.segments:
        colors = (charts.WARN, charts.BAD, charts.MUTED)
        bands = [
            charts.Band(bound, f"gate of {column} {bound:g}", color)
            for (column, bound), color in zip(report.segment_bounds.items(), colors, strict=False)
            if bound is not None
        ]
        svgs["segments"] = charts.estimates(report.segments, x_label=report.segment_metric, bands=bands)
    if report.drift:
        svgs |= _draw_drift_charts(report.drift)
    if alarm := report.rollback_alarm:
        bound = alarm.threshold
        svgs["alarm"] = charts.lines(
            [f"{time:%H:%M:%S}" for time, _ in alarm.points],
            {alarm.metric: [value for _, value in alarm.points]},
            y_label=alarm.metric,
            bands=[charts.Band(bound, f"alarm {bound:g}", charts.BAD)] if bound is not None else [],
        )
    if report.spend:
        svgs["spend"] = charts.spend(report.spend)
    return svgs


def _draw_drift_charts(drift: DriftReport) -> dict[str, str]:
    bands = [
        charts.Band(drift.psi_warn, f"warn {drift.psi_warn:g}"),
        charts.Band(drift.psi_alert, f"alert {drift.psi_alert:g}", charts.BAD),
    ]
    svgs: dict[str, str] = {}
    ordered = _by_psi(drift)
    ticks = _ticks(drift.windows)
    if ordered:
        svgs["features"] = charts.bars({name: d.psi for name, d in ordered[:MAX_FEATURES]}, x_label="PSI", bands=bands)
        name, largest = ordered[0]
        shares = (largest.reference_shares, largest.current_shares)
        svgs["largest"] = charts.histogram_pair(largest.bins, *shares, x_label=name)
    series: dict[str, list[float | None]] = {
        name: [w.psi.get(name) for w in drift.windows] for name, _ in ordered[:MAX_FEATURES_OVER_TIME]
    }
    series["predictions"] = [w.prediction_psi for w in drift.windows]
    if any(value is not None for values in series.values() for value in values):
        svgs["drift"] = charts.lines(ticks, series, y_label="PSI", bands=bands)
    metrics = list(dict.fromkeys(name for w in drift.windows for name, v in w.performance.items() if v is not None))
    svgs["performance"] = "".join(
        charts.lines(
            ticks,
            {name: [w.performance.get(name) for w in drift.windows] for name in names},
            y_label=f"{join_names(names)} on late labels",
            from_zero=False,
        )
        for names in split_by_unit(metrics)
        if names
    )
    return svgs


def _ticks(windows: Sequence[DriftWindow]) -> list[str]:
    """Returns the day on which each window starts, or its month when the windows cover more than a year."""
    over_a_year = bool(windows) and (windows[-1].start - windows[0].start).days > 366
    return [f"{w.start:%b %Y}" if over_a_year else f"{w.start:%d %b}" for w in windows]


def _by_psi(drift: DriftReport) -> list[tuple[str, ColumnDrift]]:
    """Returns the features that have a verdict, the largest PSI first."""
    return sorted(((n, d) for n, d in drift.features.items() if d.verdict != "NO_DATA"), key=lambda item: -item[1].psi)


def _format_value(value: float | None) -> str:
    """
    >>> _format_value(0.73312), _format_value(12345.6), _format_value(None), _format_value(float("nan"))
    ('0.733', '12,346', '', '')
    """
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
