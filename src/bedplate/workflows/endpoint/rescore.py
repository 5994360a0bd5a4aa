"""Lets a release that is not live answer the last captured requests, on a copy, before it gets traffic again."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bedplate.domain.data.capture import CapturedRequest
from bedplate.domain.formatting import figure, short
from bedplate.domain.rollback import HealthCheck, PastRelease
from bedplate.errors import BedplateError, PlatformError, UsageError
from bedplate.ports import Reporter
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import latest
from bedplate.workflows.endpoint.copies import EndpointCopy, a_copy
from bedplate.workflows.endpoint.probe import PROOF_ID, answers_in
from bedplate.workflows.stack_context import StackContext

REQUESTS = 1000
"""Captured requests, or rows where a request holds many."""
A_REQUEST = 100
"""Rows that are sent at once; one that fails is sent again in halves, to count what fails."""
SENDERS = 4
TIMED = 30
"""Requests of one row each, by which latency is measured."""
SAME = 1e-6
"""Answers that differ by less, or by less of their own size, are the same ones: the request went through JSON."""
DECISION = 0.5


@dataclass(frozen=True, slots=True)
class CapturedRow:
    """One captured row: who answered it what."""

    release: str | None
    row: dict[str, Any]
    answer: float


def rescore(
    stack: StackContext, spec: ModelSpec, config: str, target: PastRelease, reporter: Reporter
) -> tuple[HealthCheck, ...]:
    """Errors, agreement, distribution and latency of the target on the last captured rows; NO_DATA without one.

    FAIL refuses: rows that it cannot answer, answers that are none, rows that it answers otherwise than it did. WARN
    tells: answers that are far from those that were given live, latency beyond the service level.
    """
    captured = latest(stack, spec.name, answers=REQUESTS)
    asked = _rows(captured)
    if not asked:
        return (HealthCheck("re-score", "NO_DATA", "there is no captured request to answer again"),)
    try:
        with a_copy(stack, spec, config, target.version, reporter) as copy:
            return score_on(stack, spec, copy, target, asked)
    except BedplateError as exc:
        return (HealthCheck("re-score", "FAIL", exc.message.splitlines()[0]),)


def score_on(
    stack: StackContext, spec: ModelSpec, copy: EndpointCopy, target: PastRelease, asked: Sequence[CapturedRow]
) -> tuple[HealthCheck, ...]:
    """What a copy that is up says of the target."""
    batches = [asked[at : at + A_REQUEST] for at in range(0, len(asked), A_REQUEST)]
    with ThreadPoolExecutor(SENDERS) as pool:
        told = [answer for part in pool.map(lambda b: _ask(stack, copy.endpoint, b), batches) for answer in part]
    checks = judged(spec, target, asked, told)
    if any(c.verdict == "FAIL" for c in checks):
        return checks
    return (*checks, _latency(spec, [_timed(stack, copy.endpoint, one) for one in asked[-TIMED:]]))


def judged(
    spec: ModelSpec, target: PastRelease, asked: Sequence[CapturedRow], told: Sequence[float | None]
) -> tuple[HealthCheck, ...]:
    """Errors, agreement and distribution; `told` holds None where a row got no answer."""
    low, high = (0.0, 1.0) if spec.task == "binary" else (-math.inf, math.inf)
    good = [(one, a) for one, a in zip(asked, told, strict=True) if a is not None and low <= a <= high]
    if len(good) < len(asked):
        return (HealthCheck("re-score", "FAIL", f"{len(good)} of {len(asked)} rows got an answer that is one"),)
    own = [(one.answer, new) for one, new in good if one.release == target.release]
    changed = sum(not math.isclose(old, new, rel_tol=SAME, abs_tol=SAME) for old, new in own)
    if changed:
        text = f"{changed} of {len(own)} rows that it answered before get another answer now"
        return (HealthCheck("re-score", "FAIL", text),)
    old, new = [one.answer for one, _ in good], [a for _, a in good]
    text = f"all {len(good):,} rows, mean {figure(fmean(new), 3)} (as answered live: {figure(fmean(old), 3)})"
    return (HealthCheck("re-score", "PASS", text), _agreement(spec, old, new), _distribution(spec, old, new))


def _agreement(spec: ModelSpec, old: Sequence[float], new: Sequence[float]) -> HealthCheck:
    if spec.task != "binary":
        apart = sum(abs(a - b) for a, b in zip(old, new, strict=True)) / len(old)
        return HealthCheck("agreement", "PASS", f"answers are {short(apart)} apart on average from those given live")
    same = sum((a >= DECISION) == (b >= DECISION) for a, b in zip(old, new, strict=True))
    pct, wanted = 100 * same / len(old), spec.rollout.experiment.min_agreement_pct
    told = f"{pct:.1f} % of its decisions are those given live (below {wanted:g} % is told)"
    return HealthCheck("agreement", "PASS" if pct >= wanted else "WARN", told)


def _distribution(spec: ModelSpec, old: Sequence[float], new: Sequence[float]) -> HealthCheck:
    from bedplate.domain.guard import counted, edges_of, shift

    edges = edges_of(old)
    if not edges:
        return HealthCheck("distribution", "NO_DATA", "all answers given live are alike")
    psi = shift(counted(edges, new), counted(edges, old))
    bound = spec.rollout.max_prediction_shift
    told = f"PSI {psi:.3f} of its answers against those given live (above {bound:g} is told)"
    return HealthCheck("distribution", "PASS" if psi <= bound else "WARN", told)


def _latency(spec: ModelSpec, times_ms: Sequence[float]) -> HealthCheck:
    ordered = sorted(times_ms)
    p99, bound = ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)], spec.serving.slo.latency_p99_ms
    told = f"{len(ordered)} requests one after the other: p50 {ordered[len(ordered) // 2]:.1f} ms, p99 {p99:.1f} ms"
    return HealthCheck("latency of the copy", "PASS" if p99 <= bound else "WARN", f"{told} (at most {bound:g} ms)")


def _rows(captured: Sequence[CapturedRequest]) -> list[CapturedRow]:
    pairs = [CapturedRow(r.release, row, a) for r in captured for row, a in zip(r.rows, r.answers, strict=False)]
    return pairs[-REQUESTS:]


def last_rows(stack: StackContext, model: str) -> list[CapturedRow]:
    """The last captured rows of a model."""
    return _rows(latest(stack, model, answers=REQUESTS))


def _ask(stack: StackContext, endpoint: str, batch: Sequence[CapturedRow]) -> list[float | None]:
    try:
        answers: list[float | None] = list(answers_in(_send(stack, endpoint, batch)))
        return answers if len(answers) == len(batch) else [None] * len(batch)
    except (PlatformError, UsageError, ValueError, KeyError):
        if len(batch) == 1:
            return [None]
        half = len(batch) // 2
        return _ask(stack, endpoint, batch[:half]) + _ask(stack, endpoint, batch[half:])


def _send(stack: StackContext, endpoint: str, batch: Sequence[CapturedRow]) -> bytes:
    body = b"".join(json.dumps(one.row).encode() + b"\n" for one in batch)
    return stack.endpoints.invoke(endpoint, body, inference_id=PROOF_ID).body


def _timed(stack: StackContext, endpoint: str, one: CapturedRow) -> float:
    begun = stack.clock.now()
    _send(stack, endpoint, [one])
    return (stack.clock.now() - begun).total_seconds() * 1000
