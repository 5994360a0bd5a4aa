"""One figure held against one bound, and what a list of verdicts comes to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.formatting import short

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
    key: str = ""
    """Where in model.yaml the bound stands."""


@dataclass(frozen=True, slots=True)
class GateReport:
    verdicts: tuple[Verdict, ...]
    outcome: Outcome

    def of(self, outcome: Outcome) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if v.outcome == outcome and v.decides)


@dataclass(frozen=True, slots=True)
class GateSpec:
    """What a verdict is about: its kind, its name, where its figure and its bound come from."""

    kind: GateKind
    name: str
    key: str
    source: str
    decides: bool = True


def overall(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst decides, and nothing at all is no data.

    >>> overall(["PASS", "NO_DATA", "FAIL"]), overall(["PASS", "NO_DATA"]), overall(["PASS"]), overall([])
    ('FAIL', 'NO_DATA', 'PASS', 'NO_DATA')
    """
    found = list(outcomes)
    if "FAIL" in found:
        return "FAIL"
    return "PASS" if found and "NO_DATA" not in found else "NO_DATA"


def compared(asked: GateSpec, figure: Estimate | None, low_bound: float | None, high_bound: float | None) -> Verdict:
    """The figure's interval against the bounds."""
    bound = bound_text(low_bound, high_bound)
    if figure is None or not math.isfinite(figure.value):
        return undecided(asked, figure, bound, "it could not be computed")
    low = -math.inf if math.isnan(figure.low) else figure.low  # a missing end: then nothing is ever clear
    high = math.inf if math.isnan(figure.high) else figure.high
    outcome, reason = held(figure.value, low, high, low_bound, high_bound)
    return Verdict(
        asked.kind, asked.name, outcome, figure.value, low, high, bound, figure.n,
        asked.source, reason, asked.decides, asked.key,
    )  # fmt: skip


def counted(asked: GateSpec, value: float, n: int | None, bound: str, *, fits: bool, reason: str) -> Verdict:
    """A figure that is counted, not estimated, and has no interval."""
    outcome: Outcome = "PASS" if fits else "FAIL"
    return Verdict(
        asked.kind, asked.name, outcome, value, None, None, bound, n, asked.source, reason, asked.decides, asked.key
    )


def undecided(asked: GateSpec, figure: Estimate | None, bound: str, reason: str) -> Verdict:
    value = figure.value if figure is not None and math.isfinite(figure.value) else None
    n = None if figure is None else figure.n
    return Verdict(
        asked.kind, asked.name, "NO_DATA", value, None, None, bound, n, asked.source, reason, asked.decides, asked.key
    )


def held(
    value: float, low: float, high: float, low_bound: float | None, high_bound: float | None
) -> tuple[Outcome, str]:
    """
    >>> held(0.73, 0.72, 0.74, 0.7, None), held(0.73, 0.69, 0.77, 0.7, None)[0], held(0.6, 0.58, 0.62, 0.7, None)[0]
    (('PASS', '0.73 [0.72, 0.74] is inside'), 'NO_DATA', 'FAIL')
    """
    figure = f"{short(value)} [{short(low)}, {short(high)}]"
    inside = (low_bound is None or low >= low_bound) and (high_bound is None or high <= high_bound)
    outside = (low_bound is not None and high < low_bound) or (high_bound is not None and low > high_bound)
    if inside:
        return "PASS", f"{figure} is inside"
    if outside:
        return "FAIL", f"{figure} is outside"
    return "NO_DATA", f"{figure} holds the bound: these rows cannot tell"


def margin(value: float | None, low_bound: float | None, high_bound: float | None) -> float:
    """How far a figure is on the right side; negative on the wrong one."""
    if value is None:
        return -math.inf
    below = math.inf if low_bound is None else value - low_bound
    above = math.inf if high_bound is None else high_bound - value
    return min(below, above)


def bound_text(low: float | None, high: float | None) -> str:
    """
    >>> bound_text(0.7, None), bound_text(0.8, 1.2)
    ('>= 0.7', '>= 0.8 and <= 1.2')
    """
    parts = [None if low is None else f">= {low:g}", None if high is None else f"<= {high:g}"]
    return " and ".join(part for part in parts if part)
