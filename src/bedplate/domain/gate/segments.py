"""Judges a gate that bounds a metric in every segment, that is for every value of a column.

The gate fails when a segment significantly violates the bound. It is NO_DATA when no segment has enough rows, or when a
segment's value is outside the bound without being significant. Otherwise it passes. Segments with too few rows are only
reported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.formatting import format_short
from bedplate.domain.gate.verdict import GateSpec, Outcome, Verdict, compare_to_bounds, format_bound, margin, no_data


def judge_segments(
    gate_spec: GateSpec,
    column: str,
    estimates: Mapping[str, Estimate | None],
    low: float | None,
    high: float | None,
    min_rows: int,
) -> list[Verdict]:
    """Returns the gate's own verdict, followed by a verdict for each segment, which does not decide.

    `estimates` is segment -> estimate; `gate_spec.name` is the name of the metric.
    """
    per_segment = []
    for value, estimate in sorted(estimates.items()):
        segment_spec = replace(gate_spec, name=f"{gate_spec.name} {column}={value}", decides=False)
        per_segment.append(compare_if_enough_rows(segment_spec, estimate, low, high, min_rows))
    return [_worst_segment(gate_spec, column, per_segment, low, high, min_rows), *per_segment]


def compare_if_enough_rows(
    gate_spec: GateSpec, estimate: Estimate | None, low: float | None, high: float | None, min_rows: int
) -> Verdict:
    """Compares the estimate with the bounds; NO_DATA with fewer than `min_rows` rows."""
    if estimate is not None and estimate.n_rows < min_rows:
        return no_data(gate_spec, estimate, format_bound(low, high), format_too_few(estimate.n_rows, min_rows))
    return compare_to_bounds(gate_spec, estimate, low, high)


def format_too_few(n_rows: int, min_rows: int) -> str:
    """Returns the reason of a verdict on too few rows."""
    return f"{n_rows} rows, fewer than the required {min_rows}"


def _worst_segment(
    gate_spec: GateSpec,
    column: str,
    per_segment: Sequence[Verdict],
    low: float | None,
    high: float | None,
    min_rows: int,
) -> Verdict:
    """Returns the gate's own verdict, with the value of the worst segment that has enough rows."""
    large_enough = [v for v in per_segment if v.n_rows is not None and v.n_rows >= min_rows and v.value is not None]
    worst = min(large_enough, key=lambda v: margin(v.value, low, high), default=None)

    def build_verdict(outcome: Outcome, reason: str) -> Verdict:
        worst_spec = replace(gate_spec, name=f"{gate_spec.name} by {column}, worst")
        if worst is None:
            return worst_spec.verdict(outcome, format_bound(low, high), reason)
        return replace(worst, name=worst_spec.name, outcome=outcome, reason=reason, decides=True)

    n_small = len(per_segment) - len(large_enough)
    suffix = f"; {n_small} with too few rows" if n_small else ""
    failed = [v for v in large_enough if v.outcome == "FAIL"]
    unclear = [v for v in large_enough if v.outcome == "NO_DATA" and margin(v.value, low, high) < 0]
    if failed:
        return build_verdict("FAIL", f"{_format_values(failed)} outside the bound{suffix}")
    if not large_enough:
        return build_verdict("NO_DATA", f"no value of {column} has {min_rows} rows")
    if unclear:
        reason = f"{_format_values(unclear)} outside the bound, but not statistically significant{suffix}"
        return build_verdict("NO_DATA", reason)
    reason = f"{len(large_enough)} of {len(per_segment)} values compared, none outside the bound{suffix}"
    return build_verdict("PASS", reason)


def _format_values(verdicts: Sequence[Verdict]) -> str:
    values = [
        f"{v.name.partition('=')[2]} ({format_short(math.nan if v.value is None else v.value)})" for v in verdicts[:4]
    ]
    return ", ".join(values) + (f" and {len(verdicts) - 4} more" if len(verdicts) > 4 else "")
