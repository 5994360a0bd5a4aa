"""Trains a model again because something asks for it: the newest registered data, the same pipeline, the same gates.

It ends with a version that waits for a person. The ledger says what asked, and a run that was killed is taken up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bedplate.domain.ledger import Record
from bedplate.domain.release import version_told
from bedplate.domain.versions.retraining import OpenRetraining, RetrainingSignal, Signal, due, open_retraining
from bedplate.errors import BedplateError, GateFailed, JobFailed, NotEnoughData, NotFound, OverBudget
from bedplate.ports import Package, Reporter
from bedplate.workflows.data.versions import LATEST, find
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.train import train
from bedplate.workflows.training.training_plan import TrainRequest, must_be_deployed
from bedplate.workflows.training.training_plan import plan as plan_training
from bedplate.workflows.versions.evaluate import evaluate
from bedplate.workflows.versions.evaluate import plan as plan_evaluation
from bedplate.workflows.versions.models import live_release


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """`signal` None: whatever is due. With a `reason` a person asks, whether anything is due or not."""

    model: str
    signal: Signal | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RetrainResult:
    """`verdict` is that of the gates; only a person decides what becomes of the version."""

    began: OpenRetraining
    version: int
    verdict: str


def retrain(
    stack: StackContext, request: RetrainRequest, reporter: Reporter, *, wait: bool = True
) -> tuple[OpenRetraining, RetrainResult | None]:
    """Begin one, or take up the one that is open, and see it through (None: it still runs, without `wait`).

    Raises NotEnoughData when nothing asks for it or there is no newer data, OverBudget, JobFailed, GateFailed (data).
    """
    held = begin(stack, request, reporter)
    return held, go_on(stack, request.model, held, reporter, wait=wait)


def begin(stack: StackContext, request: RetrainRequest, reporter: Reporter) -> OpenRetraining:
    """Record that a retraining begins, from which data and why; or the one that is open."""
    must_be_deployed(stack, request.model)
    ledger = Ledger.of(stack)
    records = ledger.records()
    held = open_retraining(records, request.model)
    if held is not None:
        reporter("step", {"text": f"Taking up the retraining of record {held.seq} ({held.signal}: {held.why})"})
        return held
    asks = _asks(stack, request, records)
    dataset = _newer_data(stack, request.model)
    plan = plan_training(stack, TrainRequest(request.model, dataset, {}), reporter)
    refusals = [o.reason for o in plan.objections if o.refused]
    if refusals:
        raise OverBudget(f"No retraining of {request.model}: {'; '.join(refusals)}", next_step="bedplate budgets")
    record = ledger.record(
        "retraining",
        f"retraining of {request.model} begins ({asks.signal}: {asks.why})",
        actor=stack.identity.person,
        model=request.model,
        version=live_version(stack, request.model),
        data={
            "phase": "begun",
            "signal": asks.signal,
            "alert": asks.seq,
            "why": asks.why,
            "dataset": dataset,
            "training_job": plan.job_name,
        },
    )
    return OpenRetraining(record.seq, asks.signal, asks.why, dataset, plan.job_name)


def go_on(
    stack: StackContext, model: str, held: OpenRetraining, reporter: Reporter, *, wait: bool
) -> RetrainResult | None:
    """The next step of an open retraining, or with `wait` all that are left; None while a job runs.

    What cannot succeed by waiting (a job that failed, data or money that is refused) ends it, and is raised.
    """
    if not wait and _runs(stack, held.job):
        return None
    try:
        plan = plan_training(stack, TrainRequest(model, held.dataset, {}), reporter)
        done = train(stack, plan, reporter, wait=wait or (plan.job is not None and plan.job.status == "Completed"))
        if done.package is None:
            return None
        evaluated = evaluate(stack, plan_evaluation(stack, model, done.package.version), reporter, wait=wait)
    except (JobFailed, OverBudget, GateFailed) as exc:
        _end(stack, model, held, None, "FAILED", exc.message)
        raise
    if evaluated.judgement is None:
        return None
    verdict = evaluated.judgement.outcome
    _end(stack, model, held, done.package, verdict, "")
    return RetrainResult(held, done.package.version, verdict)


def asked_for(stack: StackContext, model: str, records: list[Record]) -> tuple[RetrainingSignal, ...]:
    """What asks for a retraining of the live version now."""
    version = live_version(stack, model)
    trained_at = None
    if version:
        try:
            told = stack.registry.get(stack.names(model).package_group, version).metadata.get("trained_at")
            trained_at = datetime.fromisoformat(told) if told else None
        except NotFound:
            trained_at = None
    return due(records, model, version, stack.model(model).retraining, trained_at=trained_at, now=stack.clock.now())


def live_version(stack: StackContext, model: str) -> int | None:
    """The version that answers; None while the fallback does, or nothing."""
    release = live_release(stack, model)
    return (version_told(release) or None) if release else None


def _asks(stack: StackContext, request: RetrainRequest, records: list[Record]) -> RetrainingSignal:
    found = [d for d in asked_for(stack, request.model, records) if request.signal in (None, d.signal)]
    if found:
        return found[0]
    if request.reason:
        return RetrainingSignal(request.signal or "person", 0, request.reason)
    what = f"no {request.signal} signal" if request.signal else "nothing"
    raise NotEnoughData(
        f"There is {what} that asks for a retraining of {request.model}",
        next_step=f'bedplate monitor run {request.model}, or: bedplate retrain {request.model} --reason "..."',
    )


def _newer_data(stack: StackContext, model: str) -> str:
    """Hash of the last accepted data, which the live version was not trained on."""
    newest = find(stack, model, LATEST).manifest.sha256
    version = live_version(stack, model)
    try:
        package = stack.registry.get(stack.names(model).package_group, version) if version else None
    except NotFound:
        package = None
    if package is not None and package.metadata.get("dataset_sha256") == newest:
        raise NotEnoughData(
            f"{model}:{version}, which is live, was trained on the newest data there is ({newest[:12]})",
            next_step=f"bedplate data register {model} --data NEWER.parquet",
        )
    return newest


def _runs(stack: StackContext, job: str) -> bool:
    try:
        return stack.jobs.training(job).status == "InProgress"
    except NotFound:
        return False


def _end(
    stack: StackContext, model: str, held: OpenRetraining, package: Package | None, verdict: str, failure: str
) -> None:
    what = f"version {package.version}: {verdict}" if package else failure.splitlines()[0]
    Ledger.of(stack).record(
        "retraining",
        f"retraining of {model} ended: {what}",
        actor=stack.identity.person,
        model=model,
        version=package.version if package else None,
        data={
            "phase": "ended",
            "begun": held.seq,
            "signal": held.signal,
            "verdict": verdict,
            "failure": failure,
        },
    )


CANNOT: tuple[type[BedplateError], ...] = (NotFound, NotEnoughData, OverBudget, GateFailed)
"""Why a retraining that is due cannot begin by itself: a person has to bring data or money."""
