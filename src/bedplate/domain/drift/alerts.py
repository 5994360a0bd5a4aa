"""Which of a report's findings are worth a person's time: few, and the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bedplate.domain.drift.compare import ColumnDrift
from bedplate.domain.drift.report import Alert, ColumnQuality, Outcome, Performance
from bedplate.domain.evidence.metrics import HIGHER_IS_BETTER
from bedplate.domain.formatting import figure, short
from bedplate.settings import ModelSpec

MAX_FEATURES = 3
"""Features that get an alert of their own; more are counted in the last one's message."""
NULL_SHARE_RISE = 0.05
"""Rise of a nullable column's share of nulls that is worth a word."""


def ranked(
    spec: ModelSpec,
    features: Mapping[str, ColumnDrift],
    prediction: ColumnDrift | None,
    performance: Performance | None,
    quality: Mapping[str, ColumnQuality],
) -> tuple[Alert, ...]:
    """What hurts comes first: worse answers, broken input, then answers that moved, then features that did."""
    found = [*_performance(spec, performance), *_quality(spec, quality)]
    if prediction is not None:
        found += _drift(spec, {"prediction": prediction}, "prediction")
    found += _drift(spec, features, "feature")
    return tuple(sorted(found, key=lambda alert: alert.severity != "alert"))


def outcome_of(
    features: Mapping[str, ColumnDrift],
    prediction: ColumnDrift | None,
    performance: Performance | None,
    alerts: Sequence[Alert],
) -> Outcome:
    """DRIFT with an alert, WARN with a warning, OK without either, NO_DATA when nothing at all could be judged."""
    if any(alert.severity == "alert" for alert in alerts):
        return "DRIFT"
    if alerts:
        return "WARN"
    drifts = [*features.values(), *([prediction] if prediction else [])]
    judged = any(drift.verdict != "NO_DATA" for drift in drifts)
    measured = performance is not None and any(value is not None for value in performance.metrics.values())
    return "OK" if judged or measured else "NO_DATA"


def summary_of(outcome: Outcome, rows: int, alerts: Sequence[Alert], *, has_baseline: bool, min_rows: int) -> str:
    """One sentence for a status line or an exit message."""
    if alerts:
        more = f" (and {len(alerts) - 1} more)" if len(alerts) > 1 else ""
        return f"{alerts[0].message}{more}, in {rows:,} rows"
    if not has_baseline:
        return f"there is no baseline to compare {rows:,} rows with"
    if outcome == "NO_DATA":
        return f"{rows:,} rows are too few to judge ({min_rows:,} are needed)"
    return f"no drift in {rows:,} rows"


def _performance(spec: ModelSpec, performance: Performance | None) -> Iterator[Alert]:
    if performance is None:
        return
    for metric, allowed in spec.monitors.max_drop.items():
        now, before = performance.metrics.get(metric), performance.reference.get(metric)
        if now is None or before is None:
            continue
        drop = before - now if metric in HIGHER_IS_BETTER else now - before
        if drop > allowed:
            message = (
                f"{metric} is {figure(now, 3)} on {performance.n_labelled:,} late labels, {figure(drop, 3)} worse than "
                f"{figure(before, 3)} on the holdout (allowed: {short(allowed)})"
            )
            yield Alert("alert", "performance", metric, drop, allowed, message)


def _quality(spec: ModelSpec, quality: Mapping[str, ColumnQuality]) -> Iterator[Alert]:
    for name, found in quality.items():
        if not found.n:
            continue
        nullable = spec.data.columns[name].nullable
        share = found.nulls / found.n
        for count, what in ((found.type_errors, "of the wrong type"), (found.out_of_range, "outside the contract")):
            if count:
                yield Alert("alert", "quality", name, float(count), 0.0, f"{name}: {count:,} values {what}")
        if not nullable and found.nulls:
            yield Alert("alert", "quality", name, share, 0.0, f"{name}: {found.nulls:,} nulls where none is allowed")
        elif share - found.reference_null_share > NULL_SHARE_RISE:
            message = f"{name}: {share:.1%} nulls, {found.reference_null_share:.1%} in the baseline"
            yield Alert("warn", "quality", name, share, found.reference_null_share + NULL_SHARE_RISE, message)


def _drift(spec: ModelSpec, drifts: Mapping[str, ColumnDrift], kind: str) -> list[Alert]:
    found = []
    for verdict, severity, bound in (
        ("significant", "alert", spec.monitors.psi_alert),
        ("moderate", "warn", spec.monitors.psi_warn),
    ):
        moved = sorted((d.psi, name) for name, d in drifts.items() if d.verdict == verdict)[::-1]
        for value, name in moved[:MAX_FEATURES]:
            subject = "the answers" if kind == "prediction" else name
            more = f"; {len(moved) - MAX_FEATURES} more features moved" if len(moved) > MAX_FEATURES else ""
            told = more if name == moved[min(len(moved), MAX_FEATURES) - 1][1] else ""
            message = f"{subject} moved: PSI {value:.2f} (bound {bound:g}){told}"
            found.append(Alert(severity, kind, name, value, bound, message))  # type: ignore[arg-type]
    return found
