"""Builds the baseline that monitoring compares traffic with, from a version's training and holdout rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bedplate.domain.drift.analysis import DriftBaseline
from bedplate.domain.drift.profile import NumericProfile
from bedplate.domain.drift.profiling import build_reference, to_floats
from bedplate.domain.evidence.metrics import compute_metric, metric_names
from bedplate.settings import ModelSpec


class BaselineError(Exception):
    """Rows or columns are missing; the message names them."""


def build_baseline(spec: ModelSpec, paths: Sequence[Path]) -> tuple[DriftBaseline, int]:
    """Returns the baseline (profiles and metrics) and the number of rows that the features' profiles describe.

    Files with all features give the features' profiles. Files with a column `prediction` give the predictions' profile
    and, with the label (under its own name or as `label`), the holdout metrics. Raises BaselineError.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    monitored = list(spec.data.monitored_features)
    feature_tables, scored = [], []
    for path in paths:
        names = set(pq.read_schema(path).names)
        if names >= set(monitored):
            feature_tables.append(pq.read_table(path, columns=monitored))
        if "prediction" in names:
            label = next((name for name in (spec.data.label, "label") if name in names), None)
            scored.append(_read_predictions(path, label))
    if not feature_tables:
        raise BaselineError(f"no Parquet file has all features ({', '.join(monitored)})")
    table = pa.concat_tables([_unify_types(feature_table) for feature_table in feature_tables])
    features = build_reference(table, monitored)
    if not scored:
        return DriftBaseline(features, None, {}), table.num_rows
    import numpy as np

    predictions, labels = (np.concatenate(arrays) for arrays in zip(*scored, strict=True))
    usable = ~np.isnan(labels) & ~np.isnan(predictions)
    values = {name: compute_metric(name, labels[usable], predictions[usable]) for name in metric_names(spec.task)}
    metrics = {name: value if np.isfinite(value) else None for name, value in values.items()}
    return DriftBaseline(features, NumericProfile.build_reference(predictions), metrics), table.num_rows


def _read_predictions(path: Path, label: str | None) -> tuple[Any, Any]:
    """Returns predictions and labels, shape (rows,) each; labels are NaN where the file has no label column."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["prediction", *([label] if label else [])])
    predictions = to_floats(table.column("prediction").combine_chunks())
    labels = to_floats(table.column(label).combine_chunks()) if label else np.full(len(predictions), np.nan)
    return predictions, labels


def _unify_types(table: Any) -> Any:
    """Casts numbers to float64 and text of any encoding to string, so that all files have one schema."""
    import pyarrow as pa
    import pyarrow.types as types

    def common_type(arrow_type: Any) -> Any:
        if types.is_integer(arrow_type) or types.is_floating(arrow_type) or types.is_decimal(arrow_type):
            return pa.float64()
        return arrow_type if types.is_boolean(arrow_type) else pa.string()

    return table.cast(pa.schema([(field.name, common_type(field.type)) for field in table.schema]))
