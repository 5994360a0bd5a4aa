"""Builds the report's sections on the schedules of model quality, bias and explainability."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedplate.cli.pages import charts
from bedplate.cli.pages.templates import Tile

if TYPE_CHECKING:
    from bedplate.domain.evidence.live_quality import LiveFinding, LiveReport
    from bedplate.domain.names import ScheduleKind
    from bedplate.workflows.watch.schedule_results import ScheduleResults

METRICS_IN_LABEL_UNIT = frozenset({"rmse", "mae"})
"""Metrics in the unit of the label, which have an axis of their own."""
MAX_IMPORTANCES = 12
_TITLES: Mapping[ScheduleKind, str] = {
    "model-quality": "Model quality",
    "bias": "Bias: differences between groups",
    "explainability": "Explainability: importance of the features",
}
_TONES = {"OK": "good", "VIOLATION": "bad", "NO_DATA": "warn"}


@dataclass(frozen=True, slots=True)
class ScheduleSection:
    """One schedule for the template: `tone` is a class of the style sheet, `charts` are SVG elements."""

    title: str
    state: str
    outcome: str
    tone: str
    findings: tuple[LiveFinding, ...]
    charts: tuple[str, ...]


def build_section(schedule: ScheduleResults) -> ScheduleSection:
    """Builds the section; findings with a bound come first, importances of single features are drawn, not listed."""
    latest = schedule.latest
    findings = tuple(f for f in latest.findings if f.metric != "importance") if latest else ()
    svgs = [*_draw_history(schedule), *([_draw_importances(latest)] if latest else [])]
    return ScheduleSection(
        title=_TITLES[schedule.kind],
        state=_format_state(schedule),
        outcome=f"{latest.outcome}: {latest.summary}" if latest else "",
        tone=_TONES[latest.outcome] if latest else "",
        findings=tuple(sorted(findings, key=lambda f: f.bound is None)),
        charts=tuple(svg for svg in svgs if svg),
    )


def build_tile(schedules: Sequence[ScheduleResults]) -> Tile:
    """Builds the tile that counts the schedules whose last report found every bound met."""
    outcomes = [schedule.latest.outcome if schedule.latest else "NO_DATA" for schedule in schedules]
    passed, violated = outcomes.count("OK"), outcomes.count("VIOLATION")
    tone = "bad" if violated else "good" if passed == len(schedules) else "warn"
    counts = {"violated": violated, "without a verdict": len(schedules) - passed - violated}
    note = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    return Tile(
        "scheduled checks", f"{passed} of {len(schedules)} passed", note or "quality, bias, explainability", tone
    )


def split_by_unit(metrics: Iterable[str]) -> tuple[list[str], list[str]]:
    """Splits metrics into those without a unit and those in the label's unit, which need separate charts."""
    names = list(metrics)
    return [n for n in names if n not in METRICS_IN_LABEL_UNIT], [n for n in names if n in METRICS_IN_LABEL_UNIT]


def join_names(metrics: Sequence[str]) -> str:
    """Returns an axis title for up to two metrics, and `metric` for more."""
    return " and ".join(metrics) if len(metrics) < 3 else "metric"


def _format_state(schedule: ScheduleResults) -> str:
    text = "Not scheduled." if schedule.cron is None else f"Schedule: {schedule.cron}, {schedule.status}."
    run, latest = schedule.last_run, schedule.latest
    if run:
        reason = f": {run.failure_reason}" if run.failure_reason else ""
        text += f" Last run {run.scheduled_at:%Y-%m-%d %H:%M} UTC, {run.status}{reason}."
    if latest:
        count, state = latest.labelled_rows, "labelled"
        if schedule.kind == "explainability":
            count, state = latest.explained_rows, "explained"
        time = f"{schedule.reports[-1][0]:%Y-%m-%d %H:%M} UTC"
        text += f" Last report {time}: {count:,} of {latest.rows:,} rows {state}, v{latest.version}."
    return text


def _draw_history(schedule: ScheduleResults) -> list[str]:
    """Draws the metrics with bounds over two or more reports; metrics in the label's unit get their own chart."""
    latest = schedule.latest
    if latest is None or len(schedule.reports) < 2:
        return []
    days = {time.date() for time, _ in schedule.reports}
    ticks = [f"{time:%d %b}" if len(days) > 1 else f"{time:%H:%M:%S}" for time, _ in schedule.reports]
    bounds = dict(zip(schedule.series, (f.bound for f in latest.findings if f.bound is not None), strict=True))
    svgs = []
    for names in split_by_unit(schedule.series):
        if not any(value is not None for name in names for value in schedule.series[name]):
            continue
        bands = [
            charts.Band(bound, f"bound of {name}", charts.PALETTE[i % len(charts.PALETTE)])
            for i, name in enumerate(names)
            if (bound := bounds[name]) is not None
        ]
        series = {name: schedule.series[name] for name in names}
        from_zero = schedule.kind != "model-quality"
        y_label = _axis_label(schedule.kind, names)
        svgs.append(charts.lines(ticks, series, y_label=y_label, bands=bands, from_zero=from_zero))
    return svgs


def _axis_label(kind: ScheduleKind, names: Sequence[str]) -> str:
    if kind == "model-quality":
        return join_names(names)
    return "difference or ratio between groups" if kind == "bias" else "shift of the importances"


def _draw_importances(latest: LiveReport) -> str:
    """Draws the largest features' shares of the importance, at the evaluation and now; empty without importances."""
    shares = [f for f in latest.findings if f.metric == "importance" and f.value is not None]
    largest = sorted(shares, key=lambda f: -(f.value or 0.0))[:MAX_IMPORTANCES]
    if not largest:
        return ""
    return charts.importance_pair(
        [f.subject for f in largest], [f.reference or 0.0 for f in largest], [f.value or 0.0 for f in largest]
    )
