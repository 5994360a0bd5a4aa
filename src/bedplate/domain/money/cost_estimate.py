"""What a job may cost at most, and whether that is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bedplate.domain.formatting import usd
from bedplate.domain.money.prices import Component, run_usd


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """`max_usd` is the price of running until the time limit; None when the instance's price is not known."""

    instance_type: str
    instance_count: int
    max_runtime_s: int
    max_usd: float | None


def estimate(component: Component, *, instance_type: str, instance_count: int, max_runtime_s: int) -> CostEstimate:
    """The most that a job can cost: every instance until the time limit, at list price.

    >>> estimate("training", instance_type="ml.m5.xlarge", instance_count=2, max_runtime_s=3600).max_usd
    0.46
    """
    usd = run_usd(instance_type, component, seconds=max_runtime_s, count=instance_count)
    return CostEstimate(instance_type, instance_count, max_runtime_s, usd)


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget and what is gone of it."""

    name: str
    limit_usd: float
    actual_usd: float
    stopped: bool = False
    """Its action has been executed: AWS denies new trainings."""


@dataclass(frozen=True, slots=True)
class CostWarning:
    """Why a job must not start; `refused` False is a warning only."""

    refused: bool
    reason: str


def objections(
    cost: CostEstimate, *, limit_usd: float | None, budgets: Sequence[BudgetStatus]
) -> tuple[CostWarning, ...]:
    """What speaks against a job of this cost, refusals first.

    Refused: it could cost more than `limit_usd` (model.yaml's training.max_usd), or its price is not known while there
    is such a limit (a limit that cannot be checked does not hold), or a budget is used up, or has stopped trainings.
    Warned: it could use up what is left of a budget.
    """
    found: list[CostWarning] = []
    if limit_usd is not None and cost.max_usd is None:
        found.append(
            CostWarning(
                True,
                f"the price of {cost.instance_type} is not known, so training.max_usd {usd(limit_usd)} cannot be kept",
            )
        )
    elif limit_usd is not None and cost.max_usd is not None and cost.max_usd > limit_usd:
        found.append(
            CostWarning(
                True,
                f"it may cost {usd(cost.max_usd)} ({cost.instance_count} x {cost.instance_type}, "
                f"{cost.max_runtime_s} s), and training.max_usd is {usd(limit_usd)}",
            )
        )
    for budget in budgets:
        left = budget.limit_usd - budget.actual_usd
        if budget.stopped:
            text = (
                f"budget {budget.name} has stopped new trainings ({usd(budget.actual_usd)} of {usd(budget.limit_usd)} "
                f"spent); until next month, or: bedplate budgets --resume {budget.name}"
            )
            found.append(CostWarning(True, text))
        elif left <= 0:
            text = f"budget {budget.name} is used up: {usd(budget.actual_usd)} of {usd(budget.limit_usd)}"
            found.append(CostWarning(True, text))
        elif cost.max_usd is not None and cost.max_usd > left:
            text = f"budget {budget.name} has {usd(left)} left, and this may cost {usd(cost.max_usd)}"
            found.append(CostWarning(False, text))
    return tuple(sorted(found, key=lambda o: not o.refused))
