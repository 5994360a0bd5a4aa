"""Spend and budgets."""

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
    """(kind, percent of the limit, state)."""
    stopped: bool = False
    """Whether an action of this budget has been executed: new trainings are denied until it is undone."""


class Costs(Protocol):
    def spend(
        self,
        *,
        start: datetime,
        end: datetime,
        group_by: Literal["Model", "UsageType", "Owner"],
        model: str | None,
        within: Mapping[str, str] = ...,
    ) -> Sequence[Spend]:
        """Daily spend by group, of `model` alone when one is named, of what carries every tag of `within`."""
        ...

    def budgets(self) -> Sequence[BudgetState]: ...
    def resume(self, budget: str) -> int:
        """Undo every executed action of a budget; returns how many there were."""
        ...
