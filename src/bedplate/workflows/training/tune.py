"""Searches hyperparameters with a SageMaker tuning job, and registers the best trial as a version.

Like `train`, a second `tune` with the same inputs resumes the first one's job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bedplate.domain.formatting import format_usd
from bedplate.domain.ledger import sha256
from bedplate.domain.money.cost_estimate import CostWarning, cost_warnings
from bedplate.domain.versions.package import training_digest
from bedplate.domain.versions.runs import is_higher_better
from bedplate.domain.versions.tuning import grid_size, list_grid_points
from bedplate.errors import Conflict, JobFailed, NotFound, OverBudget, UsageError
from bedplate.ports import Reporter, TuningJob, TuningRequest, TuningTrial
from bedplate.settings import Range, Strategy
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.job_following import AWS_POLL_S, LOCAL_POLL_S
from bedplate.workflows.training.runs import log_run, preload
from bedplate.workflows.training.train import (
    TrainResult,
    build_job_request,
    parse_metrics,
    register_result,
    upload_inputs,
)
from bedplate.workflows.training.training_plan import TrainPlan, TrainRequest, list_budgets
from bedplate.workflows.training.training_plan import plan as plan_training

MAX_NAME = 32
MAX_ATTEMPTS = 50
_ENDED = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """A requested tuning; what is None or empty is taken from `training.tuning` in model.yaml."""

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
    """A planned tuning. `job` is an existing job of the same tuning."""

    training: TrainPlan
    name: str
    ranges: Mapping[str, Range]
    objective: str
    strategy: Strategy
    trials: int
    parallel: int
    early_stopping: bool
    max_usd: float | None
    warnings: tuple[CostWarning, ...]
    job: TuningJob | None

    @property
    def maximize(self) -> bool:
        return is_higher_better(self.objective)


@dataclass(frozen=True, slots=True)
class TuneResult:
    """`best` and `best_result` are None while the job runs (`--no-wait`)."""

    job: TuningJob
    best: TuningTrial | None
    best_result: TrainResult | None


def plan(stack: StackContext, request: TuneRequest, reporter: Reporter) -> TunePlan:
    """Plans a tuning; changes nothing.

    Raises UsageError (no ranges, no objective, a range of an undeclared hyperparameter, a grid over numbers) and
    whatever `training_plan.plan` raises.
    """
    spec = stack.model(request.model)
    declared = spec.training.tuning
    ranges = dict(request.ranges) or (dict(declared.ranges) if declared else {})
    objective = request.objective or (declared.objective if declared else None)
    strategy: Strategy = request.strategy or (declared.strategy if declared else "Bayesian")
    if objective is None:
        raise UsageError(
            "No objective: name a metric that the script prints for rows that it was not trained on",
            next_step=f"bedplate tune {spec.name} --objective validation_auc, or training.tuning in model.yaml",
        )
    _require_ranges(spec.training.hyperparameters, ranges, strategy)
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
    identity = {
        "training": training_digest(training.lineage),
        "ranges": {name: str(space) for name, space in ranges.items()},
        "search": [objective, strategy, trials, early],
    }
    name, job = _find_tuning(stack, sha256(json.dumps(identity, sort_keys=True).encode())[:8])
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
        warnings=() if job else _cost_warnings(stack, training, total, limit),
        job=job,
    )


def tune(stack: StackContext, plan: TunePlan, reporter: Reporter, *, wait: bool = True) -> TuneResult:
    """Runs or resumes the tuning, logs every trial as a run, and registers the best trial.

    Raises OverBudget before any change, JobFailed when no trial reported the objective.
    """
    blocking = [warning.reason for warning in plan.warnings if warning.is_blocking]
    if blocking:
        raise OverBudget(f"{plan.training.spec.name} is not tuned: {'; '.join(blocking)}", next_step="bedplate budgets")
    for warning in plan.warnings:
        reporter("warning", {"text": warning.reason})
    job = plan.job or _submit(stack, plan, reporter)
    if not wait:
        return TuneResult(job, None, None)
    preload(stack)
    job = _follow_tuning(stack, job, reporter)
    best = next((trial for trial in job.trials if trial.job == job.best_job), None)
    for trial in job.trials:
        if trial is not best:
            _log_trial(stack, plan, trial, reporter)
    if best is None:
        raise JobFailed(
            f"Tuning {job.name} ended as {job.status}, and no trial reported {plan.objective!r}: "
            f"{job.failure_reason or 'the script must print it as `metric: ' + plan.objective + '=0.7`'}",
            next_step=f"bedplate models log {job.trials[0].job}"
            if job.trials
            else f"bedplate tune {plan.training.spec.name} --help",
        )
    return TuneResult(job, best, _register_best(stack, plan, best, reporter))


def _require_ranges(declared: Mapping[str, object], ranges: Mapping[str, Range], strategy: Strategy) -> None:
    if not ranges:
        raise UsageError(
            "No ranges: pass --range KEY=MIN:MAX[:log] or KEY=A,B, or set training.tuning in model.yaml",
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
            list(list_grid_points(ranges))
        except ValueError as exc:
            raise UsageError(f"--strategy Grid: {exc}") from exc


def _cost_warnings(
    stack: StackContext, training: TrainPlan, total: float | None, limit_usd: float | None
) -> tuple[CostWarning, ...]:
    all_trials = replace(training.cost, max_usd=total)
    warnings = [warning for warning in training.warnings if warning.is_blocking]
    if limit_usd is not None and (total is None or total > limit_usd):
        cost = "an unknown amount" if total is None else format_usd(total)
        warnings.append(
            CostWarning(True, f"all trials together may cost {cost}, and the limit is {format_usd(limit_usd)}")
        )
    budgets = list_budgets(stack, training.spec.name)
    total_warnings = cost_warnings(all_trials, limit_usd=None, budgets=budgets)
    return (*warnings, *(warning for warning in total_warnings if warning not in warnings))


def _find_tuning(stack: StackContext, digest: str) -> tuple[str, TuningJob | None]:
    """Returns the running or completed tuning, or the name of the next attempt. SageMaker limits it to 32
    characters."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        tail = f"-{digest}-{attempt}"
        name = f"{stack.project}-{stack.name}"[: MAX_NAME - len(tail)].rstrip("-") + tail
        try:
            job = stack.jobs.get_tuning(name)
        except NotFound:
            return name, None
        if job.status in ("InProgress", "Completed"):
            return name, job
    raise JobFailed(
        f"{MAX_ATTEMPTS} attempts at this tuning failed", next_step="change the code, the data or the ranges"
    )


def _submit(stack: StackContext, plan: TunePlan, reporter: Reporter) -> TuningJob:
    upload_inputs(stack, plan.training, reporter)
    reporter("step", {"text": f"Starting tuning job {plan.name}: {plan.trials} trials, {plan.parallel} at a time"})
    template = build_job_request(stack, plan.training)
    request = TuningRequest(
        name=plan.name,
        training=replace(template, name=plan.name, checkpoint_uri=None),  # trials would share one prefix
        ranges=plan.ranges,
        objective=plan.objective,
        maximize=plan.maximize,
        strategy=plan.strategy,
        max_trials=plan.trials,
        max_parallel=plan.parallel,
        early_stopping=plan.early_stopping,
        seed=plan.training.lineage.seed,
    )
    try:
        return stack.jobs.submit_tuning(request)
    except Conflict:
        return stack.jobs.get_tuning(plan.name)


def _follow_tuning(stack: StackContext, job: TuningJob, reporter: Reporter) -> TuningJob:
    pause_s = LOCAL_POLL_S if stack.settings.target == "local" else AWS_POLL_S
    reported: dict[str, tuple[str, float | None]] = {}
    while True:
        for trial in job.trials:
            progress = (trial.status, trial.objective_value)
            if reported.get(trial.job) != progress:
                reported[trial.job] = progress
                reporter(
                    "trial",
                    {"job": trial.job, "status": trial.status, "params": trial.params, "value": trial.objective_value},
                )
        if job.status in _ENDED:
            return job
        stack.clock.sleep(pause_s)
        job = stack.jobs.get_tuning(job.name)


def _plan_of_trial(plan: TunePlan, trial: TuningTrial) -> TrainPlan:
    """Returns the training plan of one trial, with its hyperparameters."""
    lineage = plan.training.lineage
    params = {**lineage.hyperparameters, **trial.params}
    return replace(
        plan.training, lineage=replace(lineage, hyperparameters=params), job_name=trial.job, job=None, package=None
    )


def _log_trial(stack: StackContext, plan: TunePlan, trial: TuningTrial, reporter: Reporter) -> None:
    training, job = _plan_of_trial(plan, trial), stack.jobs.get_training(trial.job)
    metrics = parse_metrics(stack.jobs.list_log_lines(trial.job, kind="training"))
    log_run(
        stack,
        reporter,
        lineage=training.lineage,
        cost=training.cost,
        job=job,
        metrics=metrics,
        code_uri=training.code_uri,
        kind="trial",
        tags={"tuning": plan.name},
    )


def _register_best(stack: StackContext, plan: TunePlan, best: TuningTrial, reporter: Reporter) -> TrainResult:
    job = stack.jobs.get_training(best.job)
    lines = stack.jobs.list_log_lines(best.job, kind="training")
    return register_result(
        stack,
        _plan_of_trial(plan, best),
        job,
        lines,
        reporter,
        is_existing_job=True,
        tags={"tuning": plan.name, "kind": "trial"},
    )
