"""Analyzes captured rows, their predictions and late labels against a baseline, and returns a drift report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.documents import finite_or_none
from bedplate.domain.drift.alerts import rank_alerts, report_outcome, summarize
from bedplate.domain.drift.column_drift import ColumnDrift, compare_profiles, profile_psi, with_verdicts
from bedplate.domain.drift.profile import CategoryProfile, ColumnProfile, NumericProfile
from bedplate.domain.drift.report import ColumnQuality, ContractViolation, DriftReport, DriftWindow, Performance
from bedplate.domain.drift.windows import TimeWindow, split_windows, to_datetime
from bedplate.domain.evidence.metrics import compute_metric, metric_names
from bedplate.settings import ModelSpec

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """A text column: `codes` are (rows,) indices of `names`; -1 is null."""

    names: tuple[str, ...]
    codes: NDArray[Any]


ColumnValues = Floats | CategoryColumn
"""The values of a column: numbers with NaN for null, or text."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Captured rows in order of time. All arrays are (rows,).

    `predictions` and `labels` are NaN where unknown. `type_errors` is column -> values of a wrong type, which are null
    in `columns`. `releases` is release -> rows that it predicted.
    """

    columns: Mapping[str, ColumnValues]
    times: NDArray[Any]
    predictions: Floats
    labels: Floats
    type_errors: Mapping[str, int] = field(default_factory=dict)
    releases: Mapping[str, int] = field(default_factory=dict)
    contract: tuple[ContractViolation, ...] = ()
    """Rules of the data contract that rows violate."""

    @property
    def rows(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class DriftBaseline:
    """The baseline of a version: profiles of its features and predictions, and its metrics on the holdout."""

    features: Mapping[str, ColumnProfile]
    prediction: NumericProfile | None
    metrics: Mapping[str, float | None]


def analyze_drift(spec: ModelSpec, baseline: DriftBaseline | None, sample: Sample, *, endpoint: str) -> DriftReport:
    """Compares features and predictions with the baseline, over all rows and per window, and computes metrics.

    Metrics need at least `monitors.min_rows` rows with a label. Without a baseline, whatever needs one is NO_DATA or
    missing.
    """
    monitor = spec.monitors
    monitored_features = spec.data.features if monitor.features == "all" else tuple(monitor.features)
    reference = baseline.features if baseline else {}
    compared = [name for name in monitored_features if name in reference and name in sample.columns]
    current = {name: profile_column(reference[name], sample.columns[name]) for name in compared}
    drifts = {name: compare_profiles(reference[name], profile) for name, profile in current.items()}
    features = _with_verdicts(spec, drifts)
    prediction = None
    predictions = sample.predictions[~np.isnan(sample.predictions)]
    if baseline and baseline.prediction is not None and len(predictions):
        drift = compare_profiles(baseline.prediction, baseline.prediction.count_values(predictions))
        prediction = _with_verdicts(spec, {"prediction": drift})["prediction"]
    performance = _performance(spec, baseline, sample)
    quality = {name: _quality(spec, name, sample, baseline, current.get(name)) for name in sample.columns}
    alerts = rank_alerts(spec, features, prediction, performance, quality)
    outcome = report_outcome(features, prediction, performance, alerts)
    return DriftReport(
        model=spec.name,
        endpoint=endpoint,
        rows=sample.rows,
        start=to_datetime(sample.times[0]) if sample.rows else None,
        end=to_datetime(sample.times[-1]) if sample.rows else None,
        releases=dict(sample.releases),
        outcome=outcome,
        summary=summarize(outcome, sample.rows, alerts, has_baseline=baseline is not None, min_rows=monitor.min_rows),
        features=dict(sorted(features.items(), key=lambda item: -(finite_or_none(item[1].psi) or 0.0))),
        prediction=prediction,
        windows=tuple(
            _analyze_window(spec, baseline, sample, window, compared)
            for window in split_windows(sample.times, monitor.window)
        ),
        performance=performance,
        quality=quality,
        alerts=alerts,
        psi_warn=monitor.psi_warn,
        psi_alert=monitor.psi_alert,
        contract=sample.contract,
    )


def profile_column(reference: ColumnProfile, values: ColumnValues, rows: slice = slice(None)) -> ColumnProfile:
    """Returns the profile of a column, or of some of its rows, over the edges of the reference.

    Raises ValueError when one is numeric and the other one text.
    """
    if isinstance(reference, CategoryProfile) and isinstance(values, CategoryColumn):
        return reference.count_values(values.names, values.codes[rows])
    if isinstance(reference, NumericProfile) and not isinstance(values, CategoryColumn):
        return reference.count_values(values[rows])
    raise ValueError("the baseline is of another data contract: a column changed between numbers and text")


def _with_verdicts(spec: ModelSpec, drifts: dict[str, ColumnDrift]) -> dict[str, ColumnDrift]:
    monitor = spec.monitors
    return with_verdicts(drifts, min_rows=monitor.min_rows, warn=monitor.psi_warn, alert=monitor.psi_alert)


def _analyze_window(
    spec: ModelSpec, baseline: DriftBaseline | None, sample: Sample, window: TimeWindow, features: Sequence[str]
) -> DriftWindow:
    rows = slice(window.first, window.last)
    feature_psi: dict[str, float | None] = {}
    prediction_psi = None
    if baseline:
        for name in features:
            profile = profile_column(baseline.features[name], sample.columns[name], rows)
            feature_psi[name] = _psi_if_enough_rows(spec, baseline.features[name], profile)
        if baseline.prediction is not None:
            predictions = sample.predictions[rows]
            profile = baseline.prediction.count_values(predictions[~np.isnan(predictions)])
            prediction_psi = _psi_if_enough_rows(spec, baseline.prediction, profile)
    labels, scores = _labelled_rows(sample, rows)
    metrics = _metrics_if_enough_rows(spec, labels, scores)
    n_rows = window.last - window.first
    return DriftWindow(window.start, window.end, n_rows, feature_psi, prediction_psi, len(labels), metrics)


def _psi_if_enough_rows(spec: ModelSpec, reference: ColumnProfile, current: ColumnProfile) -> float | None:
    return finite_or_none(profile_psi(reference, current)) if current.n_values >= spec.monitors.min_rows else None


def _metrics_if_enough_rows(spec: ModelSpec, labels: Floats, scores: Floats) -> dict[str, float | None]:
    """Returns metric -> value; every value is None with fewer than `monitors.min_rows` rows."""
    names = metric_names(spec.task)
    if len(labels) < spec.monitors.min_rows:
        return dict.fromkeys(names)
    return {name: finite_or_none(compute_metric(name, labels, scores)) for name in names}


def _performance(spec: ModelSpec, baseline: DriftBaseline | None, sample: Sample) -> Performance | None:
    labels, scores = _labelled_rows(sample, slice(None))
    if not len(labels):
        return None
    return Performance(
        n_labelled=len(labels),
        metrics=_metrics_if_enough_rows(spec, labels, scores),
        reference=dict(baseline.metrics) if baseline else {},
        segments={
            column: _metrics_per_segment(spec, sample, values)
            for column in spec.data.segments
            if isinstance(values := sample.columns.get(column), CategoryColumn)
        },
    )


def _metrics_per_segment(spec: ModelSpec, sample: Sample, values: CategoryColumn) -> dict[str, dict[str, float | None]]:
    is_labelled = ~np.isnan(sample.labels) & ~np.isnan(sample.predictions)
    per_segment: dict[str, dict[str, float | None]] = {}
    for code, name in sorted(enumerate(values.names), key=lambda item: item[1]):
        in_segment = is_labelled & (values.codes == code)
        if n_rows := int(in_segment.sum()):
            metrics = _metrics_if_enough_rows(spec, sample.labels[in_segment], sample.predictions[in_segment])
            per_segment[name] = {"n_rows": float(n_rows), **metrics}
    return per_segment


def _quality(
    spec: ModelSpec, name: str, sample: Sample, baseline: DriftBaseline | None, current: ColumnProfile | None
) -> ColumnQuality:
    values, column = sample.columns[name], spec.data.columns[name]
    out_of_range = 0
    if isinstance(values, CategoryColumn):
        nulls = int((values.codes < 0).sum())
        if column.categories is not None:
            unknown_codes = [i for i, text in enumerate(values.names) if text not in column.categories]
            out_of_range = int(np.isin(values.codes, unknown_codes).sum())
    else:
        nulls = int(np.isnan(values).sum())
        low = -math.inf if column.min is None else column.min
        high = math.inf if column.max is None else column.max
        out_of_range = int(((values < low) | (values > high)).sum())
    type_errors = sample.type_errors.get(name, 0)
    reference = baseline.features.get(name) if baseline else None
    n_reference = reference.n_values + reference.nulls if reference else 0
    return ColumnQuality(
        n_rows=sample.rows,
        nulls=nulls - type_errors,
        reference_null_share=reference.nulls / n_reference if reference and n_reference else 0.0,
        type_errors=type_errors,
        out_of_range=out_of_range,
        unseen=dict(current.unseen) if isinstance(current, CategoryProfile) else {},
    )


def _labelled_rows(sample: Sample, rows: slice) -> tuple[Floats, Floats]:
    """Returns labels and scores of the rows that have both."""
    labels, scores = sample.labels[rows], sample.predictions[rows]
    is_labelled = ~np.isnan(labels) & ~np.isnan(scores)
    return labels[is_labelled], scores[is_labelled]
