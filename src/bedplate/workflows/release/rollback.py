"""Puts an earlier release back: checks that it is healthy, switches all traffic at once, and proves who answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedplate import ports
from bedplate.domain.formatting import figure
from bedplate.domain.names import VARIANT
from bedplate.domain.release import fallback_release, spoken, version_told
from bedplate.domain.rollback import HealthCheck, PastRelease, choose_target, plan_resume, plan_rollback, require_health
from bedplate.domain.rollout import ObservedEndpoint
from bedplate.errors import NotFound, PlatformError, UsageError
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import latest
from bedplate.workflows.endpoint.observe import observe
from bedplate.workflows.endpoint.probe import probe_of
from bedplate.workflows.endpoint.rescore import rescore
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import PreparedDeployment
from bedplate.workflows.release.execute import DeploymentTools, ExecutionResult, execute
from bedplate.workflows.stack_context import StackContext, null_reporter

LAST_ANSWERS = 200
LAST_TURN = timedelta(hours=1)
"""How much of the end of a release's last turn is looked at."""


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """What was asked. `now` leaves out how the target last did, and to have it answer the last captured requests on a
    copy; `force` needs a reason."""

    model: str
    version: int | None = None
    now: bool = False
    force: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PreparedRollback:
    """A plan, what it takes, and what is known about the release it goes back to."""

    prepared: PreparedDeployment
    checks: tuple[HealthCheck, ...]


def prepare(
    stack: StackContext, request: RollbackRequest, reporter: ports.Reporter = null_reporter
) -> PreparedRollback:
    """Observe, choose, check and plan; nothing is changed.

    Raises NotFound when there is nothing to go back to, ApprovalNeeded when the target is not healthy.
    """
    if request.force and not request.reason:
        raise UsageError(
            "--force needs a reason", next_step=f"bedplate rollback {request.model} --force --reason '...'"
        )
    spec = stack.model(request.model)
    ledger = Ledger.of(stack)
    records = ledger.records()
    seen = observe(stack, request.model, records)
    checks: tuple[HealthCheck, ...] = ()
    plan = plan_resume(seen)
    if plan is None:
        target = choose_target(seen, records, request.version)
        checks = health(stack, spec, seen, target, quick=request.now)
        if not request.now and target.version and not any(c.verdict == "FAIL" for c in checks):
            checks = (*checks, *rescore(stack, spec, seen.config_of(target.release), target, reporter))
        require_health(target, checks, force=request.force, reason=request.reason, model=request.model)
        plan = plan_rollback(seen, target, abort_alarm=_abort_alarm(stack, seen) if seen.busy else None)
    wanted = plan.steps[-1]
    means = DeploymentTools(
        platform=stack,
        ledger=ledger,
        seen=seen,
        probe=probe_of(stack, spec, holdout_uri=None),
        data={
            "checks": [{"what": c.what, "verdict": c.verdict, "told": c.told} for c in checks] or None,
            "forced": request.force or None,
        },
        reason=request.reason,
    )
    release = str(getattr(wanted, "release", seen.live))
    return PreparedRollback(PreparedDeployment(plan, means, release, version_told(release) or 0), checks)


def rollback(prepared: PreparedRollback, reporter: ports.Reporter) -> ExecutionResult:
    """Carry out the plan; see `execute`. What a shadow of a doubt remains about is told by `checks`."""
    return execute(prepared.prepared.plan, prepared.prepared.means, reporter)


def health(
    stack: StackContext, spec: ModelSpec, seen: ObservedEndpoint, target: PastRelease, *, quick: bool
) -> tuple[HealthCheck, ...]:
    """What is known about a release before it gets traffic: it exists, and the platform never had to undo it; unless
    `quick`, also how it did at the end of its last turn: errors, latency, answers. Asked in parallel: seconds count.

    Release 0 loads no model and answers a constant: that it exists is enough.
    """
    questions: list[Callable[[], HealthCheck]] = [lambda: _exists(stack, seen, target), lambda: _undone(target)]
    if not quick and target.release != fallback_release(seen.endpoint):
        end = min(target.until or stack.clock.now(), stack.clock.now())
        start = max(target.since or end - LAST_TURN, end - LAST_TURN)
        questions += [
            lambda: _errors(stack, spec, seen, start, end),
            lambda: _latency(stack, spec, seen, start, end),
            lambda: _answers(stack, spec, target, end),
        ]
    with ThreadPoolExecutor(len(questions)) as pool:
        return tuple(pool.map(lambda question: question(), questions))


def _exists(stack: StackContext, seen: ObservedEndpoint, target: PastRelease) -> HealthCheck:
    config = seen.config_of(target.release)
    try:
        release = stack.endpoints.release(config)
    except NotFound:
        return HealthCheck(
            "release", "FAIL", f"{config} was deleted; bedplate deploy {seen.model}:{target.version} makes it anew"
        )
    if release.artifact_uri and not stack.objects.exists(release.artifact_uri):
        return HealthCheck("release", "FAIL", f"its artifact {release.artifact_uri} does not exist")
    return HealthCheck("release", "PASS", "model, configuration and artifact exist")


def _undone(target: PastRelease) -> HealthCheck:
    if target.undone_because:
        return HealthCheck("history", "FAIL", f"the platform undid it: {target.undone_because}")
    return HealthCheck("history", "PASS", "the platform never had to undo it")


def _errors(
    stack: StackContext, spec: ModelSpec, seen: ObservedEndpoint, start: datetime, end: datetime
) -> HealthCheck:
    asked = _sum(stack, seen, "Invocations", start, end)
    if not asked:
        return HealthCheck(
            "errors", "NO_DATA", "no request was counted at the end of its last turn; it answered when deployed"
        )
    failed = _sum(stack, seen, "Invocation5XXErrors", start, end)
    pct = 100 * failed / asked
    told = f"{failed:,.0f} of {asked:,.0f} requests failed, {pct:.2g} % (at most {spec.serving.slo.max_error_pct:g} %)"
    return HealthCheck("errors", "PASS" if pct <= spec.serving.slo.max_error_pct else "FAIL", told)


def _latency(
    stack: StackContext, spec: ModelSpec, seen: ObservedEndpoint, start: datetime, end: datetime
) -> HealthCheck:
    points = _series(stack, seen, "ModelLatency", start, end, "p99")
    if not points:
        return HealthCheck("latency", "NO_DATA", "no latency was measured at the end of its last turn")
    p99_ms = sorted(value for _, value in points)[len(points) // 2] / 1000
    bound = spec.serving.slo.latency_p99_ms
    return HealthCheck("latency", "PASS" if p99_ms <= bound else "FAIL", f"p99 {p99_ms:.1f} ms (at most {bound:g} ms)")


def _answers(stack: StackContext, spec: ModelSpec, target: PastRelease, end: datetime) -> HealthCheck:
    records = latest(stack, spec.name, answers=LAST_ANSWERS, version=target.version, until=end)
    answers = [a for record in records for a in record.answers]
    if not answers:
        return HealthCheck("answers", "NO_DATA", "none were captured; it answered when deployed")
    low, high = (0.0, 1.0) if spec.task == "binary" else (-math.inf, math.inf)
    wrong = [a for a in answers if not (math.isfinite(a) and low <= a <= high)]
    told = f"{len(answers):,} last answers, mean {figure(sum(answers) / len(answers), 3)}"
    if wrong:
        return HealthCheck(
            "answers", "FAIL", f"{len(wrong)} of its {told} are no {'probability' if low == 0 else 'number'}"
        )
    return HealthCheck("answers", "PASS", told)


def _sum(stack: StackContext, seen: ObservedEndpoint, metric: str, start: datetime, end: datetime) -> float:
    return sum(value for _, value in _series(stack, seen, metric, start, end, "Sum"))


def _series(
    stack: StackContext, seen: ObservedEndpoint, metric: str, start: datetime, end: datetime, stat: str
) -> Sequence[tuple[datetime, float]]:
    dimensions = {"EndpointName": seen.endpoint, "VariantName": VARIANT}
    return stack.metrics.series(
        "AWS/SageMaker", metric, dimensions, start=start, end=end + timedelta(seconds=1), period_s=60, stat=stat
    )


def _abort_alarm(stack: StackContext, seen: ObservedEndpoint) -> str | None:
    """An alarm that watches the update in flight: the release's own, which wakes nobody, else that on errors."""
    names = stack.names(seen.model)
    candidates = [*([names.guard_alarm(seen.pending)] if seen.pending else []), *names.rollback_alarms]
    held = stack.metrics.alarms(candidates)
    if not held and seen.pending:
        raise PlatformError(
            f"No alarm watches the update to {spoken(seen.release_of(seen.pending))}, so it cannot be undone in flight",
            next_step=f"bedplate status {seen.model}, then bedplate rollback {seen.model} when it has settled",
        )
    return next((name for name in candidates if name in held), None)
