"""Measures the residuals of a regression: mean residual (bias), overall and per segment, and shares of small errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.evidence.proportions import Z, wilson_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ErrorShare:
    """The share of rows whose error is at most `max_error`, in the label's unit."""

    max_error: float
    share: Estimate


@dataclass(frozen=True, slots=True)
class Residuals:
    """Residuals are prediction minus label, in the label's unit. `per_segment` is column -> value -> mean residual."""

    bias: Estimate
    per_segment: dict[str, dict[str, Estimate]]
    error_shares: tuple[ErrorShare, ...]


def residuals(
    labels: Floats,
    scores: Floats,
    groups: Mapping[str, NDArray[Any]],
    max_errors: Sequence[float],
    *,
    max_values: int = 60,
) -> Residuals:
    """Returns mean residuals with the normal interval of a mean and shares of small errors with Wilson's interval.

    `labels` and `scores` are (rows,). `groups` is column -> value of each row, (rows,); only the `max_values` most
    frequent values of a column are measured. The interval of a mean is NaN with fewer than two rows.
    """
    errors = scores - labels
    per_segment = {}
    for column, values in groups.items():
        names, value_of_row, counts = np.unique(values, return_inverse=True, return_counts=True)
        frequent = sorted(np.argsort(-counts, kind="stable")[:max_values])
        per_segment[column] = {str(names[i]): _mean_estimate(errors[value_of_row == i]) for i in frequent}
    shares = tuple(_error_share(np.abs(errors), max_error) for max_error in max_errors)
    return Residuals(_mean_estimate(errors), per_segment, shares)


def _mean_estimate(values: Floats) -> Estimate:
    n_rows = len(values)
    if n_rows < 2:
        return Estimate(float(values.mean()) if n_rows else float("nan"), float("nan"), float("nan"), n_rows)
    mean, half_width = float(values.mean()), Z * float(values.std(ddof=1)) / float(np.sqrt(n_rows))
    return Estimate(mean, mean - half_width, mean + half_width, n_rows)


def _error_share(absolute_errors: Floats, max_error: float) -> ErrorShare:
    n_rows, hits = len(absolute_errors), int((absolute_errors <= max_error).sum())
    ci_low, ci_high = wilson_interval(hits, n_rows)
    return ErrorShare(max_error, Estimate(hits / n_rows if n_rows else float("nan"), ci_low, ci_high, n_rows))
