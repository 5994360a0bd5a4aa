"""Collects the history, evaluations, drift, traffic and cost of one model for the HTML report."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bedplate.domain.drift import DriftReport
from bedplate.domain.evidence.evaluation import Evaluation
from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.ledger import LIVE_KINDS, Record, effective_now, who_was_live
from bedplate.domain.metric_chart import MetricChart, parse_chart
from bedplate.domain.release import display_name, fallback_name
from bedplate.errors import NotFound
from bedplate.ports import BudgetState
from bedplate.settings import ModelSpec
from bedplate.workflows.record.costs import list_budgets, read_bill
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.versions.models import primary_metric
from bedplate.workflows.watch.monitor import read_latest_report
from bedplate.workflows.watch.schedule_results import ScheduleResults, read_schedule_results


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One ledger record as a line of the report; `tone` is good, warn, bad or empty."""

    at: datetime
    kind: str
    version: int | None
    actor: str
    summary: str
    tone: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's verdict on one version."""

    version: int
    name: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    bound: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class TrafficChart:
    """Predictions by release in consecutive intervals, and the times of deployments and rollbacks to mark."""

    times: tuple[datetime, ...]
    predictions: Mapping[str, Sequence[float]]
    marks: Mapping[datetime, str]


@dataclass(frozen=True, slots=True)
class LiveSummary:
    """The live release, and when it became live."""

    display_name: str
    since: datetime


@dataclass(frozen=True, slots=True)
class RollbackSummary:
    """The last rollback: the version it returned to, and the seconds of its traffic switch (None if not recorded)."""

    version: int
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """The content of the report.

    `gates` are those of each version's last evaluation. `segments` maps `column value` and a version (`v3`) to
    `segment_metric`, whose bound in each column's gate is in `segment_bounds`. `spend` maps what a budget covers (the
    model, `the platform`) to (USD by stage, limit in USD, thresholds in per cent).
    """

    model: str
    description: str
    stack: str
    target: str
    created_at: datetime
    live: LiveSummary | None
    events: tuple[HistoryEntry, ...]
    is_ledger_intact: bool
    gates: tuple[GateResult, ...]
    segment_metric: str
    segment_bounds: Mapping[str, float | None]
    segments: Mapping[str, Mapping[str, Estimate]]
    drift: DriftReport | None
    traffic: TrafficChart | None
    last_rollback: RollbackSummary | None
    spend: Mapping[str, tuple[Mapping[str, float], float, Sequence[float]]]
    budgets: tuple[BudgetState, ...]
    rollback_alarm: MetricChart | None = None
    """The metric of the alarm that caused the last deployment rollback."""
    schedules: tuple[ScheduleResults, ...] = ()
    """Results of model quality, bias and explainability schedules that are declared or were run."""


_TONES = {
    "deployed": "good",
    "approved": "good",
    "deployment-rolled-back": "bad",
    "rejected": "bad",
    "forced": "warn",
    "alert": "warn",
    "rollback": "warn",
}
"""Tone of a ledger record by its kind; other kinds have none."""
_PERIODS_S = (1, 5, 10, 30, 60, 300, 3600, 86400)
"""Periods of the traffic chart, in seconds: the first with at most `_MAX_POINTS` points is used."""
_MAX_POINTS = 150
VERSIONS_SHOWN = 3
"""The number of newest versions whose segments the report shows."""


def build_report(stack: StackContext, model: str, *, target: str) -> Report:
    """Reads ledger, evaluations, the last drift report, traffic and spend of one model; changes nothing.

    Raises NotFound for an unknown model.
    """
    spec = stack.model(model)
    now = stack.clock.now()
    ledger = Ledger.of(stack)
    records = ledger.records()
    model_records = [r for r in records if r.model == model]
    live = who_was_live(records, model, effective_now(records, now))
    metric = spec.gates.segments[0].metric if spec.gates.segments else primary_metric(spec)
    excluded_columns = set(spec.data.excluded_columns("debugging"))
    rollback = next((r for r in reversed(model_records) if r.kind == "rollback"), None)
    return Report(
        model=model,
        description=spec.description,
        stack=stack.name,
        target=target,
        created_at=now,
        live=LiveSummary(display_name(live.release), live.since) if live else None,
        events=tuple(
            HistoryEntry(r.at, r.kind, r.version, r.actor, r.summary, _TONES.get(r.kind, "")) for r in model_records
        ),
        is_ledger_intact=ledger.verify().ok,
        gates=_list_gates(model_records),
        segment_metric=metric,
        segment_bounds={
            g.column: g.min if g.min is not None else g.max for g in spec.gates.segments if g.metric == metric
        },
        segments=_read_segments(stack, spec, model_records, metric),
        drift=_read_drift(stack, model, excluded_columns),
        traffic=_build_traffic_chart(stack, model, model_records, now),
        last_rollback=RollbackSummary(rollback.version or 0, rollback.data.get("switch_s")) if rollback else None,
        rollback_alarm=next(
            (
                chart
                for r in reversed(model_records)
                if r.kind == "deployment-rolled-back" and (chart := parse_chart(r.data.get("alarm")))
            ),
            None,
        ),
        schedules=read_schedule_results(stack, model, excluded_columns),
        spend=_read_spend(stack, spec, model, now),
        budgets=tuple(report.budget for report in list_budgets(stack)),
    )


def _read_drift(stack: StackContext, model: str, excluded_columns: Collection[str]) -> DriftReport | None:
    """Returns the last drift report without the columns that the contract excludes from debugging; None without any."""
    try:
        report = read_latest_report(stack, model)[1]
    except NotFound:
        return None
    performance = report.performance
    if performance:
        segments = {name: values for name, values in performance.segments.items() if name not in excluded_columns}
        performance = replace(performance, segments=segments)
    return replace(
        report,
        features={name: drift for name, drift in report.features.items() if name not in excluded_columns},
        quality={name: quality for name, quality in report.quality.items() if name not in excluded_columns},
        contract=tuple(v for v in report.contract if v.column not in excluded_columns),
        performance=performance,
    )


def _list_gates(records: Sequence[Record]) -> tuple[GateResult, ...]:
    """Returns the verdicts of each version's last evaluation, oldest version first."""
    last_evaluations = {r.version: r for r in records if r.kind == "evaluated" and r.version is not None}
    return tuple(
        GateResult(
            version,
            gate["name"],
            gate.get("value"),
            gate.get("ci_low"),
            gate.get("ci_high"),
            gate.get("bound", ""),
            gate["outcome"],
            gate.get("reason", ""),
        )
        for version, record in sorted(last_evaluations.items())
        for gate in record.data.get("gates", ())
    )


def _read_segments(
    stack: StackContext, spec: ModelSpec, records: Sequence[Record], metric: str
) -> dict[str, dict[str, Estimate]]:
    """Returns the metric by segment (`column value`) and version (`v3`), for the newest evaluated versions.

    Segments with fewer rows than their gate's minimum are left out.
    """
    min_rows = {gate.column: gate.min_rows for gate in spec.gates.segments}
    last_evaluations = {r.version: r for r in records if r.kind == "evaluated" and r.version is not None}
    rows: dict[str, dict[str, Estimate]] = {}
    for version, record in sorted(last_evaluations.items())[-VERSIONS_SHOWN:]:
        evaluation = Evaluation.from_json(json.loads(stack.objects.get(record.data["evaluation_uri"])))
        for column in [name for name in spec.data.segments if "debugging" in spec.data.columns[name].purposes]:
            for value, metrics in evaluation.segments.get(column, {}).items():
                estimate = metrics.get(metric)
                if estimate and estimate.n_rows >= min_rows.get(column, 1) and not math.isnan(estimate.value):
                    rows.setdefault(f"{column} {value}", {})[f"v{version}"] = estimate
    return rows


def _build_traffic_chart(
    stack: StackContext, model: str, records: Sequence[Record], now: datetime
) -> TrafficChart | None:
    """Returns the predictions of every deployed release since the first deployment; None without predictions."""
    deployment_records = [r for r in records if r.kind in ("deployment-started", *LIVE_KINDS)]
    if not deployment_records:
        return None
    endpoint, start = stack.names(model).endpoint, deployment_records[0].at
    duration_s = (now - start).total_seconds()
    period_s = next((p for p in _PERIODS_S if duration_s / p <= _MAX_POINTS), _PERIODS_S[-1])
    deployed = [str(r.data["release"]) for r in deployment_records if r.data.get("release")]
    predictions: dict[str, dict[datetime, float]] = {}
    for release in dict.fromkeys([fallback_name(endpoint), *deployed]):
        points = stack.metrics.list_datapoints(
            "Bedplate/Serving",
            "Predictions",
            {"Endpoint": endpoint, "Release": release},
            start=start,
            end=now,
            period_s=period_s,
            stat="Sum",
        )
        if points:
            earlier = predictions.get(display_name(release), {})
            predictions[display_name(release)] = {t: earlier.get(t, 0.0) + v for t, v in points}
    times = tuple(sorted({t for points in predictions.values() for t in points}))
    if not times:
        return None
    marks = {r.at: f"{r.kind} v{r.version}" for r in deployment_records if r.kind != "deployment-started"}
    return TrafficChart(
        times, {name: [points.get(t, 0.0) for t in times] for name, points in predictions.items()}, marks
    )


def _read_spend(
    stack: StackContext, spec: ModelSpec, model: str, now: datetime
) -> dict[str, tuple[Mapping[str, float], float, Sequence[float]]]:
    """Returns this month's spend by stage, of the model and of the whole stack, as `Report.spend` holds it."""
    days = now.day
    settings = stack.settings.budget
    model_usd = {s.group: s.usd for s in read_bill(stack, group_by="stage", days=days, model=model).spending.shares}
    stack_usd = {s.group: s.usd for s in read_bill(stack, group_by="stage", days=days, model=None).spending.shares}
    return {
        model: (model_usd, spec.budget.monthly_usd, spec.budget.actual_thresholds_pct),
        "the platform": (stack_usd, settings.monthly_usd, settings.actual_thresholds_pct),
    }
