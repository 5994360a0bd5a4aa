"""What was spent on a stack, by whom and for what, and how its budgets stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from bedplate.domain.money.cost import Spending, add_up, crossed, per_thousand, stage_of
from bedplate.domain.names import stage_budget
from bedplate.domain.release import fallback_release
from bedplate.errors import NotFound
from bedplate.ports import BudgetState
from bedplate.settings import LifeStage
from bedplate.workflows.stack_context import StackContext

By = Literal["model", "stage", "owner"]


@dataclass(frozen=True, slots=True)
class ModelUse:
    """Predictions (rows) that a model answered in the time, and what a thousand of them cost in all (None: no rows)."""

    model: str
    usd: float
    predictions: float
    usd_per_thousand: float | None


@dataclass(frozen=True, slots=True)
class Bill:
    start: datetime
    end: datetime
    by: By
    spending: Spending
    use: tuple[ModelUse, ...]


def bill(stack: StackContext, *, by: By, days: int, model: str | None) -> Bill:
    """Spend of the last `days` days, today included. Raises NotFound for an unknown model."""
    if model:
        stack.model(model)
    end = stack.clock.now()
    start = end - timedelta(days=days - 1)
    within = {"Project": stack.project, "Stack": stack.name}
    group: Literal["Model", "UsageType", "Owner"] = (
        "Model" if by == "model" else "Owner" if by == "owner" else "UsageType"
    )
    spends = stack.costs.spend(start=start, end=end, group_by=group, model=model, within=within)
    lines = [(s.start.date(), stage_of(s.group) if by == "stage" else s.group, s.usd) for s in spends]
    spending = add_up(lines)
    if by == "model" or model:
        by_model = {share.group: share.usd for share in spending.shares} if by == "model" else {}
        wanted = [model] if model else [name for name in stack.outputs.models if name in by_model]
        since = start.replace(hour=0, minute=0, second=0, microsecond=0)
        use = tuple(
            _use(stack, name, by_model.get(name, spending.total_usd if model else 0.0), since, end) for name in wanted
        )
    else:
        use = ()
    return Bill(start, end, by, spending, use)


def predictions(stack: StackContext, model: str, start: datetime, end: datetime) -> float:
    """Rows answered by every release of a model that still exists."""
    endpoint = stack.names(model).endpoint
    releases = [fallback_release(endpoint), *(r.name for r in stack.endpoints.releases(endpoint))]
    period_s = 60 if end - start <= timedelta(hours=24) else 3600
    return sum(
        value
        for release in releases
        for _, value in stack.metrics.series(
            "Bedplate/Serving",
            "Answers",
            {"Endpoint": endpoint, "Release": release},
            start=start,
            end=end + timedelta(seconds=period_s),
            period_s=period_s,
            stat="Sum",
        )
    )


def _use(stack: StackContext, model: str, usd: float, start: datetime, end: datetime) -> ModelUse:
    count = predictions(stack, model, start, end)
    return ModelUse(model, usd, count, per_thousand(usd, count))


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """A budget of this stack; `crossed` are thresholds behind us: (kind, percent of the limit)."""

    budget: BudgetState
    of: str
    crossed: tuple[tuple[str, float], ...]

    @property
    def used_pct(self) -> float:
        return 100 * self.budget.actual_usd / self.budget.limit_usd if self.budget.limit_usd else 0.0

    @property
    def over(self) -> bool:
        return self.budget.actual_usd >= self.budget.limit_usd


def budgets(stack: StackContext, model: str | None = None) -> Sequence[BudgetReport]:
    """Budgets of this stack's models and of the platform, the fullest first; only one model's when it is named."""
    of = {stack.names(name).budget: name for name in stack.outputs.models}
    if model:
        stack.model(model)
        of = {budget: name for budget, name in of.items() if name == model}
    else:
        of[stack.outputs.platform_budget] = "the platform"
    stages = get_args(LifeStage)
    of |= {stage_budget(budget, stage): f"{name}, {stage}" for budget, name in of.items() for stage in stages}
    standing = [
        BudgetReport(
            b,
            of[b.name],
            crossed(b.thresholds, limit_usd=b.limit_usd, actual_usd=b.actual_usd, forecast_usd=b.forecast_usd),
        )
        for b in stack.costs.budgets()
        if b.name in of
    ]
    return sorted(standing, key=lambda s: -s.used_pct)


def resume(stack: StackContext, budget: str) -> int:
    """Undo what a budget's actions have stopped; how many there were. Raises NotFound for no budget of this stack."""
    held = {standing.budget.name for standing in budgets(stack)}
    if budget not in held:
        raise NotFound(
            f"Stack {stack.name!r} has no budget {budget!r} (it has: {', '.join(sorted(held)) or 'none'})",
            next_step="bedplate budgets",
        )
    return stack.costs.resume(budget)
