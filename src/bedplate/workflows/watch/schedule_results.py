"""What the schedules of model quality, bias and explainability found, over their last runs."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from bedplate.domain.evidence.live_quality import LiveReport
from bedplate.domain.names import SCHEDULE_KINDS, ScheduleKind
from bedplate.ports import MonitoringExecution
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.watch.monitor import told_as
from bedplate.workflows.watch.schedules import asked_for

RUNS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class ScheduleResults:
    """One kind. `cron` and `status` are those of the schedule, None where model.yaml asks for it and there is none.

    `last_run` may have failed or had too little to judge; `reports` are those that were written, oldest first, with the
    moment they were.
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
        """Each figure that has a bound now, over the reports; None where a report could not tell it."""
        if self.latest is None:
            return {}
        found = {}
        for bounded in (f for f in self.latest.findings if f.bound is not None):
            told = (
                next((f.figure for f in r.findings if (f.metric, f.subject) == (bounded.metric, bounded.subject)), None)
                for _, r in self.reports
            )
            found[named(bounded.metric, bounded.subject, self.kind)] = tuple(told)
        return found


def named(metric: str, subject: str, kind: ScheduleKind) -> str:
    """A figure's name on a page.

    >>> named("selection_rate", "plan", "bias"), named("importance_moved", "importances", "explainability")
    ('selection_rate by plan', 'importance_moved')
    """
    return f"{metric} by {subject}" if kind == "bias" else metric


def scheduled(stack: StackContext, model: str, hidden: Collection[str] = ()) -> tuple[ScheduleResults, ...]:
    """Of each kind that is asked for, scheduled, or was once run. What is told of features in `hidden` is left out.

    Reads the last `RUNS_SHOWN` reports of a kind. Raises NotFound for a model that does not exist.
    """
    wanted = asked_for(stack.model(model))
    names, found = stack.names(model), []
    for kind in SCHEDULE_KINDS:
        standing = stack.schedules.standing(kind, names.schedule(kind))
        reports = _reports(stack, f"{names.monitoring_prefix}{kind}/", hidden)
        if standing is None and kind not in wanted and not reports:
            continue
        runs = stack.schedules.executions(standing.name, limit=1) if standing else ()
        found.append(
            ScheduleResults(
                kind,
                standing.cron if standing else None,
                standing.status if standing else None,
                told_as(runs[0]) if runs else None,
                reports,
            )
        )
    return tuple(found)


def _reports(stack: StackContext, prefix: str, hidden: Collection[str]) -> tuple[tuple[datetime, LiveReport], ...]:
    listed = stack.objects.list(f"s3://{stack.outputs.artifacts_bucket}/{prefix}")
    newest = sorted((i for i in listed if i.uri.endswith("/report.json")), key=lambda info: info.modified_at)
    return tuple(
        (info.modified_at, _without(LiveReport.from_json(json.loads(stack.objects.get(info.uri))), hidden))
        for info in newest[-RUNS_SHOWN:]
    )


def _without(report: LiveReport, hidden: Collection[str]) -> LiveReport:
    """Without the weight of features that must not be looked at; differences between groups stay, as in the gates."""
    kept = tuple(f for f in report.findings if f.metric != "importance" or f.subject not in hidden)
    return replace(report, findings=kept)
