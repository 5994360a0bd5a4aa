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
from bedplate.domain.money.cost_estimate import CostEstimate, Objection, estimate, objections
from bedplate.domain.tags import for_model
from bedplate.domain.versions.package import job_name
from bedplate.domain.versions.reproduction import (
    Predictions,
    Reproduction,
    Surrounding,
    compare_predictions,
    data_hash,
    metrics_told,
)
from bedplate.errors import GateFailed, JobFailed, NotFound, OverBudget, PlatformError
from bedplate.ports import Job, Package, ProcessingRequest, Say, TrainingRequest
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import Platform
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
    surroundings: tuple[Surrounding, ...]
    cost: CostEstimate
    objections: tuple[Objection, ...]
    job_name: str
    training: Job | None
    scoring: Job | None
    prefix_uri: str

    @property
    def ref(self) -> str:
        return f"{self.model}:{self.package.version}"


def plan(at: Platform, model: str, version: int | None) -> ReproductionPlan:
    """Read the record, check that code and data are what it says, change nothing.

    Raises NotFound (version, code or data gone), PlatformError (the data is not what was trained on).
    """
    package = find_version(at, model, version)
    code = code_of(at, package)
    told = package.metadata
    _data_must_fit(at, model, package)
    parameters = hyperparameters_of(package, _records(at, package))
    training = code.spec.training
    cost = estimate(
        "training",
        instance_type=told["instance_type"],
        instance_count=training.instance_count,
        max_runtime_s=training.max_runtime_s,
    )
    name, job, scoring = _find(at, f"{at.names(model).base}-reproduce", sha256(package.arn.encode())[:12])
    names = at.names(model)
    return ReproductionPlan(
        model=model,
        package=package,
        code=code,
        hyperparameters=parameters,
        surroundings=(
            Surrounding("code", told["code_sha256"], code.sha256),
            Surrounding("lock file", told["lock_sha256"], _lock(at)),
        ),
        cost=cost,
        objections=() if job else objections(cost, limit_usd=training.max_usd, budgets=budgets_of(at, model)),
        job_name=name,
        training=job,
        scoring=scoring,
        prefix_uri=f"s3://{at.outputs.artifacts_bucket}/{names.evaluations_prefix}v{package.version}/reproduced-"
        f"{name.rpartition('-')[2]}/",
    )


def reproduce(at: Platform, plan: ReproductionPlan, say: Say, *, anyway: bool = False) -> Reproduction:
    """Train again, score both models on the held-out rows, compare.

    Raises GateFailed when code or lock file are not what the record says and not `anyway`, OverBudget, JobFailed.
    That the result differs is no error here: `identical` says it.
    """
    _may_run(plan, say, anyway=anyway)
    job = plan.training or _submit(at, plan, say)
    job, lines = follow(at, job, kind="training", say=say)
    must_have_completed(job, lines, what=f"Training job {job.name}", kind="training")
    scoring = plan.scoring or _score(at, plan, job, say)
    scoring, lines = follow(at, scoring, kind="processing", say=say)
    must_have_completed(scoring, lines, what=f"Evaluation job {scoring.name}", kind="processing")
    return _compared(at, plan)


def _may_run(plan: ReproductionPlan, say: Say, *, anyway: bool) -> None:
    apart = [s for s in plan.surroundings if not s.same]
    told = "; ".join(f"the {s.what} is {s.now[:12]}, the record says {s.recorded[:12]}" for s in apart)
    if apart and not anyway:
        raise GateFailed(
            f"{plan.ref} cannot be reproduced as it was: {told}",
            next_step=f"{_way_back(plan.package)}bedplate reproduce {plan.ref} --anyway",
        )
    if apart:
        say("warning", {"text": f"Not as it was: {told}"})
    refused = [o.reason for o in plan.objections if o.refused]
    if refused:
        raise OverBudget(f"No training of {plan.ref}: {'; '.join(refused)}", next_step="bedplate budgets")
    for objection in plan.objections:
        say("warning", {"text": objection.reason})


def _way_back(package: Package) -> str:
    commit = package.metadata.get("code_commit", "none")
    return "" if commit == "none" else f"git checkout {commit} && make setup, or: "


# --- observe --------------------------------------------------------------------------------------------------------


def _data_must_fit(at: Platform, model: str, package: Package) -> None:
    told = package.metadata
    try:
        found = data_hash(at.objects.get(told["data_uri"]), at.objects.get(told["holdout_uri"]))
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


def _records(at: Platform, package: Package) -> list[Record]:
    """The ledger is asked only where the registry had no room."""
    return Ledger.of(at).records() if '"sha256"' in package.metadata.get("hyperparameters", "") else []


def _lock(at: Platform) -> str:
    lock = lock_file(at.project_dir)
    return sha256(lock.read_bytes()) if lock else "none"


def _find(at: Platform, base: str, digest: str) -> tuple[str, Job | None, Job | None]:
    """The name of a run that was begun and not completed, with its jobs, or of the next one."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        name = job_name(base, digest, attempt)
        try:
            training = at.jobs.training(name)
        except NotFound:
            return name, None, None
        if training.status == "InProgress":
            return name, training, None
        if training.status != "Completed":
            continue
        try:
            scoring = at.jobs.processing(name)
        except NotFound:
            return name, training, None
        if scoring.status == "InProgress":
            return name, training, scoring
    raise JobFailed(f"{MAX_ATTEMPTS} reproductions of this version were made", next_step=f"bedplate models log {name}")


# --- execute --------------------------------------------------------------------------------------------------------


def _submit(at: Platform, plan: ReproductionPlan, say: Say) -> Job:
    say("step", {"text": f"Training {plan.ref} again from its record: job {plan.job_name}"})
    told, training = plan.package.metadata, plan.code.spec.training
    return at.jobs.submit_training(
        TrainingRequest(
            name=plan.job_name,
            image_uri=told["image_uri"],
            role_arn=at.outputs.execution_role(plan.model),
            entry_point=training.entry_point,
            channels={"code": plan.code.uri, "training": told["data_uri"]},
            output_uri=f"s3://{at.outputs.artifacts_bucket}/{at.names(plan.model).training_prefix}",
            hyperparameters=plan.hyperparameters,
            environment={"BEDPLATE_MODEL": plan.model, "PYTHONHASHSEED": told["seed"]},
            instance_type=told["instance_type"],
            instance_count=training.instance_count,
            volume_gb=training.volume_gb,
            max_runtime_s=training.max_runtime_s,
            tags=_tags(at, plan),
            kms_key_arn=at.outputs.kms_key_arn,
            network=at.outputs.network,
        )
    )


def _score(at: Platform, plan: ReproductionPlan, job: Job, say: Say) -> Job:
    say("step", {"text": "Scoring both models on the rows held out"})
    return at.jobs.submit_processing(
        ProcessingRequest(
            name=plan.job_name,
            image_uri=plan.package.image_uri,
            role_arn=at.outputs.execution_role(plan.model),
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
            tags=_tags(at, plan),
            kms_key_arn=at.outputs.kms_key_arn,
            network=at.outputs.network,
        )
    )


def _tags(at: Platform, plan: ReproductionPlan) -> dict[str, str]:
    return for_model(
        project=at.project,
        stack=at.stack,
        model=plan.model,
        version=plan.package.version,
        owner=plan.code.spec.owner,
        cost_center=at.settings.cost_center,
    )


# --- compare --------------------------------------------------------------------------------------------------------


def _compared(at: Platform, plan: ReproductionPlan) -> Reproduction:
    found = Evaluation.from_json(json.loads(at.objects.get(f"{plan.prefix_uri}evaluation.json")))
    if found.champion is None:
        raise JobFailed(
            f"The registered model of {plan.ref} could not score its own holdout",
            next_step=f"bedplate models log {plan.job_name} --kind processing",
        )
    reproduced, registered = _columns(at, f"{plan.prefix_uri}predictions.parquet")
    return Reproduction(
        metrics=metrics_told(
            plan.package.metadata,
            {name: e.value for name, e in found.champion.items()},
            {name: e.value for name, e in found.candidate.items()},
        ),
        predictions=compare_predictions(reproduced, registered),
        evaluated=_against_evaluation(at, plan, reproduced),
    )


def _against_evaluation(at: Platform, plan: ReproductionPlan, reproduced: ArrayLike) -> Predictions | None:
    uri = plan.package.metadata.get("evaluation_uri")
    if uri is None:
        return None
    try:
        kept, _ = _columns(at, f"{uri.rpartition('/')[0]}/predictions.parquet")
    except NotFound:
        return None
    return compare_predictions(reproduced, kept)


def _columns(at: Platform, uri: str) -> tuple[ArrayLike, ArrayLike]:
    """The candidate's and the champion's predictions, row by row; the latter empty where there was no champion."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(at.objects.get(uri)))
    champion = table["champion_prediction"].to_numpy() if "champion_prediction" in table.column_names else []
    return table["prediction"].to_numpy(), champion
