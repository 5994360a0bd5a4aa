"""Rehearses a rollback on a copy or on the live endpoint, and records how long each part took."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from bedplate.domain.release import display_name, fallback_name, version_of
from bedplate.domain.rollback import HealthCheck, choose_target
from bedplate.errors import Locked
from bedplate.ports import Reporter
from bedplate.workflows.endpoint.copies import temporary_copy
from bedplate.workflows.endpoint.observe import observe_endpoint
from bedplate.workflows.endpoint.probe import build_probe, verify_release
from bedplate.workflows.endpoint.rescore import read_last_rows, score_copy
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.rollback import RollbackRequest, check_health, checks_data, prepare, rollback
from bedplate.workflows.stack_context import StackContext

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Drill:
    """The result of a rehearsal.

    `target` and `live` are releases: the one rolled back to, and the one that was live. `durations_s` are the seconds
    that each part took, `first_prediction_s` those from the start to the first prediction of the target.
    """

    model: str
    mode: Literal["copy", "live"]
    target: str
    live: str
    durations_s: dict[str, float]
    first_prediction_s: float
    checks: tuple[HealthCheck, ...]
    ok: bool


class _Stopwatch:
    """Measures the seconds that each part takes."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._started_at = now()
        self.durations_s: dict[str, float] = {}

    def measure(self, name: str, work: Callable[[], T]) -> T:
        start = self._now()
        result = work()
        self.record(name, start)
        return result

    def record(self, name: str, start: datetime) -> None:
        self.durations_s[name] = round((self._now() - start).total_seconds(), 3)

    def elapsed_s(self) -> float:
        return round((self._now() - self._started_at).total_seconds(), 3)


def drill(
    stack: StackContext, model: str, version: int | None, reporter: Reporter, *, live: bool, reason: str | None
) -> Drill:
    """Rehearses a rollback on a temporary copy of the target, or with `live` on the live endpoint, and records it.

    On the live endpoint it rolls back and then returns to the release that was live. Raises NotFound when there is no
    release to roll back to, and with `live` Locked while an update or a rollout is in progress.
    """
    if live:
        result = _drill_live(stack, model, version, reporter, reason)
    else:
        result = _drill_on_copy(stack, model, version, reporter)
    Ledger.of(stack).record(
        "drill",
        f"rollback to {display_name(result.target)} rehearsed on {'the live endpoint' if live else 'a copy'}: "
        f"{'passed' if result.ok else 'failed'} after {result.first_prediction_s:.2f} s",
        actor=stack.identity.actor,
        model=model,
        version=version_of(result.target),
        data={
            "mode": result.mode,
            "target": result.target,
            "live": result.live,
            "durations_s": result.durations_s,
            "first_prediction_s": result.first_prediction_s,
            "ok": result.ok,
            "reason": reason,
            "checks": checks_data(result.checks),
        },
    )
    return result


def _drill_on_copy(stack: StackContext, model: str, version: int | None, reporter: Reporter) -> Drill:
    spec, stopwatch = stack.model(model), _Stopwatch(stack.clock.now)
    records = stopwatch.measure("read the ledger", Ledger.of(stack).records)
    observed = stopwatch.measure("observe the endpoint", lambda: observe_endpoint(stack, model, records))
    target = choose_target(observed, records, version)
    config = observed.config_of(target.release)
    checks = stopwatch.measure("check the target", lambda: check_health(stack, spec, observed, target, quick=False))
    rows = stopwatch.measure("read captured requests", lambda: read_last_rows(stack, model))
    probe = build_probe(stack, spec, holdout_uri=None)
    start = stack.clock.now()
    with temporary_copy(stack, spec, config, target.version, reporter) as copy:
        stopwatch.record("create the copy", start)
        stopwatch.measure("first prediction", lambda: verify_release(stack, copy, probe, target.release))
        first_prediction_s = stopwatch.elapsed_s()
        if rows and target.release != fallback_name(observed.endpoint):
            checks = (*checks, *stopwatch.measure("re-score", lambda: score_copy(stack, spec, copy, target, rows)))
    ok = not any(c.verdict == "FAIL" for c in checks)
    return Drill(model, "copy", target.release, observed.live, stopwatch.durations_s, first_prediction_s, checks, ok)


def _drill_live(stack: StackContext, model: str, version: int | None, reporter: Reporter, reason: str | None) -> Drill:
    stopwatch = _Stopwatch(stack.clock.now)
    purpose = f"drill{f': {reason}' if reason else ''}"
    request = RollbackRequest(model, version, reason=purpose)
    prepared_rollback = stopwatch.measure("observe and check", lambda: prepare(stack, request, reporter))
    observed = prepared_rollback.deployment.tools.observed
    if observed.is_busy or observed.is_multi_variant:
        raise Locked(
            f"An update or rollout of endpoint {observed.endpoint} is in progress, and a drill on it would end it",
            next_step=f"bedplate rollout status {model}, or bedplate rollback {model} --drill on a copy",
        )
    result = stopwatch.measure("switch, first prediction", lambda: rollback(prepared_rollback, reporter))
    first_prediction_s = stopwatch.elapsed_s()
    request = RollbackRequest(model, version_of(observed.live), now=True, force=True, reason=f"back from the {purpose}")
    prepared_return = stopwatch.measure("observe again", lambda: prepare(stack, request, reporter))
    stopwatch.measure("switch back", lambda: rollback(prepared_return, reporter))
    live, durations_s = observed.live, stopwatch.durations_s
    return Drill(model, "live", str(result.live), live, durations_s, first_prediction_s, prepared_rollback.checks, True)
