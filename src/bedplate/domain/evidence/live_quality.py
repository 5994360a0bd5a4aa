"""Checks live predictions in a scheduled run: metrics on labels, fairness between groups, and feature importances."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from bedplate.domain.documents import FORMAT, check_format, finite_or_none
from bedplate.domain.evidence.explanation import MIN_ROWS, compare_to_reference
from bedplate.domain.evidence.fairness import Fairness, fairness
from bedplate.domain.evidence.metrics import HIGHER_IS_BETTER, compute_metric, metric_names
from bedplate.domain.formatting import format_number, format_short
from bedplate.domain.names import ScheduleKind
from bedplate.settings import ModelSpec

Floats = NDArray[np.float64]
Verdict = Literal["PASS", "FAIL", "NO_DATA", "MEASURED"]
Outcome = Literal["OK", "VIOLATION", "NO_DATA"]


@dataclass(frozen=True, slots=True)
class LiveFinding:
    """A metric's value on `n_rows` live rows, with the evaluation's value (`reference`) and the bound of model.yaml.

    The verdict is MEASURED for a value without a bound in model.yaml, NO_DATA when there were too few rows.
    """

    metric: str
    subject: str
    value: float | None
    reference: float | None
    bound: float | None
    n_rows: int
    verdict: Verdict
    message: str


@dataclass(frozen=True, slots=True)
class LiveReport:
    """The report of one scheduled run. `labelled_rows` counts the rows that `version` predicted and that have a label,
    `explained_rows` the rows with SHAP values. The outcome is OK only when every bound was checked and met."""

    kind: ScheduleKind
    model: str
    endpoint: str
    version: str | None
    outcome: Outcome
    summary: str
    rows: int
    labelled_rows: int
    explained_rows: int
    findings: tuple[LiveFinding, ...]

    @property
    def violations(self) -> tuple[LiveFinding, ...]:
        return tuple(f for f in self.findings if f.verdict == "FAIL")

    def to_json(self) -> dict[str, Any]:
        """Returns the document `report.json`."""
        return {"format": FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> LiveReport:
        """Raises UnsupportedFormat for another format, ValueError for a document that `to_json` did not write."""
        check_format(document, "report.json", next_step="bedplate monitor schedule <model>")
        return _REPORT.validate_python(document)


_REPORT: TypeAdapter[LiveReport] = TypeAdapter(LiveReport)


def quality_findings(
    spec: ModelSpec, reference: Mapping[str, float | None], labels: Floats, scores: Floats
) -> tuple[LiveFinding, ...]:
    """Returns every metric of the task on rows with a label; metrics in `monitors.max_drop` have a bound.

    `labels` and `scores` are (rows,). The bound is the reference value minus the allowed drop (plus, where lower is
    better). Fewer rows than `monitors.min_rows` are NO_DATA.
    """
    n_rows, has_enough_rows = len(labels), len(labels) >= spec.monitors.min_rows
    max_drop: Mapping[str, float] = {str(metric): drop for metric, drop in spec.monitors.max_drop.items()}
    findings = []
    for metric in metric_names(spec.task):
        reference_value, drop = reference.get(metric), max_drop.get(metric)
        value = finite_or_none(compute_metric(metric, labels, scores)) if has_enough_rows else None
        is_minimum, bound = metric in HIGHER_IS_BETTER, None
        if drop is not None and reference_value is not None:
            bound = reference_value - drop if is_minimum else reference_value + drop
        verdict = _verdict(value, bound, is_minimum=is_minimum, is_bounded=drop is not None)
        if value is None:
            message = _format_too_few(n_rows, spec.monitors.min_rows)
        else:
            message = f"{metric} is {format_number(value, 3)} on {n_rows:,} labels"
        message += _format_reference(reference_value, bound)
        findings.append(LiveFinding(metric, spec.data.label, value, reference_value, bound, n_rows, verdict, message))
    return tuple(findings)


def bias_findings(
    spec: ModelSpec,
    reference: Sequence[Fairness],
    groups: Mapping[str, NDArray[Any]],
    labels: Floats,
    scores: Floats,
) -> tuple[LiveFinding, ...]:
    """Returns the value of every gate of `gates.fairness` on rows with a label.

    `groups` is column -> group of each row, (rows,). Fewer than two groups with the gate's `min_rows` are NO_DATA.
    """
    findings = []
    for gate in spec.gates.fairness:
        current = fairness(gate, groups[gate.column], labels, scores) if gate.column in groups else None
        value = finite_or_none(current.difference.value) if current else None
        same = (gate.column, gate.metric, gate.min_ratio is not None)
        evaluated = (f.difference.value for f in reference if (f.column, f.metric, f.is_ratio) == same)
        reference_value = finite_or_none(next(evaluated, math.nan))
        bound = gate.max_difference if gate.min_ratio is None else gate.min_ratio
        n_rows = current.difference.n_rows if current else 0
        if current is None or value is None:
            message = f"no two values of {gate.column} have {gate.min_rows:,} labelled rows each"
        else:
            label = "ratio" if current.is_ratio else "difference"
            between = f"between {current.highest_group} and {current.lowest_group}"
            message = f"{gate.metric} by {gate.column}: {label} {format_number(value, 3)} {between}"
        message += _format_reference(reference_value, bound)
        verdict = _verdict(value, bound, is_minimum=gate.min_ratio is not None)
        findings.append(LiveFinding(gate.metric, gate.column, value, reference_value, bound, n_rows, verdict, message))
    return tuple(findings)


def explanation_findings(
    spec: ModelSpec, reference: Mapping[str, float], values: Floats, features: Sequence[str]
) -> tuple[LiveFinding, ...]:
    """Returns how far the importances of explained live rows differ from the evaluation's.

    `values` are SHAP values, (rows, features); `reference` is feature -> mean |SHAP| of the evaluation. Fewer than
    `domain.evidence.explanation.MIN_ROWS` rows are NO_DATA. The shares of single features have no bound.
    """
    gate, schedule = spec.gates.explanation, spec.monitors.schedules.explainability
    assert gate is not None
    n_rows, has_enough_rows = len(values), len(values) >= MIN_ROWS and bool(reference)
    shift, correlation, shares = (
        compare_to_reference(values, features, reference) if has_enough_rows else (math.nan, math.nan, {})
    )
    max_shift = schedule.max_importance_shift if schedule else None
    max_shift = gate.max_importance_shift if max_shift is None else max_shift
    findings = []
    for metric, value, bound, is_minimum in (
        ("importance_shift", finite_or_none(shift), max_shift, False),
        ("rank_correlation", finite_or_none(correlation), gate.min_rank_correlation, True),
    ):
        if value is None:
            message = (
                _format_too_few(n_rows, MIN_ROWS, "explained") if reference else "the evaluation has no importances"
            )
        else:
            message = f"{metric.replace('_', ' ')} is {format_number(value, 3)} on {n_rows:,} explained rows"
        verdict = _verdict(value, bound, is_minimum=is_minimum, is_bounded=bound is not None)
        message += _format_reference(None, bound)
        findings.append(LiveFinding(metric, "importances", value, None, bound, n_rows, verdict, message))
    for feature, (current_share, reference_share) in shares.items():
        message = f"{feature} has {current_share:.1%} of the importance, {reference_share:.1%} at the evaluation"
        findings.append(
            LiveFinding("importance", feature, current_share, reference_share, None, n_rows, "MEASURED", message)
        )
    return tuple(findings)


def summarize_findings(findings: Sequence[LiveFinding]) -> tuple[Outcome, str]:
    """Returns the outcome and one sentence for an exit message.

    One broken bound is a VIOLATION; otherwise one bound that could not be checked is NO_DATA.

    >>> summarize_findings([])
    ('NO_DATA', 'nothing was measured')
    """
    for verdict, outcome in (("FAIL", "VIOLATION"), ("NO_DATA", "NO_DATA")):
        messages = [f.message for f in findings if f.verdict == verdict]
        if messages:
            more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
            return outcome, f"{messages[0]}{more}"  # type: ignore[return-value]
    if not any(f.value is not None for f in findings):
        return "NO_DATA", findings[0].message if findings else "nothing was measured"
    bounded = sum(1 for f in findings if f.verdict == "PASS")
    return "OK", f"{bounded} bounds are met" if bounded else f"{len(findings)} values measured, none has a bound"


def _verdict(value: float | None, bound: float | None, *, is_minimum: bool, is_bounded: bool = True) -> Verdict:
    """Returns the verdict on a value; NO_DATA where model.yaml sets a bound but the value or the bound is unknown."""
    if not is_bounded:
        return "MEASURED"
    if value is None or bound is None:
        return "NO_DATA"
    return "FAIL" if (value < bound if is_minimum else value > bound) else "PASS"


def _format_too_few(n_rows: int, min_rows: int, label: str = "labelled") -> str:
    return f"{n_rows:,} rows are {label}, {min_rows:,} are needed"


def _format_reference(reference: float | None, bound: float | None) -> str:
    """
    >>> _format_reference(0.7, 0.65), _format_reference(None, None)
    (' (evaluation 0.700, bound 0.65)', '')
    """
    parts = [f"evaluation {format_number(reference, 3)}"] if reference is not None else []
    parts += [f"bound {format_short(bound)}"] if bound is not None else []
    return f" ({', '.join(parts)})" if parts else ""
