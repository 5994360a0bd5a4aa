"""Says whether a training that was done again gave the same model, by metrics and predictions on held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedplate.domain.ledger import sha256

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class DependencyCheck:
    """Something that a training depends on: what the record says, and what there is now."""

    what: str
    recorded: str
    now: str

    @property
    def same(self) -> bool:
        return self.recorded == self.now


def data_hash(train: bytes, holdout: bytes) -> str:
    """The hash that `domain.data.dataset.split` gives these two parts.

    >>> data_hash(b"a", b"b") == data_hash(b"a", b"b"), data_hash(b"a", b"b") == data_hash(b"b", b"a")
    (True, False)
    """
    return sha256(f"{sha256(train)}{sha256(holdout)}".encode())


@dataclass(frozen=True, slots=True)
class Predictions:
    """Two sets of predictions of the same rows, in the same order: how many are not the very same float."""

    rows: int
    differing: int
    max_difference: float
    """Largest absolute difference, in the prediction's unit; infinite where one side has no number."""


def compare_predictions(first: ArrayLike, second: ArrayLike) -> Predictions:
    """Compare bit by bit: no tolerance, because the same training on the same machine needs none. NaN equals NaN.

    >>> compare_predictions([0.1, 0.2], [0.1, 0.25]).differing
    1
    >>> compare_predictions([], [])
    Predictions(rows=0, differing=0, max_difference=0.0)

    Raises ValueError when they are not of one length.
    """
    import numpy as np

    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"{len(a)} predictions cannot be compared with {len(b)}")
    apart = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    gaps = np.abs(a[apart] - b[apart])
    return Predictions(len(a), int(apart.sum()), float(np.nan_to_num(gaps, nan=np.inf).max(initial=0.0)))


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric three times: as the registry keeps it (6 digits), the registered model scored now, the new model."""

    name: str
    recorded: str | None
    registered: float
    reproduced: float

    @property
    def same(self) -> bool:
        both_nan = self.registered != self.registered and self.reproduced != self.reproduced
        kept = self.recorded is None or self.recorded == f"{self.registered:.6g}"
        return kept and (both_nan or self.registered == self.reproduced)


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of it. `evaluated` is against the predictions kept by the version's evaluation, None without one."""

    metrics: tuple[MetricComparison, ...]
    predictions: Predictions
    evaluated: Predictions | None

    @property
    def identical(self) -> bool:
        sets = [p for p in (self.predictions, self.evaluated) if p is not None]
        return all(m.same for m in self.metrics) and all(p.differing == 0 for p in sets)


def metrics_told(
    metadata: Mapping[str, str], registered: Mapping[str, float], reproduced: Mapping[str, float]
) -> tuple[MetricComparison, ...]:
    """Every metric of either model, beside what the model package's metadata says of it.

    >>> [m] = metrics_told({"metric.auc": "0.7"}, {"auc": 0.7}, {"auc": 0.7})
    >>> m.same, metrics_told({"metric.auc": "0.71"}, {"auc": 0.7}, {"auc": 0.7})[0].same
    (True, False)
    """
    nan = float("nan")
    return tuple(
        MetricComparison(name, metadata.get(f"metric.{name}"), registered.get(name, nan), reproduced.get(name, nan))
        for name in dict.fromkeys((*registered, *reproduced))
    )
