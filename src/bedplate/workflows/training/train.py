"""Trains a model and registers the result: observe, plan, execute, record.

A second `train` of the same data, code and settings finds the first job by its name: it follows a running job,
registers a completed one, and names an existing version. So the same command completes a killed `train`, and nothing is
registered twice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bedplate.domain.ledger import format_iso_ms, sha256
from bedplate.domain.versions.package import (
    build_contract_metadata,
    build_metadata,
)
from bedplate.errors import Conflict, GateFailed, OverBudget
from bedplate.ports import Job, Package, PackageDraft, Reporter, TrainingRequest
from bedplate.settings import ModelSpec
from bedplate.workflows.data.register import register
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext, model_tags
from bedplate.workflows.training.job_following import follow_job, require_completed
from bedplate.workflows.training.runs import log_run, preload
from bedplate.workflows.training.sbom import store_sbom
from bedplate.workflows.training.training_plan import TrainPlan, find_registered

_METRIC = re.compile(r"^metric: (\w+)=([-+0-9.eE]+|nan)$")


@dataclass(frozen=True, slots=True)
class TrainResult:
    """`package` is None while the job runs (`--no-wait`); `is_existing_job`: an earlier command submitted the job."""

    job: Job
    package: Package | None
    metrics: Mapping[str, float]
    is_existing_job: bool


def train(stack: StackContext, plan: TrainPlan, reporter: Reporter, *, wait: bool = True) -> TrainResult:
    """Executes the plan and records it. Raises OverBudget before any change, JobFailed when the script fails."""
    blocking = [warning.reason for warning in plan.warnings if warning.is_blocking]
    if blocking:
        raise OverBudget(f"{plan.spec.name} is not trained: {'; '.join(blocking)}", next_step="bedplate budgets")
    for text in (*(warning.reason for warning in plan.warnings), *map(str, plan.dataset.anomalies)):
        reporter("warning", {"text": text})
    if plan.lineage.source.dirty == "true":
        reporter(
            "warning", {"text": f"models/{plan.spec.name} has uncommitted changes: `approve` will require --force"}
        )
    if plan.package and plan.job:
        _record(stack, plan, plan.package, plan.job, {}, only_if_missing=True)
        return TrainResult(plan.job, plan.package, {}, is_existing_job=True)
    job, is_existing = (plan.job, True) if plan.job else _submit(stack, plan, reporter)
    if not wait:
        return TrainResult(job, None, {}, is_existing)
    preload(stack)
    job, lines = follow_job(stack, job, kind="training", reporter=reporter)
    return register_result(stack, plan, job, lines, reporter, is_existing_job=is_existing)


def register_result(
    stack: StackContext,
    plan: TrainPlan,
    job: Job,
    lines: Sequence[str],
    reporter: Reporter,
    *,
    is_existing_job: bool,
    tags: Mapping[str, str] | None = None,
) -> TrainResult:
    """Registers and records a job's result, and logs its run, also of a failed job."""
    metrics, package = parse_metrics(lines), None
    try:
        require_completed(job, lines, label=f"Training job {job.name}", kind="training")
        package = find_registered(stack, plan.request.model, job.name)
        if package is None:
            reporter("step", {"text": "Registering the result"})
            package = stack.registry.register(_build_draft(stack, plan, job))
        _record(stack, plan, package, job, metrics, only_if_missing=is_existing_job)
    finally:
        log_run(
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
    return TrainResult(job, package, metrics, is_existing_job)


def parse_metrics(lines: Iterable[str]) -> dict[str, float]:
    """Returns the last value of each metric that a script printed; NaN and infinity are left out.

    >>> parse_metrics(["metric: train_auc=0.7", "hello", "metric: train_auc=0.71"])
    {'train_auc': 0.71}
    >>> parse_metrics(["metric: loss=nan", "metric: loss=1e999", "metric: e=e"])
    {}
    """
    metrics: dict[str, float] = {}
    for line in lines:
        match = _METRIC.match(line.strip())
        if match:
            try:
                metrics[match[1]] = float(match[2])
            except ValueError:
                continue
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _submit(stack: StackContext, plan: TrainPlan, reporter: Reporter) -> tuple[Job, bool]:
    """Submits the job; returns it, and whether another command had already submitted it."""
    upload_inputs(stack, plan, reporter)
    reporter("step", {"text": f"Starting training job {plan.job_name}"})
    try:
        return stack.jobs.submit_training(build_job_request(stack, plan)), False
    except Conflict:  # another command submitted the same training since the plan was made
        return stack.jobs.get_training(plan.job_name), True


def upload_inputs(stack: StackContext, plan: TrainPlan, reporter: Reporter) -> None:
    """Uploads the job's data and code. Raises GateFailed when an uploaded object was changed."""
    register(stack, plan.dataset, reporter)
    reporter("step", {"text": "Uploading data and code"})
    _put_once(stack, plan.lineage.data_uri, plan.split.train)
    _put_once(stack, plan.lineage.holdout_uri, plan.split.holdout)
    _put_once(stack, plan.code_uri, plan.code)


def build_job_request(stack: StackContext, plan: TrainPlan) -> TrainingRequest:
    """Returns the training job request of a plan."""
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
        checkpoint_uri=checkpoint_prefix(stack, plan) if plan.spot_max_wait_s else None,
    )


def checkpoint_prefix(stack: StackContext, plan: TrainPlan) -> str:
    """Returns the checkpoint prefix, shared by all attempts of a training, so that one resumes where another
    stopped."""
    prefix = f"s3://{stack.outputs.artifacts_bucket}/{stack.names(plan.spec.name).training_prefix}"
    return f"{prefix}checkpoints/{plan.job_name.rpartition('-')[0]}/"


def _put_once(stack: StackContext, uri: str, body: bytes) -> None:
    """Uploads an object unless it exists; its URI contains the hash of its content.

    Raises GateFailed when the existing object has other content.
    """
    if not stack.objects.exists(uri):
        stack.objects.put(uri, body)
    elif sha256(stack.objects.get(uri)) != sha256(body):
        raise GateFailed(
            f"{uri} was changed after it was uploaded",
            next_step="find out who changed it and why; delete it, and the same command uploads it again",
        )


def _build_draft(stack: StackContext, plan: TrainPlan, job: Job) -> PackageDraft:
    trained_at = format_iso_ms(job.ended_at or stack.clock.now())
    return PackageDraft(
        group=stack.names(plan.spec.name).package_group,
        image_uri=plan.lineage.image_uri,
        artifact_uri=job.artifact_uri or "",
        description=f"{plan.spec.name}, trained on data {plan.lineage.data_sha256[:12]} by {stack.identity.actor}",
        environment={},
        metadata={
            **build_metadata(
                plan.lineage,
                training_job=job.name,
                trained_by=stack.identity.actor,
                trained_at=trained_at,
                code_uri=plan.code_uri,
            ),
            **build_contract_metadata(plan.spec, plan.request.notes),
            **store_sbom(stack, plan.spec.name),
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
        f"{plan.spec.name} version {package.version} trained on {plan.split.train_rows:,} rows",
        actor=stack.identity.actor,
        model=plan.spec.name,
        version=package.version,
        data=data,
    )


def _tags(stack: StackContext, spec: ModelSpec) -> dict[str, str]:
    return model_tags(stack, spec, None)
