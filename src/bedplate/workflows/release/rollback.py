"""Rolls back to an earlier release: checks its health, switches all traffic at once, and verifies the endpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedplate import ports
from bedplate.domain.formatting import format_number
from bedplate.domain.names import VARIANT
from bedplate.domain.release import display_name, fallback_name, version_of
from bedplate.domain.rollback import (
    HealthCheck,
    PastRelease,
    choose_target,
    plan_resume,
    plan_rollback,
    require_healthy,
)
from bedplate.domain.rollout.deployment import ObservedEndpoint
from bedplate.errors import NotFound, PlatformError, UsageError
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import read_latest
from bedplate.workflows.endpoint.observe import observe_endpoint, read_variant_metric
from bedplate.workflows.endpoint.probe import build_probe
from bedplate.workflows.endpoint.rescore import rescore
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import PreparedDeployment
from bedplate.workflows.release.execute import DeploymentTools, ExecutionResult, execute
from bedplate.workflows.stack_context import StackContext, null_reporter

LAST_PREDICTIONS = 200
"""Number of the target's last captured predictions that the health check considers."""
LIVE_PERIOD_END = timedelta(hours=1)
"""How much of the end of a release's last live period the health checks consider."""


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """The parameters of a rollback.

    `now` skips the checks of the target's last live period and the re-scoring on a copy; `force` needs a reason.
    """

    model: str
    version: int | None = None
    now: bool = False
    force: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PreparedRollback:
    """A prepared deployment and the health checks of its target."""

    deployment: PreparedDeployment
    checks: tuple[HealthCheck, ...]


def prepare(
    stack: StackContext, request: RollbackRequest, reporter: ports.Reporter = null_reporter
) -> PreparedRollback:
    """Observes the endpoint, chooses and checks the target, and plans the rollback; changes nothing.

    Raises NotFound when there is no release to go back to, ApprovalNeeded when the target is not healthy.
    """
    if request.force and not request.reason:
        raise UsageError(
            "--force needs a reason", next_step=f"bedplate rollback {request.model} --force --reason '...'"
        )
    spec = stack.model(request.model)
    ledger = Ledger.of(stack)
    records = ledger.records()
    observed = observe_endpoint(stack, request.model, records)
    checks: tuple[HealthCheck, ...] = ()
    plan = plan_resume(observed)
    if plan is None:
        target = choose_target(observed, records, request.version)
        checks = check_health(stack, spec, observed, target, quick=request.now)
        if not request.now and target.version and not any(c.verdict == "FAIL" for c in checks):
            checks = (*checks, *rescore(stack, spec, observed.config_of(target.release), target, reporter))
        require_healthy(target, checks, force=request.force, reason=request.reason, model=request.model)
        plan = plan_rollback(
            observed, target, abort_alarm=_find_abort_alarm(stack, observed) if observed.is_busy else None
        )
    tools = DeploymentTools(
        stack=stack,
        ledger=ledger,
        observed=observed,
        probe=build_probe(stack, spec, holdout_uri=None),
        data={"checks": checks_data(checks) or None, "forced": request.force or None},
        reason=request.reason,
    )
    release = str(getattr(plan.steps[-1], "release", observed.live))
    return PreparedRollback(PreparedDeployment(plan, tools, release, version_of(release) or 0), checks)


def checks_data(checks: Sequence[HealthCheck]) -> list[dict[str, str]]:
    """Returns health checks as they are stored in the ledger."""
    return [{"name": c.name, "verdict": c.verdict, "detail": c.detail} for c in checks]


def rollback(prepared: PreparedRollback, reporter: ports.Reporter) -> ExecutionResult:
    """Executes the plan; see `execute`."""
    return execute(prepared.deployment.plan, prepared.deployment.tools, reporter)


def check_health(
    stack: StackContext, spec: ModelSpec, observed: ObservedEndpoint, target: PastRelease, *, quick: bool
) -> tuple[HealthCheck, ...]:
    """Checks a release before it gets traffic: it exists, and the platform never rolled it back.

    Unless `quick`, also checks errors, latency and predictions at the end of its last live period. The checks run in
    parallel to save time. Release 0 has no model and returns a constant, so only its existence is checked.
    """
    checks: list[Callable[[], HealthCheck]] = [
        lambda: _check_release(stack, observed, target),
        lambda: _check_history(target),
    ]
    if not quick and target.release != fallback_name(observed.endpoint):
        end = min(target.until or stack.clock.now(), stack.clock.now())
        start = max(target.since or end - LIVE_PERIOD_END, end - LIVE_PERIOD_END)
        checks += [
            lambda: _check_errors(stack, spec, observed, start, end),
            lambda: _check_latency(stack, spec, observed, start, end),
            lambda: _check_predictions(stack, spec, target, end),
        ]
    with ThreadPoolExecutor(len(checks)) as pool:
        return tuple(pool.map(lambda check: check(), checks))


def _check_release(stack: StackContext, observed: ObservedEndpoint, target: PastRelease) -> HealthCheck:
    config = observed.config_of(target.release)
    try:
        release = stack.endpoints.get_release(config)
    except NotFound:
        hint = f"bedplate deploy {observed.model}:{target.version} creates it again"
        return HealthCheck("release", "FAIL", f"{config} was deleted; {hint}")
    if release.artifact_uri and not stack.objects.exists(release.artifact_uri):
        return HealthCheck("release", "FAIL", f"its artifact {release.artifact_uri} does not exist")
    return HealthCheck("release", "PASS", "model, configuration and artifact exist")


def _check_history(target: PastRelease) -> HealthCheck:
    if target.rollback_reason:
        return HealthCheck("history", "FAIL", f"SageMaker rolled it back: {target.rollback_reason}")
    return HealthCheck("history", "PASS", "the platform never rolled it back")


def _check_errors(
    stack: StackContext, spec: ModelSpec, observed: ObservedEndpoint, start: datetime, end: datetime
) -> HealthCheck:
    max_pct = spec.serving.slo.max_error_pct
    requests = sum(read_variant_metric(stack, observed.endpoint, VARIANT, "Invocations", "Sum", start, end))
    if not requests:
        return HealthCheck("errors", "NO_DATA", "no requests at the end of its last live period")
    failed = sum(read_variant_metric(stack, observed.endpoint, VARIANT, "Invocation5XXErrors", "Sum", start, end))
    pct = 100 * failed / requests
    detail = f"{failed:,.0f} of {requests:,.0f} requests failed, {pct:.2g} % (at most {max_pct:g} %)"
    return HealthCheck("errors", "PASS" if pct <= max_pct else "FAIL", detail)


def _check_latency(
    stack: StackContext, spec: ModelSpec, observed: ObservedEndpoint, start: datetime, end: datetime
) -> HealthCheck:
    values = read_variant_metric(stack, observed.endpoint, VARIANT, "ModelLatency", "p99", start, end)
    if not values:
        return HealthCheck("latency", "NO_DATA", "no latency was measured at the end of its last live period")
    p99_ms, max_ms = sorted(values)[len(values) // 2] / 1000, spec.serving.slo.latency_p99_ms
    detail = f"p99 {p99_ms:.1f} ms (at most {max_ms:g} ms)"
    return HealthCheck("latency", "PASS" if p99_ms <= max_ms else "FAIL", detail)


def _check_predictions(stack: StackContext, spec: ModelSpec, target: PastRelease, end: datetime) -> HealthCheck:
    requests = read_latest(stack, spec.name, min_predictions=LAST_PREDICTIONS, version=target.version, until=end)
    predictions = [p for request in requests for p in request.predictions]
    if not predictions:
        return HealthCheck("predictions", "NO_DATA", "no predictions were captured")
    low, high = (0.0, 1.0) if spec.task == "binary" else (-math.inf, math.inf)
    invalid = [p for p in predictions if not (math.isfinite(p) and low <= p <= high)]
    mean = format_number(sum(predictions) / len(predictions), 3)
    detail = f"{len(predictions):,} last predictions, mean {mean}"
    if invalid:
        kind = "probability" if low == 0 else "finite number"
        return HealthCheck("predictions", "FAIL", f"{len(invalid)} of its {detail} are not a {kind}")
    return HealthCheck("predictions", "PASS", detail)


def _find_abort_alarm(stack: StackContext, observed: ObservedEndpoint) -> str | None:
    """Returns an alarm that monitors the update in flight: the guard alarm, which notifies no one, or another."""
    names = stack.names(observed.model)
    candidates = [*([names.guard_alarm(observed.pending)] if observed.pending else []), *names.rollback_alarms]
    existing = stack.metrics.get_alarms(candidates)
    if not existing and observed.pending:
        name = display_name(observed.release_of(observed.pending))
        raise PlatformError(
            f"No alarm monitors the update to {name}, so it cannot be rolled back in flight",
            next_step=f"bedplate status {observed.model}, then bedplate rollback {observed.model} when it has ended",
        )
    return next((name for name in candidates if name in existing), None)
