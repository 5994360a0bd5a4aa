"""Detects data leakage: held-out rows that are in the training data, and features that reveal the label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.evidence.metrics import Estimate, compute_metric, estimate_metrics
from bedplate.settings import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

N_BINS = 50
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SingleFeatureScore:
    """How well one feature alone predicts the label: AUC, or R2 for a regression."""

    feature: str
    score: float


@dataclass(frozen=True, slots=True)
class Leakage:
    """Signs of leakage. Counts are of held-out rows; they and `strongest` are None without the training data."""

    unavailable_features: tuple[str, ...]
    """Features that the contract declares as not available at prediction."""
    metric: str
    single_features: tuple[SingleFeatureScore, ...]
    strongest: Estimate | None
    rows: int
    training_rows: int | None
    shared_keys: int | None
    same_content: int | None
    out_of_order: int | None
    """Held-out rows that are not later than the last training row; None also without a time column."""


def leakage(spec: ModelSpec, training: pa.Table | None, holdout: pa.Table, labels: Floats) -> Leakage:
    """Measures leakage. Both tables have the contract's columns; `labels` are the holdout's, (rows,).

    The score of a held-out row by one feature is the mean label of the training rows in the same bin: one of 50 bins
    of equal mass, or a category; nulls are a bin of their own. This detects a feature that reveals the label in any
    form, also by being null.
    """
    contract = spec.data
    unavailable = tuple(name for name in contract.features if contract.columns[name].available_at_prediction is False)
    metric = "r2" if spec.task == "regression" else "auc"
    if training is None or not training.num_rows:
        return Leakage(unavailable, metric, (), None, holdout.num_rows, None, None, None, None)
    training_labels = np.asarray(training.column(contract.label).cast("float64").to_numpy())
    scores = {
        name: _target_encode(training.column(name), training_labels, holdout.column(name)) for name in contract.features
    }
    singles = [SingleFeatureScore(name, compute_metric(metric, labels, score)) for name, score in scores.items()]
    singles = sorted((single for single in singles if np.isfinite(single.score)), key=lambda single: -single.score)
    strongest = None
    if singles:
        strongest = estimate_metrics(spec.task, labels, scores[singles[0].feature], metric=metric)[metric]
    return Leakage(
        unavailable_features=unavailable,
        metric=metric,
        single_features=tuple(singles),
        strongest=strongest,
        rows=holdout.num_rows,
        training_rows=training.num_rows,
        shared_keys=_count_shared_rows(training, holdout, contract.keys),
        same_content=_count_shared_rows(training, holdout, (*contract.features, contract.label)),
        out_of_order=_count_out_of_order(training, holdout, contract.time),
    )


def _target_encode(training: pa.ChunkedArray, labels: Floats, holdout: pa.ChunkedArray) -> Floats:
    """Returns for each held-out row the mean label of the training rows in its bin; the overall mean for an empty bin.

    `training` and `holdout` are one column, `labels` are the training rows'.
    """
    training_bins, holdout_bins = _bin_codes(training, holdout)
    counts = np.bincount(training_bins, minlength=int(holdout_bins.max(initial=0)) + 1).astype(np.float64)
    sums = np.bincount(training_bins, labels, minlength=len(counts))
    means = np.where(counts > 0, sums / np.where(counts > 0, counts, 1), labels.mean())
    return np.asarray(means[holdout_bins])


def _bin_codes(training: pa.ChunkedArray, holdout: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    import pyarrow as pa

    if pa.types.is_floating(training.type) or pa.types.is_integer(training.type):
        training_values, holdout_values = _to_floats(training), _to_floats(holdout)
        finite = training_values[np.isfinite(training_values)]
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, N_BINS + 1)[1:-1])) if len(finite) else np.empty(0)
        return _assign_bins(training_values, edges), _assign_bins(holdout_values, edges)
    combined = pa.chunked_array([*_to_text(training).chunks, *_to_text(holdout).chunks]).combine_chunks()
    codes = np.asarray(combined.dictionary_encode().indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    return codes[: len(training)], codes[len(training) :]


def _to_floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.cast("float64").fill_null(float("nan")).to_numpy())


def _assign_bins(values: Floats, edges: Floats) -> NDArray[np.int64]:
    """Returns the bin of each value: 0 for NaN and infinity, 1 and more for numbers."""
    return np.asarray(np.where(np.isfinite(values), np.searchsorted(edges, values, side="right") + 1, 0))


def _to_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast("string").fill_null("\x00")  # stands for null: no category has this name


def _count_shared_rows(training: pa.Table, holdout: pa.Table, columns: tuple[str, ...]) -> int | None:
    """Counts held-out rows whose values in all `columns` equal those of a training row; a null equals a null.

    Returns None without columns, and when a table does not have one of them.
    """
    if not columns or any(name not in t.column_names for name in columns for t in (training, holdout)):
        return None
    training_rows = _comparable_columns(training, columns).group_by(list(columns)).aggregate([])
    shared = _comparable_columns(holdout, columns).join(training_rows, list(columns), join_type="left semi")
    return int(shared.num_rows)


def _comparable_columns(table: pa.Table, columns: tuple[str, ...]) -> pa.Table:
    """Returns the columns in types that both tables share, with a stand-in for null: a join never matches nulls."""
    import pyarrow as pa

    def convert(column: Any) -> Any:
        if pa.types.is_floating(column.type):
            return column.cast("float64").fill_null(float("-inf"))
        if pa.types.is_integer(column.type):
            return column.cast("int64").fill_null(np.iinfo(np.int64).min)
        return _to_text(column)

    return pa.table({name: convert(table.column(name)) for name in columns})


def _count_out_of_order(training: pa.Table, holdout: pa.Table, time: str | None) -> int | None:
    """Counts held-out rows that are not later than the last training row; None without a time column."""
    if time is None:
        return None
    import pyarrow.compute as pc

    last_training_time = pc.max(training.column(time))
    count = pc.sum(pc.less_equal(holdout.column(time), last_training_time.cast(holdout.column(time).type))).as_py()
    return int(count or 0)
