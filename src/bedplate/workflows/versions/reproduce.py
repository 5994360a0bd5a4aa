"""Trains a registered version again from its record, and compares the two models on the same held-out rows.

Registers and records nothing. The same command resumes a run that was killed, and repeats one that is complete.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedplate.domain.evidence.evaluation import Evaluation
from bedplate.domain.ledger import Record, sha256
from bedplate.domain.money.cost_estimate import CostEstimate, CostWarning, cost_warnings, estimate_cost
from bedplate.domain.versions.package import job_name
from bedplate.domain.versions.reproduction import (
    DependencyCheck,
    PredictionComparison,
    ReproductionResult,
    compare_predictions,
    compare_reproduced_metrics,
    hash_data,
)
from bedplate.errors import GateFailed, JobFailed, NotFound, OverBudget, PlatformError
from bedplate.ports import Job, Package, ProcessingRequest, Reporter, TrainingRequest
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext, model_tags
from bedplate.workflows.training.job_following import follow_job, require_completed
from bedplate.workflows.training.lineage import CodeArchive, read_code, read_hyperparameters
from bedplate.workflows.training.source import find_lock_file
from bedplate.workflows.training.training_plan import list_budgets
from bedplate.workflows.versions.evaluate import COMMAND, INPUT, MAX_RUNTIME_S, OUTPUT
from bedplate.workflows.versions.models import find_version

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MAX_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True)
class ReproductionPlan:
    """A planned reproduction. `training_job` and `scoring_job` are the jobs of a run that was killed."""

    model: str
    package: Package
    code: CodeArchive
    hyperparameters: dict[str, str]
    dependencies: tuple[DependencyCheck, ...]
    cost: CostEstimate
    warnings: tuple[CostWarning, ...]
    job_name: str
    training_job: Job | None
    scoring_job: Job | None
    prefix_uri: str

    @property
    def ref(self) -> str:
        return f"{self.model}:{self.package.version}"


def plan_reproduction(stack: StackContext, model: str, version: int | None) -> ReproductionPlan:
    """Reads the record and checks code and data against it; changes nothing.

    Raises NotFound if version, code or data do not exist, PlatformError if the data was changed since the training.
    """
    package = find_version(stack, model, version)
    code = read_code(stack, package)
    metadata = package.metadata
    _require_same_data(stack, model, package)
    hyperparameters = read_hyperparameters(package, _read_records(stack, package))
    settings = code.spec.training
    lock = find_lock_file(stack.project_dir)
    cost = estimate_cost(
        "training",
        instance_type=metadata["instance_type"],
        instance_count=settings.instance_count,
        max_runtime_s=settings.max_runtime_s,
    )
    name, job, scoring = _find_run(stack, f"{stack.names(model).base}-reproduce", sha256(package.arn.encode())[:12])
    names = stack.names(model)
    return ReproductionPlan(
        model=model,
        package=package,
        code=code,
        hyperparameters=hyperparameters,
        dependencies=(
            DependencyCheck("code", metadata["code_sha256"], code.sha256),
            DependencyCheck("lock file", metadata["lock_sha256"], sha256(lock.read_bytes()) if lock else "none"),
        ),
        cost=cost,
        warnings=() if job else cost_warnings(cost, limit_usd=settings.max_usd, budgets=list_budgets(stack, model)),
        job_name=name,
        training_job=job,
        scoring_job=scoring,
        prefix_uri=f"s3://{stack.outputs.artifacts_bucket}/{names.evaluations_prefix}v{package.version}/reproduced-"
        f"{name.rpartition('-')[2]}/",
    )


def reproduce(
    stack: StackContext, plan: ReproductionPlan, reporter: Reporter, *, allow_changes: bool = False
) -> ReproductionResult:
    """Trains again, scores both models on the held-out rows, and compares them.

    Raises GateFailed if code or lock file differ from the record and not `allow_changes`, OverBudget, JobFailed. A
    different result is not an error here: see `is_identical`.
    """
    _require_reproducible(plan, reporter, allow_changes=allow_changes)
    training_job = plan.training_job or _submit_training(stack, plan, reporter)
    training_job, lines = follow_job(stack, training_job, kind="training", reporter=reporter)
    require_completed(training_job, lines, label=f"Training job {training_job.name}", kind="training")
    scoring_job = plan.scoring_job or _submit_scoring(stack, plan, training_job, reporter)
    scoring_job, lines = follow_job(stack, scoring_job, kind="processing", reporter=reporter)
    require_completed(scoring_job, lines, label=f"Evaluation job {scoring_job.name}", kind="processing")
    return _compare_models(stack, plan)


def _require_reproducible(plan: ReproductionPlan, reporter: Reporter, *, allow_changes: bool) -> None:
    changes = [dependency for dependency in plan.dependencies if not dependency.is_same]
    detail = "; ".join(f"the {d.name} is {d.current[:12]}, the record says {d.recorded[:12]}" for d in changes)
    if changes and not allow_changes:
        raise GateFailed(
            f"{plan.ref} cannot be reproduced exactly: {detail}",
            next_step=f"{_checkout_command(plan.package)}bedplate reproduce {plan.ref} --anyway",
        )
    if changes:
        reporter("warning", {"text": f"Not an exact reproduction: {detail}"})
    blocking = [warning.reason for warning in plan.warnings if warning.is_blocking]
    if blocking:
        raise OverBudget(f"No training of {plan.ref}: {'; '.join(blocking)}", next_step="bedplate budgets")
    for warning in plan.warnings:
        reporter("warning", {"text": warning.reason})


def _checkout_command(package: Package) -> str:
    commit = package.metadata.get("code_commit", "none")
    return "" if commit == "none" else f"git checkout {commit} && make setup, or: "


# --- observe --------------------------------------------------------------------------------------------------------


def _require_same_data(stack: StackContext, model: str, package: Package) -> None:
    metadata = package.metadata
    try:
        digest = hash_data(stack.objects.get(metadata["data_uri"]), stack.objects.get(metadata["holdout_uri"]))
    except NotFound as exc:
        raise NotFound(
            f"The data of {model}:{package.version} no longer exists (data_retention_days): {exc.message}",
            next_step=f"bedplate train {model} --data <the same file>",
        ) from exc
    if digest != metadata["data_sha256"]:
        raise PlatformError(
            f"The data of {model}:{package.version} was changed: its hash is {digest[:12]}, "
            f"the record says {metadata['data_sha256'][:12]}",
            next_step=f"bedplate models show {model}:{package.version}",
        )


def _read_records(stack: StackContext, package: Package) -> list[Record]:
    """Reads the ledger only if the hyperparameters did not fit into the registry."""
    return Ledger.of(stack).records() if '"sha256"' in package.metadata.get("hyperparameters", "") else []


def _find_run(stack: StackContext, base: str, digest: str) -> tuple[str, Job | None, Job | None]:
    """Returns the name and the jobs of a run that was started and not completed, or the name of the next run."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        name = job_name(base, digest, attempt)
        try:
            training_job = stack.jobs.get_training(name)
        except NotFound:
            return name, None, None
        if training_job.status == "InProgress":
            return name, training_job, None
        if training_job.status != "Completed":
            continue
        try:
            scoring_job = stack.jobs.get_processing(name)
        except NotFound:
            return name, training_job, None
        if scoring_job.status == "InProgress":
            return name, training_job, scoring_job
    raise JobFailed(
        f"{MAX_ATTEMPTS} reproductions of this version already exist", next_step=f"bedplate models log {name}"
    )


# --- execute --------------------------------------------------------------------------------------------------------


def _submit_training(stack: StackContext, plan: ReproductionPlan, reporter: Reporter) -> Job:
    reporter("step", {"text": f"Training {plan.ref} again from its record: job {plan.job_name}"})
    metadata, settings = plan.package.metadata, plan.code.spec.training
    return stack.jobs.submit_training(
        TrainingRequest(
            name=plan.job_name,
            image_uri=metadata["image_uri"],
            role_arn=stack.outputs.execution_role(plan.model),
            entry_point=settings.entry_point,
            channels={"code": plan.code.uri, "training": metadata["data_uri"]},
            output_uri=f"s3://{stack.outputs.artifacts_bucket}/{stack.names(plan.model).training_prefix}",
            hyperparameters=plan.hyperparameters,
            environment={"BEDPLATE_MODEL": plan.model, "PYTHONHASHSEED": metadata["seed"]},
            instance_type=metadata["instance_type"],
            instance_count=settings.instance_count,
            volume_gb=settings.volume_gb,
            max_runtime_s=settings.max_runtime_s,
            tags=_tags(stack, plan),
            kms_key_arn=stack.outputs.kms_key_arn,
            network=stack.outputs.network,
        )
    )


def _submit_scoring(stack: StackContext, plan: ReproductionPlan, job: Job, reporter: Reporter) -> Job:
    reporter("step", {"text": "Scoring both models on the held-out rows"})
    return stack.jobs.submit_processing(
        ProcessingRequest(
            name=plan.job_name,
            image_uri=plan.package.image_uri,
            role_arn=stack.outputs.execution_role(plan.model),
            command=COMMAND,
            inputs={
                "candidate": (job.artifact_uri or "", f"{INPUT}/candidate"),
                "champion": (plan.package.artifact_uri, f"{INPUT}/champion"),
                "holdout": (plan.package.metadata["holdout_uri"], f"{INPUT}/holdout"),
            },
            outputs={"evaluation": (OUTPUT, plan.prefix_uri.rstrip("/"))},
            environment={"BEDPLATE_MODEL": plan.model},
            instance_type=plan.package.metadata["instance_type"],
            max_runtime_s=MAX_RUNTIME_S,
            tags=_tags(stack, plan),
            kms_key_arn=stack.outputs.kms_key_arn,
            network=stack.outputs.network,
        )
    )


def _tags(stack: StackContext, plan: ReproductionPlan) -> dict[str, str]:
    return model_tags(stack, plan.code.spec, plan.package.version)


# --- compare --------------------------------------------------------------------------------------------------------


def _compare_models(stack: StackContext, plan: ReproductionPlan) -> ReproductionResult:
    evaluation = Evaluation.from_json(json.loads(stack.objects.get(f"{plan.prefix_uri}evaluation.json")))
    if evaluation.champion is None:
        raise JobFailed(
            f"The registered model of {plan.ref} could not score its own holdout",
            next_step=f"bedplate models log {plan.job_name} --kind processing",
        )
    reproduced, registered = _read_predictions(stack, f"{plan.prefix_uri}predictions.parquet")
    return ReproductionResult(
        metrics=compare_reproduced_metrics(
            plan.package.metadata,
            {name: estimate.value for name, estimate in evaluation.champion.items()},
            {name: estimate.value for name, estimate in evaluation.candidate.items()},
        ),
        predictions=compare_predictions(reproduced, registered),
        evaluated_predictions=_compare_with_evaluation(stack, plan, reproduced),
    )


def _compare_with_evaluation(
    stack: StackContext, plan: ReproductionPlan, reproduced: ArrayLike
) -> PredictionComparison | None:
    uri = plan.package.metadata.get("evaluation_uri")
    if uri is None:
        return None
    try:
        stored, _ = _read_predictions(stack, f"{uri.rpartition('/')[0]}/predictions.parquet")
    except NotFound:
        return None
    return compare_predictions(reproduced, stored)


def _read_predictions(stack: StackContext, uri: str) -> tuple[ArrayLike, ArrayLike]:
    """Returns the candidate's and the champion's predictions, row by row; the latter empty without a champion."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(stack.objects.get(uri)))
    champion = table["champion_prediction"].to_numpy() if "champion_prediction" in table.column_names else []
    return table["prediction"].to_numpy(), champion
