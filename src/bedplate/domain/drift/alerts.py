"""Raises the alerts of a drift report, the most urgent first, and summarizes the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bedplate.domain.drift.column_drift import ColumnDrift
from bedplate.domain.drift.report import Alert, ColumnQuality, Outcome, Performance
from bedplate.domain.evidence.metrics import HIGHER_IS_BETTER
from bedplate.domain.formatting import format_number, format_short
from bedplate.settings import ModelSpec

MAX_FEATURES = 3
"""Features that get an alert of their own; the last alert's message counts the other features."""
NULL_SHARE_RISE = 0.05
"""Largest increase of a nullable column's share of nulls that raises no warning."""


def rank_alerts(
    spec: ModelSpec,
    features: Mapping[str, ColumnDrift],
    prediction: ColumnDrift | None,
    performance: Performance | None,
    quality: Mapping[str, ColumnQuality],
) -> tuple[Alert, ...]:
    """Returns alerts, then warnings, each in the order performance, data quality, prediction drift, feature drift."""
    alerts = [*_performance(spec, performance), *_quality(spec, quality)]
    if prediction is not None:
        alerts += _drift(spec, {"prediction": prediction}, "prediction")
    alerts += _drift(spec, features, "feature")
    return tuple(sorted(alerts, key=lambda alert: alert.severity != "alert"))


def report_outcome(
    features: Mapping[str, ColumnDrift],
    prediction: ColumnDrift | None,
    performance: Performance | None,
    alerts: Sequence[Alert],
) -> Outcome:
    """Returns DRIFT with an alert, WARN with a warning, OK without either, NO_DATA when there is no verdict at all."""
    if any(alert.severity == "alert" for alert in alerts):
        return "DRIFT"
    if alerts:
        return "WARN"
    drifts = [*features.values(), *([prediction] if prediction else [])]
    has_verdict = any(drift.verdict != "NO_DATA" for drift in drifts)
    has_metric = performance is not None and any(value is not None for value in performance.metrics.values())
    return "OK" if has_verdict or has_metric else "NO_DATA"


def summarize(outcome: Outcome, rows: int, alerts: Sequence[Alert], *, has_baseline: bool, min_rows: int) -> str:
    """Returns one sentence for a status line or an exit message."""
    if alerts:
        more = f" (and {len(alerts) - 1} more)" if len(alerts) > 1 else ""
        return f"{alerts[0].message}{more}, in {rows:,} rows"
    if not has_baseline:
        return f"there is no baseline to compare {rows:,} rows with"
    if outcome == "NO_DATA":
        return f"{rows:,} rows are too few ({min_rows:,} are needed)"
    return f"no drift in {rows:,} rows"


def _performance(spec: ModelSpec, performance: Performance | None) -> Iterator[Alert]:
    if performance is None:
        return
    for metric, allowed in spec.monitors.max_drop.items():
        current, reference = performance.metrics.get(metric), performance.reference.get(metric)
        if current is None or reference is None:
            continue
        drop = reference - current if metric in HIGHER_IS_BETTER else current - reference
        if drop > allowed:
            difference = f"{format_number(drop, 3)} worse than {format_number(reference, 3)} on the holdout"
            message = (
                f"{metric} is {format_number(current, 3)} on {performance.n_labelled:,} late labels, {difference} "
                f"(allowed: {format_short(allowed)})"
            )
            yield Alert("alert", "performance", metric, drop, allowed, message)


def _quality(spec: ModelSpec, quality: Mapping[str, ColumnQuality]) -> Iterator[Alert]:
    for name, counts in quality.items():
        if not counts.n_rows:
            continue
        for count, label in ((counts.type_errors, "of the wrong type"), (counts.out_of_range, "outside the contract")):
            if count:
                yield Alert("alert", "quality", name, float(count), 0.0, f"{name}: {count:,} values {label}")
        share, bound = counts.nulls / counts.n_rows, counts.reference_null_share + NULL_SHARE_RISE
        if not spec.data.columns[name].nullable and counts.nulls:
            message = f"{name}: {counts.nulls:,} nulls where none is allowed"
            yield Alert("alert", "quality", name, share, 0.0, message)
        elif share > bound:
            message = f"{name}: {share:.1%} nulls, {counts.reference_null_share:.1%} in the baseline"
            yield Alert("warn", "quality", name, share, bound, message)


def _drift(spec: ModelSpec, drifts: Mapping[str, ColumnDrift], kind: str) -> list[Alert]:
    alerts = []
    for verdict, severity, bound in (
        ("significant", "alert", spec.monitors.psi_alert),
        ("moderate", "warn", spec.monitors.psi_warn),
    ):
        drifted = sorted((d.psi, name) for name, d in drifts.items() if d.verdict == verdict)[::-1]
        for value, name in drifted[:MAX_FEATURES]:
            subject = "predictions" if kind == "prediction" else name
            message = f"{subject} drifted: PSI {value:.2f} (bound {bound:g})"
            if len(drifted) > MAX_FEATURES and name == drifted[MAX_FEATURES - 1][1]:
                message += f"; {len(drifted) - MAX_FEATURES} more features drifted"
            alerts.append(Alert(severity, kind, name, value, bound, message))  # type: ignore[arg-type]
    return alerts
