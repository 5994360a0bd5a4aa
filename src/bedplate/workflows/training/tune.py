"""Looks for good hyper-parameters in one tuning job, and registers the best trial as a version like any other.

Like `train`, a second `tune` of the same takes up the first one's job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bedplate.domain.formatting import usd
from bedplate.domain.ledger import sha256
from bedplate.domain.money.cost_estimate import CostWarning, objections
from bedplate.domain.versions.package import same_training
from bedplate.domain.versions.runs import more_is_better
from bedplate.domain.versions.tuning import grid_size, points
from bedplate.errors import Conflict, JobFailed, NotFound, OverBudget, UsageError
from bedplate.ports import Reporter, TuningJob, TuningRequest, TuningTrial
from bedplate.settings import Range, Strategy
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.job_following import AWS_POLL_S, LOCAL_POLL_S
from bedplate.workflows.training.runs import keep, warm
from bedplate.workflows.training.train import TrainResult, conclude, job_request, metrics_of, upload
from bedplate.workflows.training.training_plan import TrainPlan, TrainRequest, budgets_of
from bedplate.workflows.training.training_plan import plan as plan_training

MAX_NAME = 32
MAX_ATTEMPTS = 50
_ENDED = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """What the command line says; None and empty: as `training.tuning` of model.yaml says."""

    model: str
    data: Path | str
    ranges: Mapping[str, Range]
    settings: Mapping[str, str]
    objective: str | None = None
    trials: int | None = None
    parallel: int | None = None
    strategy: Strategy | None = None
    early_stopping: bool | None = None
    seed: int | None = None
    spot: bool | None = None
    max_usd: float | None = None


@dataclass(frozen=True, slots=True)
class TunePlan:
    """Everything decided, nothing changed. `job` is a tuning that exists already."""

    training: TrainPlan
    name: str
    ranges: Mapping[str, Range]
    objective: str
    strategy: Strategy
    trials: int
    parallel: int
    early_stopping: bool
    max_usd: float | None
    objections: tuple[CostWarning, ...]
    job: TuningJob | None

    @property
    def maximize(self) -> bool:
        return more_is_better(self.objective)


@dataclass(frozen=True, slots=True)
class TuneResult:
    """`best` and `registered` are None while it runs (`--no-wait`)."""

    job: TuningJob
    best: TuningTrial | None
    registered: TrainResult | None


def plan(stack: StackContext, request: TuneRequest, reporter: Reporter) -> TunePlan:
    """Look at everything, decide, change nothing.

    Raises UsageError (no ranges, no objective, a range of something that model.yaml does not declare, a grid over
    numbers) and whatever `train.plan` raises.
    """
    spec = stack.model(request.model)
    declared = spec.training.tuning
    ranges = dict(request.ranges) or (dict(declared.ranges) if declared else {})
    objective = request.objective or (declared.objective if declared else None)
    strategy: Strategy = request.strategy or (declared.strategy if declared else "Bayesian")
    if objective is None:
        raise UsageError(
            "What to tune for: a figure that the script prints about rows it did not learn from",
            next_step=f"bedplate tune {spec.name} --objective validation_auc, or training.tuning in model.yaml",
        )
    _must_be_ranges(spec.training.hyperparameters, ranges, strategy)
    fixed = {key: str(value) for key, value in (declared.set if declared else {}).items()} | dict(request.settings)
    both = sorted(set(fixed) & set(ranges))
    if both:
        raise UsageError(f"{both[0]} is both set and tuned", next_step="bedplate tune --help")
    training = plan_training(
        stack, TrainRequest(request.model, request.data, fixed, request.seed, request.spot), reporter
    )
    trials = request.trials or (declared.trials if declared else 8)
    trials = grid_size(ranges) if strategy == "Grid" else trials
    early = request.early_stopping if request.early_stopping is not None else bool(declared and declared.early_stopping)
    each = training.cost.max_usd
    total = None if each is None else each * trials
    limit = request.max_usd if request.max_usd is not None else (declared.max_usd if declared else None)
    asked = {
        "training": same_training(training.lineage),
        "ranges": {name: str(space) for name, space in ranges.items()},
        "how": [objective, strategy, trials, early],
    }
    name, job = _find(stack, sha256(json.dumps(asked, sort_keys=True).encode())[:8])
    return TunePlan(
        training=training,
        name=name,
        ranges=ranges,
        objective=objective,
        strategy=strategy,
        trials=trials,
        parallel=min(request.parallel or (declared.parallel if declared else 2), trials),
        early_stopping=early,
        max_usd=total,
        objections=() if job else _objections(stack, training, total, limit),
        job=job,
    )


def tune(stack: StackContext, plan: TunePlan, reporter: Reporter, *, wait: bool = True) -> TuneResult:
    """Run the tuning or take it up, keep every trial's run, register the best.

    Raises OverBudget before anything is changed, JobFailed when no trial gave the objective.
    """
    refusals = [o.reason for o in plan.objections if o.refused]
    if refusals:
        raise OverBudget(f"No tuning of {plan.training.spec.name}: {'; '.join(refusals)}", next_step="bedplate budgets")
    for objection in plan.objections:
        reporter("warning", {"text": objection.reason})
    job = plan.job or _submit(stack, plan, reporter)
    if not wait:
        return TuneResult(job, None, None)
    warm(stack)
    job = _followed(stack, job, reporter)
    best = next((trial for trial in job.trials if trial.job == job.best), None)
    for trial in job.trials:
        if trial is not best:
            _keep(stack, plan, trial, reporter)
    if best is None:
        raise JobFailed(
            f"Tuning {job.name} ended as {job.status} and no trial gave {plan.objective!r}: "
            f"{job.failure_reason or 'the script must print it as `metric: ' + plan.objective + '=0.7`'}",
            next_step=f"bedplate models log {job.trials[0].job}"
            if job.trials
            else f"bedplate tune {plan.training.spec.name} --help",
        )
    return TuneResult(job, best, _registered(stack, plan, best, reporter))


def _must_be_ranges(declared: Mapping[str, object], ranges: Mapping[str, Range], strategy: Strategy) -> None:
    if not ranges:
        raise UsageError(
            "Between which values to look: --range KEY=MIN:MAX[:log] or KEY=A,B, or training.tuning in model.yaml",
            next_step="bedplate tune --help",
        )
    unknown = sorted(set(ranges) - set(declared))
    if unknown:
        raise UsageError(
            f"--range {unknown[0]}: training.hyperparameters declares no {unknown[0]!r} "
            f"(it declares: {', '.join(declared) or 'none'})"
        )
    if strategy == "Grid":
        try:
            list(points(ranges))
        except ValueError as exc:
            raise UsageError(f"--strategy Grid: {exc}") from exc


def _objections(
    stack: StackContext, training: TrainPlan, total: float | None, limit_usd: float | None
) -> tuple[CostWarning, ...]:
    whole = replace(training.cost, max_usd=total)
    found = [o for o in training.objections if o.refused]
    if limit_usd is not None and (total is None or total > limit_usd):
        cost = "cost nobody knows what" if total is None else f"cost {usd(total)}"
        found.append(CostWarning(True, f"all trials together may {cost}, and the limit is {usd(limit_usd)}"))
    found += [
        o for o in objections(whole, limit_usd=None, budgets=budgets_of(stack, training.spec.name)) if o not in found
    ]
    return tuple(found)


def _find(stack: StackContext, digest: str) -> tuple[str, TuningJob | None]:
    """The tuning that runs or is done, or the name of the next attempt. SageMaker gives such a name 32 characters."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        tail = f"-{digest}-{attempt}"
        name = f"{stack.project}-{stack.name}"[: MAX_NAME - len(tail)].rstrip("-") + tail
        try:
            job = stack.jobs.tuning(name)
        except NotFound:
            return name, None
        if job.status in ("InProgress", "Completed"):
            return name, job
    raise JobFailed(
        f"{MAX_ATTEMPTS} attempts at this tuning failed", next_step="change the code, the data or the ranges"
    )


def _submit(stack: StackContext, plan: TunePlan, reporter: Reporter) -> TuningJob:
    upload(stack, plan.training, reporter)
    reporter("step", {"text": f"Starting tuning job {plan.name}: {plan.trials} trials, {plan.parallel} at a time"})
    template = job_request(stack, plan.training)
    request = TuningRequest(
        name=plan.name,
        training=replace(template, name=plan.name, checkpoint_uri=None),  # trials would share one prefix
        ranges=plan.ranges,
        objective=plan.objective,
        maximize=plan.maximize,
        strategy=plan.strategy,
        trials=plan.trials,
        parallel=plan.parallel,
        early_stopping=plan.early_stopping,
        seed=plan.training.lineage.seed,
    )
    try:
        return stack.jobs.submit_tuning(request)
    except Conflict:
        return stack.jobs.tuning(plan.name)


def _followed(stack: StackContext, job: TuningJob, reporter: Reporter) -> TuningJob:
    pause_s = LOCAL_POLL_S if stack.settings.target == "local" else AWS_POLL_S
    told: dict[str, tuple[str, float | None]] = {}
    while True:
        for trial in job.trials:
            now = (trial.status, trial.value)
            if told.get(trial.job) != now:
                told[trial.job] = now
                reporter(
                    "trial", {"job": trial.job, "status": trial.status, "params": trial.params, "value": trial.value}
                )
        if job.status in _ENDED:
            return job
        stack.clock.sleep(pause_s)
        job = stack.jobs.tuning(job.name)


def _of(plan: TunePlan, trial: TuningTrial) -> TrainPlan:
    """The plan of one trial: its parameters over the template's."""
    lineage = plan.training.lineage
    params = {**lineage.hyperparameters, **trial.params}
    return replace(
        plan.training, lineage=replace(lineage, hyperparameters=params), job_name=trial.job, job=None, package=None
    )


def _keep(stack: StackContext, plan: TunePlan, trial: TuningTrial, reporter: Reporter) -> None:
    each, job = _of(plan, trial), stack.jobs.training(trial.job)
    metrics = metrics_of(stack.jobs.log_lines(trial.job, kind="training"))
    keep(
        stack,
        reporter,
        lineage=each.lineage,
        cost=each.cost,
        job=job,
        metrics=metrics,
        code_uri=each.code_uri,
        kind="trial",
        tags={"tuning": plan.name},
    )


def _registered(stack: StackContext, plan: TunePlan, best: TuningTrial, reporter: Reporter) -> TrainResult:
    job = stack.jobs.training(best.job)
    lines = stack.jobs.log_lines(best.job, kind="training")
    return conclude(
        stack, _of(plan, best), job, lines, reporter, adopted=True, tags={"tuning": plan.name, "kind": "trial"}
    )
