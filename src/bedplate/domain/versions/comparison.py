"""Compares two versions: their provenance, their metrics on the same rows, and the differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.evidence.metrics import HIGHER_IS_BETTER, Estimate, compare_models
from bedplate.settings import ModelSpec

Verdict = Literal["better", "worse", "cannot tell"]
MIN_SEGMENT_ROWS = 50
"""Segment values with fewer rows are left out, because their intervals are too wide to be useful."""
MAX_SEGMENTS = 30
_MISSING = "-"


@dataclass(frozen=True, slots=True)
class ProvenanceRow:
    """One input of the two versions' trainings, as text."""

    topic: str
    name: str
    first: str
    second: str

    @property
    def is_same(self) -> bool:
        return self.first == self.second


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric of both versions on the same rows; `difference` is second minus first with its paired 95 % interval."""

    metric: str
    first: Estimate
    second: Estimate
    difference: Estimate

    @property
    def verdict(self) -> Verdict:
        """The second version against the first: `cannot tell` if the interval contains 0 or is not finite."""
        low, high = self.difference.ci_low, self.difference.ci_high
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
class VersionScores:
    """One version's predictions and the labels of held-out rows, in the same order. `groups` is segment column ->
    values."""

    labels: NDArray[np.float64]
    predictions: NDArray[np.float64]
    groups: Mapping[str, Sequence[str]]
    first_time: datetime | None = None

    def has_same_rows(self, other: VersionScores) -> bool:
        """Returns whether both have the same labels in the same order."""
        return bool(np.array_equal(self.labels, other.labels))

    def select(self, rows: NDArray[np.bool_]) -> VersionScores:
        """Returns the scores of the selected rows, without groups."""
        return VersionScores(self.labels[rows], self.predictions[rows], {})


def compare_metrics(task: str, first: VersionScores, second: VersionScores, *, seed: int = 0) -> tuple[MetricRow, ...]:
    """Returns every metric of the task for both versions and their difference, paired row by row.

    Intervals are DeLong's for AUC and from 200 paired bootstrap resamples for the others (see
    `domain.evidence.metrics`). Raises ValueError unless both were scored on the same rows in the same order.
    """
    if not first.has_same_rows(second):
        raise ValueError("the two versions were not scored on the same rows")
    both = compare_models(task, first.labels, second.predictions, first.predictions, seed=seed)
    return tuple(MetricRow(m, both.champion[m], both.candidate[m], both.difference[m]) for m in both.candidate)


def compare_segments(
    task: str, metric: str, first: VersionScores, second: VersionScores, *, seed: int = 0
) -> dict[str, dict[str, MetricRow]]:
    """Returns column -> value -> the metric's row, for frequent values with at least `MIN_SEGMENT_ROWS` rows."""
    segments: dict[str, dict[str, MetricRow]] = {}
    for column, labels in first.groups.items():
        values = np.asarray(labels, dtype=object)
        names, counts = np.unique(values, return_counts=True)
        frequent = [str(names[i]) for i in np.argsort(-counts, kind="stable") if counts[i] >= MIN_SEGMENT_ROWS]
        segments[column] = {}
        for name in sorted(frequent[:MAX_SEGMENTS]):
            parts = (side.select(values == name) for side in (first, second))
            rows = compare_metrics(task, *parts, seed=seed)
            segments[column][name] = next(row for row in rows if row.metric == metric)
    return segments


def compare_provenance(first: Provenance, second: Provenance) -> tuple[ProvenanceRow, ...]:
    """Returns one row for everything that determines a training: code, data, hyperparameters, features, contract."""
    rows = [
        ProvenanceRow(topic, key, *(side.metadata.get(key) or _MISSING for side in (first, second)))
        for topic, keys in _KEYS.items()
        for key in keys
    ]
    names = sorted({*first.hyperparameters, *second.hyperparameters})
    sides = (first.hyperparameters, second.hyperparameters)
    rows += [ProvenanceRow("hyperparameter", name, *(side.get(name, _MISSING) for side in sides)) for name in names]
    rows.append(ProvenanceRow("features", "count", str(len(first.features)), str(len(second.features))))
    for name in sorted({*first.features} ^ {*second.features}):
        presence = ("yes" if name in side.features else "no" for side in (first, second))
        rows.append(ProvenanceRow("features", name, *presence))
    for name in sorted({*first.features} & {*second.features}):
        if first.features[name] != second.features[name]:
            rows.append(ProvenanceRow("features", name, first.features[name], second.features[name]))
    return tuple(rows)


_KEYS = {
    "origin": ("trained_by", "trained_at"),
    "code": ("code_commit", "code_dirty", "code_sha256", "lock_sha256", "image_uri", "instance_type", "seed"),
    "data": ("dataset_sha256", "data_sha256", "data_rows", "data_from", "data_to", "holdout_uri"),
}


@dataclass(frozen=True, slots=True)
class Provenance:
    """The inputs of a version's training. `features` is name -> type and bounds, empty without its contract."""

    metadata: Mapping[str, str]
    hyperparameters: Mapping[str, str]
    features: Mapping[str, str]


def describe_features(spec: ModelSpec) -> dict[str, str]:
    """Returns feature -> what its contract says of its values, as one text."""
    descriptions = {}
    for name in spec.data.features:
        column = spec.data.columns[name].model_dump(exclude_defaults=True, exclude={"description", "role"})
        descriptions[name] = ", ".join(f"{key} {_format_value(value)}" for key, value in column.items())
    return descriptions


def _format_value(value: object) -> str:
    return "/".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
