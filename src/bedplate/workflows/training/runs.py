"""Keeps every training in MLflow, and lists, shows and compares what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bedplate.domain.money.cost_estimate import CostEstimate
from bedplate.domain.money.prices import run_usd
from bedplate.domain.versions.package import Lineage
from bedplate.domain.versions.runs import RunRow, rows
from bedplate.errors import BedplateError, NotFound, UsageError
from bedplate.ports import ExperimentRun, Job, Package, Reporter, RunDraft, RunStatus
from bedplate.workflows.stack_context import StackContext

_STATUS: dict[str, RunStatus] = {"Completed": "FINISHED", "Failed": "FAILED", "Stopped": "KILLED"}
MAX_REASON = 500
ID_LENGTH = 8
"""As `runs list` shows an id; fewer digits are a version."""


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Runs side by side; `params` and `metrics` hold everything, `Row.differs` says what to look at."""

    runs: tuple[ExperimentRun, ...]
    params: tuple[RunRow, ...]
    metrics: tuple[RunRow, ...]


def warm(stack: StackContext) -> None:
    """Begin what makes the first `keep` slow, beside the training."""
    with suppress(BedplateError):  # `keep` gets the same error, and says it
        stack.experiments.warm()


def keep(
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
    """Keep a training that has ended, whatever its end. That MLflow does not answer is a warning: no training fails
    for it, and the registry and the ledger hold the record that counts."""
    price = run_usd(cost.instance_type, "training", seconds=job.billable_s or 0, count=cost.instance_count)
    figures = {
        **metrics,
        **({"billable_seconds": float(job.billable_s)} if job.billable_s else {}),
        **({"saved_pct": round(job.saved_pct, 1)} if job.saved_pct is not None else {}),
        **({"usd": price} if price and job.billable_s else {}),
    }
    told = {
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
        "trained_by": stack.identity.person,
        "training_job_arn": job.arn,
        "data_uri": lineage.data_uri,
        "holdout_uri": lineage.holdout_uri,
        "code_uri": code_uri,
        "artifact_uri": job.artifact_uri or "",
        "failure": (job.failure_reason or "")[:MAX_REASON],
        **(tags or {}),
    }
    draft = RunDraft(
        experiment=stack.names(lineage.model).base,
        job=job.name,
        name=f"{lineage.model}:{package.version}" if package else job.name,
        status=_STATUS.get(job.status, "RUNNING"),
        params=dict(lineage.hyperparameters),
        metrics=figures,
        tags={key: value for key, value in told.items() if value},
        started_at=job.started_at,
        ended_at=job.ended_at,
    )
    try:
        stack.experiments.log(draft)
    except BedplateError as exc:
        reporter("warning", {"text": f"{exc.message} (the training itself is not touched by this)"})


def keep_evaluation(
    stack: StackContext, reporter: Reporter, *, model: str, package: Package, metrics: Mapping[str, float], verdict: str
) -> None:
    """Add the figures of the holdout to the run of a version; a warning when that cannot be done."""
    job = package.metadata.get("training_job")
    if not job:
        return
    try:
        stack.experiments.add_metrics(stack.names(model).base, job, metrics, {"verdict": verdict})
    except BedplateError as exc:
        reporter("warning", {"text": exc.message})


def list_runs(stack: StackContext, model: str) -> Sequence[ExperimentRun]:
    """Every run of a model, newest first. Raises NotFound for an unknown model, PlatformError."""
    stack.model(model)
    return stack.experiments.runs(stack.names(model).base)


def find(stack: StackContext, model: str, ref: str) -> ExperimentRun:
    """A run by its version, its training job's name, or the beginning of its id.

    Raises NotFound when there is none, UsageError when the beginning fits several.
    """
    return _pick(list_runs(stack, model), model, ref)


def compare(stack: StackContext, model: str, refs: Sequence[str]) -> RunComparison:
    """The named runs side by side, or the newest two without a name. Raises NotFound, UsageError."""
    held = list_runs(stack, model)
    chosen = tuple(_pick(held, model, ref) for ref in refs) if refs else tuple(reversed(held[:2]))
    if len(chosen) < 2:
        raise NotFound(
            f"To compare, {model} needs two runs; it has {len(held)}", next_step=f"bedplate train {model} --help"
        )
    return RunComparison(chosen, rows([run.params for run in chosen]), rows([run.metrics for run in chosen]))


def _pick(held: Sequence[ExperimentRun], model: str, ref: str) -> ExperimentRun:
    number = ref.removeprefix(f"{model}:").removeprefix("v")
    if number.isdigit() and len(number) < ID_LENGTH:
        found = [run for run in held if run.tags.get("version") == number][:1]
    else:
        found = [run for run in held if run.job == ref] or [run for run in held if run.id.startswith(ref)]
    if not found:
        raise NotFound(f"There is no run {ref!r} of {model}", next_step=f"bedplate runs list {model}")
    if len(found) > 1:
        raise UsageError(f"{ref!r} is the beginning of {len(found)} runs", next_step=f"bedplate runs list {model}")
    return found[0]
