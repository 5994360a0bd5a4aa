"""Plans a training from data, code, settings, budgets and earlier trainings; changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bedplate.domain.data.dataset import Split, split_dataset
from bedplate.domain.ledger import sha256
from bedplate.domain.money.cost_estimate import BudgetStatus, CostEstimate, CostWarning, cost_warnings, estimate_cost
from bedplate.domain.names import stage_budget
from bedplate.domain.versions.package import Lineage, build_archive, job_name, resolve_hyperparameters, training_digest
from bedplate.errors import JobFailed, NotFound
from bedplate.ports import Job, Package, Reporter
from bedplate.settings import ModelSpec
from bedplate.workflows.data.register import Registration
from bedplate.workflows.data.register import plan as plan_registration
from bedplate.workflows.data.versions import download_version, find_dataset_version
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.source import read_model_files, read_source

MAX_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """A requested training. `overrides` are the `--set` values; without `seed`, model.yaml's is used. `data` is a file,
    or a registered version (the beginning of its content hash, or `latest`)."""

    model: str
    data: Path | str
    overrides: Mapping[str, str]
    seed: int | None = None
    spot: bool | None = None
    """Whether to use spot instances; None: as declared in model.yaml."""
    notes: str = ""
    """Release notes for the users of the version."""


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """A planned training. `job` is an existing job of the same training, `package` the version registered from it."""

    request: TrainRequest
    spec: ModelSpec
    lineage: Lineage
    split: Split
    dataset: Registration
    code: bytes
    code_uri: str
    job_name: str
    cost: CostEstimate
    warnings: tuple[CostWarning, ...]
    job: Job | None
    package: Package | None

    @property
    def spot_max_wait_s(self) -> int | None:
        """The spot waiting time in seconds; None on demand. Without a value in model.yaml it is twice the time
        limit."""
        declared, requested = self.spec.training.spot, self.request.spot
        if requested is False or (requested is None and declared is None):
            return None
        return declared.max_wait_s if declared else 2 * self.spec.training.max_runtime_s

    @property
    def steps(self) -> tuple[str, ...]:
        """The planned steps, one sentence each."""
        if self.package:
            return (f"nothing: version {self.package.version} has the same data, code and settings",)
        if self.job:
            verb = "register" if self.job.status == "Completed" else "follow and register"
            return (f"{verb} the existing training job {self.job_name}",)
        return (
            f"upload {self.split.train_rows:,} training rows, {self.split.holdout_rows:,} holdout rows and the code",
            f"run training job {self.job_name} on {self.cost.instance_count} x {self.cost.instance_type}"
            f"{', spot, with checkpoints' if self.spot_max_wait_s else ''}",
            "register the result as a new version, pending approval",
        )


def plan(
    stack: StackContext, request: TrainRequest, reporter: Reporter, *, template: TrainPlan | None = None
) -> TrainPlan:
    """Plans a training; changes nothing. `template` is a recent plan of the same model and data, whose checked dataset
    is reused.

    Raises NotFound (model, data, platform), SettingsError, UsageError (an unknown `--set`), NotEnoughData, GateFailed
    (the data violates its contract, must not be used for training, or does not match its registration).
    """
    spec = stack.model(request.model)
    require_model(stack, request.model)
    files = read_model_files(stack.project_dir, spec)
    parameters = resolve_hyperparameters(spec.training.hyperparameters, request.overrides, _seed(spec, request))
    if template is None:
        dataset = _read_dataset(stack, spec, request.data, reporter)
        excluded = [name for name in spec.data.excluded_columns("training") if name in dataset.table.column_names]
        split = split_dataset(dataset.table.drop_columns(excluded), spec.data, spec.training.holdout_fraction)
    else:
        dataset, split = template.dataset, template.split
    lineage = _build_lineage(stack, spec, files, split, parameters, dataset.sha256)
    name, job, package = _find_job(stack, request.model, training_digest(lineage))
    cost = estimate_cost(
        "training",
        instance_type=spec.training.instance_type,
        instance_count=spec.training.instance_count,
        max_runtime_s=spec.training.max_runtime_s,
    )
    warnings = (
        () if job else cost_warnings(cost, limit_usd=spec.training.max_usd, budgets=list_budgets(stack, request.model))
    )
    code = build_archive(files)
    prefix = f"s3://{stack.outputs.artifacts_bucket}/{stack.names(request.model).training_prefix}code/"
    return TrainPlan(
        request=request,
        spec=spec,
        lineage=lineage,
        split=split,
        dataset=dataset,
        code=code,
        code_uri=f"{prefix}{sha256(code)[:16]}/sourcedir.tar.gz",
        job_name=name,
        cost=cost,
        warnings=warnings,
        job=job,
        package=package,
    )


def require_model(stack: StackContext, model: str) -> None:
    """Raises NotFound when the stack does not contain the model yet."""
    if model not in stack.outputs.models:
        raise NotFound(
            f"Stack {stack.name!r} has no {model!r} yet; its models: {', '.join(stack.outputs.models) or 'none'}",
            next_step=f"add it to models in stacks/Pulumi.{stack.name}.yaml, then: bedplate up --stack {stack.name}",
        )


def _read_dataset(stack: StackContext, spec: ModelSpec, data: Path | str, reporter: Reporter) -> Registration:
    """Reads the training rows from a file, or from a registered version whose signature is verified."""
    if isinstance(data, Path):
        return plan_registration(stack, spec, data, reporter, purpose="training")
    version = find_dataset_version(stack, spec.name, data)
    reporter("step", {"text": f"Verifying the signature of data version {version.short_hash}"})
    return plan_registration(stack, spec, download_version(stack, version), reporter, purpose="training")


def _seed(spec: ModelSpec, request: TrainRequest) -> int:
    return spec.training.seed if request.seed is None else request.seed


def _build_lineage(
    stack: StackContext,
    spec: ModelSpec,
    files: Mapping[str, bytes],
    split: Split,
    parameters: Mapping[str, str],
    dataset: str,
) -> Lineage:
    prefix = f"s3://{stack.outputs.data_bucket}/{stack.names(spec.name).datasets_prefix}{split.data_sha256[:16]}/"
    return Lineage(
        model=spec.name,
        data_sha256=split.data_sha256,
        data_uri=f"{prefix}train.parquet",
        holdout_uri=f"{prefix}holdout.parquet",
        data_rows=split.train_rows,
        data_from=split.first.isoformat() if split.first else "",
        data_to=split.last.isoformat() if split.last else "",
        source=read_source(stack.project_dir, spec.name, files),
        hyperparameters=parameters,
        seed=int(parameters["seed"]),
        instance_type=spec.training.instance_type,
        instance_count=spec.training.instance_count,
        image_uri=stack.outputs.image_uri,
        spec_sha256=sha256(spec.model_dump_json().encode()),
        dataset_sha256=dataset,
    )


def _find_job(stack: StackContext, model: str, digest: str) -> tuple[str, Job | None, Package | None]:
    """Returns the running or completed job of this training, or the name of the next attempt after failed jobs and jobs
    without an artifact: SageMaker keeps a job for ever, even when the bucket with its artifact was deleted."""
    base = stack.names(model).base
    for attempt in range(1, MAX_ATTEMPTS + 1):
        name = job_name(base, digest, attempt)
        try:
            job = stack.jobs.get_training(name)
        except NotFound:
            return name, None, None
        if job.status == "InProgress":
            return name, job, None
        if job.status == "Completed" and job.artifact_uri and stack.objects.exists(job.artifact_uri):
            return name, job, find_registered(stack, model, name)
    raise JobFailed(
        f"{MAX_ATTEMPTS} attempts at this training failed; change the code, the data or the settings",
        next_step=f"bedplate models log {name}",
    )


def find_registered(stack: StackContext, model: str, job: str) -> Package | None:
    """Returns the version that was registered from this job, or None."""
    versions = stack.registry.list_versions(stack.names(model).package_group)
    return next((p for p in versions if p.metadata.get("training_job") == job), None)


def list_budgets(stack: StackContext, model: str) -> tuple[BudgetStatus, ...]:
    """Returns the status of the model's and the platform's budgets, and of their training budgets."""
    totals = (stack.names(model).budget, stack.outputs.platform_budget)
    relevant = {*totals, *(stage_budget(name, "training") for name in totals)}
    return tuple(
        BudgetStatus(b.name, b.limit_usd, b.actual_usd, b.blocks_training)
        for b in stack.costs.list_budgets()
        if b.name in relevant
    )
