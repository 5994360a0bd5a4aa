"""What happened to one model, gathered once into a value that a page can draw."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bedplate.domain.drift import DriftReport
from bedplate.domain.evidence.evaluation import Evaluation
from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.ledger import LIVE_KINDS, Record, present, who_was_live
from bedplate.domain.metric_chart import MetricChart, kept
from bedplate.domain.release import fallback_release, spoken
from bedplate.errors import NotFound
from bedplate.ports import BudgetState
from bedplate.settings import ModelSpec
from bedplate.workflows.record.costs import bill, budgets
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.versions.models import leading_metric
from bedplate.workflows.watch.monitor import latest_report
from bedplate.workflows.watch.schedule_results import ScheduleResults, scheduled


@dataclass(frozen=True, slots=True)
class Act:
    """One record of the ledger, as a line. `tone` is good, warn, bad or nothing."""

    at: datetime
    kind: str
    version: int | None
    actor: str
    summary: str
    tone: str


@dataclass(frozen=True, slots=True)
class Gate:
    """One verdict of one version."""

    version: int
    name: str
    figure: float | None
    low: float | None
    high: float | None
    bound: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class TrafficChart:
    """Answers by release in consecutive intervals, and the moments worth a mark."""

    times: tuple[datetime, ...]
    answers: Mapping[str, Sequence[float]]
    marks: Mapping[datetime, str]


@dataclass(frozen=True, slots=True)
class LiveNow:
    release_short: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Rollback:
    version: int
    took_s: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the page shows. `spend`: budget -> (stage -> USD, limit in USD, thresholds in percent)."""

    model: str
    description: str
    stack: str
    where: str
    made_at: datetime
    live: LiveNow | None
    acts: tuple[Act, ...]
    ledger_whole: bool
    gates: tuple[Gate, ...]
    segment_metric: str
    segment_bounds: Mapping[str, float | None]
    segments: Mapping[str, Mapping[str, Estimate]]
    drift: DriftReport | None
    traffic: TrafficChart | None
    last_rollback: Rollback | None
    spend: Mapping[str, tuple[Mapping[str, float], float, Sequence[float]]]
    budgets: tuple[BudgetState, ...]
    alarm: MetricChart | None = None
    """What the alarm looked at that undid the last deployment that was undone."""
    scheduled: tuple[ScheduleResults, ...] = ()
    """Model quality, bias and explainability, as far as they are asked for or were run."""


_TONES = {
    "deployed": "good",
    "approved": "good",
    "rolled-back": "bad",
    "rejected": "bad",
    "forced": "warn",
} | dict.fromkeys(("alert", "rollback"), "warn")
_PERIODS_S = (1, 5, 10, 30, 60, 300, 3600, 86400)
_POINTS = 150
VERSIONS_SHOWN = 3


def gather(stack: StackContext, model: str, *, where: str) -> Report:
    """Read ledger, evaluations, the last drift report, traffic and money of one model. Changes nothing.

    Raises NotFound for an unknown model.
    """
    spec = stack.model(model)
    now = stack.clock.now()
    ledger = Ledger.of(stack)
    records = ledger.records()
    mine = [r for r in records if r.model == model]
    live = who_was_live(records, model, present(records, now))
    metric = spec.gates.segments[0].metric if spec.gates.segments else leading_metric(spec)
    hidden = set(spec.data.forbidden_for("debugging"))
    rollbacks = [r for r in mine if r.kind == "rollback"]
    return Report(
        model=model,
        description=spec.description,
        stack=stack.name,
        where=where,
        made_at=now,
        live=LiveNow(spoken(live.release), live.since) if live else None,
        acts=tuple(Act(r.at, r.kind, r.version, r.actor, r.summary, _TONES.get(r.kind, "")) for r in mine),
        ledger_whole=ledger.verify().ok,
        gates=_gates(mine),
        segment_metric=metric,
        segment_bounds={g.by: g.min if g.min is not None else g.max for g in spec.gates.segments if g.metric == metric},
        segments=_segments(stack, spec, mine, metric),
        drift=_last_drift(stack, model, hidden),
        traffic=_traffic(stack, model, mine, now),
        last_rollback=Rollback(rollbacks[-1].version or 0, rollbacks[-1].data.get("took_s")) if rollbacks else None,
        alarm=next((g for r in reversed(mine) if r.kind == "rolled-back" and (g := kept(r.data.get("alarm")))), None),
        scheduled=scheduled(stack, model, hidden),
        spend=_spend(stack, spec, model, now),
        budgets=tuple(standing.budget for standing in budgets(stack)),
    )


def _last_drift(stack: StackContext, model: str, hidden: Collection[str]) -> DriftReport | None:
    """Without what is told of the values of columns that must not be used for debugging."""
    try:
        found = latest_report(stack, model)[1]
    except NotFound:
        return None
    performance = found.performance
    if performance:
        segments = {name: told for name, told in performance.segments.items() if name not in hidden}
        performance = replace(performance, segments=segments)
    return replace(
        found,
        features={name: drift for name, drift in found.features.items() if name not in hidden},
        quality={name: told for name, told in found.quality.items() if name not in hidden},
        contract=tuple(v for v in found.contract if v.column not in hidden),
        performance=performance,
    )


def _gates(records: Sequence[Record]) -> tuple[Gate, ...]:
    """Verdicts of each version's last evaluation, oldest version first."""
    last = {r.version: r for r in records if r.kind == "evaluated" and r.version is not None}
    return tuple(
        Gate(
            version,
            v["name"],
            v.get("value"),
            v.get("low"),
            v.get("high"),
            v.get("bound", ""),
            v["outcome"],
            v.get("reason", ""),
        )
        for version, record in sorted(last.items())
        for v in record.data.get("gates", ())
    )


def _segments(
    stack: StackContext, spec: ModelSpec, records: Sequence[Record], metric: str
) -> dict[str, dict[str, Estimate]]:
    """Figures of the newest versions in every segment with as many rows as its gate asks for."""
    least = {gate.by: gate.min_rows for gate in spec.gates.segments}
    last = {r.version: r for r in records if r.kind == "evaluated" and r.version is not None}
    rows: dict[str, dict[str, Estimate]] = {}
    for version, record in sorted(last.items())[-VERSIONS_SHOWN:]:
        evaluation = Evaluation.from_json(json.loads(stack.objects.get(record.data["evaluation_uri"])))
        for column in [name for name in spec.data.segments if "debugging" in spec.data.columns[name].purposes]:
            for value, metrics in evaluation.segments.get(column, {}).items():
                figure = metrics.get(metric)
                if figure is not None and figure.n >= least.get(column, 1) and figure.value == figure.value:
                    row = rows.setdefault(f"{column} {value}", {})
                    row[f"v{version}"] = figure
    return rows


def _traffic(stack: StackContext, model: str, records: Sequence[Record], now: datetime) -> TrafficChart | None:
    """Answers of every release that was ever asked for, from the first deployment on."""
    moves = [r for r in records if r.kind in ("deploying", *LIVE_KINDS)]
    if not moves:
        return None
    endpoint, start = stack.names(model).endpoint, moves[0].at
    period_s = next((p for p in _PERIODS_S if (now - start).total_seconds() / p <= _POINTS), _PERIODS_S[-1])
    releases = dict.fromkeys(
        [fallback_release(endpoint), *(str(r.data["release"]) for r in moves if r.data.get("release"))]
    )
    answers: dict[str, dict[datetime, float]] = {}
    for release in releases:
        points = stack.metrics.series(
            "Bedplate/Serving",
            "Answers",
            {"Endpoint": endpoint, "Release": release},
            start=start,
            end=now,
            period_s=period_s,
            stat="Sum",
        )
        if points:
            answers[spoken(release)] = {t: answers.get(spoken(release), {}).get(t, 0.0) + v for t, v in points}
    times = tuple(sorted({t for points in answers.values() for t in points}))
    if not times:
        return None
    marks = {r.at: f"{r.kind} v{r.version}" for r in moves if r.kind != "deploying"}
    return TrafficChart(times, {name: [points.get(t, 0.0) for t in times] for name, points in answers.items()}, marks)


def _spend(
    stack: StackContext, spec: ModelSpec, model: str, now: datetime
) -> dict[str, tuple[Mapping[str, float], float, Sequence[float]]]:
    """This month by stage, for the model and for the platform."""
    days = now.day
    settings = stack.settings.budget
    of_model = {s.group: s.usd for s in bill(stack, by="stage", days=days, model=model).spending.shares}
    of_all = {s.group: s.usd for s in bill(stack, by="stage", days=days, model=None).spending.shares}
    return {
        model: (of_model, spec.budget.monthly_usd, spec.budget.actual_thresholds_pct),
        "the platform": (of_all, settings.monthly_usd, settings.actual_thresholds_pct),
    }
