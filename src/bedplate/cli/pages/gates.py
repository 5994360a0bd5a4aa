"""An evaluation as one HTML file: the verdict first, every gate, and a card with charts for each kind of gate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.cli.pages import charts, gate_charts
from bedplate.cli.pages.charts import Band
from bedplate.cli.pages.report import Tile
from bedplate.domain.formatting import short
from bedplate.domain.gate import GateKind, GateReport, Outcome, Verdict, overall

if TYPE_CHECKING:
    from bedplate.domain.evidence.evaluation import Evaluation
    from bedplate.settings import Gates

CHARTS_OF_FAIRNESS = 6
TONES = {"PASS": "good", "FAIL": "bad", "NO_DATA": "warn"}


@dataclass(frozen=True, slots=True)
class GateCard:
    """One kind of gate. `charts` are (title, SVG); `outcome` is None where nothing of it decides."""

    title: str
    outcome: Outcome | None
    note: str
    charts: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    side_by_side: bool = False


@dataclass(frozen=True, slots=True)
class GatesPage:
    ref: str
    description: str
    stack: str
    champion: str
    outcome: Outcome
    rows: int
    made_at: datetime
    tiles: tuple[Tile, ...]
    table: tuple[Verdict, ...]
    cards: tuple[GateCard, ...]
    source: str


def render(
    ref: str,
    gates: Gates,
    evaluation: Evaluation,
    judgement: GateReport,
    *,
    description: str,
    stack: str,
    champion: str,
    source: str,
    made_at: datetime,
) -> str:
    """The page of `ref` (MODEL:VERSION). Kinds of gates that were neither asked for nor measured have no card."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(
        (Path(__file__).parent / "gates.html.j2").read_text(encoding="utf-8")
    )
    safe = [
        GateCard(
            c.title,
            c.outcome,
            c.note,
            tuple((title, Markup(svg)) for title, svg in c.charts),
            c.facts,
            c.side_by_side,
        )
        for c in _cards(gates, evaluation, judgement, champion)
    ]
    page = GatesPage(
        ref=ref,
        description=description,
        stack=stack,
        champion=champion,
        outcome=judgement.outcome,
        rows=evaluation.rows,
        made_at=made_at,
        tiles=tuple(_tiles(evaluation, judgement)),
        table=tuple(v for v in judgement.verdicts if v.decides or v.outcome == "FAIL" or v.kind == "explanation"),
        cards=tuple(safe),
        source=source,
    )
    return template.render(p=page, number=number, interval=interval, Markup=Markup)


def number(value: float | None) -> str:
    """
    >>> number(0.73348), number(12345.6), number(None), number(3.0)
    ('0.7335', '12,346', '', '3')
    """
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def _signed(value: float) -> str:
    return short(value, signed=True)


def interval(verdict: Verdict) -> str:
    """Ends that are not known are left open.

    >>> interval(Verdict("latency", "p99", "NO_DATA", 2.0, 1.5, math.inf, "<= 3", 20, "", ""))
    '1.5 – …'
    """
    if verdict.low is None or verdict.high is None:
        return ""
    low, high = (number(end) if math.isfinite(end) else "…" for end in (verdict.low, verdict.high))
    return f"{low} – {high}"


def _tiles(evaluation: Evaluation, judgement: GateReport) -> Iterator[Tile]:
    decided = [v for v in judgement.verdicts if v.decides]
    passed = sum(v.outcome == "PASS" for v in decided)
    note = "all of them" if passed == len(decided) else "PASS opens, nothing else"
    yield Tile("gates passed", f"{passed} of {len(decided)}", note, TONES[judgement.outcome])
    lead = "auc" if "auc" in evaluation.candidate else next(iter(evaluation.candidate))
    figure = evaluation.candidate[lead]
    yield Tile(lead, number(figure.value), f"95 %: {number(figure.low)} to {number(figure.high)}")
    if evaluation.difference is not None:
        apart = evaluation.difference[lead]
        yield Tile(
            f"{lead}, minus the champion's",
            _signed(apart.value),
            f"95 %: {_signed(apart.low)} to {_signed(apart.high)}",
        )
    if evaluation.trials.latency:
        single = evaluation.trials.latency.single
        slow = single.quantile(0.99)
        yield Tile("answer to one row", f"{single.quantile(0.5).value:.3g} ms", f"p99 {slow.value:.3g} ms")
    yield Tile("artifact", f"{evaluation.artifact_mb:.3g} MB", "packed")


def _outcome(judgement: GateReport, *kinds: GateKind) -> Outcome | None:
    found = [v.outcome for v in judgement.verdicts if v.kind in kinds and v.decides]
    return overall(found) if found else None


def _cards(gates: Gates, evaluation: Evaluation, judgement: GateReport, champion: str) -> Iterator[GateCard]:
    yield from _performance(evaluation, judgement, champion)
    yield from _segments(gates, judgement)
    yield from _calibration(evaluation, judgement)
    yield from _fairness(evaluation, judgement)
    yield from _explanation(evaluation, judgement, champion)
    yield from _leakage(gates, evaluation, judgement)
    yield from _inference(evaluation, judgement)
    yield from _latency(gates, evaluation, judgement)


def _performance(evaluation: Evaluation, judgement: GateReport, champion: str) -> Iterator[GateCard]:
    drawn = evaluation.trials.curves or {}
    names = {"candidate": "candidate", "champion": champion}
    roc = {names[who]: c.roc for who, c in drawn.items() if c.roc}
    precision = {names[who]: c.precision for who, c in drawn.items() if c.precision}
    fan = drawn["candidate"].residuals if "candidate" in drawn else None
    shown = []
    if roc:
        told = {"x_label": "false-positive rate", "y_label": "true-positive rate"}
        shown.append(("ROC", gate_charts.curves(roc, **told, diagonal=True)))
    if precision:
        shown.append(("Precision and recall", gate_charts.curves(precision, x_label="recall", y_label="precision")))
    if fan:
        shown.append(("Residuals", gate_charts.residual_fan(fan)))
    outcome = _outcome(judgement, "threshold", "champion")
    if shown or outcome:
        note = "On rows that training never saw, candidate and live release on the same ones."
        yield GateCard("Performance", outcome, note, tuple(shown), side_by_side=len(shown) > 1)


def _segments(gates: Gates, judgement: GateReport) -> Iterator[GateCard]:
    shown = []
    bounds: list[tuple[str, str, str, float | None, float | None]] = [
        (f"gates.segments[{i}]", g.by, g.metric, g.min, g.max) for i, g in enumerate(gates.segments)
    ]
    bounds += [
        (f"gates.residuals[{i}]", g.by, "mean residual", -g.max_bias, g.max_bias)
        for i, g in enumerate(gates.residuals)
        if g.by and g.max_bias
    ]
    for key, by, metric, low, high in bounds:
        below = [v for v in judgement.verdicts if v.key == key and not v.decides and v.value is not None]
        rows = [
            (f"{v.name.partition('=')[2]}  ({v.n:,})", v.value, _end(v.low, v.value), _end(v.high, v.value), v.outcome)
            for v in below
            if v.value is not None
        ]
        bands = [Band(at, f"bound {at:g}", charts.BAD) for at in (low, high) if at is not None]
        if rows:
            shown.append((f"{metric} by {by}", gate_charts.intervals(rows, x_label=metric, bands=bands)))
    if shown:
        note = "Each value of a column with its rows; one with too few has no interval, and decides nothing."
        yield GateCard("Segments", _outcome(judgement, "segment", "residuals"), note, tuple(shown))


def _end(end: float | None, value: float) -> float:
    return value if end is None or not math.isfinite(end) else end


def _calibration(evaluation: Evaluation, judgement: GateReport) -> Iterator[GateCard]:
    found = evaluation.trials.calibration
    if found is None or not found.bins:
        return
    facts = (
        ("expected calibration error, corrected for its bias", f"{found.ece.value:.4f}"),
        ("the same, uncorrected", f"{found.plain_ece:.4f}"),
        ("slope (1 is right)", f"{found.slope.value:.3f}"),
        ("intercept in logits (0 is right)", f"{found.intercept.value:+.3f}"),
        ("Brier score = reliability − resolution + uncertainty + within bins",
         f"{found.reliability:.4f} − {found.resolution:.4f} + {found.uncertainty:.4f} {found.within:+.4f}"),
        ("Spiegelhalter's z (p)", f"{found.z:+.2f} ({found.p:.2g})"),
    )  # fmt: skip
    drawn = (("", gate_charts.reliability(found.bins)),)
    note = "How often the label was 1 where the model said p: on the diagonal, scores mean what they say."
    yield GateCard("Calibration", _outcome(judgement, "calibration"), note, drawn, facts, side_by_side=True)


def _fairness(evaluation: Evaluation, judgement: GateReport) -> Iterator[GateCard]:
    shown = []
    for found in evaluation.fairness[:CHARTS_OF_FAIRNESS]:
        rows = {name: group for name, group in found.groups.items() if math.isfinite(group[0])}
        part = f" ({found.part.replace('_', ' ')} decides)" if found.part else ""
        title = f"{found.metric.replace('_', ' ')}{' ratio' if found.ratio else ''} by {found.by}{part}"
        compared = [name for name in (found.highest, found.lowest) if name]
        if rows:
            label = (found.part or found.metric).replace("_", " ")
            shown.append((title, gate_charts.groups(rows, compared, x_label=label)))
    if shown:
        note = "The figure of each group; the two whose gap the gate looks at are dark."
        yield GateCard("Fairness", _outcome(judgement, "fairness"), note, tuple(shown), side_by_side=len(shown) > 1)


def _explanation(evaluation: Evaluation, judgement: GateReport, champion: str) -> Iterator[GateCard]:
    found = evaluation.trials.explanation
    if found is None or not found.importances:
        return
    note = (
        f"What the answers hang on: global mean |SHAP| on {found.rows} rows, by sampled permutations, "
        f"in {found.seconds:.1f} s. {found.note}"
    )
    drawn = gate_charts.importances(found.importances, candidate="candidate", champion=champion)
    yield GateCard("Explanation", _outcome(judgement, "explanation"), note, (("", drawn),))


def _leakage(gates: Gates, evaluation: Evaluation, judgement: GateReport) -> Iterator[GateCard]:
    found = evaluation.trials.leakage
    if found is None:
        return
    seen = "not at hand" if found.training_rows is None else f"{found.training_rows:,} rows"
    counts = [
        ("held-out rows with a key of training", found.shared_keys),
        ("held-out rows that training holds too, features and label", found.same_content),
        ("held-out rows not later than training", found.out_of_order),
    ]
    facts = [("training data", seen), *((name, "unknown" if n is None else f"{n:,}") for name, n in counts)]
    rows = {a.feature: a.figure for a in found.alone[:20]}
    bound = gates.leakage.max_single_feature if gates.leakage else None
    bands = [Band(bound, f"bound {bound:g}", charts.BAD)] if bound is not None else []
    label, start = f"{found.metric.upper()} of one feature alone", 0.0 if found.metric == "r2" else 0.5
    drawn = (("", gate_charts.strengths(rows, x_label=label, bands=bands, start=start)),) if rows else ()
    note = "A feature that alone tells the label knows too much; a row that training saw tests nothing."
    yield GateCard("Leakage", _outcome(judgement, "leakage"), note, drawn, tuple(facts))


def _inference(evaluation: Evaluation, judgement: GateReport) -> Iterator[GateCard]:
    found = evaluation.trials.inference
    if not found:
        return
    facts = []
    for check in found:
        kept = check.cases - len(check.faults)
        facts.append((check.kind, f"{kept} of {check.cases}" + (f": {check.faults[0]}" if check.faults else "")))
    note = "Requests sent to the real serving entry point: what fits the data contract, and what breaks it."
    yield GateCard("Inference contract", _outcome(judgement, "inference"), note, facts=tuple(facts))


def _latency(gates: Gates, evaluation: Evaluation, judgement: GateReport) -> Iterator[GateCard]:
    found = evaluation.trials.latency
    if found is None:
        return
    bands: Sequence[Band] = ()
    if gates.latency:
        wanted = (
            ("p50, 1 row", gates.latency.single_p50_ms, charts.WARN),
            ("p99, 1 row", gates.latency.single_p99_ms, charts.BAD),
            ("p50, batch", gates.latency.batch_p50_ms, charts.MUTED),
            ("p99, batch", gates.latency.batch_p99_ms, charts.INK),
        )
        bands = [Band(at, f"bound of {name}", color) for name, at, color in wanted if at is not None]
    note = "The real serving entry point, one request after another, on the machine of the evaluation job."
    drawn = gate_charts.timings((found.single, found.batch), bands)
    yield GateCard("Latency", _outcome(judgement, "latency"), note, (("", drawn),))
