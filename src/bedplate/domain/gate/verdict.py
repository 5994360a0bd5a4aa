"""Compares a metric's value with the bounds of a gate, and combines the outcomes of several gates."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.formatting import format_short

Outcome = Literal["PASS", "FAIL", "NO_DATA"]
GateKind = Literal[
    "threshold",
    "segment",
    "champion",
    "fairness",
    "calibration",
    "residuals",
    "explanation",
    "leakage",
    "inference",
    "latency",
    "artifact-size",
    "vulnerabilities",
]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one gate or of one segment of a gate.

    `bound` is text (`>= 0.7`); value, interval and `n_rows` are None where nothing was measured.
    """

    kind: GateKind
    name: str
    outcome: Outcome
    value: float | None
    ci_low: float | None
    ci_high: float | None
    bound: str
    n_rows: int | None
    source: str
    reason: str
    decides: bool = True
    """False for a verdict that is only reported, such as that of a single segment."""
    key: str = ""
    """Key in model.yaml that sets the bound."""


@dataclass(frozen=True, slots=True)
class GateReport:
    """All verdicts on a candidate, and the outcome of those that decide."""

    verdicts: tuple[Verdict, ...]
    outcome: Outcome

    def with_outcome(self, outcome: Outcome) -> tuple[Verdict, ...]:
        """Returns the deciding verdicts with this outcome."""
        return tuple(v for v in self.verdicts if v.outcome == outcome and v.decides)


@dataclass(frozen=True, slots=True)
class GateSpec:
    """What a verdict is about: kind and name of the gate, key of its bound in model.yaml, source of its value."""

    kind: GateKind
    name: str
    key: str
    source: str
    decides: bool = True

    def verdict(self, outcome: Outcome, bound: str, reason: str, estimate: Estimate | None = None) -> Verdict:
        """Builds the verdict of this gate; an estimate that is not finite has no value and no interval."""
        value = ci_low = ci_high = None
        if estimate is not None and math.isfinite(estimate.value):
            value, ci_low, ci_high = estimate.value, estimate.ci_low, estimate.ci_high
        return Verdict(
            kind=self.kind,
            name=self.name,
            outcome=outcome,
            value=value,
            ci_low=ci_low,
            ci_high=ci_high,
            bound=bound,
            n_rows=None if estimate is None else estimate.n_rows,
            source=self.source,
            reason=reason,
            decides=self.decides,
            key=self.key,
        )


def combine_outcomes(outcomes: Iterable[Outcome]) -> Outcome:
    """Returns FAIL when any outcome is FAIL, PASS when there are outcomes and all are PASS, else NO_DATA.

    >>> combine_outcomes(["PASS", "NO_DATA", "FAIL"]), combine_outcomes(["PASS", "NO_DATA"])
    ('FAIL', 'NO_DATA')
    >>> combine_outcomes(["PASS"]), combine_outcomes([])
    ('PASS', 'NO_DATA')
    """
    distinct = set(outcomes)
    if "FAIL" in distinct:
        return "FAIL"
    return "PASS" if distinct == {"PASS"} else "NO_DATA"


def compare_to_bounds(
    gate_spec: GateSpec, estimate: Estimate | None, low_bound: float | None, high_bound: float | None
) -> Verdict:
    """Compares the estimate's confidence interval with the bounds."""
    bound = format_bound(low_bound, high_bound)
    if estimate is None or not math.isfinite(estimate.value):
        return no_data(gate_spec, estimate, bound, "it could not be computed")
    ci_low = -math.inf if math.isnan(estimate.ci_low) else estimate.ci_low  # without an end nothing is significant
    ci_high = math.inf if math.isnan(estimate.ci_high) else estimate.ci_high
    outcome, reason = decide(estimate.value, ci_low, ci_high, low_bound, high_bound)
    return gate_spec.verdict(outcome, bound, reason, replace(estimate, ci_low=ci_low, ci_high=ci_high))


def exact_verdict(
    gate_spec: GateSpec, value: float, n_rows: int | None, bound: str, *, is_met: bool, reason: str
) -> Verdict:
    """Returns the verdict on a value that is counted, not estimated, and therefore has no confidence interval."""
    return replace(gate_spec.verdict("PASS" if is_met else "FAIL", bound, reason), value=value, n_rows=n_rows)


def no_data(gate_spec: GateSpec, estimate: Estimate | None, bound: str, reason: str) -> Verdict:
    """Returns a NO_DATA verdict with the estimate's value, if it is finite, and without an interval."""
    return replace(gate_spec.verdict("NO_DATA", bound, reason, estimate), ci_low=None, ci_high=None)


def decide(
    value: float, ci_low: float, ci_high: float, low_bound: float | None, high_bound: float | None
) -> tuple[Outcome, str]:
    """Returns the outcome and the reason for a value whose confidence interval is compared with the bounds.

    >>> decide(0.73, 0.72, 0.74, 0.7, None)
    ('PASS', '0.73 [0.72, 0.74] is within the bound')
    >>> decide(0.73, 0.69, 0.77, 0.7, None)[0], decide(0.6, 0.58, 0.62, 0.7, None)[0]
    ('NO_DATA', 'FAIL')
    """
    text = f"{format_short(value)} [{format_short(ci_low)}, {format_short(ci_high)}]"
    is_inside = (low_bound is None or ci_low >= low_bound) and (high_bound is None or ci_high <= high_bound)
    is_outside = (low_bound is not None and ci_high < low_bound) or (high_bound is not None and ci_low > high_bound)
    if is_inside:
        return "PASS", f"{text} is within the bound"
    if is_outside:
        return "FAIL", f"{text} is outside the bound"
    return "NO_DATA", f"{text} contains the bound: too few rows to decide"


def margin(value: float | None, low_bound: float | None, high_bound: float | None) -> float:
    """Returns the distance of a value to the nearer bound; negative outside the bounds, -inf without a value."""
    if value is None:
        return -math.inf
    above_low = math.inf if low_bound is None else value - low_bound
    below_high = math.inf if high_bound is None else high_bound - value
    return min(above_low, below_high)


def format_bound(low: float | None, high: float | None) -> str:
    """Formats the bounds of a gate.

    >>> format_bound(0.7, None), format_bound(0.8, 1.2)
    ('>= 0.7', '>= 0.8 and <= 1.2')
    """
    parts = [None if low is None else f">= {low:g}", None if high is None else f"<= {high:g}"]
    return " and ".join(part for part in parts if part)
