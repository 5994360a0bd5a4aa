"""Reads the recent results of model quality, bias and explainability schedules."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from bedplate.domain.evidence.live_quality import LiveReport
from bedplate.domain.names import SCHEDULE_KINDS, ScheduleKind
from bedplate.ports import MonitoringExecution
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.watch.monitor import with_no_data_status
from bedplate.workflows.watch.schedules import declared_schedules

RUNS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class ScheduleResults:
    """The results of one kind of schedule. `cron` and `status` are None where it is declared but does not exist.

    `last_run` may have failed or lacked data; `reports` are (time, report), oldest first.
    """

    kind: ScheduleKind
    cron: str | None
    status: str | None
    last_run: MonitoringExecution | None
    reports: tuple[tuple[datetime, LiveReport], ...]

    @property
    def latest(self) -> LiveReport | None:
        return self.reports[-1][1] if self.reports else None

    @property
    def series(self) -> Mapping[str, tuple[float | None, ...]]:
        """Each metric that has a bound now, over the reports; None where a report lacks it."""
        if self.latest is None:
            return {}
        series = {}
        for bounded in (f for f in self.latest.findings if f.bound is not None):
            values = (
                next((f.value for f in r.findings if (f.metric, f.subject) == (bounded.metric, bounded.subject)), None)
                for _, r in self.reports
            )
            series[metric_label(bounded.metric, bounded.subject, self.kind)] = tuple(values)
        return series


def metric_label(metric: str, subject: str, kind: ScheduleKind) -> str:
    """Returns a metric's label on the page.

    >>> metric_label("selection_rate", "plan", "bias"), metric_label("auc", "", "model-quality")
    ('selection_rate by plan', 'auc')
    """
    return f"{metric} by {subject}" if kind == "bias" else metric


def read_schedule_results(stack: StackContext, model: str, hidden: Collection[str] = ()) -> tuple[ScheduleResults, ...]:
    """Returns the results of each kind that is declared, scheduled, or was run, without the features in `hidden`.

    Reads the last `RUNS_SHOWN` reports of a kind. Raises NotFound for an unknown model.
    """
    declared = declared_schedules(stack.model(model))
    names, results = stack.names(model), []
    for kind in SCHEDULE_KINDS:
        existing = stack.schedules.find(kind, names.schedule(kind))
        reports = _read_reports(stack, f"{names.monitoring_prefix}{kind}/", hidden)
        if existing is None and kind not in declared and not reports:
            continue
        runs = stack.schedules.list_executions(existing.name, limit=1) if existing else ()
        results.append(
            ScheduleResults(
                kind,
                existing.cron if existing else None,
                existing.status if existing else None,
                with_no_data_status(runs[0]) if runs else None,
                reports,
            )
        )
    return tuple(results)


def _read_reports(stack: StackContext, prefix: str, hidden: Collection[str]) -> tuple[tuple[datetime, LiveReport], ...]:
    listed = stack.objects.list(f"s3://{stack.outputs.artifacts_bucket}/{prefix}")
    newest = sorted((i for i in listed if i.uri.endswith("/report.json")), key=lambda info: info.modified_at)
    return tuple(
        (info.modified_at, _hide_features(LiveReport.from_json(json.loads(stack.objects.get(info.uri))), hidden))
        for info in newest[-RUNS_SHOWN:]
    )


def _hide_features(report: LiveReport, hidden: Collection[str]) -> LiveReport:
    """Removes the importance of features that must not be shown; differences between groups stay, as in the gates."""
    visible = tuple(f for f in report.findings if f.metric != "importance" or f.subject not in hidden)
    return replace(report, findings=visible)
