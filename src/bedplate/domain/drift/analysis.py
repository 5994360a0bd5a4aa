"""Turns captured rows, their answers and late labels into a drift report, against a baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.drift.alerts import outcome_of, ranked, summary_of
from bedplate.domain.drift.compare import ColumnDrift, compare, judged, psi_of
from bedplate.domain.drift.profile import CategoryProfile, ColumnProfile, NumericProfile
from bedplate.domain.drift.report import ColumnQuality, ContractViolation, DriftReport, DriftWindow, Performance
from bedplate.domain.drift.windows import Span, moment, spans
from bedplate.domain.evidence.metrics import measure, metric_names
from bedplate.settings import ModelSpec

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Categories:
    """A column of text as indices of `names`; -1 is null."""

    names: tuple[str, ...]
    codes: NDArray[Any]


Values = Floats | Categories
"""A column: numbers with NaN for null, or text."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Captured rows in order of time. All arrays are (rows,).

    `predictions` and `labels` are NaN where unknown, `type_errors` counts values of another type by column (which are
    null in `columns`), `releases` rows by the release that answered.
    """

    columns: Mapping[str, Values]
    times: NDArray[Any]
    predictions: Floats
    labels: Floats
    type_errors: Mapping[str, int] = field(default_factory=dict)
    releases: Mapping[str, int] = field(default_factory=dict)
    contract: tuple[ContractViolation, ...] = ()
    """Rules of the data contract that rows break."""

    @property
    def rows(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class DriftBaseline:
    """What `baseline` wrote: profiles of the features, of the answers, and the metrics of the holdout."""

    features: Mapping[str, ColumnProfile]
    prediction: NumericProfile | None
    metrics: Mapping[str, float | None]


def analyse(spec: ModelSpec, baseline: DriftBaseline | None, sample: Sample, *, endpoint: str) -> DriftReport:
    """Every figure of the report. Without a baseline, everything that needs one is NO_DATA or absent.

    Features are compared over all rows and by window; the prediction by the same rules; metrics are computed on rows
    with a label, where there are at least `monitors.min_rows` of them.
    """
    monitor = spec.monitors
    watched = spec.data.features if monitor.features == "all" else tuple(monitor.features)
    reference = baseline.features if baseline else {}
    current = {n: counted(reference[n], sample.columns[n]) for n in watched if n in reference and n in sample.columns}
    bands = {"min_rows": monitor.min_rows, "warn": monitor.psi_warn, "alert": monitor.psi_alert}
    features = judged({name: compare(reference[name], profile) for name, profile in current.items()}, **bands)  # type: ignore[arg-type]
    prediction = _prediction(baseline, sample.predictions, bands)
    performance = _performance(spec, baseline, sample)
    quality = {name: _quality(spec, name, sample, baseline, current.get(name)) for name in sample.columns}
    alerts = ranked(spec, features, prediction, performance, quality)
    outcome = outcome_of(features, prediction, performance, alerts)
    return DriftReport(
        model=spec.name,
        endpoint=endpoint,
        rows=sample.rows,
        start=moment(sample.times[0]) if sample.rows else None,
        end=moment(sample.times[-1]) if sample.rows else None,
        releases=dict(sample.releases),
        outcome=outcome,
        summary=summary_of(outcome, sample.rows, alerts, has_baseline=baseline is not None, min_rows=monitor.min_rows),
        features=dict(sorted(features.items(), key=lambda item: -item[1].psi if item[1].psi == item[1].psi else 0.0)),
        prediction=prediction,
        windows=tuple(
            _window(spec, baseline, sample, span, tuple(current)) for span in spans(sample.times, monitor.window)
        ),
        performance=performance,
        quality=quality,
        alerts=alerts,
        psi_warn=monitor.psi_warn,
        psi_alert=monitor.psi_alert,
        contract=sample.contract,
    )


def counted(reference: ColumnProfile, values: Values, rows: slice = slice(None)) -> ColumnProfile:
    """The profile of a column, or of a part of it, over the reference's edges. Raises ValueError for another kind."""
    if isinstance(reference, CategoryProfile) and isinstance(values, Categories):
        return reference.count(values.names, values.codes[rows])
    if isinstance(reference, NumericProfile) and not isinstance(values, Categories):
        return reference.count(values[rows])
    raise ValueError("the baseline is of another data contract: a column changed between numbers and text")


def _prediction(baseline: DriftBaseline | None, predictions: Floats, bands: Mapping[str, Any]) -> ColumnDrift | None:
    known = predictions[~np.isnan(predictions)]
    if baseline is None or baseline.prediction is None or not len(known):
        return None
    found = {"prediction": compare(baseline.prediction, baseline.prediction.count(known))}
    return judged(found, **bands)["prediction"]


def _window(
    spec: ModelSpec, baseline: DriftBaseline | None, sample: Sample, span: Span, watched: tuple[str, ...]
) -> DriftWindow:
    rows = slice(span.first, span.last)
    enough = spec.monitors.min_rows
    shifts: dict[str, float | None] = {}
    for name in watched if baseline else ():
        assert baseline is not None
        profile = counted(baseline.features[name], sample.columns[name], rows)
        shifts[name] = _figure(psi_of(baseline.features[name], profile)) if profile.n >= enough else None
    answers = sample.predictions[rows]
    answers = answers[~np.isnan(answers)]
    of_answers = None
    if baseline and baseline.prediction is not None and len(answers) >= enough:
        of_answers = _figure(psi_of(baseline.prediction, baseline.prediction.count(answers)))
    labels, scores = _labelled(sample, rows)
    metrics = {
        name: _figure(measure(name, labels, scores)) if len(labels) >= enough else None
        for name in metric_names(spec.task)
    }
    return DriftWindow(span.start, span.end, span.last - span.first, shifts, of_answers, len(labels), metrics)


def _performance(spec: ModelSpec, baseline: DriftBaseline | None, sample: Sample) -> Performance | None:
    labels, scores = _labelled(sample, slice(None))
    if not len(labels):
        return None
    names = metric_names(spec.task)
    enough = len(labels) >= spec.monitors.min_rows
    return Performance(
        n_labelled=len(labels),
        metrics={name: _figure(measure(name, labels, scores)) if enough else None for name in names},
        reference=dict(baseline.metrics) if baseline else {},
        segments={
            column: _by_segment(spec, sample, values)
            for column in spec.data.segments
            if isinstance(values := sample.columns.get(column), Categories)
        },
    )


def _by_segment(spec: ModelSpec, sample: Sample, values: Categories) -> dict[str, dict[str, float | None]]:
    known = ~np.isnan(sample.labels) & ~np.isnan(sample.predictions)
    found: dict[str, dict[str, float | None]] = {}
    for code, name in sorted(enumerate(values.names), key=lambda item: item[1]):
        inside = known & (values.codes == code)
        n = int(inside.sum())
        if n:
            enough = n >= spec.monitors.min_rows
            labels, scores = sample.labels[inside], sample.predictions[inside]
            metrics = {m: _figure(measure(m, labels, scores)) if enough else None for m in metric_names(spec.task)}
            found[name] = {"n": float(n), **metrics}
    return found


def _quality(
    spec: ModelSpec, name: str, sample: Sample, baseline: DriftBaseline | None, current: ColumnProfile | None
) -> ColumnQuality:
    values, column = sample.columns[name], spec.data.columns[name]
    outside = 0
    if isinstance(values, Categories):
        nulls = int((values.codes < 0).sum())
        if column.categories is not None:
            wrong = [i for i, text in enumerate(values.names) if text not in column.categories]
            outside = int(np.isin(values.codes, wrong).sum())
    else:
        nulls = int(np.isnan(values).sum())
        low = -math.inf if column.min is None else column.min
        high = math.inf if column.max is None else column.max
        outside = int(((values < low) | (values > high)).sum())
    errors = sample.type_errors.get(name, 0)
    before = baseline.features.get(name) if baseline else None
    whole = before.n + before.nulls if before else 0
    return ColumnQuality(
        n=sample.rows,
        nulls=nulls - errors,
        reference_null_share=before.nulls / whole if before and whole else 0.0,
        type_errors=errors,
        out_of_range=outside,
        unseen=dict(current.unseen) if isinstance(current, CategoryProfile) else {},
    )


def _labelled(sample: Sample, rows: slice) -> tuple[Floats, Floats]:
    labels, scores = sample.labels[rows], sample.predictions[rows]
    known = ~np.isnan(labels) & ~np.isnan(scores)
    return labels[known], scores[known]


def _figure(value: float) -> float | None:
    return value if math.isfinite(value) else None
