"""Everything that matters about a model right now, in one look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from bedplate.domain.ledger import Record
from bedplate.domain.names import VARIANT
from bedplate.domain.release import spoken, version_told
from bedplate.domain.rollback import choose_target
from bedplate.domain.rollout import ObservedEndpoint
from bedplate.domain.rollout.machine import open_rollout
from bedplate.domain.rollout.ticking import spoken_weights
from bedplate.domain.versions.retirement import WARN_DAYS, retirement_of
from bedplate.errors import BedplateError, NotFound
from bedplate.ports import AlarmState
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.observe import observe
from bedplate.workflows.endpoint.probe import ask_once, probe_of
from bedplate.workflows.record.costs import BudgetReport, budgets
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.watch.schedules import asked_for, strayed

LAST = timedelta(hours=1)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrafficSummary:
    """Of the last hour; latencies in milliseconds, None without a request."""

    requests: float
    failed: float
    p50_ms: float | None
    p99_ms: float | None

    @property
    def failed_pct(self) -> float | None:
        return 100 * self.failed / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """`answers` is what the endpoint says of itself when asked; None when it did not answer, and `trouble` says why."""

    model: str
    at: datetime
    endpoint: str
    status: str
    live: str
    pending: str | None
    answers: str | None
    trouble: str | None
    since: datetime | None
    recorded_live: str | None
    traffic: TrafficSummary
    alarms: tuple[AlarmState, ...]
    evaluation: Mapping[str, str]
    monitored: Record | None
    budget: BudgetReport | None
    rollback_to: str | None
    open_attempt: bool
    rollout: str | None = None
    """Of two releases side by side: strategy, challenger, phase and shares."""
    schedules: tuple[str, ...] = ()
    """Kinds of monitoring that model.yaml asks for beside data quality."""
    schedules_strayed: tuple[str, ...] = ()
    """How what SageMaker runs differs from that, a sentence each."""
    retires: str | None = None
    """When what is live is retired already, or will be within `retirement.WARN_DAYS` days: by whom, and why."""


def status(stack: StackContext, model: str) -> ModelStatus:
    """Ask everything in parallel. Raises NotFound when there is no such model, or the platform is not up."""
    spec, names = stack.model(model), stack.names(model)
    records = Ledger.of(stack).records()
    seen = observe(stack, model, records)
    now = stack.clock.now()
    with ThreadPoolExecutor(8) as pool:
        answered = pool.submit(_ask, stack, seen)
        traffic = pool.submit(_traffic, stack, seen, now)
        asked = asked_for(spec)
        watching = (
            *names.rollback_alarms,
            names.guard_alarm(seen.live),
            names.drift_alarm,
            *(names.schedule(kind) for kind in asked),
        )
        schedules = pool.submit(lambda: strayed(stack, model))
        alarms = pool.submit(stack.metrics.alarms, watching)
        evaluation = pool.submit(_evaluation, stack, seen)
        budget = pool.submit(_quiet, lambda: next(iter(budgets(stack, model)), None))
        release, trouble = answered.result()
        held = alarms.result()
        return ModelStatus(
            model=spec.name,
            at=now,
            endpoint=seen.endpoint,
            status=seen.status,
            live=seen.live,
            pending=seen.release_of(seen.pending) if seen.pending else None,
            answers=release,
            trouble=trouble,
            since=_since(records, model, seen.live),
            recorded_live=seen.recorded_live,
            traffic=traffic.result(),
            alarms=tuple(held[name] for name in watching if name in held),
            evaluation=evaluation.result(),
            monitored=_last(records, model, "monitored"),
            budget=budget.result(),
            rollback_to=_rollback_to(seen, records),
            open_attempt=bool(seen.attempts),
            rollout=_rollout(records, model),
            schedules=tuple(asked),
            schedules_strayed=schedules.result(),
            retires=_retires(records, spec, seen, now),
        )


def _ask(stack: StackContext, seen: ObservedEndpoint) -> tuple[str | None, str | None]:
    try:
        probe = probe_of(stack, stack.model(seen.model), holdout_uri=None)
        return ask_once(stack, seen.endpoint, probe).release, None
    except BedplateError as exc:
        return None, exc.message


def _traffic(stack: StackContext, seen: ObservedEndpoint, now: datetime) -> TrafficSummary:
    def points(metric: str, stat: str, period_s: int = 60) -> Sequence[float]:
        series = stack.metrics.series(
            "AWS/SageMaker",
            metric,
            {"EndpointName": seen.endpoint, "VariantName": VARIANT},
            start=now - LAST,
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


def _evaluation(stack: StackContext, seen: ObservedEndpoint) -> Mapping[str, str]:
    version = version_told(seen.live)
    if not version:
        return {}
    try:
        metadata = stack.registry.get(stack.names(seen.model).package_group, version).metadata
    except NotFound:
        return {}
    wanted = ("verdict", "approved_by", "forced_by", "force_reason", "trained_at", "data_from", "data_to")
    return {k: v for k, v in metadata.items() if k in wanted or k.startswith("metric.")}


def _rollback_to(seen: ObservedEndpoint, records: Sequence[Record]) -> str | None:
    try:
        return choose_target(seen, records, None).release
    except NotFound:
        return None


def _rollout(records: Sequence[Record], model: str) -> str | None:
    state = open_rollout(records, model)
    if state is None:
        return None
    told = f"{state.terms.strategy} of {spoken(state.terms.challenger)} is {state.phase}"
    return f"{told}: {spoken_weights(state.weights)}"


def _retires(records: Sequence[Record], spec: ModelSpec, seen: ObservedEndpoint, now: datetime) -> str | None:
    found = retirement_of(records, spec.name, version_told(seen.live) or 0, spec.retire_on)
    today = now.date()
    return found.spoken(today) if found and found.due(today + timedelta(days=WARN_DAYS)) else None


def _since(records: Sequence[Record], model: str, live: str) -> datetime | None:
    """Since when the ledger has this release live without a break."""
    since: datetime | None = None
    for r in records:
        if r.model == model and r.data.get("live"):
            since = (since or r.at) if r.data["live"] == live else None
    return since


def _last(records: Sequence[Record], model: str, kind: str) -> Record | None:
    return next((r for r in reversed(records) if r.model == model and r.kind == kind), None)


def _quiet(question: Callable[[], T | None]) -> T | None:
    """Money is not every role's to see; the rest of the screen stands without it."""
    try:
        return question()
    except BedplateError:
        return None


def to_json(told: ModelStatus) -> dict[str, Any]:
    """The status as plain data."""
    from dataclasses import asdict

    plain = asdict(told)
    plain["traffic"]["failed_pct"] = told.traffic.failed_pct
    if told.budget:
        plain["budget"]["used_pct"] = told.budget.used_pct
    return plain
