"""Trains a model and registers the result: observe, plan, execute, record.

A second `train` of the same data, code and settings finds the first one's job by its name: it follows the job that
runs, registers the one that is done, and says which version there is already. So a killed `train` is completed by the
same command, and nothing is ever registered twice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bedplate.domain.ledger import iso_ms, sha256
from bedplate.domain.tags import for_model
from bedplate.domain.versions.package import (
    carried,
    metadata,
)
from bedplate.errors import Conflict, GateFailed, OverBudget
from bedplate.ports import Job, Package, PackageDraft, Reporter, TrainingRequest
from bedplate.settings import ModelSpec
from bedplate.workflows.data.register import register
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.job_following import follow, must_have_completed
from bedplate.workflows.training.runs import keep, warm
from bedplate.workflows.training.sbom import keep_sbom
from bedplate.workflows.training.training_plan import TrainPlan, registered

_METRIC = re.compile(r"^metric: (\w+)=([-+0-9.eE]+|nan)$")


@dataclass(frozen=True, slots=True)
class TrainResult:
    """`package` is None when the job still runs (`--no-wait`)."""

    job: Job
    package: Package | None
    metrics: Mapping[str, float]
    adopted: bool


def train(stack: StackContext, plan: TrainPlan, reporter: Reporter, *, wait: bool = True) -> TrainResult:
    """Execute the plan and record it. Raises OverBudget before anything is changed, JobFailed when the script fails."""
    refusals = [o.reason for o in plan.objections if o.refused]
    if refusals:
        raise OverBudget(f"No training of {plan.spec.name}: {'; '.join(refusals)}", next_step="bedplate budgets")
    for objection in plan.objections:
        reporter("warning", {"text": objection.reason})
    for suspicion in plan.dataset.suspicions:
        reporter("warning", {"text": str(suspicion)})
    if plan.lineage.source.dirty == "true":
        reporter("warning", {"text": f"models/{plan.spec.name} is not committed as it is: approve will want --force"})
    if plan.package and plan.job:
        _record(stack, plan, plan.package, plan.job, {}, only_if_missing=True)
        return TrainResult(plan.job, plan.package, {}, adopted=True)
    job, adopted = (plan.job, True) if plan.job else _submit(stack, plan, reporter)
    if not wait:
        return TrainResult(job, None, {}, adopted)
    warm(stack)
    job, lines = follow(stack, job, kind="training", reporter=reporter)
    return conclude(stack, plan, job, lines, reporter, adopted=adopted)


def conclude(
    stack: StackContext,
    plan: TrainPlan,
    job: Job,
    lines: Sequence[str],
    reporter: Reporter,
    *,
    adopted: bool,
    tags: Mapping[str, str] | None = None,
) -> TrainResult:
    """Register and record what a job left; keep its run, also of one that failed."""
    metrics, package = metrics_of(lines), None
    try:
        must_have_completed(job, lines, what=f"Training job {job.name}", kind="training")
        package = registered(stack, plan.request.model, job.name)
        if package is None:
            reporter("step", {"text": "Registering the result"})
            package = stack.registry.register(_draft(stack, plan, job))
        _record(stack, plan, package, job, metrics, only_if_missing=adopted)
    finally:
        keep(
            stack,
            reporter,
            lineage=plan.lineage,
            cost=plan.cost,
            job=job,
            metrics=metrics,
            package=package,
            code_uri=plan.code_uri,
            tags=tags,
        )
    return TrainResult(job, package, metrics, adopted)


def metrics_of(lines: Iterable[str]) -> dict[str, float]:
    """Metrics that a script printed, the last value of each.

    >>> metrics_of(["metric: train_auc=0.7", "hello", "metric: train_auc=0.71"])
    {'train_auc': 0.71}
    >>> metrics_of(["metric: loss=nan", "metric: loss=1e999", "metric: e=e"])
    {}
    """
    found: dict[str, float] = {}
    for line in lines:
        match = _METRIC.match(line.strip())
        if match:
            try:
                found[match[1]] = float(match[2])
            except ValueError:
                continue
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _submit(stack: StackContext, plan: TrainPlan, reporter: Reporter) -> tuple[Job, bool]:
    """The job, and whether somebody else had started it."""
    upload(stack, plan, reporter)
    reporter("step", {"text": f"Starting training job {plan.job_name}"})
    try:
        return stack.jobs.submit_training(job_request(stack, plan)), False
    except Conflict:  # this very training was started since we looked: the job is theirs and ours
        return stack.jobs.training(plan.job_name), True


def upload(stack: StackContext, plan: TrainPlan, reporter: Reporter) -> None:
    """Put data and code where the job finds them. Raises GateFailed when somebody changed what is there."""
    register(stack, plan.dataset, reporter)
    reporter("step", {"text": "Uploading data and code"})
    _put_once(stack, plan.lineage.data_uri, plan.parts.train)
    _put_once(stack, plan.lineage.holdout_uri, plan.parts.holdout)
    _put_once(stack, plan.code_uri, plan.code)


def job_request(stack: StackContext, plan: TrainPlan) -> TrainingRequest:
    """The job that the plan is about."""
    training = plan.spec.training
    return TrainingRequest(
        name=plan.job_name,
        image_uri=plan.lineage.image_uri,
        role_arn=stack.outputs.execution_role(plan.spec.name),
        entry_point=training.entry_point,
        channels={"code": plan.code_uri, "training": plan.lineage.data_uri},
        output_uri=f"s3://{stack.outputs.artifacts_bucket}/{stack.names(plan.spec.name).training_prefix}",
        hyperparameters=plan.lineage.hyperparameters,
        environment={"BEDPLATE_MODEL": plan.spec.name, "PYTHONHASHSEED": str(plan.lineage.seed)},
        instance_type=training.instance_type,
        instance_count=training.instance_count,
        volume_gb=training.volume_gb,
        max_runtime_s=training.max_runtime_s,
        tags=_tags(stack, plan.spec),
        kms_key_arn=stack.outputs.kms_key_arn,
        network=stack.outputs.network,
        spot_max_wait_s=plan.spot_max_wait_s,
        checkpoint_uri=checkpoints(stack, plan) if plan.spot_max_wait_s else None,
    )


def checkpoints(stack: StackContext, plan: TrainPlan) -> str:
    """Of one training, whichever attempt: another attempt goes on where the last one was."""
    prefix = f"s3://{stack.outputs.artifacts_bucket}/{stack.names(plan.spec.name).training_prefix}"
    return f"{prefix}checkpoints/{plan.job_name.rpartition('-')[0]}/"


def _put_once(stack: StackContext, uri: str, body: bytes) -> None:
    """The URI holds the content's hash, so what is there already is the same, or somebody changed it.

    Raises GateFailed when it is not.
    """
    if not stack.objects.exists(uri):
        stack.objects.put(uri, body)
    elif sha256(stack.objects.get(uri)) != sha256(body):
        raise GateFailed(
            f"{uri} is not what was uploaded there: somebody changed it",
            next_step="find out who and why; then delete it, and the same command uploads it again",
        )


def _draft(stack: StackContext, plan: TrainPlan, job: Job) -> PackageDraft:
    trained_at = iso_ms(job.ended_at or stack.clock.now())
    return PackageDraft(
        group=stack.names(plan.spec.name).package_group,
        image_uri=plan.lineage.image_uri,
        artifact_uri=job.artifact_uri or "",
        description=f"{plan.spec.name}, trained on data {plan.lineage.data_sha256[:12]} by {stack.identity.person}",
        environment={},
        metadata={
            **metadata(
                plan.lineage,
                training_job=job.name,
                trained_by=stack.identity.person,
                trained_at=trained_at,
                code_uri=plan.code_uri,
            ),
            **carried(plan.spec, plan.request.notes),
            **keep_sbom(stack, plan.spec.name),
        },
        tags={},
    )


def _record(
    stack: StackContext,
    plan: TrainPlan,
    package: Package,
    job: Job,
    metrics: Mapping[str, float],
    *,
    only_if_missing: bool,
) -> None:
    ledger = Ledger.of(stack)
    if only_if_missing and any(
        r.kind == "trained" and r.model == plan.spec.name and r.version == package.version for r in ledger.records()
    ):
        return
    data = {
        **{key: value for key, value in package.metadata.items() if key not in ("model", "hyperparameters")},
        "hyperparameters": dict(plan.lineage.hyperparameters),
        "package_arn": package.arn,
        "artifact_uri": package.artifact_uri,
        "billable_s": job.billable_s,
        "spot": plan.spot_max_wait_s is not None,
        "metrics": dict(metrics),
        "notes": plan.request.notes or None,
    }
    ledger.record(
        "trained",
        f"{plan.spec.name} version {package.version} trained on {plan.parts.train_rows:,} rows",
        actor=stack.identity.person,
        model=plan.spec.name,
        version=package.version,
        data=data,
    )


def _tags(stack: StackContext, spec: ModelSpec) -> dict[str, str]:
    return for_model(
        project=stack.project,
        stack=stack.name,
        model=spec.name,
        version=None,
        owner=spec.owner,
        cost_center=stack.settings.cost_center,
    )
