"""Whether a candidate's gates open: a list of verdicts, each with its figure, bound, interval, source and reason.

The rule for noise: a figure is held against its bound with its 95 % confidence interval.

- PASS when the whole interval is on the right side of the bound,
- FAIL when the whole interval is on the wrong side,
- NO_DATA when the bound lies inside the interval: these rows cannot tell, so noise neither opens nor shuts the gate.
"""

from bedplate.domain.gate.judge import judge
from bedplate.domain.gate.measured import Measurements
from bedplate.domain.gate.verdict import GateKind, GateReport, Outcome, Verdict, overall

__all__ = ["GateKind", "GateReport", "Measurements", "Outcome", "Verdict", "judge", "overall"]
