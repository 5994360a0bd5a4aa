"""Signs of leakage: held-out rows that training saw, and features that know the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.evidence.metrics import Estimate, estimates, measure
from bedplate.settings import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

BINS = 50
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SingleFeatureScore:
    """How well one feature predicts the label by itself: AUC, or R2 for a regression."""

    feature: str
    figure: float


@dataclass(frozen=True, slots=True)
class Leakage:
    """What was found. Counts are of held-out rows; they, and `strongest`, are None without the training data."""

    known_after: tuple[str, ...]
    """Features that the contract says are known only after the moment a row is about."""
    metric: str
    alone: tuple[SingleFeatureScore, ...]
    strongest: Estimate | None
    rows: int
    training_rows: int | None
    shared_keys: int | None
    same_content: int | None
    out_of_order: int | None
    """Rows not later than the last row of training; None also without a time column."""


def leakage(spec: ModelSpec, training: pa.Table | None, holdout: pa.Table, labels: Floats) -> Leakage:
    """Both tables have the contract's columns; `labels` are the holdout's, (rows,).

    One feature alone: the mean label of the training rows in each of 50 bins of equal mass (or in each category; nulls
    are a bin of their own) is the score of the held-out rows in it. So a feature is found that knows the label in
    whatever form, also by being null.
    """
    contract = spec.data
    late = tuple(name for name in contract.features if contract.columns[name].known == "after")
    metric = "r2" if spec.task == "regression" else "auc"
    if training is None or not training.num_rows:
        return Leakage(late, metric, (), None, holdout.num_rows, None, None, None, None)
    seen = np.asarray(training.column(contract.label).cast("float64").to_numpy())
    scores = {name: _encoded(training.column(name), seen, holdout.column(name)) for name in contract.features}
    alone = [SingleFeatureScore(name, measure(metric, labels, score)) for name, score in scores.items()]
    alone = sorted((a for a in alone if np.isfinite(a.figure)), key=lambda a: -a.figure)
    strongest = estimates(spec.task, labels, scores[alone[0].feature], only=metric)[metric] if alone else None
    return Leakage(
        known_after=late,
        metric=metric,
        alone=tuple(alone),
        strongest=strongest,
        rows=holdout.num_rows,
        training_rows=training.num_rows,
        shared_keys=_shared(training, holdout, contract.keys),
        same_content=_shared(training, holdout, (*contract.features, contract.label)),
        out_of_order=_out_of_order(training, holdout, contract.time),
    )


def _encoded(seen: pa.ChunkedArray, labels: Floats, asked: pa.ChunkedArray) -> Floats:
    """The mean label of the training rows in the bin of each asked row; their overall mean where there is none."""
    bins, of_asked = _codes(seen, asked)
    counts = np.bincount(bins, minlength=int(of_asked.max(initial=0)) + 1).astype(np.float64)
    sums = np.bincount(bins, labels, minlength=len(counts))
    means = np.where(counts > 0, sums / np.where(counts > 0, counts, 1), labels.mean())
    return np.asarray(means[of_asked])


def _codes(seen: pa.ChunkedArray, asked: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    import pyarrow as pa

    if pa.types.is_floating(seen.type) or pa.types.is_integer(seen.type):
        first, second = _numbers(seen), _numbers(asked)
        known = first[np.isfinite(first)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)
        return _binned(first, edges), _binned(second, edges)
    both = pa.chunked_array([*_texts(seen).chunks, *_texts(asked).chunks]).combine_chunks()
    codes = np.asarray(both.dictionary_encode().indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    return codes[: len(seen)], codes[len(seen) :]


def _numbers(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.cast("float64").fill_null(float("nan")).to_numpy())


def _binned(values: Floats, edges: Floats) -> NDArray[np.int64]:
    """Bin 0 is for what is no number, the others begin at 1."""
    return np.asarray(np.where(np.isfinite(values), np.searchsorted(edges, values, side="right") + 1, 0))


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast("string").fill_null("\x00")  # no category is spelled like this


def _shared(training: pa.Table, holdout: pa.Table, columns: tuple[str, ...]) -> int | None:
    """Held-out rows that have the same values in all of these columns as some row of training; nulls are values."""
    if not columns or any(name not in t.column_names for name in columns for t in (training, holdout)):
        return None
    seen = _comparable(training, columns).group_by(list(columns)).aggregate([])
    found: int = _comparable(holdout, columns).join(seen, list(columns), join_type="left semi").num_rows
    return found


def _comparable(table: pa.Table, columns: tuple[str, ...]) -> pa.Table:
    import pyarrow as pa

    def one(column: Any) -> Any:
        if pa.types.is_floating(column.type):
            return column.cast("float64").fill_null(float("-inf"))
        if pa.types.is_integer(column.type):
            return column.cast("int64").fill_null(np.iinfo(np.int64).min)
        return _texts(column)

    return pa.table({name: one(table.column(name)) for name in columns})


def _out_of_order(training: pa.Table, holdout: pa.Table, time: str | None) -> int | None:
    if time is None:
        return None
    import pyarrow.compute as pc

    last = pc.max(training.column(time))
    found = pc.sum(pc.less_equal(holdout.column(time), last.cast(holdout.column(time).type))).as_py()
    return int(found or 0)
