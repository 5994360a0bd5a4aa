"""Compares a reproduced model with the registered one by metrics and predictions on held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedplate.domain.ledger import sha256

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class DependencyCheck:
    """Something that a training depends on: its recorded value and its current one."""

    name: str
    recorded: str
    current: str

    @property
    def is_same(self) -> bool:
        return self.recorded == self.current


def hash_data(train: bytes, holdout: bytes) -> str:
    """Returns the hash that `domain.data.dataset.split` gives these two parts.

    >>> hash_data(b"a", b"b") == hash_data(b"a", b"b"), hash_data(b"a", b"b") == hash_data(b"b", b"a")
    (True, False)
    """
    return sha256(f"{sha256(train)}{sha256(holdout)}".encode())


@dataclass(frozen=True, slots=True)
class PredictionComparison:
    """Two sets of predictions of the same rows in the same order; `differing` counts rows with unequal floats."""

    rows: int
    differing: int
    max_difference: float
    """The largest absolute difference, in the prediction's unit; infinite if one side is NaN."""


def compare_predictions(first: ArrayLike, second: ArrayLike) -> PredictionComparison:
    """Compares predictions for exact equality, because the same training on the same machine needs no tolerance. NaN
    equals NaN.

    Raises ValueError if their lengths differ.

    >>> compare_predictions([0.1, 0.2], [0.1, 0.25]).differing
    1
    >>> compare_predictions([], [])
    PredictionComparison(rows=0, differing=0, max_difference=0.0)
    """
    import numpy as np

    first_values, second_values = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first_values.shape != second_values.shape:
        raise ValueError(f"{len(first_values)} predictions cannot be compared with {len(second_values)}")
    is_different = ~((first_values == second_values) | (np.isnan(first_values) & np.isnan(second_values)))
    differences = np.abs(first_values[is_different] - second_values[is_different])
    return PredictionComparison(
        len(first_values), int(is_different.sum()), float(np.nan_to_num(differences, nan=np.inf).max(initial=0.0))
    )


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """A metric as recorded in the registry (6 digits), of the registered model now, and of the reproduced model."""

    name: str
    recorded: str | None
    registered: float
    reproduced: float

    @property
    def is_same(self) -> bool:
        both_nan = self.registered != self.registered and self.reproduced != self.reproduced
        matches_record = self.recorded is None or self.recorded == f"{self.registered:.6g}"
        return matches_record and (both_nan or self.registered == self.reproduced)


@dataclass(frozen=True, slots=True)
class ReproductionResult:
    """The outcome of a reproduction. `evaluated_predictions` compares with the predictions stored by the version's
    evaluation; None without one."""

    metrics: tuple[MetricComparison, ...]
    predictions: PredictionComparison
    evaluated_predictions: PredictionComparison | None

    @property
    def is_identical(self) -> bool:
        comparisons = [
            comparison for comparison in (self.predictions, self.evaluated_predictions) if comparison is not None
        ]
        return all(metric.is_same for metric in self.metrics) and all(
            comparison.differing == 0 for comparison in comparisons
        )


def compare_reproduced_metrics(
    metadata: Mapping[str, str], registered: Mapping[str, float], reproduced: Mapping[str, float]
) -> tuple[MetricComparison, ...]:
    """Returns every metric of either model with the value that the model package's metadata records.

    >>> [metric] = compare_reproduced_metrics({"metric.auc": "0.7"}, {"auc": 0.7}, {"auc": 0.7})
    >>> metric.is_same, compare_reproduced_metrics({"metric.auc": "0.71"}, {"auc": 0.7}, {"auc": 0.7})[0].is_same
    (True, False)
    """
    nan = float("nan")
    return tuple(
        MetricComparison(name, metadata.get(f"metric.{name}"), registered.get(name, nan), reproduced.get(name, nan))
        for name in dict.fromkeys((*registered, *reproduced))
    )
