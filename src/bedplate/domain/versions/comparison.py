"""Two versions side by side: what they were made of, their figures on the same rows, and the differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.evidence.metrics import HIGHER_IS_BETTER, Estimate, compare
from bedplate.settings import ModelSpec

Verdict = Literal["better", "worse", "cannot tell"]
MIN_SEGMENT_ROWS = 50
"""Values of a segment with fewer rows are left out: their intervals say nothing."""
MAX_SEGMENTS = 30
_UNTOLD = "-"


@dataclass(frozen=True, slots=True)
class ProvenanceRow:
    """One thing that two versions were made of, as text; `same` when it is equal."""

    topic: str
    name: str
    first: str
    second: str

    @property
    def same(self) -> bool:
        return self.first == self.second


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric of both on the same rows; `difference` is second minus first with its paired 95 % interval."""

    metric: str
    first: Estimate
    second: Estimate
    difference: Estimate

    @property
    def verdict(self) -> Verdict:
        """Of the second against the first: the whole interval lies on one side of nought, or these rows cannot tell."""
        low, high = self.difference.low, self.difference.high
        if not (np.isfinite(low) and np.isfinite(high)) or low <= 0 <= high:
            return "cannot tell"
        return "better" if (low > 0) == (self.metric in HIGHER_IS_BETTER) else "worse"

    def to_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "first": self.first.to_json(),
            "second": self.second.to_json(),
            "difference": self.difference.to_json(),
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class Scores:
    """What one version answered to held-out rows, in their order. `groups` is segment column -> a text a row."""

    labels: NDArray[np.float64]
    predictions: NDArray[np.float64]
    groups: Mapping[str, Sequence[str]]
    first_time: datetime | None = None

    def on_same_rows(self, other: Scores) -> bool:
        return len(self.labels) == len(other.labels) and bool(np.array_equal(self.labels, other.labels))


def figures(task: str, first: Scores, second: Scores, *, seed: int = 0) -> tuple[MetricRow, ...]:
    """Every metric of the task for both and the difference, paired row by row.

    DeLong's interval for AUC, 200 paired bootstrap resamples for the others (see `domain.evidence.metrics.compare`).
    The rows of both must be the same, in the same order. Raises ValueError otherwise.
    """
    if not first.on_same_rows(second):
        raise ValueError("the two versions were not scored on the same rows")
    found = compare(task, first.labels, second.predictions, first.predictions, seed=seed)
    return tuple(MetricRow(m, found.champion[m], found.candidate[m], found.difference[m]) for m in found.candidate)


def by_segment(
    task: str, metric: str, first: Scores, second: Scores, *, seed: int = 0
) -> dict[str, dict[str, MetricRow]]:
    """Column -> value -> the metric's figure, for the most frequent values that have `MIN_SEGMENT_ROWS` rows."""
    told: dict[str, dict[str, MetricRow]] = {}
    for column, texts in first.groups.items():
        values = np.asarray(texts, dtype=object)
        names, counts = np.unique(values, return_counts=True)
        often = [str(names[i]) for i in np.argsort(-counts, kind="stable") if counts[i] >= MIN_SEGMENT_ROWS]
        told[column] = {
            name: _one(task, metric, first, second, values == name, seed) for name in sorted(often[:MAX_SEGMENTS])
        }
    return told


def _one(task: str, metric: str, first: Scores, second: Scores, rows: NDArray[np.bool_], seed: int) -> MetricRow:
    a, b = (Scores(s.labels[rows], s.predictions[rows], {}) for s in (first, second))
    return next(f for f in figures(task, a, b, seed=seed) if f.metric == metric)


def made_of(first: Provenance, second: Provenance) -> tuple[ProvenanceRow, ...]:
    """Everything that decides a training, row by row: code, data, hyper-parameters, features, contract."""
    rows = [ProvenanceRow("origin", key, first.told(key), second.told(key)) for key in ("trained_by", "trained_at")]
    rows += [ProvenanceRow("code", key, first.told(key), second.told(key)) for key in _CODE]
    rows += [ProvenanceRow("data", key, first.told(key), second.told(key)) for key in _DATA]
    names = sorted({*first.hyperparameters, *second.hyperparameters})
    rows += [
        ProvenanceRow(
            "hyperparameter", n, first.hyperparameters.get(n, _UNTOLD), second.hyperparameters.get(n, _UNTOLD)
        )
        for n in names
    ]
    rows.append(ProvenanceRow("features", "count", str(len(first.features)), str(len(second.features))))
    for name in sorted({*first.features} ^ {*second.features}):
        rows.append(ProvenanceRow("features", name, _has(name in first.features), _has(name in second.features)))
    for name in sorted({*first.features} & {*second.features}):
        if first.features[name] != second.features[name]:
            rows.append(ProvenanceRow("features", name, first.features[name], second.features[name]))
    return tuple(rows)


_CODE = ("code_commit", "code_dirty", "code_sha256", "lock_sha256", "image_uri", "instance_type", "seed")
_DATA = ("dataset_sha256", "data_sha256", "data_rows", "data_from", "data_to", "holdout_uri")


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a version was made of. `features` is name -> its type and bounds, empty where its contract is gone."""

    metadata: Mapping[str, str]
    hyperparameters: Mapping[str, str]
    features: Mapping[str, str]

    def told(self, key: str) -> str:
        return self.metadata.get(key) or _UNTOLD


def features_of(spec: ModelSpec) -> dict[str, str]:
    """Each feature of a contract with all that the contract says of its values, as one text."""
    told = {}
    for name in spec.data.features:
        column = spec.data.columns[name].model_dump(exclude_defaults=True, exclude={"description", "role"})
        told[name] = ", ".join(f"{key} {_text(value)}" for key, value in column.items())
    return told


def _text(value: object) -> str:
    return "/".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _has(there: bool) -> str:
    return "yes" if there else "no"
