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
from pathlib import Path

from bedplate.domain.cost_estimate import CostEstimate, Objection, Spent, estimate, objections
from bedplate.domain.dataset import Split, split
from bedplate.domain.ledger import iso_ms, sha256
from bedplate.domain.names import stage_budget
from bedplate.domain.package import (
    Lineage,
    archive,
    carried,
    hyperparameters,
    job_name,
    metadata,
    same_training,
)
from bedplate.domain.tags import for_model
from bedplate.errors import Conflict, GateFailed, JobFailed, NotFound, OverBudget
from bedplate.ports import Job, Package, PackageDraft, Say, TrainingRequest
from bedplate.settings import ModelSpec
from bedplate.workflows.data_register import Registration, register
from bedplate.workflows.data_register import plan as plan_registration
from bedplate.workflows.data_versions import fetch, find
from bedplate.workflows.job_following import follow, must_have_completed
from bedplate.workflows.ledger import Ledger
from bedplate.workflows.platform import Platform
from bedplate.workflows.runs import keep, warm
from bedplate.workflows.sbom import keep_sbom
from bedplate.workflows.source import model_files, source_of

_METRIC = re.compile(r"^metric: (\w+)=([-+0-9.eE]+|nan)$")
MAX_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """`overrides` are the `--set` values; `seed` None is model.yaml's. `data` is a file, or the name of a registered
    version (the beginning of its content hash, or `latest`)."""

    model: str
    data: Path | str
    overrides: Mapping[str, str]
    seed: int | None = None
    spot: bool | None = None
    """On spot instances or not; None: as model.yaml says."""
    notes: str = ""
    """Release notes: what is new in this version, for the people who rely on it."""


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """Everything decided, nothing changed. `job` is one that exists already, `package` what was made of it."""

    request: TrainRequest
    spec: ModelSpec
    lineage: Lineage
    parts: Split
    dataset: Registration
    code: bytes
    code_uri: str
    job_name: str
    cost: CostEstimate
    objections: tuple[Objection, ...]
    job: Job | None
    package: Package | None

    @property
    def spot_max_wait_s(self) -> int | None:
        """None: on demand. Asked for without a time in model.yaml: twice the time limit."""
        declared, asked = self.spec.training.spot, self.request.spot
        if asked is False or (asked is None and declared is None):
            return None
        return declared.max_wait_s if declared else 2 * self.spec.training.max_runtime_s

    @property
    def steps(self) -> tuple[str, ...]:
        """What will be done, a sentence each."""
        if self.package:
            return (f"nothing: version {self.package.version} was trained from exactly this",)
        if self.job:
            verb = "register" if self.job.status == "Completed" else "follow and register"
            return (f"{verb} training job {self.job_name}, which exists already",)
        return (
            f"upload {self.parts.train_rows:,} rows to train on, {self.parts.holdout_rows:,} to judge by, and the code",
            f"run training job {self.job_name} on {self.cost.instance_count} x {self.cost.instance_type}"
            f"{', spot, with checkpoints' if self.spot_max_wait_s else ''}",
            "register the result as a new version, waiting for approval",
        )


@dataclass(frozen=True, slots=True)
class Trained:
    """`package` is None when the job still runs (`--no-wait`)."""

    job: Job
    package: Package | None
    metrics: Mapping[str, float]
    adopted: bool


def plan(at: Platform, request: TrainRequest, say: Say, *, like: TrainPlan | None = None) -> TrainPlan:
    """Look at everything, decide, change nothing. `like` is a plan with the same model and data, made a moment ago:
    what it looked at is not looked at again.

    Raises NotFound (model, data, platform), SettingsError, UsageError (an unknown `--set`), NotEnoughData, GateFailed
    (data that breaks its contract, that must not be trained on, or that is not what was registered).
    """
    spec = at.model(request.model)
    must_be_deployed(at, request.model)
    files = model_files(at.project_dir, spec)
    parameters = hyperparameters(spec.training.hyperparameters, request.overrides, _seed(spec, request))
    if like is None:
        dataset = _dataset(at, spec, request.data, say)
        forbidden = [name for name in spec.data.forbidden_for("training") if name in dataset.table.column_names]
        parts = split(dataset.table.drop_columns(forbidden), spec.data, spec.training.holdout_fraction)
    else:
        dataset, parts = like.dataset, like.parts
    lineage = _lineage(at, spec, files, parts, parameters, dataset.sha256)
    name, job, package = _find(at, request.model, same_training(lineage))
    cost = estimate(
        "training",
        instance_type=spec.training.instance_type,
        instance_count=spec.training.instance_count,
        max_runtime_s=spec.training.max_runtime_s,
    )
    against = () if job else objections(cost, limit_usd=spec.training.max_usd, budgets=budgets_of(at, request.model))
    code = archive(files)
    prefix = f"s3://{at.outputs.artifacts_bucket}/{at.names(request.model).training_prefix}code/"
    return TrainPlan(
        request=request,
        spec=spec,
        lineage=lineage,
        parts=parts,
        dataset=dataset,
        code=code,
        code_uri=f"{prefix}{sha256(code)[:16]}/sourcedir.tar.gz",
        job_name=name,
        cost=cost,
        objections=against,
        job=job,
        package=package,
    )


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
        package = _registered(at, plan.request.model, job.name)
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


def must_be_deployed(at: Platform, model: str) -> None:
    """Raises NotFound when the platform does not know the model yet."""
    if model not in at.outputs.models:
        raise NotFound(
            f"Stack {at.stack!r} does not hold {model!r} yet (it holds: {', '.join(at.outputs.models) or 'no model'})",
            next_step=f"add it to models in stacks/Pulumi.{at.stack}.yaml, then: bedplate up --stack {at.stack}",
        )


# --- observe --------------------------------------------------------------------------------------------------------


def _dataset(at: Platform, spec: ModelSpec, data: Path | str, say: Say) -> Registration:
    """The rows to train on, from a file or from a registered version whose signature holds."""
    if isinstance(data, Path):
        return plan_registration(at, spec, data, say, purpose="training")
    version = find(at, spec.name, data)
    say("step", {"text": f"Checking the signature of version {version.short} of the data"})
    return plan_registration(at, spec, fetch(at, version), say, purpose="training")


def _seed(spec: ModelSpec, request: TrainRequest) -> int:
    return spec.training.seed if request.seed is None else request.seed


def _lineage(
    at: Platform, spec: ModelSpec, files: Mapping[str, bytes], parts: Split, parameters: Mapping[str, str], dataset: str
) -> Lineage:
    prefix = f"s3://{at.outputs.data_bucket}/{at.names(spec.name).datasets_prefix}{parts.data_sha256[:16]}/"
    return Lineage(
        model=spec.name,
        data_sha256=parts.data_sha256,
        data_uri=f"{prefix}train.parquet",
        holdout_uri=f"{prefix}holdout.parquet",
        data_rows=parts.train_rows,
        data_from=parts.first.isoformat() if parts.first else "",
        data_to=parts.last.isoformat() if parts.last else "",
        source=source_of(at.project_dir, spec.name, files),
        hyperparameters=parameters,
        seed=int(parameters["seed"]),
        instance_type=spec.training.instance_type,
        instance_count=spec.training.instance_count,
        image_uri=at.outputs.image_uri,
        spec_sha256=sha256(spec.model_dump_json().encode()),
        dataset_sha256=dataset,
    )


def _find(at: Platform, model: str, digest: str) -> tuple[str, Job | None, Package | None]:
    """The job of this training that runs or is done, or the name of the next attempt after those that failed, or whose
    result is gone: SageMaker keeps a job for ever, also when the bucket with its artifact was destroyed."""
    base = at.names(model).base
    for attempt in range(1, MAX_ATTEMPTS + 1):
        name = job_name(base, digest, attempt)
        try:
            job = at.jobs.training(name)
        except NotFound:
            return name, None, None
        if job.status == "InProgress":
            return name, job, None
        if job.status == "Completed" and job.artifact_uri and at.objects.exists(job.artifact_uri):
            return name, job, _registered(at, model, name)
    raise JobFailed(
        f"{MAX_ATTEMPTS} attempts at this training failed; change the code, the data or the settings",
        next_step=f"bedplate models log {name}",
    )


def _registered(at: Platform, model: str, job: str) -> Package | None:
    versions = at.registry.versions(at.names(model).package_group)
    return next((p for p in versions if p.metadata.get("training_job") == job), None)


def budgets_of(at: Platform, model: str) -> tuple[Spent, ...]:
    """What is gone of the model's budget and of the platform's, and of what each has for training alone."""
    whole = (at.names(model).budget, at.outputs.platform_budget)
    ours = {*whole, *(stage_budget(name, "training") for name in whole)}
    return tuple(Spent(b.name, b.limit_usd, b.actual_usd, b.stopped) for b in at.costs.budgets() if b.name in ours)


# --- execute --------------------------------------------------------------------------------------------------------


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
