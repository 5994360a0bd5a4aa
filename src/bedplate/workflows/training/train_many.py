"""Trains several models, or one model with several settings, in parallel: planned together, each with its own
result."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from bedplate.domain.formatting import format_usd
from bedplate.domain.money.cost_estimate import CostEstimate, CostWarning, cost_warnings
from bedplate.errors import BedplateError, OverBudget, UsageError
from bedplate.ports import Reporter
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.train import TrainResult, train
from bedplate.workflows.training.training_plan import TrainPlan, TrainRequest, list_budgets, plan

MAX_TRAININGS = 64
PARALLEL = 2
"""The number of jobs that the local platform runs in parallel."""


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Plans in the requested order; `max_usd` is their maximum total cost, None when a price is unknown."""

    plans: tuple[TrainPlan, ...]
    max_usd: float | None
    warnings: tuple[CostWarning, ...]


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The outcome of one training: exactly one of `result` and `error` is set."""

    plan: TrainPlan
    result: TrainResult | None
    error: BedplateError | None


def expand_grid(settings: Mapping[str, Sequence[str]]) -> tuple[dict[str, str], ...]:
    """Returns every combination of the values; the last name changes fastest.

    >>> expand_grid({"a": ["1", "2"], "b": ["x"]})
    ({'a': '1', 'b': 'x'}, {'a': '2', 'b': 'x'})
    >>> expand_grid({})
    ({},)
    """
    return tuple(dict(zip(settings, values, strict=True)) for values in itertools.product(*settings.values()))


def plan_all(
    stack: StackContext,
    models: Sequence[str],
    data: Mapping[str, Path | str],
    settings: Sequence[Mapping[str, str]],
    reporter: Reporter,
    *,
    seed: int | None = None,
    notes: str = "",
    spot: bool | None = None,
    limit_usd: float | None = None,
) -> TrainingBatch:
    """Plans every model with every setting. Each model's data is read and checked once.

    Raises UsageError for more than MAX_TRAININGS, and whatever `training_plan.plan` raises, before any training starts.
    """
    if len(models) * len(settings) > MAX_TRAININGS:
        raise UsageError(
            f"{len(models) * len(settings)} trainings requested; at most {MAX_TRAININGS} are allowed; "
            "`bedplate tune` searches with fewer",
            next_step="bedplate tune --help",
        )
    plans: list[TrainPlan] = []
    for model in models:
        template = None
        for overrides in settings:
            request = TrainRequest(model, data[model], overrides, seed, spot, notes)
            template = plan(stack, request, reporter, template=template)
            plans.append(template)
    unique = tuple({p.job_name: p for p in plans}.values())
    new = [p for p in unique if p.job is None]
    prices = [p.cost.max_usd for p in new]
    total = None if None in prices else sum(price for price in prices if price is not None)
    return TrainingBatch(unique, total, tuple(_batch_warnings(stack, new, total, limit_usd)))


def train_all(
    stack: StackContext,
    batch: TrainingBatch,
    reporter_for: Callable[[TrainPlan], Reporter],
    *,
    parallel: int = PARALLEL,
    wait: bool = True,
    on_result: Callable[[BatchResult], None] = lambda _: None,
) -> tuple[BatchResult, ...]:
    """Runs the trainings, `parallel` at a time, and returns their results in the order of the plans.

    A failed training does not stop the others. Raises OverBudget before any change when a cost warning is blocking.
    """
    blocking = [f"{p.job_name}: {warning.reason}" for p in batch.plans for warning in p.warnings if warning.is_blocking]
    blocking += [warning.reason for warning in batch.warnings if warning.is_blocking]
    if blocking:
        raise OverBudget(f"Nothing is trained: {'; '.join(blocking)}", next_step="bedplate budgets")

    def train_one(plan: TrainPlan) -> BatchResult:
        try:
            outcome = BatchResult(plan, train(stack, plan, reporter_for(plan), wait=wait), None)
        except BedplateError as exc:
            outcome = BatchResult(plan, None, exc)
        on_result(outcome)
        return outcome

    with ThreadPoolExecutor(max_workers=max(1, parallel), thread_name_prefix="train") as pool:
        return tuple(pool.map(train_one, batch.plans))


def _batch_warnings(
    stack: StackContext, new: Sequence[TrainPlan], total: float | None, limit_usd: float | None
) -> Sequence[CostWarning]:
    if not new:
        return ()
    warnings: list[CostWarning] = []
    if limit_usd is not None and (total is None or total > limit_usd):
        cost = "an unknown amount" if total is None else format_usd(total)
        warnings.append(CostWarning(True, f"together they may cost {cost}, and --max-usd is {format_usd(limit_usd)}"))
    for model in dict.fromkeys(p.spec.name for p in new):
        costs = [p.cost for p in new if p.spec.name == model]
        prices = [cost.max_usd for cost in costs if cost.max_usd is not None]
        sum_of_costs: CostEstimate = replace(costs[0], max_usd=sum(prices) if len(prices) == len(costs) else None)
        warnings += [
            w
            for w in cost_warnings(sum_of_costs, limit_usd=None, budgets=list_budgets(stack, model))
            if not w.is_blocking
        ]
    return warnings
