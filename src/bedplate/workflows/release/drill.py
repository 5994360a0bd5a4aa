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

    `durations_s` are the seconds that each part took; `first_prediction_s` are the seconds from the start to the first
    prediction of the target.
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

    def time(self, name: str, work: Callable[[], T]) -> T:
        start = self._now()
        result = work()
        self.add(name, start)
        return result

    def add(self, name: str, start: datetime) -> None:
        self.durations_s[name] = round((self._now() - start).total_seconds(), 3)

    def elapsed_s(self) -> float:
        return round((self._now() - self._started_at).total_seconds(), 3)


def drill(
    stack: StackContext, model: str, version: int | None, reporter: Reporter, *, live: bool, reason: str | None
) -> Drill:
    """Rehearses a rollback on a copy of the target without traffic; with `live` on the live endpoint, there and back.

    Raises NotFound when there is no release to go back to, Locked while an update or a rollout is in progress.
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
    spec, watch = stack.model(model), _Stopwatch(stack.clock.now)
    records = watch.time("read the ledger", Ledger.of(stack).records)
    observed = watch.time("observe the endpoint", lambda: observe_endpoint(stack, model, records))
    target = choose_target(observed, records, version)
    config = observed.config_of(target.release)
    checks = watch.time("check the target", lambda: check_health(stack, spec, observed, target, quick=False))
    rows = watch.time("read captured requests", lambda: read_last_rows(stack, model))
    probe = build_probe(stack, spec, holdout_uri=None)
    start = stack.clock.now()
    with temporary_copy(stack, spec, config, target.version, reporter) as copy:
        watch.add("create the copy", start)
        watch.time("first prediction", lambda: verify_release(stack, copy, probe, target.release))
        first_prediction_s = watch.elapsed_s()
        if rows and target.release != fallback_name(observed.endpoint):
            checks = (*checks, *watch.time("re-score", lambda: score_copy(stack, spec, copy, target, rows)))
    ok = not any(c.verdict == "FAIL" for c in checks)
    return Drill(model, "copy", target.release, observed.live, watch.durations_s, first_prediction_s, checks, ok)


def _drill_live(stack: StackContext, model: str, version: int | None, reporter: Reporter, reason: str | None) -> Drill:
    watch = _Stopwatch(stack.clock.now)
    purpose = f"drill{f': {reason}' if reason else ''}"
    request = RollbackRequest(model, version, reason=purpose)
    there = watch.time("observe and check", lambda: prepare(stack, request, reporter))
    observed = there.deployment.tools.observed
    if observed.is_busy or observed.is_multi_variant:
        raise Locked(
            f"An update or rollout of endpoint {observed.endpoint} is in progress, and a drill on it would end it",
            next_step=f"bedplate rollout status {model}, or bedplate rollback {model} --drill on a copy",
        )
    result = watch.time("switch, first prediction", lambda: rollback(there, reporter))
    first_prediction_s = watch.elapsed_s()
    request = RollbackRequest(model, version_of(observed.live), now=True, force=True, reason=f"back from the {purpose}")
    back = watch.time("observe again", lambda: prepare(stack, request, reporter))
    watch.time("switch back", lambda: rollback(back, reporter))
    live, durations_s = observed.live, watch.durations_s
    return Drill(model, "live", str(result.live), live, durations_s, first_prediction_s, there.checks, True)
