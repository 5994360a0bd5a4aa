"""Compares training runs: their parameters and metrics side by side, and which run is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOWER_IS_BETTER = ("brier", "log_loss", "ece", "rmse", "mae", "loss", "error", "seconds", "usd")


@dataclass(frozen=True, slots=True)
class RunRow:
    """A parameter or metric of all runs, in the order of the runs; None where a run does not have it."""

    name: str
    values: tuple[str | float | None, ...]

    @property
    def is_different(self) -> bool:
        return len(set(self.values)) > 1


def build_rows(runs: Sequence[Mapping[str, str]] | Sequence[Mapping[str, float]]) -> tuple[RunRow, ...]:
    """Returns one row for each name that occurs in any run, in order of first appearance.

    >>> [(row.name, row.values, row.is_different) for row in build_rows([{"a": "1", "b": "2"}, {"a": "1"}])]
    [('a', ('1', '1'), False), ('b', ('2', None), True)]
    """
    names = dict.fromkeys(name for run in runs for name in run)
    return tuple(RunRow(name, tuple(run.get(name) for run in runs)) for name in names)


def is_higher_better(metric: str) -> bool:
    """Returns whether a higher value of the metric is better, judged by the end of its name.

    >>> is_higher_better("auc"), is_higher_better("train_log_loss"), is_higher_better("fit_seconds")
    (True, False, False)
    """
    return not any(metric.endswith(name) for name in LOWER_IS_BETTER)


def find_best_index(metric: str, values: Sequence[float | None]) -> int | None:
    """Returns the index of the best value, the first of equal ones; None if there is no value.

    >>> find_best_index("auc", [0.7, None, 0.8]), find_best_index("log_loss", [0.7, 0.6, None])
    (2, 1)
    >>> find_best_index("auc", [None]) is None
    True
    """
    candidates = [(index, value) for index, value in enumerate(values) if value is not None and value == value]
    if not candidates:
        return None
    choose = max if is_higher_better(metric) else min
    return choose(candidates, key=lambda candidate: candidate[1])[0]
