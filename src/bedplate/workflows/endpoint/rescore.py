"""Scores the last captured requests again with a release that is not live, on a temporary copy of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bedplate.domain.formatting import format_number, format_short
from bedplate.domain.rollback import HealthCheck, PastRelease
from bedplate.errors import BedplateError, PlatformError, UsageError
from bedplate.ports import Reporter
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import read_latest
from bedplate.workflows.endpoint.copies import temporary_copy
from bedplate.workflows.endpoint.probe import PROBE_ID, parse_predictions
from bedplate.workflows.stack_context import StackContext

MAX_ROWS = 1000
"""Number of the last captured rows that are scored again."""
BATCH_ROWS = 100
"""Rows per request; a request that fails is split in halves and sent again, to count the failing rows."""
SENDERS = 4
LATENCY_REQUESTS = 30
"""Number of requests with one row each that measure the latency."""
TOLERANCE = 1e-6
"""Absolute and relative difference up to which predictions are equal, because requests are stored as JSON."""
DECISION_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class CapturedRow:
    """One captured row with its prediction and the release that returned it."""

    release: str | None
    row: dict[str, Any]
    prediction: float


def rescore(
    stack: StackContext, spec: ModelSpec, config: str, target: PastRelease, reporter: Reporter
) -> tuple[HealthCheck, ...]:
    """Checks errors, agreement, distribution and latency of the target on the last captured rows; NO_DATA without rows.

    FAIL blocks the rollback: rows without a valid prediction, or rows whose prediction by the same release changed.
    WARN is reported only: predictions that differ from the live ones, or latency above the service level objective.
    """
    rows = read_last_rows(stack, spec.name)
    if not rows:
        return (HealthCheck("re-score", "NO_DATA", "there are no captured requests to score"),)
    try:
        with temporary_copy(stack, spec, config, target.version, reporter) as copy:
            return score_copy(stack, spec, copy, target, rows)
    except BedplateError as exc:
        return (HealthCheck("re-score", "FAIL", exc.message.splitlines()[0]),)


def score_copy(
    stack: StackContext, spec: ModelSpec, copy: str, target: PastRelease, rows: Sequence[CapturedRow]
) -> tuple[HealthCheck, ...]:
    """Checks the target by invoking the endpoint `copy`."""
    batches = [rows[start : start + BATCH_ROWS] for start in range(0, len(rows), BATCH_ROWS)]
    with ThreadPoolExecutor(SENDERS) as pool:
        results = pool.map(lambda batch: _predict(stack, copy, batch), batches)
        predictions = [prediction for result in results for prediction in result]
    checks = compare_predictions(spec, target, rows, predictions)
    if any(c.verdict == "FAIL" for c in checks):
        return checks
    times_ms = [_measure_latency_ms(stack, copy, row) for row in rows[-LATENCY_REQUESTS:]]
    return (*checks, _check_latency(spec, times_ms))


def compare_predictions(
    spec: ModelSpec, target: PastRelease, rows: Sequence[CapturedRow], predictions: Sequence[float | None]
) -> tuple[HealthCheck, ...]:
    """Checks errors, agreement and distribution; `predictions` holds None for a row without a prediction."""
    low, high = (0.0, 1.0) if spec.task == "binary" else (-math.inf, math.inf)
    pairs = [(row, p) for row, p in zip(rows, predictions, strict=True) if p is not None and low <= p <= high]
    if len(pairs) < len(rows):
        detail = f"{len(pairs)} of {len(rows)} rows got a valid prediction"
        return (HealthCheck("re-score", "FAIL", detail),)
    own = [(row.prediction, new) for row, new in pairs if row.release == target.release]
    changed = sum(not math.isclose(old, new, rel_tol=TOLERANCE, abs_tol=TOLERANCE) for old, new in own)
    if changed:
        detail = f"{changed} of {len(own)} rows that it scored before get another prediction now"
        return (HealthCheck("re-score", "FAIL", detail),)
    old, new = [row.prediction for row, _ in pairs], [p for _, p in pairs]
    detail = f"all {len(pairs):,} rows, mean {format_number(fmean(new), 3)} (live: {format_number(fmean(old), 3)})"
    return (
        HealthCheck("re-score", "PASS", detail),
        _check_agreement(spec, old, new),
        _check_distribution(spec, old, new),
    )


def _check_agreement(spec: ModelSpec, old: Sequence[float], new: Sequence[float]) -> HealthCheck:
    if spec.task != "binary":
        difference = format_short(sum(abs(a - b) for a, b in zip(old, new, strict=True)) / len(old))
        return HealthCheck("agreement", "PASS", f"mean absolute difference from the live predictions: {difference}")
    same = sum((a >= DECISION_THRESHOLD) == (b >= DECISION_THRESHOLD) for a, b in zip(old, new, strict=True))
    pct, min_pct = 100 * same / len(old), spec.rollout.experiment.min_agreement_pct
    detail = f"{pct:.1f} % of its decisions equal the live ones (at least {min_pct:g} % expected)"
    return HealthCheck("agreement", "PASS" if pct >= min_pct else "WARN", detail)


def _check_distribution(spec: ModelSpec, old: Sequence[float], new: Sequence[float]) -> HealthCheck:
    from bedplate.domain.guard import count_by_bin, prediction_shift, quantile_edges

    edges = quantile_edges(old)
    if not edges:
        return HealthCheck("distribution", "NO_DATA", "all live predictions are equal")
    psi, max_psi = (
        prediction_shift(count_by_bin(edges, new), count_by_bin(edges, old)),
        spec.rollout.max_prediction_shift,
    )
    detail = f"PSI {psi:.3f} of its predictions against the live ones (at most {max_psi:g} expected)"
    return HealthCheck("distribution", "PASS" if psi <= max_psi else "WARN", detail)


def _check_latency(spec: ModelSpec, times_ms: Sequence[float]) -> HealthCheck:
    ranked, max_ms = sorted(times_ms), spec.serving.slo.latency_p99_ms
    p50, p99 = ranked[len(ranked) // 2], ranked[min(len(ranked) - 1, math.ceil(0.99 * len(ranked)) - 1)]
    detail = f"{len(ranked)} sequential requests: p50 {p50:.1f} ms, p99 {p99:.1f} ms (at most {max_ms:g} ms)"
    return HealthCheck("latency of the copy", "PASS" if p99 <= max_ms else "WARN", detail)


def read_last_rows(stack: StackContext, model: str) -> list[CapturedRow]:
    """Returns the last captured rows of a model, at most `MAX_ROWS`."""
    requests = read_latest(stack, model, min_predictions=MAX_ROWS)
    pairs = [(r.release, *pair) for r in requests for pair in zip(r.rows, r.predictions, strict=False)]
    return [CapturedRow(release, row, prediction) for release, row, prediction in pairs[-MAX_ROWS:]]


def _predict(stack: StackContext, endpoint: str, batch: Sequence[CapturedRow]) -> list[float | None]:
    try:
        predictions: list[float | None] = list(parse_predictions(_send(stack, endpoint, batch)))
        return predictions if len(predictions) == len(batch) else [None] * len(batch)
    except (PlatformError, UsageError, ValueError, KeyError):
        if len(batch) == 1:
            return [None]
        half = len(batch) // 2
        return _predict(stack, endpoint, batch[:half]) + _predict(stack, endpoint, batch[half:])


def _send(stack: StackContext, endpoint: str, batch: Sequence[CapturedRow]) -> bytes:
    body = b"".join(json.dumps(row.row).encode() + b"\n" for row in batch)
    return stack.endpoints.invoke(endpoint, body, inference_id=PROBE_ID).body


def _measure_latency_ms(stack: StackContext, endpoint: str, row: CapturedRow) -> float:
    start = stack.clock.now()
    _send(stack, endpoint, [row])
    return (stack.clock.now() - start).total_seconds() * 1000
