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
from bedplate.ports import Job, Package, PackageDraft, Say, TrainingRequest
from bedplate.settings import ModelSpec
from bedplate.workflows.data.register import register
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import Platform
from bedplate.workflows.training.job_following import follow, must_have_completed
from bedplate.workflows.training.runs import keep, warm
from bedplate.workflows.training.sbom import keep_sbom
from bedplate.workflows.training.training_plan import TrainPlan, registered

_METRIC = re.compile(r"^metric: (\w+)=([-+0-9.eE]+|nan)$")


@dataclass(frozen=True, slots=True)
class Trained:
    """`package` is None when the job still runs (`--no-wait`)."""

    job: Job
    package: Package | None
    metrics: Mapping[str, float]
    adopted: bool


def train(at: Platform, plan: TrainPlan, say: Say, *, wait: bool = True) -> Trained:
    """Execute the plan and record it. Raises OverBudget before anything is changed, JobFailed when the script fails."""
    refusals = [o.reason for o in plan.objections if o.refused]
    if refusals:
        raise OverBudget(f"No training of {plan.spec.name}: {'; '.join(refusals)}", next_step="bedplate budgets")
    for objection in plan.objections:
        say("warning", {"text": objection.reason})
    for suspicion in plan.dataset.suspicions:
        say("warning", {"text": str(suspicion)})
    if plan.lineage.source.dirty == "true":
        say("warning", {"text": f"models/{plan.spec.name} is not committed as it is: approve will want --force"})
    if plan.package and plan.job:
        _record(at, plan, plan.package, plan.job, {}, only_if_missing=True)
        return Trained(plan.job, plan.package, {}, adopted=True)
    job, adopted = (plan.job, True) if plan.job else _submit(at, plan, say)
    if not wait:
        return Trained(job, None, {}, adopted)
    warm(at)
    job, lines = follow(at, job, kind="training", say=say)
    return conclude(at, plan, job, lines, say, adopted=adopted)


def conclude(
    at: Platform,
    plan: TrainPlan,
    job: Job,
    lines: Sequence[str],
    say: Say,
    *,
    adopted: bool,
    tags: Mapping[str, str] | None = None,
) -> Trained:
    """Register and record what a job left; keep its run, also of one that failed."""
    metrics, package = metrics_of(lines), None
    try:
        must_have_completed(job, lines, what=f"Training job {job.name}", kind="training")
        package = registered(at, plan.request.model, job.name)
        if package is None:
            say("step", {"text": "Registering the result"})
            package = at.registry.register(_draft(at, plan, job))
        _record(at, plan, package, job, metrics, only_if_missing=adopted)
    finally:
        keep(
            at,
            say,
            lineage=plan.lineage,
            cost=plan.cost,
            job=job,
            metrics=metrics,
            package=package,
            code_uri=plan.code_uri,
            tags=tags,
        )
    return Trained(job, package, metrics, adopted)


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


def _submit(at: Platform, plan: TrainPlan, say: Say) -> tuple[Job, bool]:
    """The job, and whether somebody else had started it."""
    upload(at, plan, say)
    say("step", {"text": f"Starting training job {plan.job_name}"})
    try:
        return at.jobs.submit_training(job_request(at, plan)), False
    except Conflict:  # this very training was started since we looked: the job is theirs and ours
        return at.jobs.training(plan.job_name), True


def upload(at: Platform, plan: TrainPlan, say: Say) -> None:
    """Put data and code where the job finds them. Raises GateFailed when somebody changed what is there."""
    register(at, plan.dataset, say)
    say("step", {"text": "Uploading data and code"})
    _put_once(at, plan.lineage.data_uri, plan.parts.train)
    _put_once(at, plan.lineage.holdout_uri, plan.parts.holdout)
    _put_once(at, plan.code_uri, plan.code)


def job_request(at: Platform, plan: TrainPlan) -> TrainingRequest:
    """The job that the plan is about."""
    training = plan.spec.training
    return TrainingRequest(
        name=plan.job_name,
        image_uri=plan.lineage.image_uri,
        role_arn=at.outputs.execution_role(plan.spec.name),
        entry_point=training.entry_point,
        channels={"code": plan.code_uri, "training": plan.lineage.data_uri},
        output_uri=f"s3://{at.outputs.artifacts_bucket}/{at.names(plan.spec.name).training_prefix}",
        hyperparameters=plan.lineage.hyperparameters,
        environment={"BEDPLATE_MODEL": plan.spec.name, "PYTHONHASHSEED": str(plan.lineage.seed)},
        instance_type=training.instance_type,
        instance_count=training.instance_count,
        volume_gb=training.volume_gb,
        max_runtime_s=training.max_runtime_s,
        tags=_tags(at, plan.spec),
        kms_key_arn=at.outputs.kms_key_arn,
        network=at.outputs.network,
        spot_max_wait_s=plan.spot_max_wait_s,
        checkpoint_uri=checkpoints(at, plan) if plan.spot_max_wait_s else None,
    )


def checkpoints(at: Platform, plan: TrainPlan) -> str:
    """Of one training, whichever attempt: another attempt goes on where the last one was."""
    prefix = f"s3://{at.outputs.artifacts_bucket}/{at.names(plan.spec.name).training_prefix}"
    return f"{prefix}checkpoints/{plan.job_name.rpartition('-')[0]}/"


def _put_once(at: Platform, uri: str, body: bytes) -> None:
    """The URI holds the content's hash, so what is there already is the same, or somebody changed it.

    Raises GateFailed when it is not.
    """
    if not at.objects.exists(uri):
        at.objects.put(uri, body)
    elif sha256(at.objects.get(uri)) != sha256(body):
        raise GateFailed(
            f"{uri} is not what was uploaded there: somebody changed it",
            next_step="find out who and why; then delete it, and the same command uploads it again",
        )


def _draft(at: Platform, plan: TrainPlan, job: Job) -> PackageDraft:
    trained_at = iso_ms(job.ended_at or at.clock.now())
    return PackageDraft(
        group=at.names(plan.spec.name).package_group,
        image_uri=plan.lineage.image_uri,
        artifact_uri=job.artifact_uri or "",
        description=f"{plan.spec.name}, trained on data {plan.lineage.data_sha256[:12]} by {at.identity.person}",
        environment={},
        metadata={
            **metadata(
                plan.lineage,
                training_job=job.name,
                trained_by=at.identity.person,
                trained_at=trained_at,
                code_uri=plan.code_uri,
            ),
            **carried(plan.spec, plan.request.notes),
            **keep_sbom(at, plan.spec.name),
        },
        tags={},
    )


def _record(
    at: Platform, plan: TrainPlan, package: Package, job: Job, metrics: Mapping[str, float], *, only_if_missing: bool
) -> None:
    ledger = Ledger.of(at)
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
        actor=at.identity.person,
        model=plan.spec.name,
        version=package.version,
        data=data,
    )


def _tags(at: Platform, spec: ModelSpec) -> dict[str, str]:
    return for_model(
        project=at.project,
        stack=at.stack,
        model=spec.name,
        version=None,
        owner=spec.owner,
        cost_center=at.settings.cost_center,
    )
