"""Reads the current state of a model: release, traffic, alarms, evaluation, monitoring, budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from bedplate.domain.ledger import Record
from bedplate.domain.names import VARIANT
from bedplate.domain.release import display_name, version_of
from bedplate.domain.rollback import choose_target
from bedplate.domain.rollout.deployment import ObservedEndpoint
from bedplate.domain.rollout.state_machine import find_open_rollout
from bedplate.domain.rollout.tick import format_weights
from bedplate.domain.versions.retirement import WARN_DAYS, find_retirement
from bedplate.errors import BedplateError, NotFound
from bedplate.ports import AlarmState
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.observe import observe_endpoint
from bedplate.workflows.endpoint.probe import build_probe, send_probe
from bedplate.workflows.record.costs import BudgetReport, list_budgets
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.watch.schedules import declared_schedules, list_deviations

TRAFFIC_WINDOW = timedelta(hours=1)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrafficSummary:
    """Traffic of the last hour; latencies in milliseconds, None without requests."""

    requests: float
    failed: float
    p50_ms: float | None
    p99_ms: float | None

    @property
    def failed_pct(self) -> float | None:
        return 100 * self.failed / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """The state of one model. `probed_release` is the release that answered a probe, or None with `probe_error` set."""

    model: str
    at: datetime
    endpoint: str
    status: str
    live: str
    pending: str | None
    probed_release: str | None
    probe_error: str | None
    since: datetime | None
    recorded_live: str | None
    traffic: TrafficSummary
    alarms: tuple[AlarmState, ...]
    evaluation: Mapping[str, str]
    last_monitoring: Record | None
    budget: BudgetReport | None
    rollback_to: str | None
    open_attempt: bool
    rollout: str | None = None
    """An open rollout: strategy, challenger, phase and traffic shares."""
    schedules: tuple[str, ...] = ()
    """Kinds of schedules that model.yaml declares besides data quality."""
    schedule_deviations: tuple[str, ...] = ()
    """How the existing schedules differ from model.yaml, one sentence each."""
    retirement: str | None = None
    """The retirement of the live version or model, if it is at most `retirement.WARN_DAYS` days away: when, by whom,
    why."""


def read_status(stack: StackContext, model: str) -> ModelStatus:
    """Reads everything in parallel. Raises NotFound for an unknown model, or when the platform does not exist."""
    spec, names = stack.model(model), stack.names(model)
    records = Ledger.of(stack).records()
    observed = observe_endpoint(stack, model, records)
    now = stack.clock.now()
    with ThreadPoolExecutor(8) as pool:
        probe = pool.submit(_probe, stack, observed)
        traffic = pool.submit(_read_traffic, stack, observed, now)
        declared = declared_schedules(spec)
        alarm_names = (
            *names.rollback_alarms,
            names.guard_alarm(observed.live),
            names.drift_alarm,
            *(names.schedule(kind) for kind in declared),
        )
        schedules = pool.submit(lambda: list_deviations(stack, model))
        alarms = pool.submit(stack.metrics.get_alarms, alarm_names)
        evaluation = pool.submit(_read_evaluation, stack, observed)
        budget = pool.submit(_none_on_error, lambda: next(iter(list_budgets(stack, model)), None))
        probed_release, probe_error = probe.result()
        alarm_states = alarms.result()
        return ModelStatus(
            model=spec.name,
            at=now,
            endpoint=observed.endpoint,
            status=observed.status,
            live=observed.live,
            pending=observed.release_of(observed.pending) if observed.pending else None,
            probed_release=probed_release,
            probe_error=probe_error,
            since=_since(records, model, observed.live),
            recorded_live=observed.recorded_live,
            traffic=traffic.result(),
            alarms=tuple(alarm_states[name] for name in alarm_names if name in alarm_states),
            evaluation=evaluation.result(),
            last_monitoring=_last_record(records, model, "monitored"),
            budget=budget.result(),
            rollback_to=_rollback_target(observed, records),
            open_attempt=bool(observed.attempts),
            rollout=_format_rollout(records, model),
            schedules=tuple(declared),
            schedule_deviations=schedules.result(),
            retirement=_retirement_notice(records, spec, observed, now),
        )


def _probe(stack: StackContext, observed: ObservedEndpoint) -> tuple[str | None, str | None]:
    try:
        probe = build_probe(stack, stack.model(observed.model), holdout_uri=None)
        return send_probe(stack, observed.endpoint, probe).release, None
    except BedplateError as exc:
        return None, exc.message


def _read_traffic(stack: StackContext, observed: ObservedEndpoint, now: datetime) -> TrafficSummary:
    def points(metric: str, stat: str, period_s: int = 60) -> Sequence[float]:
        series = stack.metrics.list_datapoints(
            "AWS/SageMaker",
            metric,
            {"EndpointName": observed.endpoint, "VariantName": VARIANT},
            start=now - TRAFFIC_WINDOW,
            end=now + timedelta(minutes=1),
            period_s=period_s,
            stat=stat,
        )
        return [value for _, value in series]

    p50, p99 = points("ModelLatency", "p50", 3600), points("ModelLatency", "p99", 3600)
    return TrafficSummary(
        sum(points("Invocations", "Sum")),
        sum(points("Invocation5XXErrors", "Sum")),
        p50[-1] / 1000 if p50 else None,
        p99[-1] / 1000 if p99 else None,
    )


def _read_evaluation(stack: StackContext, observed: ObservedEndpoint) -> Mapping[str, str]:
    version = version_of(observed.live)
    if not version:
        return {}
    try:
        metadata = stack.registry.get(stack.names(observed.model).package_group, version).metadata
    except NotFound:
        return {}
    keys = ("verdict", "approved_by", "forced_by", "force_reason", "trained_at", "data_from", "data_to")
    return {k: v for k, v in metadata.items() if k in keys or k.startswith("metric.")}


def _rollback_target(observed: ObservedEndpoint, records: Sequence[Record]) -> str | None:
    try:
        return choose_target(observed, records, None).release
    except NotFound:
        return None


def _format_rollout(records: Sequence[Record], model: str) -> str | None:
    state = find_open_rollout(records, model)
    if state is None:
        return None
    detail = f"{state.terms.strategy} of {display_name(state.terms.challenger)} is {state.phase}"
    return f"{detail}: {format_weights(state.weights)}"


def _retirement_notice(
    records: Sequence[Record], spec: ModelSpec, observed: ObservedEndpoint, now: datetime
) -> str | None:
    retirement = find_retirement(records, spec.name, version_of(observed.live) or 0, spec.retire_on)
    today = now.date()
    return retirement.describe(today) if retirement and retirement.is_due(today + timedelta(days=WARN_DAYS)) else None


def _since(records: Sequence[Record], model: str, live: str) -> datetime | None:
    """Returns since when this release is live without interruption according to the ledger."""
    since: datetime | None = None
    for r in records:
        if r.model == model and r.data.get("live"):
            since = (since or r.at) if r.data["live"] == live else None
    return since


def _last_record(records: Sequence[Record], model: str, kind: str) -> Record | None:
    return next((r for r in reversed(records) if r.model == model and r.kind == kind), None)


def _none_on_error(question: Callable[[], T | None]) -> T | None:
    """Returns None where the caller's role may not read costs; the rest of the status remains."""
    try:
        return question()
    except BedplateError:
        return None


def to_json(status: ModelStatus) -> dict[str, Any]:
    """Returns the status as JSON values."""
    from dataclasses import asdict

    plain = asdict(status)
    plain["traffic"]["failed_pct"] = status.traffic.failed_pct
    if status.budget:
        plain["budget"]["used_pct"] = status.budget.used_pct
    return plain
