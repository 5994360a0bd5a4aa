"""What a scheduled run finds in live answers: metrics on labels, differences between groups, and the reasons."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.evidence.explanation import MIN_ROWS, moved_from
from bedplate.domain.evidence.fairness import Fairness, fairness
from bedplate.domain.evidence.metrics import HIGHER_IS_BETTER, measure, metric_names
from bedplate.domain.formatting import figure as written
from bedplate.domain.formatting import short
from bedplate.domain.names import ScheduleKind
from bedplate.settings import FairnessGate, ModelSpec

Floats = NDArray[np.float64]
Verdict = Literal["PASS", "FAIL", "NO_DATA", "MEASURED"]
Outcome = Literal["OK", "VIOLATION", "NO_DATA"]


@dataclass(frozen=True, slots=True)
class LiveFinding:
    """One figure of `n` rows, beside the evaluation's (`reference`) and its `bound`, both in the figure's unit.

    MEASURED is a figure that model.yaml sets no bound for; NO_DATA one that too few rows were there for.
    """

    metric: str
    subject: str
    figure: float | None
    reference: float | None
    bound: float | None
    n: int
    verdict: Verdict
    message: str


@dataclass(frozen=True, slots=True)
class LiveReport:
    """`labelled` counts the rows of `version`'s answers whose outcome is known; `explained` those with reasons.

    OK only where every bound could be judged and held.
    """

    kind: ScheduleKind
    model: str
    endpoint: str
    version: str | None
    outcome: Outcome
    summary: str
    rows: int
    labelled: int
    explained: int
    findings: tuple[LiveFinding, ...]

    @property
    def violations(self) -> tuple[LiveFinding, ...]:
        return tuple(f for f in self.findings if f.verdict == "FAIL")

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> LiveReport:
        return cls(**{**found, "findings": tuple(LiveFinding(**finding) for finding in found["findings"])})


def quality_findings(
    spec: ModelSpec, reference: Mapping[str, float | None], labels: Floats, scores: Floats
) -> tuple[LiveFinding, ...]:
    """Every metric of the task on labelled answers, (rows,) each; those in `monitors.max_drop` are bounded.

    A bound is the metric's value from which on it is too bad. Fewer rows than `monitors.min_rows` are NO_DATA.
    """
    n, enough = len(labels), len(labels) >= spec.monitors.min_rows
    bounds: Mapping[str, float] = {str(metric): allowed for metric, allowed in spec.monitors.max_drop.items()}
    found = []
    for metric in metric_names(spec.task):
        before, allowed = reference.get(metric), bounds.get(metric)
        figure = _figure(measure(metric, labels, scores)) if enough else None
        better = metric in HIGHER_IS_BETTER
        bound = None if allowed is None or before is None else before - allowed if better else before + allowed
        broken = figure is not None and bound is not None and (figure < bound if better else figure > bound)
        verdict = _verdict(figure, bounded=allowed is not None, judged=bound is not None, broken=broken)
        told = (
            _too_few(n, spec.monitors.min_rows)
            if figure is None
            else f"{metric} is {written(figure, 3)} on {n:,} labels"
        )
        found.append(
            LiveFinding(metric, spec.data.label, figure, before, bound, n, verdict, told + _beside(before, bound))
        )
    return tuple(found)


def bias_findings(
    spec: ModelSpec,
    reference: Sequence[Fairness],
    groups: Mapping[str, NDArray[Any]],
    labels: Floats,
    scores: Floats,
) -> tuple[LiveFinding, ...]:
    """Every gate of `gates.fairness` on labelled answers. `groups` holds, per column, each row's group, (rows,).

    A gate's own `min_rows` says how large a group must be; below two such groups it is NO_DATA.
    """
    found = []
    for gate in spec.gates.fairness:
        now = fairness(gate, groups[gate.by], labels, scores) if gate.by in groups else None
        figure = _figure(now.difference.value) if now else None
        before = next((_figure(f.difference.value) for f in reference if _same(gate, f)), None)
        bound = gate.max_difference if gate.min_ratio is None else gate.min_ratio
        assert bound is not None
        broken = figure is not None and (figure > bound if gate.min_ratio is None else figure < bound)
        n = now.difference.n if now else 0
        if now is None or figure is None:
            told = f"no two values of {gate.by} have {gate.min_rows:,} labelled rows each"
        else:
            what = "ratio" if now.ratio else "difference"
            told = f"{gate.metric} by {gate.by}: {what} {written(figure, 3)} between {now.highest} and {now.lowest}"
        verdict = _verdict(figure, bounded=True, judged=True, broken=broken)
        found.append(
            LiveFinding(gate.metric, gate.by, figure, before, bound, n, verdict, told + _beside(before, bound))
        )
    return tuple(found)


def explanation_findings(
    spec: ModelSpec, reference: Mapping[str, float], values: Floats, features: Sequence[str]
) -> tuple[LiveFinding, ...]:
    """How far the importances of the rows explained, (rows, features), lie from the evaluation's.

    Fewer than `domain.evidence.explanation.MIN_ROWS` rows are NO_DATA. The features' own shares are measured, not
    bounded.
    """
    gate, asked = spec.gates.explanation, spec.monitors.schedules.explainability
    assert gate is not None
    n, enough = len(values), len(values) >= MIN_ROWS and bool(reference)
    moved, ranked, shares = moved_from(values, features, reference) if enough else (math.nan, math.nan, {})
    most = asked.max_moved if asked and asked.max_moved is not None else gate.max_moved
    least, found = gate.min_rank_correlation, []
    told = _too_few(n, MIN_ROWS, "explained") if reference else "the evaluation holds no importances"
    for metric, value, bound in (("importance_moved", moved, most), ("rank_correlation", ranked, least)):
        figure = _figure(value)
        broken = figure is not None and bound is not None and (figure > bound if bound is most else figure < bound)
        verdict = _verdict(figure, bounded=bound is not None, judged=True, broken=broken)
        said = told if figure is None else f"{metric.replace('_', ' ')} is {written(figure, 3)} on {n:,} rows explained"
        found.append(LiveFinding(metric, "importances", figure, None, bound, n, verdict, said + _beside(None, bound)))
    for feature, (now, before) in shares.items():
        said = f"{feature} has {now:.1%} of the importance, {before:.1%} at the evaluation"
        found.append(LiveFinding("importance", feature, now, before, None, n, "MEASURED", said))
    return tuple(found)


def judged(findings: Sequence[LiveFinding]) -> tuple[Outcome, str]:
    """The outcome and a sentence for an exit message: one broken bound is a violation, one unjudged bound NO_DATA.

    >>> judged([])
    ('NO_DATA', 'nothing was measured')
    """
    for verdict, outcome in (("FAIL", "VIOLATION"), ("NO_DATA", "NO_DATA")):
        hits = [f.message for f in findings if f.verdict == verdict]
        if hits:
            more = f" (and {len(hits) - 1} more)" if len(hits) > 1 else ""
            return outcome, f"{hits[0]}{more}"  # type: ignore[return-value]
    if not any(f.figure is not None for f in findings):
        return "NO_DATA", findings[0].message if findings else "nothing was measured"
    bounded = sum(1 for f in findings if f.verdict == "PASS")
    return "OK", f"{bounded} bounds hold" if bounded else f"{len(findings)} figures measured, none bounded"


def _verdict(figure: float | None, *, bounded: bool, judged: bool, broken: bool) -> Verdict:
    if figure is None or (bounded and not judged):
        return "NO_DATA" if bounded else "MEASURED"
    return "MEASURED" if not bounded else "FAIL" if broken else "PASS"


def _same(gate: FairnessGate, found: Fairness) -> bool:
    ratio = gate.min_ratio is not None
    return (found.by, found.metric, found.ratio) == (gate.by, gate.metric, ratio)


def _too_few(n: int, wanted: int, what: str = "labelled") -> str:
    return f"{n:,} rows are {what}, {wanted:,} are needed"


def _beside(reference: float | None, bound: float | None) -> str:
    """
    >>> _beside(0.7, 0.65), _beside(None, None)
    (' (evaluation 0.700, bound 0.65)', '')
    """
    told = [f"evaluation {written(reference, 3)}"] if reference is not None else []
    told += [f"bound {short(bound)}"] if bound is not None else []
    return f" ({', '.join(told)})" if told else ""


def _figure(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
