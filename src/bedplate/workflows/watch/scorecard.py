"""Puts a model's scorecard together: what is live since when and by whom, how it does, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bedplate.domain import scorecard as page
from bedplate.domain.ledger import Record
from bedplate.domain.release import spoken, version_told
from bedplate.domain.scorecard import ScorecardLine, State, worst
from bedplate.domain.versions.retraining import open_retraining, waits_for_a_person
from bedplate.errors import BedplateError
from bedplate.settings import Metric
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.versions.retrain import asked_for
from bedplate.workflows.watch.monitor import latest_report
from bedplate.workflows.watch.status import ModelStatus, status


@dataclass(frozen=True, slots=True)
class Scorecard:
    """One model at one time. `state` is the worst of its lines."""

    model: str
    at: datetime
    owner: str
    risk: str
    live: str
    lines: tuple[ScorecardLine, ...]

    @property
    def state(self) -> State:
        return worst(self.lines)

    def answer(self, question: str) -> ScorecardLine:
        return next(line for line in self.lines if line.question == question)


def scorecard(stack: StackContext, model: str) -> Scorecard:
    """Raises NotFound when there is no such model, or the platform is not up."""
    spec, records = stack.model(model), Ledger.of(stack).records()
    seen = status(stack, model)
    live = spoken(seen.live)
    budget = seen.budget.budget if seen.budget else None
    trained_at = seen.evaluation.get("trained_at")
    since = f"{live} since {seen.since:%Y-%m-%d %H:%M} UTC" if seen.since else f"{live}, no record since when"
    return Scorecard(
        model=model,
        at=seen.at,
        owner=spec.owner,
        risk=spec.risk,
        live=live,
        lines=(
            ScorecardLine(
                "live", since, "OK" if seen.status == "InService" else "WARN", f"endpoint {seen.endpoint}; ledger"
            ),
            _approval(seen, records, model),
            page.age_line(datetime.fromisoformat(trained_at) if trained_at else None, seen.at, spec),
            _gates(seen),
            page.drift_line(_monitored(seen.monitored), seen.at),
            _performance(stack, model, spec.monitors.max_drop),
            page.slo_line(seen.traffic.p99_ms, seen.traffic.failed_pct, seen.traffic.requests, spec),
            page.spend_line(
                budget.actual_usd if budget else None,
                budget.limit_usd if budget else None,
                budget.forecast_usd if budget else None,
            ),
            page.alerts_line(
                [alarm.name for alarm in seen.alarms if alarm.state == "ALARM"],
                [f"{due.signal}: {due.why}" for due in asked_for(stack, model, list(records))],
            ),
            _retraining(records, model),
        ),
    )


def _approval(seen: ModelStatus, records: Sequence[Record], model: str) -> ScorecardLine:
    version = version_told(seen.live)
    mine = [r for r in records if r.model == model and r.version == version and r.kind in page.DECIDED]
    if not version or not mine:
        return page.approval_line(None, None, None, forced=None)
    people = seen.evaluation.get("approved_by") or mine[-1].actor
    last = mine[-1]
    forced = seen.evaluation.get("force_reason") or (last.summary if last.kind == "forced" else None)
    return page.approval_line(people, last.at, last.seq, forced=forced)


def _gates(seen: ModelStatus) -> ScorecardLine:
    verdict = seen.evaluation.get("verdict")
    states: dict[str, State] = {"PASS": "OK", "FAIL": "ALARM"}
    figures = ", ".join(
        f"{key.removeprefix('metric.')} {value}" for key, value in seen.evaluation.items() if key.startswith("metric.")
    )
    told = f"{verdict}: {figures}" if verdict and figures else verdict or "the fallback has none"
    return ScorecardLine(
        "gates of the live version", told, states.get(verdict or "", "NO_DATA"), "model package: verdict"
    )


def _monitored(record: Record | None) -> tuple[int, datetime, str, str] | None:
    return (record.seq, record.at, str(record.data.get("outcome", "")), record.summary) if record else None


def _performance(stack: StackContext, model: str, max_drop: Mapping[Metric, float]) -> ScorecardLine:
    allowed = {str(metric): drop for metric, drop in max_drop.items()}
    try:
        uri, report = latest_report(stack, model)
    except BedplateError:
        return page.performance_line({}, {}, 0, allowed, "")
    found = report.performance
    if found is None:
        return page.performance_line({}, {}, 0, allowed, uri)
    return page.performance_line(found.metrics, found.reference, found.n_labelled, allowed, uri)


def _retraining(records: Sequence[Record], model: str) -> ScorecardLine:
    held, waiting = open_retraining(records, model), waits_for_a_person(records, model)
    if held is not None:
        return ScorecardLine("retraining", f"runs ({held.signal}: {held.why})", "OK", f"ledger: record {held.seq}")
    if waiting is not None:
        return ScorecardLine("retraining", f"version {waiting} waits for a person", "WARN", "ledger: retraining")
    return ScorecardLine("retraining", "none is open", "OK", "ledger: retraining")
