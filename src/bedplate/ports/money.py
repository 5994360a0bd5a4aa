"""Spend and budgets, of Cost Explorer and AWS Budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Spend:
    """Cost of one group in one period."""

    start: datetime
    end: datetime
    group: str
    usd: float


@dataclass(frozen=True, slots=True)
class BudgetState:
    name: str
    limit_usd: float
    actual_usd: float
    forecast_usd: float | None
    thresholds: tuple[tuple[Literal["ACTUAL", "FORECASTED"], float, Literal["OK", "ALARM"]], ...]
    """(kind, per cent of the limit, state)."""
    blocks_training: bool = False
    """Whether an executed action of this budget denies new trainings; reversing the action allows them again."""


class Costs(Protocol):
    def list_spend(
        self,
        *,
        start: datetime,
        end: datetime,
        group_by: Literal["Model", "UsageType", "Owner"],
        model: str | None,
        tags: Mapping[str, str] = ...,
    ) -> Sequence[Spend]:
        """Returns daily spend by group; `model` and `tags` each restrict it to the resources that have those tags."""
        ...

    def list_budgets(self) -> Sequence[BudgetState]: ...
    def reverse_budget_actions(self, budget: str) -> int:
        """Reverses every executed action of a budget; returns how many."""
        ...
