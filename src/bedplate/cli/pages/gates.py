"""Renders an evaluation as one HTML file: the verdict, every gate, and a card with charts per kind of gate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bedplate.cli.pages import charts, gate_charts
from bedplate.cli.pages.charts import Band
from bedplate.cli.pages.templates import Tile, render_template
from bedplate.domain.formatting import format_short
from bedplate.domain.gate import GateKind, GateReport, Outcome, Verdict, combine_outcomes

if TYPE_CHECKING:
    from bedplate.domain.evidence.evaluation import Evaluation
    from bedplate.settings import Gates

MAX_FAIRNESS_CHARTS = 6
TONES = {"PASS": "good", "FAIL": "bad", "NO_DATA": "warn"}


@dataclass(frozen=True, slots=True)
class GateCard:
    """One kind of gate. `charts` are (title, SVG); `outcome` is None when no verdict of this kind decides."""

    title: str
    outcome: Outcome | None
    note: str
    charts: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    side_by_side: bool = False


def render(
    ref: str,
    gates: Gates,
    evaluation: Evaluation,
    report: GateReport,
    *,
    description: str,
    stack: str,
    champion: str,
    source: str,
    created_at: datetime,
) -> str:
    """Returns the page of `ref` (MODEL:VERSION). A kind of gate without bounds and without values has no card."""
    return render_template(
        "gates.html.j2",
        ref=ref,
        description=description,
        stack=stack,
        champion=champion,
        outcome=report.outcome,
        rows=evaluation.rows,
        created_at=created_at,
        tiles=list(_tiles(evaluation, report)),
        verdicts=[v for v in report.verdicts if v.decides or v.outcome == "FAIL" or v.kind == "explanation"],
        cards=list(_cards(gates, evaluation, report, champion)),
        source=source,
        number=_format_value,
        interval=_format_interval,
    )


def _format_value(value: float | None) -> str:
    """
    >>> _format_value(0.73348), _format_value(12345.6), _format_value(None), _format_value(3.0)
    ('0.7335', '12,346', '', '3')
    """
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def _format_interval(verdict: Verdict) -> str:
    """Formats the 95 % interval; an unknown end is shown as an ellipsis.

    >>> _format_interval(Verdict("latency", "p99", "NO_DATA", 2.0, 1.5, math.inf, "<= 3", 20, "", ""))
    '1.5 – …'
    """
    if verdict.ci_low is None or verdict.ci_high is None:
        return ""
    low, high = (_format_value(end) if math.isfinite(end) else "…" for end in (verdict.ci_low, verdict.ci_high))
    return f"{low} – {high}"


def _tiles(evaluation: Evaluation, report: GateReport) -> Iterator[Tile]:
    deciding = [v for v in report.verdicts if v.decides]
    passed = sum(v.outcome == "PASS" for v in deciding)
    note = "all gates" if passed == len(deciding) else "all gates must pass"
    yield Tile("gates passed", f"{passed} of {len(deciding)}", note, TONES[report.outcome])
    metric = "auc" if "auc" in evaluation.candidate else next(iter(evaluation.candidate))
    estimate = evaluation.candidate[metric]
    value, low, high = (_format_value(v) for v in (estimate.value, estimate.ci_low, estimate.ci_high))
    yield Tile(metric, value, f"95 %: {low} to {high}")
    if evaluation.difference is not None:
        estimate = evaluation.difference[metric]
        value, low, high = (format_short(v, signed=True) for v in (estimate.value, estimate.ci_low, estimate.ci_high))
        yield Tile(f"{metric}, difference to the champion", value, f"95 %: {low} to {high}")
    if evaluation.analyses.latency:
        p50, p99 = (evaluation.analyses.latency.single.quantile(q).value for q in (0.5, 0.99))
        yield Tile("latency of one row", f"{p50:.3g} ms", f"p99 {p99:.3g} ms")
    yield Tile("artifact", f"{evaluation.artifact_mb:.3g} MB", "compressed")


def _outcome(report: GateReport, *kinds: GateKind) -> Outcome | None:
    outcomes = [v.outcome for v in report.verdicts if v.kind in kinds and v.decides]
    return combine_outcomes(outcomes) if outcomes else None


def _cards(gates: Gates, evaluation: Evaluation, report: GateReport, champion: str) -> Iterator[GateCard]:
    yield from _performance(evaluation, report, champion)
    yield from _segments(gates, report)
    yield from _calibration(evaluation, report)
    yield from _fairness(evaluation, report)
    yield from _explanation(evaluation, report, champion)
    yield from _leakage(gates, evaluation, report)
    yield from _inference(evaluation, report)
    yield from _latency(gates, evaluation, report)


def _performance(evaluation: Evaluation, report: GateReport, champion: str) -> Iterator[GateCard]:
    curves = evaluation.analyses.curves or {}
    names = {"candidate": "candidate", "champion": champion}
    roc = {names[role]: c.roc for role, c in curves.items() if c.roc}
    precision = {names[role]: c.precision_recall for role, c in curves.items() if c.precision_recall}
    fan = curves["candidate"].residuals if "candidate" in curves else None
    titled_charts = []
    if roc:
        labels = {"x_label": "false-positive rate", "y_label": "true-positive rate"}
        titled_charts.append(("ROC", gate_charts.curves(roc, **labels, diagonal=True)))
    if precision:
        chart = gate_charts.curves(precision, x_label="recall", y_label="precision")
        titled_charts.append(("Precision and recall", chart))
    if fan:
        titled_charts.append(("Residuals", gate_charts.residual_fan(fan)))
    outcome = _outcome(report, "threshold", "champion")
    if titled_charts or outcome:
        note = "On rows that training never used; candidate and live release on the same rows."
        yield GateCard("Performance", outcome, note, tuple(titled_charts), side_by_side=len(titled_charts) > 1)


def _segments(gates: Gates, report: GateReport) -> Iterator[GateCard]:
    titled_charts = []
    bounds: list[tuple[str, str, str, float | None, float | None]] = [
        (f"gates.segments[{i}]", g.column, g.metric, g.min, g.max) for i, g in enumerate(gates.segments)
    ]
    bounds += [
        (f"gates.residuals[{i}]", g.column, "mean residual", -g.max_bias, g.max_bias)
        for i, g in enumerate(gates.residuals)
        if g.column and g.max_bias
    ]
    for key, column, metric, low, high in bounds:
        rows = [
            (f"{v.name.partition('=')[2]}  ({v.n_rows:,})", v.value, *_finite_interval(v, v.value), v.outcome)
            for v in report.verdicts
            if v.key == key and not v.decides and v.value is not None
        ]
        bands = [Band(at, f"bound {at:g}", charts.BAD) for at in (low, high) if at is not None]
        if rows:
            titled_charts.append((f"{metric} by {column}", gate_charts.intervals(rows, x_label=metric, bands=bands)))
    if titled_charts:
        note = (
            "Each value of a column with its number of rows. A value with too few rows has no interval and no verdict."
        )
        yield GateCard("Segments", _outcome(report, "segment", "residuals"), note, tuple(titled_charts))


def _finite_interval(verdict: Verdict, value: float) -> tuple[float, float]:
    low, high = (value if end is None or not math.isfinite(end) else end for end in (verdict.ci_low, verdict.ci_high))
    return low, high


def _calibration(evaluation: Evaluation, report: GateReport) -> Iterator[GateCard]:
    calibration = evaluation.analyses.calibration
    if calibration is None or not calibration.bins:
        return
    brier = f"{calibration.reliability:.4f} − {calibration.resolution:.4f} + {calibration.uncertainty:.4f}"
    facts = (
        ("expected calibration error, corrected for bias", f"{calibration.ece.value:.4f}"),
        ("expected calibration error, uncorrected", f"{calibration.uncorrected_ece:.4f}"),
        ("slope (1 is perfect)", f"{calibration.slope.value:.3f}"),
        ("intercept in logits (0 is perfect)", f"{calibration.intercept.value:+.3f}"),
        (
            "Brier score = reliability − resolution + uncertainty + within bins",
            f"{brier} {calibration.within_bins:+.4f}",
        ),
        ("Spiegelhalter's z (p)", f"{calibration.spiegelhalter_z:+.2f} ({calibration.spiegelhalter_p:.2g})"),
    )
    titled_charts = (("", gate_charts.reliability(calibration.bins)),)
    note = (
        "How often the label was positive, by predicted probability. Perfectly calibrated scores are on the diagonal."
    )
    yield GateCard("Calibration", _outcome(report, "calibration"), note, titled_charts, facts, side_by_side=True)


def _fairness(evaluation: Evaluation, report: GateReport) -> Iterator[GateCard]:
    titled_charts = []
    for result in evaluation.fairness[:MAX_FAIRNESS_CHARTS]:
        rows = {name: (g.value, g.n_rows) for name, g in result.groups.items() if math.isfinite(g.value)}
        component = f" ({result.component.replace('_', ' ')} decides)" if result.component else ""
        title = f"{result.metric.replace('_', ' ')}{' ratio' if result.is_ratio else ''} by {result.column}{component}"
        compared = [name for name in (result.highest_group, result.lowest_group) if name]
        if rows:
            label = (result.component or result.metric).replace("_", " ")
            titled_charts.append((title, gate_charts.groups(rows, compared, x_label=label)))
    if titled_charts:
        outcome, several = _outcome(report, "fairness"), len(titled_charts) > 1
        note = "The metric of each group. The two groups whose difference the gate checks are dark."
        yield GateCard("Fairness", outcome, note, tuple(titled_charts), side_by_side=several)


def _explanation(evaluation: Evaluation, report: GateReport, champion: str) -> Iterator[GateCard]:
    explanation = evaluation.analyses.explanation
    if explanation is None or not explanation.importances:
        return
    note = (
        f"Importance of each feature: global mean |SHAP| on {explanation.rows} rows, by sampled permutations, "
        f"in {explanation.seconds:.1f} s. {explanation.note}"
    )
    chart = gate_charts.importances(explanation.importances, candidate="candidate", champion=champion)
    yield GateCard("Explanation", _outcome(report, "explanation"), note, (("", chart),))


def _leakage(gates: Gates, evaluation: Evaluation, report: GateReport) -> Iterator[GateCard]:
    leakage = evaluation.analyses.leakage
    if leakage is None:
        return
    training_data = "unavailable" if leakage.training_rows is None else f"{leakage.training_rows:,} rows"
    counts = [
        ("held-out rows with a key of a training row", leakage.shared_keys),
        ("held-out rows with the features and label of a training row", leakage.same_content),
        ("held-out rows not later than the training data", leakage.out_of_order),
    ]
    facts = [("training data", training_data), *((name, "unknown" if n is None else f"{n:,}") for name, n in counts)]
    rows = {a.feature: a.score for a in leakage.single_features[:20]}
    bound = gates.leakage.max_single_feature if gates.leakage else None
    bands = [Band(bound, f"bound {bound:g}", charts.BAD)] if bound is not None else []
    label, start = f"{leakage.metric.upper()} of one feature alone", 0.0 if leakage.metric == "r2" else 0.5
    titled_charts = (("", gate_charts.bars_from(rows, x_label=label, bands=bands, start=start)),) if rows else ()
    note = "A single feature that predicts the label is suspicious. A row that training used tests nothing."
    yield GateCard("Leakage", _outcome(report, "leakage"), note, titled_charts, tuple(facts))


def _inference(evaluation: Evaluation, report: GateReport) -> Iterator[GateCard]:
    checks = evaluation.analyses.inference
    if not checks:
        return
    facts = []
    for check in checks:
        passed = check.cases - len(check.faults)
        facts.append((check.kind, f"{passed} of {check.cases}" + (f": {check.faults[0]}" if check.faults else "")))
    note = "Requests sent to the model's serving code: some satisfy the data contract, some violate it."
    yield GateCard("Inference contract", _outcome(report, "inference"), note, facts=tuple(facts))


def _latency(gates: Gates, evaluation: Evaluation, report: GateReport) -> Iterator[GateCard]:
    latency = evaluation.analyses.latency
    if latency is None:
        return
    bands: Sequence[Band] = ()
    if gates.latency:
        bounds = (
            ("p50, 1 row", gates.latency.single_p50_ms, charts.WARN),
            ("p99, 1 row", gates.latency.single_p99_ms, charts.BAD),
            ("p50, batch", gates.latency.batch_p50_ms, charts.MUTED),
            ("p99, batch", gates.latency.batch_p99_ms, charts.INK),
        )
        bands = [Band(bound, f"bound of {name}", color) for name, bound, color in bounds if bound is not None]
    note = "The model's serving code, one request after another, on the machine of the evaluation job."
    chart = gate_charts.latency_histogram((latency.single, latency.batch), bands)
    yield GateCard("Latency", _outcome(report, "latency"), note, (("", chart),))
