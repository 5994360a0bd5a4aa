"""Releases an approved version behind a guarded rollout, proves that it answers, and records it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bedplate import ports
from bedplate.domain import tags
from bedplate.domain.guard import Edges, decode, edges_of, encode, period_s
from bedplate.domain.ledger import Record
from bedplate.domain.names import VARIANT, ModelNames
from bedplate.domain.release import (
    ANSWER_EDGES,
    CONTENT,
    content_hash,
    fallback_release,
    release_environment,
    spoken,
    version_told,
)
from bedplate.domain.rollout import ObservedEndpoint, Plan, ReleaseTarget, Resume, Shift, ShiftPolicy, plan_deploy
from bedplate.domain.rollout.machine import open_rollout
from bedplate.errors import ApprovalNeeded, Conflict, Locked, NotFound, RolledBack, UsageError
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import capture_uri
from bedplate.workflows.endpoint.follow import LOOK_BACK_S, answers_since
from bedplate.workflows.endpoint.observe import observe
from bedplate.workflows.endpoint.probe import Probe, probe_of
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.execute import DeploymentTools, ExecutionResult, execute
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.versions.approvals import must_be_on_record
from bedplate.workflows.versions.retire import must_not_be_retired


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """What was asked; None takes what model.yaml says."""

    model: str
    version: int | None = None
    strategy: str | None = None
    canary_pct: int | None = None
    bake_s: int | None = None
    force: bool = False
    reason: str | None = None
    wait: bool = True
    within: str | None = None
    """The rollout whose promotion this is; any other one that is open keeps a deployment out."""


@dataclass(frozen=True, slots=True)
class PreparedDeployment:
    """A plan, and what carrying it out takes."""

    plan: Plan
    means: DeploymentTools
    release: str
    version: int


def prepare(stack: StackContext, request: DeployRequest) -> PreparedDeployment:
    """Observe and plan; nothing is changed.

    Raises ApprovalNeeded for a version that nobody approved, NotFound for one that does not exist, Locked while another
    version is on its way.
    """
    if request.force and not request.reason:
        raise UsageError("--force needs a reason", next_step=f"bedplate deploy {request.model} --force --reason '...'")
    spec, names = stack.model(request.model), stack.names(request.model)
    ledger = Ledger.of(stack)
    records = ledger.records()
    package = approved_package(stack, request.model, request.version, records)
    seen = observe(stack, request.model, records, names.rollback_alarms)
    under_way = open_rollout(records, request.model)
    if under_way and under_way.id != request.within:
        raise Locked(
            f"A rollout of {spoken(under_way.terms.challenger)} ({under_way.terms.strategy}) is {under_way.phase}",
            next_step=f"bedplate rollout status {request.model}, then rollout promote or rollout abort",
        )
    content = content_of(package, spec)
    same = live_content(stack, seen) == content and version_told(seen.live) == package.version
    champions, remark = ((), None) if same or seen.busy else champion_edges(stack, spec, names, seen)
    draft = release_draft(stack, spec, package, seen.live, champions)
    release = draft.name
    guarded = bool(champions)
    way = _way(spec, names, request, release, guarded=guarded)
    target = ReleaseTarget(release, package.version, same, guarded)
    plan = plan_deploy(seen, target, way, force=request.force)
    if request.within:  # the rollout's own state says that it goes on, at every tick
        plan = replace(plan, steps=tuple(step for step in plan.steps if not isinstance(step, Resume)))
    if remark and any(isinstance(step, Shift) for step in plan.steps):
        plan = replace(plan, remarks=(*plan.remarks, remark))
    joined = seen.attempts[-1] if seen.busy and seen.attempts else None
    bake_s = joined.bake_s if joined else way.bake_s if way.strategy != "all-at-once" else 0
    needed = joined.needed_answers if joined else spec.rollout.bake_answers if way.strategy != "all-at-once" else 0
    means = DeploymentTools(
        platform=stack,
        ledger=ledger,
        seen=seen,
        probe=_probe(stack, spec, package, plan),
        draft=draft,
        guard=_guard(stack, spec, draft, seen.live, len(champions) + 1, way.bake_s) if guarded else None,
        alarms=_watched(plan, names, seen),
        bake_s=bake_s,
        needed_answers=needed if bake_s else 0,
        data={
            "package": package.arn,
            "artifact": package.artifact_uri,
            "content": content,
            "strategy": way.strategy,
            "step_pct": way.step_pct,
            "bake_s": bake_s,
            "needed_answers": needed,
            "alarms": list(way.alarms),
            "guarded": guarded,
            "forced": request.force or None,
            "verdict": unwatched(stack, seen),
        },
        reason=request.reason,
        wait=request.wait,
    )
    return PreparedDeployment(plan, means, release, package.version)


def deploy(prepared: PreparedDeployment, reporter: ports.Reporter) -> ExecutionResult:
    """Carry out the plan. Raises RolledBack when the platform undid it, now or while nobody watched; see `execute`."""
    outcome = execute(prepared.plan, prepared.means, reporter)
    if prepared.plan.undone:
        seen = prepared.means.seen
        raise RolledBack(
            f"The last deploy of v{prepared.version} was undone by the platform: "
            f"{seen.failure_reason or 'it gave no reason'}. {spoken(seen.live)} answers.",
            next_step=f"bedplate deploy {seen.model}:{prepared.version}, to try it once more",
        )
    if outcome.live and any(isinstance(step, Shift) for step in prepared.plan.steps):
        _compare(prepared)
    return outcome


def approved_package(stack: StackContext, model: str, version: int | None, records: Sequence[Record]) -> ports.Package:
    """The package of a version, or the newest approved one, as registry and ledger (`records`) agree that it is.

    Raises NotFound, ApprovalNeeded, UsageError for one that is retired.
    """
    package = _called_approved(stack, model, version)
    must_be_on_record(records, model, package)
    must_not_be_retired(stack, model, package, records)
    return package


def _called_approved(stack: StackContext, model: str, version: int | None) -> ports.Package:
    group = stack.names(model).package_group
    if version is None:
        versions = stack.registry.versions(group)
        if not versions:
            raise NotFound(f"{model} has no version yet", next_step=f"bedplate train {model} --data DATA.parquet")
        package = next((p for p in versions if p.approval == "Approved"), None)
        if package is None:
            newest = versions[0].version
            raise ApprovalNeeded(
                f"No version of {model} is approved (the newest is v{newest})",
                next_step=f"bedplate approve {model}:{newest}",
            )
        return package
    package = stack.registry.get(group, version)
    if package.approval != "Approved":
        said = f": {package.approval_note}" if package.approval_note else ""
        state = "was rejected" if package.approval == "Rejected" else "waits for approval"
        raise ApprovalNeeded(f"v{version} of {model} {state}{said}", next_step=f"bedplate approve {model}:{version}")
    return package


def champion_edges(
    stack: StackContext, spec: ModelSpec, names: ModelNames, seen: ObservedEndpoint
) -> tuple[Edges, str | None]:
    """The bins in which the champion counts its answers, and a remark: what guards the canary, or why nothing does."""
    champion = spoken(seen.live)
    if seen.live == fallback_release(names.endpoint):
        return (), f"{champion} gives one constant answer: nothing to compare with, so no guard on answers"
    try:
        environment = stack.endpoints.release(seen.config_of(seen.live)).environment
    except NotFound:
        environment = {}
    edges = decode(environment.get(ANSWER_EDGES)).get("", ())
    if not edges:
        return (), f"{champion} counts no answers, since it was never evaluated: no guard on answers"
    return edges, (
        f"guard: PSI of its answers against {champion}'s at the same time, at most "
        f"{spec.rollout.max_prediction_shift:g} from {spec.rollout.min_answers} answers on"
    )


def _evaluated_answers(stack: StackContext, package: ports.Package) -> list[float]:
    """What a version predicted in its evaluation; empty for one that was never evaluated."""
    uri = package.metadata.get("evaluation_uri")
    predictions = f"{uri.rpartition('/')[0]}/predictions.parquet" if uri else ""
    if not predictions or not stack.objects.exists(predictions):
        return []
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(stack.objects.get(predictions)), columns=["prediction"])
    return [float(v) for v in table.column("prediction").to_pylist() if v is not None]


def live_content(stack: StackContext, seen: ObservedEndpoint) -> str | None:
    """The live release's content hash; None where it has none of ours."""
    if seen.live == fallback_release(seen.endpoint):
        return None
    try:
        return stack.endpoints.release(seen.config_of(seen.live)).environment.get(CONTENT)
    except NotFound:
        return None


def _way(spec: ModelSpec, names: ModelNames, request: DeployRequest, release: str, *, guarded: bool) -> ShiftPolicy:
    strategy = request.strategy or spec.rollout.shift
    if strategy != "all-at-once" and spec.serving.mode == "serverless":
        raise UsageError(
            f"--strategy {strategy} shifts traffic between instances, and {spec.name} is serverless",
            next_step=f"bedplate deploy {spec.name} --strategy all-at-once",
        )
    if strategy != "all-at-once" and spec.serving.instance_count < 2:
        raise UsageError(
            f"--strategy {strategy} shifts part of the capacity, and {spec.name} has one instance",
            next_step=f"bedplate deploy {spec.name} --strategy all-at-once",
        )
    guard = (names.guard_alarm(release),) if guarded else ()
    bake_s = spec.rollout.bake_s if request.bake_s is None else request.bake_s
    return ShiftPolicy(
        strategy, request.canary_pct or spec.rollout.canary_pct, bake_s, (*names.rollback_alarms, *guard)
    )


def content_of(package: ports.Package, spec: ModelSpec) -> str:
    """What a version serves under this contract, as a hash."""
    return content_hash(
        package_arn=package.arn,
        image_uri=package.image_uri,
        artifact_uri=package.artifact_uri,
        environment=package.environment,
        serving=spec.serving,
    )


def release_draft(
    stack: StackContext, spec: ModelSpec, package: ports.Package, champion: str, champions: Edges | None
) -> ports.ReleaseDraft:
    """A version's release: it counts its answers in its own bins and, where those are known, in the champion's."""
    outputs = stack.outputs
    release, environment = release_environment(
        stack.names(spec.name),
        package.version,
        package_environment=package.environment,
        content=content_of(package, spec),
        answer_edges=encode(edges_of(_evaluated_answers(stack, package)), champion, champions),
    )
    return ports.ReleaseDraft(
        name=release,
        image_uri=package.image_uri,
        artifact_uri=package.artifact_uri,
        environment=environment,
        role_arn=outputs.execution_role(spec.name),
        variant=VARIANT,
        instance_type=spec.serving.instance_type,
        instance_count=spec.serving.instance_count,
        capture_uri=capture_uri(stack, spec.name),
        capture_pct=spec.serving.capture_pct,
        tags=tags.for_model(
            project=stack.project,
            stack=stack.name,
            model=spec.name,
            version=package.version,
            owner=spec.owner,
            cost_center=stack.settings.cost_center,
        ),
        kms_key_arn=outputs.kms_key_arn,
        network=outputs.network,
        on_demand=_on_demand(spec),
        queued=_queued(stack, spec),
    )


def _on_demand(spec: ModelSpec) -> ports.ServerlessVariant | None:
    wanted = spec.serving.serverless
    if spec.serving.mode != "serverless":
        return None
    return ports.ServerlessVariant(wanted.memory_mb, wanted.max_concurrency, wanted.provisioned_concurrency)


def _queued(stack: StackContext, spec: ModelSpec) -> ports.AsyncOutput | None:
    wanted = spec.serving.asynchronous
    if spec.serving.mode != "async":
        return None
    prefix = f"s3://{stack.outputs.capture_bucket}/{stack.names(spec.name).async_prefix}"
    return ports.AsyncOutput(
        output_uri=f"{prefix}output",
        failure_uri=f"{prefix}failed",
        max_concurrent_per_instance=wanted.max_concurrent_per_instance,
        success_topic_arn=wanted.success_topic_arn,
        error_topic_arn=stack.outputs.alerts_topic_arn if wanted.notify_errors else None,
    )


def _guard(
    stack: StackContext, spec: ModelSpec, draft: ports.ReleaseDraft, champion: str, bins: int, bake_s: int
) -> ports.GuardAlarm:
    names = stack.names(spec.name)
    return ports.GuardAlarm(
        name=names.guard_alarm(draft.name),
        endpoint=names.endpoint,
        candidate=draft.name,
        champion=champion,
        bins=bins,
        min_answers=spec.rollout.min_answers,
        threshold=spec.rollout.max_prediction_shift,
        period_s=period_s(bake_s),
        topic_arn=stack.outputs.alerts_topic_arn,
        tags=draft.tags,
    )


def _probe(stack: StackContext, spec: ModelSpec, package: ports.Package, plan: Plan) -> Probe:
    if not plan.steps:
        return Probe((), "")
    return probe_of(stack, spec, holdout_uri=package.metadata.get("holdout_uri"))


def unwatched(stack: StackContext, seen: ObservedEndpoint) -> str | None:
    """The verdict on a bake that nobody followed, once its release is live: had it the traffic that it needed?"""
    left = seen.attempts[-1] if seen.attempts else None
    if seen.busy or left is None or left.release != seen.live or not left.needed_answers:
        return None
    since = left.at - timedelta(seconds=LOOK_BACK_S)
    answers = answers_since(stack, seen.endpoint, left.release, since, seen.modified_at)
    return "PASS" if answers >= left.needed_answers else "NO_DATA"


def _watched(plan: Plan, names: ModelNames, seen: ObservedEndpoint) -> tuple[str, ...]:
    """Alarms to show: the plan's own, or, for an update in flight, those that its release was given."""
    for step in plan.steps:
        if isinstance(step, Shift):
            return step.alarms
    guard = (names.guard_alarm(seen.pending),) if seen.pending else ()
    return (*names.rollback_alarms, *guard)


def _compare(prepared: PreparedDeployment) -> None:
    """The live configuration against the one asked for, after the endpoint was asked."""
    means = prepared.means
    release = means.platform.endpoints.release(means.platform.endpoints.observe(means.seen.endpoint).config)
    asked = means.draft
    if asked is None or release.name != asked.name or release.artifact_uri != asked.artifact_uri:
        raise Conflict(
            f"{release.name} is live, and {asked.name if asked else prepared.release} was asked for",
            next_step=f"bedplate status {means.seen.model}",
        )
