"""Trains a registered version again from its record, and compares the two models on the same held-out rows.

Nothing is registered and nothing recorded: a reproduction is a question, not an act. A run that was killed is taken up
by the same command; one that is complete is done anew.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedplate.domain.evidence.evaluation import Evaluation
from bedplate.domain.ledger import Record, sha256
from bedplate.domain.money.cost_estimate import CostEstimate, CostWarning, estimate, objections
from bedplate.domain.tags import for_model
from bedplate.domain.versions.package import job_name
from bedplate.domain.versions.reproduction import (
    DependencyCheck,
    Predictions,
    Reproduction,
    compare_predictions,
    data_hash,
    metrics_told,
)
from bedplate.errors import GateFailed, JobFailed, NotFound, OverBudget, PlatformError
from bedplate.ports import Job, Package, ProcessingRequest, Reporter, TrainingRequest
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.job_following import follow, must_have_completed
from bedplate.workflows.training.lineage import Code, code_of, hyperparameters_of
from bedplate.workflows.training.source import lock_file
from bedplate.workflows.training.training_plan import budgets_of
from bedplate.workflows.versions.evaluate import COMMAND, INPUT, MAX_RUNTIME_S, OUTPUT
from bedplate.workflows.versions.models import find_version

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MAX_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True)
class ReproductionPlan:
    """What will be trained from what. `training` and `scoring` are jobs of a run that was killed."""

    model: str
    package: Package
    code: Code
    hyperparameters: dict[str, str]
    surroundings: tuple[DependencyCheck, ...]
    cost: CostEstimate
    objections: tuple[CostWarning, ...]
    job_name: str
    training: Job | None
    scoring: Job | None
    prefix_uri: str

    @property
    def ref(self) -> str:
        return f"{self.model}:{self.package.version}"


def plan(stack: StackContext, model: str, version: int | None) -> ReproductionPlan:
    """Read the record, check that code and data are what it says, change nothing.

    Raises NotFound (version, code or data gone), PlatformError (the data is not what was trained on).
    """
    package = find_version(stack, model, version)
    code = code_of(stack, package)
    told = package.metadata
    _data_must_fit(stack, model, package)
    parameters = hyperparameters_of(package, _records(stack, package))
    training = code.spec.training
    cost = estimate(
        "training",
        instance_type=told["instance_type"],
        instance_count=training.instance_count,
        max_runtime_s=training.max_runtime_s,
    )
    name, job, scoring = _find(stack, f"{stack.names(model).base}-reproduce", sha256(package.arn.encode())[:12])
    names = stack.names(model)
    return ReproductionPlan(
        model=model,
        package=package,
        code=code,
        hyperparameters=parameters,
        surroundings=(
            DependencyCheck("code", told["code_sha256"], code.sha256),
            DependencyCheck("lock file", told["lock_sha256"], _lock(stack)),
        ),
        cost=cost,
        objections=() if job else objections(cost, limit_usd=training.max_usd, budgets=budgets_of(stack, model)),
        job_name=name,
        training=job,
        scoring=scoring,
        prefix_uri=f"s3://{stack.outputs.artifacts_bucket}/{names.evaluations_prefix}v{package.version}/reproduced-"
        f"{name.rpartition('-')[2]}/",
    )


def reproduce(stack: StackContext, plan: ReproductionPlan, reporter: Reporter, *, anyway: bool = False) -> Reproduction:
    """Train again, score both models on the held-out rows, compare.

    Raises GateFailed when code or lock file are not what the record says and not `anyway`, OverBudget, JobFailed.
    That the result differs is no error here: `identical` says it.
    """
    _may_run(plan, reporter, anyway=anyway)
    job = plan.training or _submit(stack, plan, reporter)
    job, lines = follow(stack, job, kind="training", reporter=reporter)
    must_have_completed(job, lines, what=f"Training job {job.name}", kind="training")
    scoring = plan.scoring or _score(stack, plan, job, reporter)
    scoring, lines = follow(stack, scoring, kind="processing", reporter=reporter)
    must_have_completed(scoring, lines, what=f"Evaluation job {scoring.name}", kind="processing")
    return _compared(stack, plan)


def _may_run(plan: ReproductionPlan, reporter: Reporter, *, anyway: bool) -> None:
    apart = [s for s in plan.surroundings if not s.same]
    told = "; ".join(f"the {s.what} is {s.now[:12]}, the record says {s.recorded[:12]}" for s in apart)
    if apart and not anyway:
        raise GateFailed(
            f"{plan.ref} cannot be reproduced as it was: {told}",
            next_step=f"{_way_back(plan.package)}bedplate reproduce {plan.ref} --anyway",
        )
    if apart:
        reporter("warning", {"text": f"Not as it was: {told}"})
    refused = [o.reason for o in plan.objections if o.refused]
    if refused:
        raise OverBudget(f"No training of {plan.ref}: {'; '.join(refused)}", next_step="bedplate budgets")
    for objection in plan.objections:
        reporter("warning", {"text": objection.reason})


def _way_back(package: Package) -> str:
    commit = package.metadata.get("code_commit", "none")
    return "" if commit == "none" else f"git checkout {commit} && make setup, or: "


# --- observe --------------------------------------------------------------------------------------------------------


def _data_must_fit(stack: StackContext, model: str, package: Package) -> None:
    told = package.metadata
    try:
        found = data_hash(stack.objects.get(told["data_uri"]), stack.objects.get(told["holdout_uri"]))
    except NotFound as exc:
        raise NotFound(
            f"The data of {model}:{package.version} is gone (data_retention_days ends it): {exc.message}",
            next_step=f"bedplate train {model} --data <the same file>",
        ) from exc
    if found != told["data_sha256"]:
        raise PlatformError(
            f"The data of {model}:{package.version} was altered: its hash is {found[:12]}, "
            f"the record says {told['data_sha256'][:12]}",
            next_step=f"bedplate models show {model}:{package.version}",
        )


def _records(stack: StackContext, package: Package) -> list[Record]:
    """The ledger is asked only where the registry had no room."""
    return Ledger.of(stack).records() if '"sha256"' in package.metadata.get("hyperparameters", "") else []


def _lock(stack: StackContext) -> str:
    lock = lock_file(stack.project_dir)
    return sha256(lock.read_bytes()) if lock else "none"


def _find(stack: StackContext, base: str, digest: str) -> tuple[str, Job | None, Job | None]:
    """The name of a run that was begun and not completed, with its jobs, or of the next one."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        name = job_name(base, digest, attempt)
        try:
            training = stack.jobs.training(name)
        except NotFound:
            return name, None, None
        if training.status == "InProgress":
            return name, training, None
        if training.status != "Completed":
            continue
        try:
            scoring = stack.jobs.processing(name)
        except NotFound:
            return name, training, None
        if scoring.status == "InProgress":
            return name, training, scoring
    raise JobFailed(f"{MAX_ATTEMPTS} reproductions of this version were made", next_step=f"bedplate models log {name}")


# --- execute --------------------------------------------------------------------------------------------------------


def _submit(stack: StackContext, plan: ReproductionPlan, reporter: Reporter) -> Job:
    reporter("step", {"text": f"Training {plan.ref} again from its record: job {plan.job_name}"})
    told, training = plan.package.metadata, plan.code.spec.training
    return stack.jobs.submit_training(
        TrainingRequest(
            name=plan.job_name,
            image_uri=told["image_uri"],
            role_arn=stack.outputs.execution_role(plan.model),
            entry_point=training.entry_point,
            channels={"code": plan.code.uri, "training": told["data_uri"]},
            output_uri=f"s3://{stack.outputs.artifacts_bucket}/{stack.names(plan.model).training_prefix}",
            hyperparameters=plan.hyperparameters,
            environment={"BEDPLATE_MODEL": plan.model, "PYTHONHASHSEED": told["seed"]},
            instance_type=told["instance_type"],
            instance_count=training.instance_count,
            volume_gb=training.volume_gb,
            max_runtime_s=training.max_runtime_s,
            tags=_tags(stack, plan),
            kms_key_arn=stack.outputs.kms_key_arn,
            network=stack.outputs.network,
        )
    )


def _score(stack: StackContext, plan: ReproductionPlan, job: Job, reporter: Reporter) -> Job:
    reporter("step", {"text": "Scoring both models on the rows held out"})
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
    return for_model(
        project=stack.project,
        stack=stack.name,
        model=plan.model,
        version=plan.package.version,
        owner=plan.code.spec.owner,
        cost_center=stack.settings.cost_center,
    )


# --- compare --------------------------------------------------------------------------------------------------------


def _compared(stack: StackContext, plan: ReproductionPlan) -> Reproduction:
    found = Evaluation.from_json(json.loads(stack.objects.get(f"{plan.prefix_uri}evaluation.json")))
    if found.champion is None:
        raise JobFailed(
            f"The registered model of {plan.ref} could not score its own holdout",
            next_step=f"bedplate models log {plan.job_name} --kind processing",
        )
    reproduced, registered = _columns(stack, f"{plan.prefix_uri}predictions.parquet")
    return Reproduction(
        metrics=metrics_told(
            plan.package.metadata,
            {name: e.value for name, e in found.champion.items()},
            {name: e.value for name, e in found.candidate.items()},
        ),
        predictions=compare_predictions(reproduced, registered),
        evaluated=_against_evaluation(stack, plan, reproduced),
    )


def _against_evaluation(stack: StackContext, plan: ReproductionPlan, reproduced: ArrayLike) -> Predictions | None:
    uri = plan.package.metadata.get("evaluation_uri")
    if uri is None:
        return None
    try:
        kept, _ = _columns(stack, f"{uri.rpartition('/')[0]}/predictions.parquet")
    except NotFound:
        return None
    return compare_predictions(reproduced, kept)


def _columns(stack: StackContext, uri: str) -> tuple[ArrayLike, ArrayLike]:
    """The candidate's and the champion's predictions, row by row; the latter empty where there was no champion."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(stack.objects.get(uri)))
    champion = table["champion_prediction"].to_numpy() if "champion_prediction" in table.column_names else []
    return table["prediction"].to_numpy(), champion
