"""Judges the quality gates of a candidate: a list of verdicts, each with value, interval, bound, source and reason.

A value is compared with its bound by its 95 % confidence interval, so that noise neither passes nor fails a gate:

- PASS when the whole interval is within the bound,
- FAIL when the whole interval is outside the bound,
- NO_DATA when the interval contains the bound: there are too few rows to decide.
"""

from bedplate.domain.gate.judge import judge
from bedplate.domain.gate.measurements import Measurements
from bedplate.domain.gate.verdict import GateKind, GateReport, Outcome, Verdict, combine_outcomes

__all__ = ["GateKind", "GateReport", "Measurements", "Outcome", "Verdict", "combine_outcomes", "judge"]
