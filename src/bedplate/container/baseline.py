"""Makes the baseline that later traffic is held against, from the rows a version was trained and judged on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bedplate.domain.drift.analysis import DriftBaseline
from bedplate.domain.drift.kernel import floats, reference_of
from bedplate.domain.drift.profile import NumericProfile
from bedplate.domain.evidence.metrics import measure, metric_names
from bedplate.settings import ModelSpec


class BaselineError(Exception):
    """Which rows or columns are missing."""


def baseline_of(spec: ModelSpec, paths: Sequence[Path]) -> tuple[DriftBaseline, int]:
    """Profiles and metrics, and how many rows the features' profiles are of.

    Files that hold every feature give the features' profiles; files with `prediction` give the answers' profile and,
    with the label (under its own name or as `label`), the holdout's metrics. Raises NothingToLearnFrom.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    watched = list(spec.data.watched)
    rows, answered = [], []
    for path in paths:
        names = set(pq.read_schema(path).names)
        if names >= set(watched):
            rows.append(pq.read_table(path, columns=watched))
        if "prediction" in names:
            label = next((name for name in (spec.data.label, "label") if name in names), None)
            answered.append(_answered(pq.read_table(path, columns=["prediction", *([label] if label else [])]), label))
    if not rows:
        raise BaselineError(f"no Parquet file holds all features ({', '.join(watched)})")
    table = pa.concat_tables([_plain(part) for part in rows])
    features = reference_of(table, watched)
    if not answered:
        return DriftBaseline(features, None, {}), table.num_rows
    import numpy as np

    answers = np.concatenate([found[0] for found in answered])
    labels = np.concatenate([found[1] for found in answered])
    known = ~np.isnan(labels) & ~np.isnan(answers)
    values = {name: measure(name, labels[known], answers[known]) for name in metric_names(spec.task)}
    metrics = {name: value if np.isfinite(value) else None for name, value in values.items()}
    return DriftBaseline(features, NumericProfile.reference(answers), metrics), table.num_rows


def _answered(table: Any, label: str | None) -> tuple[Any, Any]:
    import numpy as np

    answers = floats(table.column("prediction").combine_chunks())
    labels = floats(table.column(label).combine_chunks()) if label else np.full(len(answers), np.nan)
    return answers, labels


def _plain(table: Any) -> Any:
    """One schema for all files: text is text whatever its encoding was, numbers are floats."""
    import pyarrow as pa
    import pyarrow.types as kinds

    def plain(kind: Any) -> Any:
        if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind):
            return pa.float64()
        return kind if kinds.is_boolean(kind) else pa.string()

    return table.cast(pa.schema([(field.name, plain(field.type)) for field in table.schema]))
