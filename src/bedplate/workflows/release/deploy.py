"""Deploys an approved version with a guarded traffic shift, verifies that the endpoint serves it, and records it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bedplate import ports
from bedplate.domain.guard import Edges, alarm_period_s, decode_edges, encode_edges, quantile_edges
from bedplate.domain.ledger import Record
from bedplate.domain.names import VARIANT, ModelNames
from bedplate.domain.release import (
    CONTENT_HASH,
    PREDICTION_EDGES,
    build_environment,
    display_name,
    fallback_name,
    hash_content,
    version_of,
)
from bedplate.domain.rollout.deployment import (
    ObservedEndpoint,
    Plan,
    ReleaseTarget,
    Resume,
    Shift,
    ShiftPolicy,
    plan_deploy,
)
from bedplate.domain.rollout.state_machine import find_open_rollout
from bedplate.errors import ApprovalNeeded, Conflict, NotFound, RolledBack, UsageError
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import capture_uri
from bedplate.workflows.endpoint.follow import LOOK_BACK_S, count_predictions
from bedplate.workflows.endpoint.observe import observe_endpoint
from bedplate.workflows.endpoint.probe import Probe, build_probe
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.execute import DeploymentTools, ExecutionResult, execute
from bedplate.workflows.release.rollout_record import open_rollout_error
from bedplate.workflows.stack_context import StackContext, model_tags
from bedplate.workflows.versions.approval_evidence import require_recorded_approval
from bedplate.workflows.versions.retire import require_not_retired


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """The parameters of a deployment; None takes the value of model.yaml."""

    model: str
    version: int | None = None
    strategy: str | None = None
    canary_pct: int | None = None
    bake_s: int | None = None
    force: bool = False
    reason: str | None = None
    wait: bool = True
    rollout_id: str | None = None
    """The rollout that this deployment promotes; any other open rollout blocks the deployment."""


@dataclass(frozen=True, slots=True)
class PreparedDeployment:
    """A plan and the tools to execute it."""

    plan: Plan
    tools: DeploymentTools
    release: str
    version: int


def prepare(stack: StackContext, request: DeployRequest) -> PreparedDeployment:
    """Observes the endpoint and plans the deployment; changes nothing.

    Raises ApprovalNeeded for a version that is not approved, NotFound for one that does not exist, Locked while another
    version is being deployed.
    """
    if request.force and not request.reason:
        raise UsageError("--force needs a reason", next_step=f"bedplate deploy {request.model} --force --reason '...'")
    spec, names = stack.model(request.model), stack.names(request.model)
    ledger = Ledger.of(stack)
    records = ledger.records()
    package = find_approved_package(stack, request.model, request.version, records)
    observed = observe_endpoint(stack, request.model, records, names.rollback_alarms)
    open_rollout = find_open_rollout(records, request.model)
    if open_rollout and open_rollout.id != request.rollout_id:
        raise open_rollout_error(open_rollout)
    is_live = is_live_release(stack, observed, package, spec)
    edges, notice = ((), None) if is_live or observed.is_busy else read_champion_edges(stack, spec, names, observed)
    draft = build_release_draft(stack, spec, package, observed.live, edges)
    policy = _shift_policy(spec, names, request, draft.name, is_guarded=bool(edges))
    target = ReleaseTarget(draft.name, package.version, is_live, bool(edges))
    plan = plan_deploy(observed, target, policy, force=request.force)
    if request.rollout_id:  # the rollout's own state records at every tick that it continues
        plan = replace(plan, steps=tuple(step for step in plan.steps if not isinstance(step, Resume)))
    if notice and any(isinstance(step, Shift) for step in plan.steps):
        plan = replace(plan, notices=(*plan.notices, notice))
    bake_s, min_bake_predictions = policy.bake_s, spec.rollout.min_bake_predictions
    if observed.is_busy and observed.attempts:
        bake_s, min_bake_predictions = observed.attempts[-1].bake_s, observed.attempts[-1].min_bake_predictions
    elif policy.strategy == "all-at-once":
        bake_s, min_bake_predictions = 0, 0
    tools = DeploymentTools(
        stack=stack,
        ledger=ledger,
        observed=observed,
        probe=_probe(stack, spec, package, plan),
        draft=draft,
        guard=_guard_alarm(stack, spec, draft, observed.live, len(edges) + 1, policy.bake_s) if edges else None,
        alarms=_displayed_alarms(plan, names, observed),
        bake_s=bake_s,
        min_bake_predictions=min_bake_predictions if bake_s else 0,
        data={
            "package": package.arn,
            "artifact": package.artifact_uri,
            "content_hash": package_content_hash(package, spec),
            "strategy": policy.strategy,
            "step_pct": policy.step_pct,
            "bake_s": bake_s,
            "min_bake_predictions": min_bake_predictions,
            "alarms": list(policy.alarms),
            "guarded": bool(edges),
            "forced": request.force or None,
            "verdict": unattended_verdict(stack, observed),
        },
        reason=request.reason,
        wait=request.wait,
    )
    return PreparedDeployment(plan, tools, draft.name, package.version)


def deploy(prepared: PreparedDeployment, reporter: ports.Reporter) -> ExecutionResult:
    """Executes the plan; see `execute`. Raises RolledBack when SageMaker rolled it back, now or earlier."""
    result = execute(prepared.plan, prepared.tools, reporter)
    if prepared.plan.rolled_back:
        observed = prepared.tools.observed
        raise RolledBack(
            f"SageMaker rolled the last deployment of v{prepared.version} back: "
            f"{observed.failure_reason or 'no reason given'}. {display_name(observed.live)} is live.",
            next_step=f"bedplate deploy {observed.model}:{prepared.version}, to try again",
        )
    if result.live and any(isinstance(step, Shift) for step in prepared.plan.steps):
        _check_live_release(prepared)
    return result


def find_approved_package(
    stack: StackContext, model: str, version: int | None, records: Sequence[Record]
) -> ports.Package:
    """Returns the package of a version, or of the newest approved one; the ledger (`records`) must hold its approval.

    Raises NotFound for a version that does not exist, ApprovalNeeded for one that is not approved in both registry and
    ledger, UsageError for one that is retired.
    """
    package = _find_approved(stack, model, version)
    require_recorded_approval(records, model, package)
    require_not_retired(stack, model, package, records)
    return package


def _find_approved(stack: StackContext, model: str, version: int | None) -> ports.Package:
    group = stack.names(model).package_group
    if version is None:
        versions = stack.registry.list_versions(group)
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
        note = f": {package.approval_note}" if package.approval_note else ""
        state = "was rejected" if package.approval == "Rejected" else "waits for approval"
        raise ApprovalNeeded(f"v{version} of {model} {state}{note}", next_step=f"bedplate approve {model}:{version}")
    return package


def read_champion_edges(
    stack: StackContext, spec: ModelSpec, names: ModelNames, observed: ObservedEndpoint
) -> tuple[Edges, str | None]:
    """Returns the champion's bin edges, and a notice about the guard on the canary's predictions."""
    champion = display_name(observed.live)
    if observed.live == fallback_name(names.endpoint):
        return (), f"{champion} returns a constant prediction: no guard on the prediction distribution"
    try:
        environment = stack.endpoints.get_release(observed.config_of(observed.live)).environment
    except NotFound:
        environment = {}
    edges = decode_edges(environment.get(PREDICTION_EDGES)).get("", ())
    if not edges:
        return (), f"{champion} was never evaluated and has no bins: no guard on the prediction distribution"
    return edges, (
        f"guard: PSI of its predictions against {champion}'s in the same period, at most "
        f"{spec.rollout.max_prediction_shift:g}, from {spec.rollout.min_predictions} predictions on"
    )


def _evaluation_predictions(stack: StackContext, package: ports.Package) -> list[float]:
    """Returns a version's predictions in its evaluation; empty when it was never evaluated."""
    uri = package.metadata.get("evaluation_uri")
    predictions_uri = f"{uri.rpartition('/')[0]}/predictions.parquet" if uri else ""
    if not predictions_uri or not stack.objects.exists(predictions_uri):
        return []
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(stack.objects.get(predictions_uri)), columns=["prediction"])
    return [float(v) for v in table.column("prediction").to_pylist() if v is not None]


def is_live_release(stack: StackContext, observed: ObservedEndpoint, package: ports.Package, spec: ModelSpec) -> bool:
    """Returns whether the live release serves this version with the same content."""
    if observed.live == fallback_name(observed.endpoint) or version_of(observed.live) != package.version:
        return False
    try:
        environment = stack.endpoints.get_release(observed.config_of(observed.live)).environment
    except NotFound:
        return False
    return environment.get(CONTENT_HASH) == package_content_hash(package, spec)


def _shift_policy(
    spec: ModelSpec, names: ModelNames, request: DeployRequest, release: str, *, is_guarded: bool
) -> ShiftPolicy:
    strategy = request.strategy or spec.rollout.traffic_routing
    if strategy != "all-at-once" and spec.serving.mode == "serverless":
        raise UsageError(
            f"--strategy {strategy} shifts traffic between instances, but {spec.name} is serverless",
            next_step=f"bedplate deploy {spec.name} --strategy all-at-once",
        )
    if strategy != "all-at-once" and spec.serving.instance_count < 2:
        raise UsageError(
            f"--strategy {strategy} shifts part of the capacity, but {spec.name} has only one instance",
            next_step=f"bedplate deploy {spec.name} --strategy all-at-once",
        )
    alarms = (*names.rollback_alarms, *((names.guard_alarm(release),) if is_guarded else ()))
    bake_s = spec.rollout.bake_s if request.bake_s is None else request.bake_s
    return ShiftPolicy(strategy, request.canary_pct or spec.rollout.canary_pct, bake_s, alarms)


def package_content_hash(package: ports.Package, spec: ModelSpec) -> str:
    """Returns the content hash of a version with the settings of model.yaml."""
    return hash_content(
        package_arn=package.arn,
        image_uri=package.image_uri,
        artifact_uri=package.artifact_uri,
        environment=package.environment,
        serving=spec.serving,
    )


def build_release_draft(
    stack: StackContext, spec: ModelSpec, package: ports.Package, champion: str, champion_edges: Edges | None
) -> ports.ReleaseDraft:
    """Returns the draft of a version's release, which counts its predictions in its own and in the champion's bins."""
    outputs, serving = stack.outputs, spec.serving
    own_edges = quantile_edges(_evaluation_predictions(stack, package))
    release, environment = build_environment(
        stack.names(spec.name),
        package.version,
        package_environment=package.environment,
        content_hash=package_content_hash(package, spec),
        prediction_edges=encode_edges(own_edges, champion, champion_edges),
    )
    return ports.ReleaseDraft(
        name=release,
        image_uri=package.image_uri,
        artifact_uri=package.artifact_uri,
        environment=environment,
        role_arn=outputs.execution_role(spec.name),
        variant=VARIANT,
        instance_type=serving.instance_type,
        instance_count=serving.instance_count,
        capture_uri=capture_uri(stack, spec.name),
        capture_pct=serving.capture_pct,
        tags=model_tags(stack, spec, package.version),
        kms_key_arn=outputs.kms_key_arn,
        network=outputs.network,
        serverless=_serverless_variant(spec),
        async_output=_async_output(stack, spec),
    )


def _serverless_variant(spec: ModelSpec) -> ports.ServerlessVariant | None:
    if spec.serving.mode != "serverless":
        return None
    settings = spec.serving.serverless
    return ports.ServerlessVariant(settings.memory_mb, settings.max_concurrency, settings.provisioned_concurrency)


def _async_output(stack: StackContext, spec: ModelSpec) -> ports.AsyncOutput | None:
    if spec.serving.mode != "async":
        return None
    settings = spec.serving.asynchronous
    prefix = f"s3://{stack.outputs.capture_bucket}/{stack.names(spec.name).async_prefix}"
    return ports.AsyncOutput(
        output_uri=f"{prefix}output",
        failure_uri=f"{prefix}failed",
        max_concurrent_per_instance=settings.max_concurrent_per_instance,
        success_topic_arn=settings.success_topic_arn,
        error_topic_arn=stack.outputs.alerts_topic_arn if settings.notify_errors else None,
    )


def _guard_alarm(
    stack: StackContext, spec: ModelSpec, draft: ports.ReleaseDraft, champion: str, bins: int, bake_s: int
) -> ports.GuardAlarm:
    names = stack.names(spec.name)
    return ports.GuardAlarm(
        name=names.guard_alarm(draft.name),
        endpoint=names.endpoint,
        candidate=draft.name,
        champion=champion,
        n_bins=bins,
        min_predictions=spec.rollout.min_predictions,
        threshold=spec.rollout.max_prediction_shift,
        period_s=alarm_period_s(bake_s),
        topic_arn=stack.outputs.alerts_topic_arn,
        tags=draft.tags,
    )


def _probe(stack: StackContext, spec: ModelSpec, package: ports.Package, plan: Plan) -> Probe:
    if not plan.steps:
        return Probe((), "")
    return build_probe(stack, spec, holdout_uri=package.metadata.get("holdout_uri"))


def unattended_verdict(stack: StackContext, observed: ObservedEndpoint) -> str | None:
    """Returns the verdict on an unattended bake whose release is live: whether it had the required traffic."""
    attempt = observed.attempts[-1] if observed.attempts else None
    if observed.is_busy or attempt is None or attempt.release != observed.live or not attempt.min_bake_predictions:
        return None
    since = attempt.started_at - timedelta(seconds=LOOK_BACK_S)
    predictions = count_predictions(stack, observed.endpoint, attempt.release, since, observed.modified_at)
    return "PASS" if predictions >= attempt.min_bake_predictions else "NO_DATA"


def _displayed_alarms(plan: Plan, names: ModelNames, observed: ObservedEndpoint) -> tuple[str, ...]:
    """Returns the alarms to display: the plan's own, or those of the update in flight."""
    for step in plan.steps:
        if isinstance(step, Shift):
            return step.alarms
    guard = (names.guard_alarm(observed.pending),) if observed.pending else ()
    return (*names.rollback_alarms, *guard)


def _check_live_release(prepared: PreparedDeployment) -> None:
    """Raises Conflict when the live EndpointConfig or its artifact is not the deployed one."""
    tools = prepared.tools
    endpoints, draft = tools.stack.endpoints, tools.draft
    release = endpoints.get_release(endpoints.observe(tools.observed.endpoint).config)
    if draft is None or release.name != draft.name or release.artifact_uri != draft.artifact_uri:
        raise Conflict(
            f"{release.name} is live, but {draft.name if draft else prepared.release} was deployed",
            next_step=f"bedplate status {tools.observed.model}",
        )
