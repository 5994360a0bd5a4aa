"""Estimates the maximum cost of a job, and checks it against limits and budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bedplate.domain.formatting import format_usd
from bedplate.domain.money.prices import InstanceUse, run_usd


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """`max_usd` is the price of running until the time limit; None if the instance's price is not known."""

    instance_type: str
    instance_count: int
    max_runtime_s: int
    max_usd: float | None


def estimate_cost(
    component: InstanceUse, *, instance_type: str, instance_count: int, max_runtime_s: int
) -> CostEstimate:
    """Returns the maximum cost of a job: every instance until the time limit, at list price.

    >>> estimate_cost("training", instance_type="ml.m5.xlarge", instance_count=2, max_runtime_s=3600).max_usd
    0.46
    """
    usd = run_usd(instance_type, component, seconds=max_runtime_s, count=instance_count)
    return CostEstimate(instance_type, instance_count, max_runtime_s, usd)


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget and the amount spent."""

    name: str
    limit_usd: float
    actual_usd: float
    has_stopped_training: bool = False
    """Its action was executed, so AWS denies new trainings."""


@dataclass(frozen=True, slots=True)
class CostWarning:
    """A reason against a job's cost; the job must not start if it `is_blocking`."""

    is_blocking: bool
    reason: str


def cost_warnings(
    cost: CostEstimate, *, limit_usd: float | None, budgets: Sequence[BudgetStatus]
) -> tuple[CostWarning, ...]:
    """Returns the reasons against a job of this cost, blocking ones first.

    Blocking: it could cost more than `limit_usd` (model.yaml's training.max_usd); its price is not known, so that the
    limit cannot be checked; a budget is used up or has stopped trainings. Not blocking: it could use up the rest of a
    budget.
    """
    warnings: list[CostWarning] = []
    max_text = "an unknown amount" if cost.max_usd is None else format_usd(cost.max_usd)
    if limit_usd is not None and cost.max_usd is None:
        reason = (
            f"the price of {cost.instance_type} is not known, so training.max_usd {format_usd(limit_usd)} cannot hold"
        )
        warnings.append(CostWarning(True, reason))
    elif limit_usd is not None and cost.max_usd is not None and cost.max_usd > limit_usd:
        instances = f"{cost.instance_count} x {cost.instance_type}, {cost.max_runtime_s} s"
        reason = f"it may cost {max_text} ({instances}), and training.max_usd is {format_usd(limit_usd)}"
        warnings.append(CostWarning(True, reason))
    for budget in budgets:
        remaining_usd = budget.limit_usd - budget.actual_usd
        spent = f"{format_usd(budget.actual_usd)} of {format_usd(budget.limit_usd)}"
        if budget.has_stopped_training:
            resume = f"until next month, or: bedplate budgets --resume {budget.name}"
            reason = f"budget {budget.name} has stopped new trainings ({spent} spent); {resume}"
            warnings.append(CostWarning(True, reason))
        elif remaining_usd <= 0:
            warnings.append(CostWarning(True, f"budget {budget.name} is used up: {spent}"))
        elif cost.max_usd is not None and cost.max_usd > remaining_usd:
            reason = f"budget {budget.name} has {format_usd(remaining_usd)} left, and this may cost {max_text}"
            warnings.append(CostWarning(False, reason))
    return tuple(sorted(warnings, key=lambda warning: not warning.is_blocking))
