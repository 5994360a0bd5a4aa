"""Logs every training as a run in MLflow, and lists, finds and compares runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bedplate.domain.money.cost_estimate import CostEstimate
from bedplate.domain.money.prices import run_usd
from bedplate.domain.versions.package import Lineage
from bedplate.domain.versions.runs import RunRow, build_rows
from bedplate.errors import BedplateError, NotFound, UsageError
from bedplate.ports import ExperimentRun, Job, Package, Reporter, RunDraft, RunStatus
from bedplate.workflows.stack_context import StackContext

_STATUS: dict[str, RunStatus] = {"Completed": "FINISHED", "Failed": "FAILED", "Stopped": "KILLED"}
"""MLflow's status of a run by the TrainingJobStatus of its job."""
REASON_CHARS = 500
"""Characters of a failure reason that the tag `failure` holds."""
SHORT_ID_LENGTH = 8
"""Characters of a run's id that `runs list` shows; a number with fewer digits is a version."""


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Runs side by side, with all parameters and metrics; `RunRow.is_different` marks the differences."""

    runs: tuple[ExperimentRun, ...]
    params: tuple[RunRow, ...]
    metrics: tuple[RunRow, ...]


def preload(stack: StackContext) -> None:
    """Imports MLflow and opens its store while the training runs, so that the first `log_run` does not wait for it."""
    with suppress(BedplateError):  # `log_run` gets the same error and reports it
        stack.experiments.preload()


def log_run(
    stack: StackContext,
    reporter: Reporter,
    *,
    lineage: Lineage,
    cost: CostEstimate,
    job: Job,
    metrics: Mapping[str, float],
    package: Package | None = None,
    code_uri: str = "",
    kind: str = "training",
    tags: Mapping[str, str] | None = None,
) -> None:
    """Logs a finished training, successful or not.

    Warns when MLflow cannot be reached, but does not raise: the training does not depend on MLflow, because the
    registry and the ledger hold the authoritative record.
    """
    usd = run_usd(cost.instance_type, "training", seconds=job.billable_s or 0, count=cost.instance_count)
    run_metrics = {
        **metrics,
        **({"billable_seconds": float(job.billable_s)} if job.billable_s else {}),
        **({"saved_pct": round(job.spot_savings_pct, 1)} if job.spot_savings_pct is not None else {}),
        **({"usd": usd} if usd and job.billable_s else {}),
    }
    run_tags = {
        "model": lineage.model,
        "kind": kind,
        "version": str(package.version) if package else "",
        "code_commit": lineage.source.commit,
        "code_dirty": lineage.source.dirty,
        "code_sha256": lineage.source.code_sha256,
        "lock_sha256": lineage.source.lock_sha256,
        "data_sha256": lineage.data_sha256,
        "dataset_sha256": lineage.dataset_sha256,
        "image_uri": lineage.image_uri,
        "instance": f"{lineage.instance_count} x {lineage.instance_type}",
        "stack": stack.name,
        "trained_by": stack.identity.actor,
        "training_job_arn": job.arn,
        "data_uri": lineage.data_uri,
        "holdout_uri": lineage.holdout_uri,
        "code_uri": code_uri,
        "artifact_uri": job.artifact_uri or "",
        "failure": (job.failure_reason or "")[:REASON_CHARS],
        **(tags or {}),
    }
    draft = RunDraft(
        experiment=stack.names(lineage.model).base,
        job=job.name,
        name=f"{lineage.model}:{package.version}" if package else job.name,
        status=_STATUS.get(job.status, "RUNNING"),
        params=dict(lineage.hyperparameters),
        metrics=run_metrics,
        tags={key: value for key, value in run_tags.items() if value},
        started_at=job.started_at,
        ended_at=job.ended_at,
    )
    try:
        stack.experiments.log_run(draft)
    except BedplateError as exc:
        reporter("warning", {"text": f"{exc.message} (only the run in MLflow is missing)"})


def log_evaluation(
    stack: StackContext, reporter: Reporter, *, model: str, package: Package, metrics: Mapping[str, float], verdict: str
) -> None:
    """Adds the holdout metrics and the verdict to the run of a version's training; warns when MLflow fails."""
    job = package.metadata.get("training_job")
    if not job:
        return
    try:
        stack.experiments.add_metrics(stack.names(model).base, job, metrics, {"verdict": verdict})
    except BedplateError as exc:
        reporter("warning", {"text": exc.message})


def list_runs(stack: StackContext, model: str) -> Sequence[ExperimentRun]:
    """Returns every run of a model, newest first.

    Raises NotFound for an unknown model, PlatformError when MLflow cannot be reached.
    """
    stack.model(model)
    return stack.experiments.list_runs(stack.names(model).base)


def find_run(stack: StackContext, model: str, ref: str) -> ExperimentRun:
    """Returns the run that `ref` names: a version (`3`, `v3`, `churn:3`), a training job, or the start of a run's id.

    Raises NotFound without a match, UsageError when several ids start with `ref`.
    """
    return _select_run(list_runs(stack, model), model, ref)


def compare_runs(stack: StackContext, model: str, refs: Sequence[str]) -> RunComparison:
    """Compares the runs in `refs`, or without any the newest two.

    Raises NotFound when there are fewer than two, and the errors of `find_run`.
    """
    runs = list_runs(stack, model)
    compared = tuple(_select_run(runs, model, ref) for ref in refs) if refs else tuple(reversed(runs[:2]))
    if len(compared) < 2:
        raise NotFound(
            f"A comparison needs two runs of {model}, found {len(compared)}", next_step=f"bedplate train {model} --help"
        )
    params, metrics = build_rows([run.params for run in compared]), build_rows([run.metrics for run in compared])
    return RunComparison(compared, params, metrics)


def _select_run(runs: Sequence[ExperimentRun], model: str, ref: str) -> ExperimentRun:
    number = ref.removeprefix(f"{model}:").removeprefix("v")
    if number.isdigit() and len(number) < SHORT_ID_LENGTH:
        matches = [run for run in runs if run.tags.get("version") == number][:1]
    else:
        matches = [run for run in runs if run.job == ref] or [run for run in runs if run.id.startswith(ref)]
    if not matches:
        raise NotFound(f"{model} has no run {ref!r}", next_step=f"bedplate runs list {model}")
    if len(matches) > 1:
        raise UsageError(f"{len(matches)} run ids start with {ref!r}", next_step=f"bedplate runs list {model}")
    return matches[0]
