"""Reports the spend of a stack by model, lifecycle stage or owner, and the state of its budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from bedplate.domain.money.cost import Spending, find_crossed_thresholds, find_stage, sum_spending, usd_per_thousand
from bedplate.domain.names import stage_budget
from bedplate.domain.release import fallback_name
from bedplate.errors import NotFound
from bedplate.ports import BudgetState
from bedplate.settings import LifeStage
from bedplate.workflows.endpoint.follow import count_predictions
from bedplate.workflows.stack_context import StackContext

Grouping = Literal["model", "stage", "owner"]


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """A model's spend (`usd`) and predictions (rows) in the period.

    `usd_per_thousand` is the spend of all stages for a thousand predictions; None without predictions.
    """

    model: str
    usd: float
    predictions: float
    usd_per_thousand: float | None


@dataclass(frozen=True, slots=True)
class Bill:
    """The spend of a period by group, and the usage of its models."""

    start: datetime
    end: datetime
    group_by: Grouping
    spending: Spending
    usage: tuple[ModelUsage, ...]


def read_bill(stack: StackContext, *, group_by: Grouping, days: int, model: str | None) -> Bill:
    """Returns the spend of the last `days` days including today, of one `model` or of the stack.

    The usage of models is included when `group_by` or `model` separates their spend. Raises NotFound for an unknown
    model.
    """
    if model:
        stack.model(model)
    end = stack.clock.now()
    start = end - timedelta(days=days - 1)
    tags = {"Project": stack.project, "Stack": stack.name}
    dimensions: dict[Grouping, Literal["Model", "UsageType", "Owner"]] = {"model": "Model", "owner": "Owner"}
    dimension = dimensions.get(group_by, "UsageType")
    spends = stack.costs.list_spend(start=start, end=end, group_by=dimension, model=model, tags=tags)
    lines = [(s.start.date(), find_stage(s.group) if group_by == "stage" else s.group, s.usd) for s in spends]
    spending = sum_spending(lines)
    usage: tuple[ModelUsage, ...] = ()
    if group_by == "model" or model:
        usd_by_model = {share.group: share.usd for share in spending.shares} if group_by == "model" else {}
        models = [model] if model else [name for name in stack.outputs.models if name in usd_by_model]
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)  # a bill consists of whole days
        usage = tuple(_model_usage(stack, m, usd_by_model.get(m, spending.total_usd), midnight, end) for m in models)
    return Bill(start, end, group_by, spending, usage)


def count_served_predictions(stack: StackContext, model: str, start: datetime, end: datetime) -> float:
    """Returns the number of rows that the existing releases of a model have predicted in a period.

    Reads datapoints of a minute, or of an hour for periods over 24 hours, to read at most 1440 for a day.
    """
    endpoint = stack.names(model).endpoint
    releases = [fallback_name(endpoint), *(r.name for r in stack.endpoints.list_releases(endpoint))]
    period_s = 60 if end - start <= timedelta(hours=24) else 3600
    return sum(count_predictions(stack, endpoint, r, start, end, period_s=period_s) for r in releases)


def _model_usage(stack: StackContext, model: str, usd: float, start: datetime, end: datetime) -> ModelUsage:
    count = count_served_predictions(stack, model, start, end)
    return ModelUsage(model, usd, count, usd_per_thousand(usd, count))


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """A budget of this stack.

    `scope` is what it covers: a model or `the platform`, and the lifecycle stage if it has one (`churn, training`).
    `crossed_thresholds` are pairs of (`ACTUAL` or `FORECASTED`, per cent of the limit).
    """

    budget: BudgetState
    scope: str
    crossed_thresholds: tuple[tuple[str, float], ...]

    @property
    def used_pct(self) -> float:
        return 100 * self.budget.actual_usd / self.budget.limit_usd if self.budget.limit_usd else 0.0

    @property
    def is_over(self) -> bool:
        return self.budget.actual_usd >= self.budget.limit_usd


def list_budgets(stack: StackContext, model: str | None = None) -> Sequence[BudgetReport]:
    """Returns the budgets of this stack's models (or of one `model`) and of the platform, the most used one first."""
    scopes = {stack.names(name).budget: name for name in stack.outputs.models}
    if model:
        stack.model(model)
        scopes = {budget: name for budget, name in scopes.items() if name == model}
    else:
        scopes[stack.outputs.platform_budget] = "the platform"
    stages = get_args(LifeStage)
    scopes |= {stage_budget(budget, stage): f"{name}, {stage}" for budget, name in scopes.items() for stage in stages}
    reports = [
        BudgetReport(
            b,
            scopes[b.name],
            find_crossed_thresholds(
                b.thresholds, limit_usd=b.limit_usd, actual_usd=b.actual_usd, forecast_usd=b.forecast_usd
            ),
        )
        for b in stack.costs.list_budgets()
        if b.name in scopes
    ]
    return sorted(reports, key=lambda report: -report.used_pct)


def resume_budget(stack: StackContext, budget: str) -> int:
    """Reverses a budget's executed actions, which detaches its stop policies, and returns their number.

    Raises NotFound when this stack has no such budget.
    """
    names = {report.budget.name for report in list_budgets(stack)}
    if budget not in names:
        raise NotFound(
            f"Stack {stack.name!r} has no budget {budget!r}; its budgets: {', '.join(sorted(names)) or 'none'}",
            next_step="bedplate budgets",
        )
    return stack.costs.reverse_budget_actions(budget)
