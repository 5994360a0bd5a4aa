"""A bound that holds in every value of a column: the worst value that has enough rows decides.

A gate over values fails when one clearly fails, is NO_DATA when nothing could be judged or when a value's figure is on
the wrong side without being clear, and passes otherwise; values with too few rows are reported and decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.formatting import short
from bedplate.domain.gate.verdict import GateSpec, Outcome, Verdict, bound_text, compared, margin, undecided


def over_values(
    asked: GateSpec,
    by: str,
    figures: Mapping[str, Estimate | None],
    low: float | None,
    high: float | None,
    min_rows: int,
) -> list[Verdict]:
    """The gate's own verdict, and below it one for each value that decides nothing. `asked.name` names the figure."""
    below = []
    for value, figure in sorted(figures.items()):
        one = replace(asked, name=f"{asked.name} {by}={value}", decides=False)
        if figure is None or figure.n < min_rows:
            rows = 0 if figure is None else figure.n
            reason = f"{rows} rows, fewer than the {min_rows} that are needed to judge"
            below.append(undecided(one, figure, bound_text(low, high), reason))
        else:
            below.append(compared(one, figure, low, high))
    return [_over(asked, by, below, low, high, min_rows), *below]


def _over(
    asked: GateSpec, by: str, below: Sequence[Verdict], low: float | None, high: float | None, min_rows: int
) -> Verdict:
    judged = [v for v in below if v.n is not None and v.n >= min_rows and v.value is not None]
    worst = min(judged, key=lambda v: margin(v.value, low, high), default=None)

    def verdict(outcome: Outcome, reason: str) -> Verdict:
        figures = (worst.value, worst.low, worst.high, worst.n) if worst else (None, None, None, None)
        value, least, most, n = figures
        return Verdict(
            asked.kind, f"{asked.name} by {by}, worst", outcome, value, least, most, bound_text(low, high), n,
            asked.source, reason, key=asked.key,
        )  # fmt: skip

    small = len(below) - len(judged)
    aside = f"; {small} with too few rows" if small else ""
    failed = [v for v in judged if v.outcome == "FAIL"]
    unclear = [v for v in judged if v.outcome == "NO_DATA" and margin(v.value, low, high) < 0]
    if failed:
        return verdict("FAIL", f"{_listed(failed)} clearly outside{aside}")
    if not judged:
        return verdict("NO_DATA", f"no value of {by} has {min_rows} rows")
    if unclear:
        return verdict("NO_DATA", f"{_listed(unclear)} outside, but within what chance does{aside}")
    return verdict("PASS", f"{len(judged)} of {len(below)} values judged, none outside{aside}")


def _listed(verdicts: Sequence[Verdict]) -> str:
    told = [f"{v.name.partition('=')[2]} ({short(math.nan if v.value is None else v.value)})" for v in verdicts[:4]]
    return ", ".join(told) + (f" and {len(verdicts) - 4} more" if len(verdicts) > 4 else "")
