"""Builds a model's scorecard: the live release, its approval, health, performance and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bedplate.domain import scorecard as page
from bedplate.domain.ledger import Record
from bedplate.domain.release import display_name, version_of
from bedplate.domain.scorecard import ScorecardLine, ScorecardState, worst_state
from bedplate.domain.versions.retraining import find_open_retraining, find_version_awaiting_decision
from bedplate.errors import BedplateError
from bedplate.settings import Metric
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.versions.retrain import list_signals
from bedplate.workflows.watch.monitor import read_latest_report
from bedplate.workflows.watch.status import ModelStatus, read_status


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The scorecard of one model at one time; `state` is the worst state of its lines."""

    model: str
    at: datetime
    owner: str
    risk: str
    live: str
    lines: tuple[ScorecardLine, ...]

    @property
    def state(self) -> ScorecardState:
        return worst_state(self.lines)

    def line_of(self, question: str) -> ScorecardLine:
        return next(line for line in self.lines if line.topic == question)


def build_scorecard(stack: StackContext, model: str) -> Scorecard:
    """Builds the scorecard. Raises NotFound for an unknown model, or when the platform does not exist."""
    spec, records = stack.model(model), Ledger.of(stack).records()
    status = read_status(stack, model)
    live = display_name(status.live)
    budget = status.budget.budget if status.budget else None
    trained_at = status.evaluation.get("trained_at")
    since = f"{live} since {status.since:%Y-%m-%d %H:%M} UTC" if status.since else f"{live}, start not recorded"
    return Scorecard(
        model=model,
        at=status.at,
        owner=spec.owner,
        risk=spec.risk,
        live=live,
        lines=(
            ScorecardLine(
                "live", since, "OK" if status.status == "InService" else "WARN", f"endpoint {status.endpoint}; ledger"
            ),
            _approval_line(status, records, model),
            page.age_line(datetime.fromisoformat(trained_at) if trained_at else None, status.at, spec),
            _gates_line(status),
            page.drift_line(_monitoring_summary(status.last_monitoring), status.at),
            _performance_line(stack, model, spec.monitors.max_drop),
            page.slo_line(status.traffic.p99_ms, status.traffic.failed_pct, status.traffic.requests, spec),
            page.spend_line(
                budget.actual_usd if budget else None,
                budget.limit_usd if budget else None,
                budget.forecast_usd if budget else None,
            ),
            page.alerts_line(
                [alarm.name for alarm in status.alarms if alarm.state == "ALARM"],
                [f"{due.signal}: {due.reason}" for due in list_signals(stack, model, list(records))],
            ),
            _retraining_line(records, model),
        ),
    )


def _approval_line(status: ModelStatus, records: Sequence[Record], model: str) -> ScorecardLine:
    version = version_of(status.live)
    mine = [r for r in records if r.model == model and r.version == version and r.kind in page.APPROVAL_KINDS]
    if not version or not mine:
        return page.approval_line(None, None, None, forced=None)
    people = status.evaluation.get("approved_by") or mine[-1].actor
    last = mine[-1]
    forced = status.evaluation.get("force_reason") or (last.summary if last.kind == "forced" else None)
    return page.approval_line(people, last.at, last.seq, forced=forced)


def _gates_line(status: ModelStatus) -> ScorecardLine:
    verdict = status.evaluation.get("verdict")
    states: dict[str, ScorecardState] = {"PASS": "OK", "FAIL": "ALARM"}
    metrics = ", ".join(
        f"{key.removeprefix('metric.')} {value}"
        for key, value in status.evaluation.items()
        if key.startswith("metric.")
    )
    detail = f"{verdict}: {metrics}" if verdict and metrics else verdict or "the fallback has none"
    return ScorecardLine(
        "gates of the live version", detail, states.get(verdict or "", "NO_DATA"), "model package: verdict"
    )


def _monitoring_summary(record: Record | None) -> tuple[int, datetime, str, str] | None:
    return (record.seq, record.at, str(record.data.get("outcome", "")), record.summary) if record else None


def _performance_line(stack: StackContext, model: str, max_drop: Mapping[Metric, float]) -> ScorecardLine:
    allowed = {str(metric): drop for metric, drop in max_drop.items()}
    try:
        uri, report = read_latest_report(stack, model)
    except BedplateError:
        return page.performance_line({}, {}, 0, allowed, "")
    performance = report.performance
    if performance is None:
        return page.performance_line({}, {}, 0, allowed, uri)
    return page.performance_line(performance.metrics, performance.reference, performance.n_labelled, allowed, uri)


def _retraining_line(records: Sequence[Record], model: str) -> ScorecardLine:
    open_run, waiting = find_open_retraining(records, model), find_version_awaiting_decision(records, model)
    if open_run is not None:
        detail = f"running ({open_run.signal}: {open_run.reason})"
        return ScorecardLine("retraining", detail, "OK", f"ledger: record {open_run.seq}")
    if waiting is not None:
        return ScorecardLine("retraining", f"version {waiting} is pending approval", "WARN", "ledger: retraining")
    return ScorecardLine("retraining", "none is open", "OK", "ledger: retraining")
