"""Retrains a model when a signal requires it: newest registered data, same pipeline, same gates.

The result is a version that awaits a person's approval. The ledger records the signal, and the same command resumes a
run that was killed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bedplate.domain.ledger import Record
from bedplate.domain.release import version_of
from bedplate.domain.versions.retraining import (
    OpenRetraining,
    RetrainingSignal,
    Signal,
    find_open_retraining,
    list_due_signals,
)
from bedplate.errors import BedplateError, GateFailed, JobFailed, NotEnoughData, NotFound, OverBudget
from bedplate.ports import Package, Reporter
from bedplate.workflows.data.versions import LATEST, find_dataset_version
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext, find_package
from bedplate.workflows.training.train import train
from bedplate.workflows.training.training_plan import TrainRequest, require_model
from bedplate.workflows.training.training_plan import plan as plan_training
from bedplate.workflows.versions.evaluate import evaluate, plan_evaluation
from bedplate.workflows.versions.models import find_live_release


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """`signal` None accepts any due signal. With a `reason`, a person requests the retraining even if no signal
    is due."""

    model: str
    signal: Signal | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RetrainResult:
    """`verdict` is the gates' verdict; the version still needs a person's approval."""

    retraining: OpenRetraining
    version: int
    verdict: str


def retrain(
    stack: StackContext, request: RetrainRequest, reporter: Reporter, *, wait: bool = True
) -> tuple[OpenRetraining, RetrainResult | None]:
    """Starts or resumes a retraining and runs it to its end; without `wait` the result is None while a job runs.

    Raises NotEnoughData if no signal is due or there is no newer data, OverBudget, JobFailed, GateFailed (data).
    """
    retraining = begin_retraining(stack, request, reporter)
    return retraining, continue_retraining(stack, request.model, retraining, reporter, wait=wait)


def begin_retraining(stack: StackContext, request: RetrainRequest, reporter: Reporter) -> OpenRetraining:
    """Returns the open retraining, or records a new one with its data and its signal."""
    require_model(stack, request.model)
    ledger = Ledger.of(stack)
    records = ledger.records()
    retraining = find_open_retraining(records, request.model)
    if retraining is not None:
        cause = f"{retraining.signal}: {retraining.reason}"
        reporter("step", {"text": f"Resuming the retraining of record {retraining.seq} ({cause})"})
        return retraining
    signal = _choose_signal(stack, request, records)
    dataset = _find_newer_data(stack, request.model)
    plan = plan_training(stack, TrainRequest(request.model, dataset, {}), reporter)
    blocking = [warning.reason for warning in plan.warnings if warning.is_blocking]
    if blocking:
        raise OverBudget(f"No retraining of {request.model}: {'; '.join(blocking)}", next_step="bedplate budgets")
    record = ledger.record(
        "retraining",
        f"retraining of {request.model} started ({signal.signal}: {signal.reason})",
        actor=stack.identity.actor,
        model=request.model,
        version=find_live_version(stack, request.model),
        data={
            "phase": "open",
            "signal": signal.signal,
            "signal_record": signal.seq,
            "reason": signal.reason,
            "dataset": dataset,
            "training_job": plan.job_name,
        },
    )
    return OpenRetraining(record.seq, signal.signal, signal.reason, dataset, plan.job_name)


def continue_retraining(
    stack: StackContext, model: str, retraining: OpenRetraining, reporter: Reporter, *, wait: bool
) -> RetrainResult | None:
    """Runs the next step of an open retraining, or with `wait` all that remain; returns None while a job runs.

    An error that waiting cannot fix (a failed job, rejected data, an exceeded budget) ends the retraining and is
    raised.
    """
    if not wait and _is_running(stack, retraining.job):
        return None
    try:
        plan = plan_training(stack, TrainRequest(model, retraining.dataset, {}), reporter)
        training = train(stack, plan, reporter, wait=wait or (plan.job is not None and plan.job.status == "Completed"))
        if training.package is None:
            return None
        evaluated = evaluate(stack, plan_evaluation(stack, model, training.package.version), reporter, wait=wait)
    except (JobFailed, OverBudget, GateFailed) as exc:
        _record_end(stack, model, retraining, None, "FAILED", exc.message)
        raise
    if evaluated.gate_report is None:
        return None
    verdict = evaluated.gate_report.outcome
    _record_end(stack, model, retraining, training.package, verdict, "")
    return RetrainResult(retraining, training.package.version, verdict)


def list_signals(stack: StackContext, model: str, records: list[Record]) -> tuple[RetrainingSignal, ...]:
    """Returns the signals that require a retraining of the live version now."""
    version = find_live_version(stack, model)
    package = find_package(stack, model, version)
    text = package.metadata.get("trained_at") if package else None
    trained_at = datetime.fromisoformat(text) if text else None
    rules, now = stack.model(model).retraining, stack.clock.now()
    return list_due_signals(records, model, version, rules, trained_at=trained_at, now=now)


def find_live_version(stack: StackContext, model: str) -> int | None:
    """Returns the live version; None while the fallback is live or without an endpoint."""
    release = find_live_release(stack, model)
    return (version_of(release) or None) if release else None


def _choose_signal(stack: StackContext, request: RetrainRequest, records: list[Record]) -> RetrainingSignal:
    signals = [due for due in list_signals(stack, request.model, records) if request.signal in (None, due.signal)]
    if signals:
        return signals[0]
    if request.reason:
        return RetrainingSignal(request.signal or "person", 0, request.reason)
    missing = f"No {request.signal} signal" if request.signal else "No signal"
    raise NotEnoughData(
        f"{missing} requires a retraining of {request.model}",
        next_step=f'bedplate monitor run {request.model}, or: bedplate retrain {request.model} --reason "..."',
    )


def _find_newer_data(stack: StackContext, model: str) -> str:
    """Returns the hash of the newest accepted data; raises NotEnoughData if the live version was trained on it."""
    newest = find_dataset_version(stack, model, LATEST).manifest.sha256
    version = find_live_version(stack, model)
    package = find_package(stack, model, version)
    if package is not None and package.metadata.get("dataset_sha256") == newest:
        raise NotEnoughData(
            f"{model}:{version}, which is live, was trained on the newest data ({newest[:12]})",
            next_step=f"bedplate data register {model} --data NEWER.parquet",
        )
    return newest


def _is_running(stack: StackContext, job: str) -> bool:
    try:
        return stack.jobs.get_training(job).status == "InProgress"
    except NotFound:
        return False


def _record_end(
    stack: StackContext, model: str, retraining: OpenRetraining, package: Package | None, verdict: str, failure: str
) -> None:
    outcome = f"version {package.version}: {verdict}" if package else failure.splitlines()[0]
    Ledger.of(stack).record(
        "retraining",
        f"retraining of {model} ended: {outcome}",
        actor=stack.identity.actor,
        model=model,
        version=package.version if package else None,
        data={
            "phase": "closed",
            "opened_by": retraining.seq,
            "signal": retraining.signal,
            "verdict": verdict,
            "failure": failure,
        },
    )


BLOCKING_ERRORS: tuple[type[BedplateError], ...] = (NotFound, NotEnoughData, OverBudget, GateFailed)
"""Errors because of which a due retraining cannot start by itself: a person has to provide data or budget."""
