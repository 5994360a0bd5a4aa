"""Whether a candidate's gates open: a list of verdicts, each with its figure, bound, interval, source and reason.

The rule for noise: a figure is held against its bound with its 95 % confidence interval.

- PASS when the whole interval is on the right side of the bound,
- FAIL when the whole interval is on the wrong side,
- NO_DATA when the bound lies inside the interval: these rows cannot tell, so noise neither opens nor shuts the gate.

Against the champion the figure is the paired difference on the same rows, and the bound is minus the tolerance: a test
of non-inferiority. A gate over segments judges every value with enough rows: it fails when one clearly fails, it is
NO_DATA when nothing could be judged or when a value's figure is on the wrong side without being clear, and it passes
otherwise; values with too few rows are reported and decide nothing. Sizes are counted and have no interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bedplate.domain.metrics import HIGHER_IS_BETTER, Estimate
from bedplate.settings import ChampionGate, FairnessGate, Gates, SegmentGate, Threshold

Outcome = Literal["PASS", "FAIL", "NO_DATA"]
GateKind = Literal["threshold", "segment", "champion", "fairness", "artifact-size"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate's, or one segment's, answer. `bound` is in words (`>= 0.7`); figures are None where there are none."""

    kind: GateKind
    name: str
    outcome: Outcome
    value: float | None
    low: float | None
    high: float | None
    bound: str
    n: int | None
    source: str
    reason: str
    decides: bool = True
    """False for a segment that is only reported: its gate's own verdict counts."""


@dataclass(frozen=True, slots=True)
class Judgement:
    verdicts: tuple[Verdict, ...]
    outcome: Outcome

    def of(self, outcome: Outcome) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if v.outcome == outcome and v.decides)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured on the holdout. `difference` is candidate minus champion, None without a champion's model.

    `segments` is column -> value -> metric -> figure; `fairness` is (column, metric, threshold) -> largest difference.
    """

    metrics: Mapping[str, Estimate]
    difference: Mapping[str, Estimate] | None
    champion: str
    segments: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    fairness: Mapping[tuple[str, str, float], Estimate]
    artifact_mb: float | None
    source: str
    is_champion: bool = False
    """The candidate is the live release: it cannot be worse than itself."""


def judge(gates: Gates, evidence: Evidence) -> Judgement:
    """Every gate of model.yaml against what was measured.

    FAIL when any gate fails, else NO_DATA when any has no data, else PASS. A model without gates has nothing that
    could open: NO_DATA.
    """
    verdicts = [_threshold(g, evidence) for g in gates.thresholds]
    for segment in gates.segments:
        verdicts += _segments(segment, evidence)
    if gates.champion:
        verdicts.append(_champion(gates.champion, evidence))
    verdicts += [_fairness(g, evidence) for g in gates.fairness]
    if gates.max_artifact_mb is not None:
        verdicts.append(_size(gates.max_artifact_mb, evidence))
    return Judgement(tuple(verdicts), overall(v.outcome for v in verdicts if v.decides))


def overall(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst decides, and nothing at all is no data.

    >>> overall(["PASS", "NO_DATA", "FAIL"]), overall(["PASS", "NO_DATA"]), overall(["PASS"]), overall([])
    ('FAIL', 'NO_DATA', 'PASS', 'NO_DATA')
    """
    found = list(outcomes)
    if "FAIL" in found:
        return "FAIL"
    return "PASS" if found and "NO_DATA" not in found else "NO_DATA"


# --- the kinds ------------------------------------------------------------------------------------------------------


def _threshold(gate: Threshold, evidence: Evidence) -> Verdict:
    figure = evidence.metrics.get(gate.metric)
    return _compared("threshold", gate.metric, figure, gate.min, gate.max, evidence.source)


def _segments(gate: SegmentGate, evidence: Evidence) -> list[Verdict]:
    """The gate's own verdict, and below it one for each value that decides nothing."""
    below = []
    for value, metrics in sorted(evidence.segments.get(gate.by, {}).items()):
        name, figure = f"{gate.metric} {gate.by}={value}", metrics.get(gate.metric)
        if figure is None or figure.n < gate.min_rows:
            rows = 0 if figure is None else figure.n
            reason = f"{rows} rows, fewer than the {gate.min_rows} that are needed to judge"
            below.append(_undecided("segment", name, figure, _bound(gate.min, gate.max), evidence.source, reason))
        else:
            below.append(_compared("segment", name, figure, gate.min, gate.max, evidence.source, decides=False))
    return [_over(gate, below, evidence.source), *below]


def _over(gate: SegmentGate, below: Sequence[Verdict], source: str) -> Verdict:
    name, bound = f"{gate.metric} by {gate.by}", _bound(gate.min, gate.max)
    judged = [v for v in below if v.n is not None and v.n >= gate.min_rows and v.value is not None]
    worst = min(judged, key=lambda v: _margin(v.value, gate.min, gate.max), default=None)

    def verdict(outcome: Outcome, reason: str) -> Verdict:
        figures = (worst.value, worst.low, worst.high, worst.n) if worst else (None, None, None, None)
        value, low, high, n = figures
        return Verdict("segment", f"{name}, worst", outcome, value, low, high, bound, n, source, reason)

    small = len(below) - len(judged)
    aside = f"; {small} with too few rows" if small else ""
    failed = [v for v in judged if v.outcome == "FAIL"]
    unclear = [v for v in judged if v.outcome == "NO_DATA" and _margin(v.value, gate.min, gate.max) < 0]
    if failed:
        return verdict("FAIL", f"{_listed(failed)} clearly outside{aside}")
    if not judged:
        return verdict("NO_DATA", f"no value of {gate.by} has {gate.min_rows} rows")
    if unclear:
        return verdict("NO_DATA", f"{_listed(unclear)} outside, but within what chance does{aside}")
    return verdict("PASS", f"{len(judged)} of {len(below)} values judged, none outside{aside}")


def _champion(gate: ChampionGate, evidence: Evidence) -> Verdict:
    name = f"{gate.metric} against {evidence.champion}"
    lower = gate.metric not in HIGHER_IS_BETTER
    low, high = (None, gate.tolerance) if lower else (-gate.tolerance, None)
    if evidence.is_champion:
        bound = _bound(low, high)
        reason = "it is the live release itself"
        return Verdict("champion", name, "PASS", 0.0, 0.0, 0.0, bound, None, evidence.source, reason)
    if evidence.difference is None:
        reason = "there is no champion to hold it against"
        return _undecided("champion", name, None, _bound(low, high), evidence.source, reason, decides=True)
    return _compared("champion", name, evidence.difference.get(gate.metric), low, high, evidence.source)


def _fairness(gate: FairnessGate, evidence: Evidence) -> Verdict:
    name = f"{gate.metric} by {gate.by}"
    figure = evidence.fairness.get((gate.by, gate.metric, gate.threshold))
    return _compared("fairness", name, figure, None, gate.max_difference, evidence.source)


def _size(max_mb: float, evidence: Evidence) -> Verdict:
    bound, megabytes = f"<= {max_mb:g} MB", evidence.artifact_mb
    if megabytes is None:
        return _undecided("artifact-size", "model.tar.gz", None, bound, evidence.source, "not measured", decides=True)
    outcome: Outcome = "PASS" if megabytes <= max_mb else "FAIL"
    reason = f"{megabytes:.3g} MB {'is inside' if outcome == 'PASS' else 'is too much'}"
    return Verdict(
        "artifact-size", "model.tar.gz", outcome, megabytes, None, None, bound, None, evidence.source, reason
    )


# --- one figure, one bound ------------------------------------------------------------------------------------------


def _compared(
    kind: GateKind,
    name: str,
    figure: Estimate | None,
    low_bound: float | None,
    high_bound: float | None,
    source: str,
    *,
    decides: bool = True,
) -> Verdict:
    bound = _bound(low_bound, high_bound)
    if figure is None or not math.isfinite(figure.value):
        return _undecided(kind, name, figure, bound, source, "it could not be computed", decides=decides)
    low, high = _interval(figure)
    outcome, reason = _held(figure.value, low, high, low_bound, high_bound)
    return Verdict(kind, name, outcome, figure.value, low, high, bound, figure.n, source, reason, decides)


def _held(
    value: float, low: float, high: float, low_bound: float | None, high_bound: float | None
) -> tuple[Outcome, str]:
    """
    >>> _held(0.73, 0.72, 0.74, 0.7, None), _held(0.73, 0.69, 0.77, 0.7, None)[0], _held(0.6, 0.58, 0.62, 0.7, None)[0]
    (('PASS', '0.73 [0.72, 0.74] is inside'), 'NO_DATA', 'FAIL')
    """
    figure = f"{value:.4g} [{low:.4g}, {high:.4g}]"
    inside = (low_bound is None or low >= low_bound) and (high_bound is None or high <= high_bound)
    outside = (low_bound is not None and high < low_bound) or (high_bound is not None and low > high_bound)
    if inside:
        return "PASS", f"{figure} is inside"
    if outside:
        return "FAIL", f"{figure} is outside"
    return "NO_DATA", f"{figure} holds the bound: these rows cannot tell"


def _interval(figure: Estimate) -> tuple[float, float]:
    """An interval that is missing is as wide as can be: then nothing is ever clear."""
    return (-math.inf if math.isnan(figure.low) else figure.low), (math.inf if math.isnan(figure.high) else figure.high)


def _undecided(
    kind: GateKind, name: str, figure: Estimate | None, bound: str, source: str, reason: str, *, decides: bool = False
) -> Verdict:
    value = figure.value if figure is not None and math.isfinite(figure.value) else None
    n = None if figure is None else figure.n
    return Verdict(kind, name, "NO_DATA", value, None, None, bound, n, source, reason, decides)


def _margin(value: float | None, low_bound: float | None, high_bound: float | None) -> float:
    """How far a figure is on the right side; negative on the wrong one."""
    if value is None:
        return -math.inf
    below = math.inf if low_bound is None else value - low_bound
    above = math.inf if high_bound is None else high_bound - value
    return min(below, above)


def _bound(low: float | None, high: float | None) -> str:
    parts = [None if low is None else f">= {low:g}", None if high is None else f"<= {high:g}"]
    return " and ".join(part for part in parts if part)


def _listed(verdicts: Sequence[Verdict]) -> str:
    return ", ".join(f"{v.name.partition('=')[2]} ({v.value:.4g})" for v in verdicts[:4]) + (
        f" and {len(verdicts) - 4} more" if len(verdicts) > 4 else ""
    )
