"""The page's part on the schedules of model quality, bias and explainability: state, figures and their course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedplate.cli.pages import charts

if TYPE_CHECKING:
    from markupsafe import Markup

    from bedplate.domain.evidence.live_quality import LiveFinding, LiveReport
    from bedplate.domain.names import ScheduleKind
    from bedplate.workflows.watch.schedule_results import ScheduleResults

IN_LABELS_UNIT = frozenset({"rmse", "mae"})
"""Metrics in the unit of the label, which share no axis with shares."""
IMPORTANCES_SHOWN = 12
_TITLES: Mapping[ScheduleKind, str] = {
    "model-quality": "Model quality",
    "bias": "Differences between groups",
    "explainability": "What the answers rest on",
}
_TONES = {"OK": "good", "VIOLATION": "bad", "NO_DATA": "warn"}


@dataclass(frozen=True, slots=True)
class ScheduleSection:
    """One schedule for the template: `tone` is a class of the style sheet, `drawn` its charts."""

    title: str
    state: str
    outcome: str
    tone: str
    findings: tuple[LiveFinding, ...]
    drawn: tuple[Markup, ...]


def watched(each: ScheduleResults) -> ScheduleSection:
    """Findings with a bound come first; importances of single features are drawn instead of listed."""
    from markupsafe import Markup

    latest = each.latest
    listed = tuple(f for f in latest.findings if f.metric != "importance") if latest else ()
    drawn = [*_course(each), *([_importances(latest)] if latest else [])]
    return ScheduleSection(
        title=_TITLES[each.kind],
        state=_state(each),
        outcome=f"{latest.outcome}: {latest.summary}" if latest else "",
        tone=_TONES[latest.outcome] if latest else "",
        findings=tuple(sorted(listed, key=lambda f: f.bound is None)),
        drawn=tuple(Markup(svg) for svg in drawn if svg),
    )


def tile(found: Sequence[ScheduleResults]) -> tuple[str, str, str, str]:
    """Title, figure, note and tone: how many of the schedules found every bound held the last time."""
    outcomes = [each.latest.outcome if each.latest else "NO_DATA" for each in found]
    good, broken = outcomes.count("OK"), outcomes.count("VIOLATION")
    tone = "bad" if broken else "good" if good == len(found) else "warn"
    unknown = len(found) - good - broken
    parts = ((broken, "broke a bound"), (unknown, "could not tell"))
    note = ", ".join(f"{count} {what}" for count, what in parts if count)
    return "scheduled checks", f"{good} of {len(found)} hold", note or "quality, bias, explanation", tone


def _state(each: ScheduleResults) -> str:
    if each.cron is None:
        told = "Not scheduled now."
    else:
        told = f"Runs by {each.cron}" + ("." if each.status == "Scheduled" else f", and is {each.status}.")
    run, latest = each.last_run, each.latest
    if run:
        reason = f": {run.failure_reason}" if run.failure_reason else ""
        told += f" Last run {run.scheduled_at:%Y-%m-%d %H:%M} UTC, {run.status}{reason}."
    if latest:
        rows, what = latest.labelled, "labelled"
        if each.kind == "explainability":
            rows, what = latest.explained, "explained"
        written = f"{each.reports[-1][0]:%Y-%m-%d %H:%M} UTC"
        told += f" The last report, of {written}, saw {rows:,} of {latest.rows:,} rows {what}, of v{latest.version}."
    return told


def _course(each: ScheduleResults) -> list[str]:
    """The bounded figures over the reports, once there are two; those in the label's unit on a chart of their own."""
    latest = each.latest
    if latest is None or len(each.reports) < 2:
        return []
    days = {at.date() for at, _ in each.reports}
    ticks = [f"{at:%d %b}" if len(days) > 1 else f"{at:%H:%M:%S}" for at, _ in each.reports]
    bounds = dict(zip(each.series, (f.bound for f in latest.findings if f.bound is not None), strict=True))
    found = []
    for names in (
        [name for name in each.series if name not in IN_LABELS_UNIT],
        [name for name in each.series if name in IN_LABELS_UNIT],
    ):
        if not any(value is not None for name in names for value in each.series[name]):
            continue
        bands = [
            charts.Band(bound, f"bound of {name}", charts.PALETTE[i % len(charts.PALETTE)])
            for i, name in enumerate(names)
            if (bound := bounds[name]) is not None
        ]
        drawn = {name: each.series[name] for name in names}
        zero = each.kind != "model-quality"
        found.append(charts.lines(ticks, drawn, y_label=_axis(each.kind, names), bands=bands, from_zero=zero))
    return found


def _axis(kind: ScheduleKind, names: Sequence[str]) -> str:
    if kind == "model-quality":
        return " and ".join(names) if len(names) < 3 else "metric"
    return "between groups" if kind == "bias" else "of the importances"


def _importances(latest: LiveReport) -> str:
    """Each feature's share of the importance, at the evaluation and now, the largest first."""
    shares = [f for f in latest.findings if f.metric == "importance" and f.figure is not None]
    largest = sorted(shares, key=lambda f: -(f.figure or 0.0))[:IMPORTANCES_SHOWN]
    if not largest:
        return ""
    return charts.importance_pair(
        [f.subject for f in largest], [f.reference or 0.0 for f in largest], [f.figure or 0.0 for f in largest]
    )
