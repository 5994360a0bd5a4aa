"""Plans a training: looks at data, code, settings, money and at what was trained before; changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bedplate.domain.data.dataset import Split, split
from bedplate.domain.ledger import sha256
from bedplate.domain.money.cost_estimate import BudgetStatus, CostEstimate, CostWarning, estimate, objections
from bedplate.domain.names import stage_budget
from bedplate.domain.versions.package import Lineage, archive, hyperparameters, job_name, same_training
from bedplate.errors import JobFailed, NotFound
from bedplate.ports import Job, Package, Reporter
from bedplate.settings import ModelSpec
from bedplate.workflows.data.register import Registration
from bedplate.workflows.data.register import plan as plan_registration
from bedplate.workflows.data.versions import fetch, find
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.source import model_files, source_of

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
    objections: tuple[CostWarning, ...]
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


def plan(stack: StackContext, request: TrainRequest, reporter: Reporter, *, like: TrainPlan | None = None) -> TrainPlan:
    """Look at everything, decide, change nothing. `like` is a plan with the same model and data, made a moment ago:
    what it looked at is not looked at again.

    Raises NotFound (model, data, platform), SettingsError, UsageError (an unknown `--set`), NotEnoughData, GateFailed
    (data that breaks its contract, that must not be trained on, or that is not what was registered).
    """
    spec = stack.model(request.model)
    must_be_deployed(stack, request.model)
    files = model_files(stack.project_dir, spec)
    parameters = hyperparameters(spec.training.hyperparameters, request.overrides, _seed(spec, request))
    if like is None:
        dataset = _dataset(stack, spec, request.data, reporter)
        forbidden = [name for name in spec.data.forbidden_for("training") if name in dataset.table.column_names]
        parts = split(dataset.table.drop_columns(forbidden), spec.data, spec.training.holdout_fraction)
    else:
        dataset, parts = like.dataset, like.parts
    lineage = _lineage(stack, spec, files, parts, parameters, dataset.sha256)
    name, job, package = _find(stack, request.model, same_training(lineage))
    cost = estimate(
        "training",
        instance_type=spec.training.instance_type,
        instance_count=spec.training.instance_count,
        max_runtime_s=spec.training.max_runtime_s,
    )
    against = () if job else objections(cost, limit_usd=spec.training.max_usd, budgets=budgets_of(stack, request.model))
    code = archive(files)
    prefix = f"s3://{stack.outputs.artifacts_bucket}/{stack.names(request.model).training_prefix}code/"
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


def must_be_deployed(stack: StackContext, model: str) -> None:
    """Raises NotFound when the platform does not know the model yet."""
    if model not in stack.outputs.models:
        raise NotFound(
            f"Stack {stack.name!r} has no {model!r} yet (it has: {', '.join(stack.outputs.models) or 'no model'})",
            next_step=f"add it to models in stacks/Pulumi.{stack.name}.yaml, then: bedplate up --stack {stack.name}",
        )


def _dataset(stack: StackContext, spec: ModelSpec, data: Path | str, reporter: Reporter) -> Registration:
    """The rows to train on, from a file or from a registered version whose signature holds."""
    if isinstance(data, Path):
        return plan_registration(stack, spec, data, reporter, purpose="training")
    version = find(stack, spec.name, data)
    reporter("step", {"text": f"Checking the signature of version {version.short} of the data"})
    return plan_registration(stack, spec, fetch(stack, version), reporter, purpose="training")


def _seed(spec: ModelSpec, request: TrainRequest) -> int:
    return spec.training.seed if request.seed is None else request.seed


def _lineage(
    stack: StackContext,
    spec: ModelSpec,
    files: Mapping[str, bytes],
    parts: Split,
    parameters: Mapping[str, str],
    dataset: str,
) -> Lineage:
    prefix = f"s3://{stack.outputs.data_bucket}/{stack.names(spec.name).datasets_prefix}{parts.data_sha256[:16]}/"
    return Lineage(
        model=spec.name,
        data_sha256=parts.data_sha256,
        data_uri=f"{prefix}train.parquet",
        holdout_uri=f"{prefix}holdout.parquet",
        data_rows=parts.train_rows,
        data_from=parts.first.isoformat() if parts.first else "",
        data_to=parts.last.isoformat() if parts.last else "",
        source=source_of(stack.project_dir, spec.name, files),
        hyperparameters=parameters,
        seed=int(parameters["seed"]),
        instance_type=spec.training.instance_type,
        instance_count=spec.training.instance_count,
        image_uri=stack.outputs.image_uri,
        spec_sha256=sha256(spec.model_dump_json().encode()),
        dataset_sha256=dataset,
    )


def _find(stack: StackContext, model: str, digest: str) -> tuple[str, Job | None, Package | None]:
    """The job of this training that runs or is done, or the name of the next attempt after those that failed, or whose
    result is gone: SageMaker keeps a job for ever, also when the bucket with its artifact was destroyed."""
    base = stack.names(model).base
    for attempt in range(1, MAX_ATTEMPTS + 1):
        name = job_name(base, digest, attempt)
        try:
            job = stack.jobs.training(name)
        except NotFound:
            return name, None, None
        if job.status == "InProgress":
            return name, job, None
        if job.status == "Completed" and job.artifact_uri and stack.objects.exists(job.artifact_uri):
            return name, job, registered(stack, model, name)
    raise JobFailed(
        f"{MAX_ATTEMPTS} attempts at this training failed; change the code, the data or the settings",
        next_step=f"bedplate models log {name}",
    )


def registered(stack: StackContext, model: str, job: str) -> Package | None:
    """The version that was made of this job; None when there is none yet."""
    versions = stack.registry.versions(stack.names(model).package_group)
    return next((p for p in versions if p.metadata.get("training_job") == job), None)


def budgets_of(stack: StackContext, model: str) -> tuple[BudgetStatus, ...]:
    """What is gone of the model's budget and of the platform's, and of what each has for training alone."""
    whole = (stack.names(model).budget, stack.outputs.platform_budget)
    ours = {*whole, *(stage_budget(name, "training") for name in whole)}
    return tuple(
        BudgetStatus(b.name, b.limit_usd, b.actual_usd, b.stopped) for b in stack.costs.budgets() if b.name in ours
    )
