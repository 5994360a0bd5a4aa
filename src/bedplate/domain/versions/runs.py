"""Sets trainings side by side: in which parameters and figures they differ, and which of them is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LESS_IS_BETTER = ("brier", "log_loss", "ece", "rmse", "mae", "loss", "error", "seconds", "usd")


@dataclass(frozen=True, slots=True)
class RunRow:
    """One parameter or figure over all runs, in their order; None where a run does not have it."""

    name: str
    values: tuple[str | float | None, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def rows(told: Sequence[Mapping[str, str]] | Sequence[Mapping[str, float]]) -> tuple[RunRow, ...]:
    """Every name that any run has, in the order of their first appearance.

    >>> [(row.name, row.values, row.differs) for row in rows([{"a": "1", "b": "2"}, {"a": "1"}])]
    [('a', ('1', '1'), False), ('b', ('2', None), True)]
    """
    names = dict.fromkeys(name for each in told for name in each)
    return tuple(RunRow(name, tuple(each.get(name) for each in told)) for name in names)


def more_is_better(metric: str) -> bool:
    """
    >>> more_is_better("auc"), more_is_better("train_log_loss"), more_is_better("fit_seconds")
    (True, False, False)
    """
    return not any(metric.endswith(name) for name in LESS_IS_BETTER)


def best(metric: str, values: Sequence[float | None]) -> int | None:
    """Place of the best figure, the first of equals; None when there is none.

    >>> best("auc", [0.7, None, 0.8]), best("log_loss", [0.7, 0.6, None]), best("auc", [None])
    (2, 1, None)
    """
    known = [(place, value) for place, value in enumerate(values) if value is not None and value == value]
    if not known:
        return None
    pick = max if more_is_better(metric) else min
    return pick(known, key=lambda each: each[1])[0]
