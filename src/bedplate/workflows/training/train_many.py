"""Trains several models, or one with several settings, at once: planned together, each with an end of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from bedplate.domain.formatting import usd
from bedplate.domain.money.cost_estimate import CostEstimate, CostWarning, objections
from bedplate.errors import BedplateError, OverBudget, UsageError
from bedplate.ports import Reporter
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.train import TrainResult, train
from bedplate.workflows.training.training_plan import TrainPlan, TrainRequest, budgets_of, plan

MAX_AT_ONCE = 64
PARALLEL = 2
"""As many as the local platform runs at a time."""


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Plans in the order asked for; `max_usd` is what they may cost together, None when a price is unknown."""

    plans: tuple[TrainPlan, ...]
    max_usd: float | None
    objections: tuple[CostWarning, ...]


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What came of one of them: exactly one of `done` and `error` is there."""

    plan: TrainPlan
    done: TrainResult | None
    error: BedplateError | None


def grid(settings: Mapping[str, Sequence[str]]) -> tuple[dict[str, str], ...]:
    """Every combination of the values, the last name changing fastest.

    >>> grid({"a": ["1", "2"], "b": ["x"]})
    ({'a': '1', 'b': 'x'}, {'a': '2', 'b': 'x'})
    >>> grid({})
    ({},)
    """
    return tuple(dict(zip(settings, chosen, strict=True)) for chosen in itertools.product(*settings.values()))


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
    """A plan for every model with every setting. Data is read and checked once for each model.

    Raises UsageError for more than MAX_AT_ONCE, and whatever `train.plan` raises: a plan that cannot be made stops all.
    """
    if len(models) * len(settings) > MAX_AT_ONCE:
        raise UsageError(
            f"{len(models) * len(settings)} trainings at once: at most {MAX_AT_ONCE}; "
            "`bedplate tune` looks for good values in fewer",
            next_step="bedplate tune --help",
        )
    plans: list[TrainPlan] = []
    for model in models:
        like = None
        for overrides in settings:
            like = plan(stack, TrainRequest(model, data[model], overrides, seed, spot, notes), reporter, like=like)
            plans.append(like)
    unique = tuple({p.job_name: p for p in plans}.values())
    new = [p for p in unique if p.job is None]
    prices = [p.cost.max_usd for p in new]
    total = None if None in prices else sum(price for price in prices if price is not None)
    return TrainingBatch(unique, total, tuple(_together(stack, new, total, limit_usd)))


def train_all(
    stack: StackContext,
    several: TrainingBatch,
    say_for: Callable[[TrainPlan], Reporter],
    *,
    parallel: int = PARALLEL,
    wait: bool = True,
    ended: Callable[[BatchResult], None] = lambda _: None,
) -> tuple[BatchResult, ...]:
    """Run them, `parallel` at a time; one that fails keeps no other one waiting. In the order of the plans.

    Raises OverBudget before anything is changed when they cost too much together, or one of them by itself.
    """
    refusals = [f"{p.job_name}: {o.reason}" for p in several.plans for o in p.objections if o.refused]
    refusals += [o.reason for o in several.objections if o.refused]
    if refusals:
        raise OverBudget(f"No training: {'; '.join(refusals)}", next_step="bedplate budgets")

    def one(each: TrainPlan) -> BatchResult:
        try:
            made = BatchResult(each, train(stack, each, say_for(each), wait=wait), None)
        except BedplateError as exc:
            made = BatchResult(each, None, exc)
        ended(made)
        return made

    with ThreadPoolExecutor(max_workers=max(1, parallel), thread_name_prefix="train") as pool:
        return tuple(pool.map(one, several.plans))


def _together(
    stack: StackContext, new: Sequence[TrainPlan], total: float | None, limit_usd: float | None
) -> Sequence[CostWarning]:
    if not new:
        return ()
    found: list[CostWarning] = []
    if limit_usd is not None and (total is None or total > limit_usd):
        cost = "cost nobody knows what" if total is None else f"cost {usd(total)}"
        found.append(CostWarning(True, f"together they may {cost}, and --max-usd is {usd(limit_usd)}"))
    for model in dict.fromkeys(p.spec.name for p in new):
        mine = [p.cost for p in new if p.spec.name == model]
        prices = [cost.max_usd for cost in mine if cost.max_usd is not None]
        whole: CostEstimate = replace(mine[0], max_usd=sum(prices) if len(prices) == len(mine) else None)
        found += [o for o in objections(whole, limit_usd=None, budgets=budgets_of(stack, model)) if not o.refused]
    return found
