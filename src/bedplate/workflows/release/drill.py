"""Rehearses a rollback, times each part of it, and records that it was rehearsed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from bedplate.domain.release import fallback_release, spoken, version_told
from bedplate.domain.rollback import HealthCheck, choose_target
from bedplate.errors import Locked
from bedplate.ports import Reporter
from bedplate.workflows.endpoint.copies import a_copy
from bedplate.workflows.endpoint.observe import observe
from bedplate.workflows.endpoint.probe import ask, probe_of
from bedplate.workflows.endpoint.rescore import last_rows, score_on
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.rollback import RollbackRequest, health, prepare, rollback
from bedplate.workflows.stack_context import StackContext

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Drill:
    """What a rehearsal showed. `parts` are seconds by what they were spent on; `answered_s` is from its beginning to
    the first answer of the target."""

    model: str
    where: Literal["copy", "live"]
    target: str
    live: str
    parts: dict[str, float]
    answered_s: float
    checks: tuple[HealthCheck, ...]
    ok: bool


class _Stopwatch:
    """Seconds of each part, by the platform's clock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.begun = now()
        self.parts: dict[str, float] = {}

    def part(self, name: str, work: Callable[[], T]) -> T:
        start = self._now()
        done = work()
        self.parts[name] = round((self._now() - start).total_seconds(), 3)
        return done

    def so_far(self) -> float:
        return round((self._now() - self.begun).total_seconds(), 3)


def drill(
    stack: StackContext, model: str, version: int | None, reporter: Reporter, *, live: bool, reason: str | None
) -> Drill:
    """On a copy of the target, whose traffic is none; with `live` on the endpoint itself, there and back.

    Raises NotFound when there is nothing to go back to, Locked while anything is moving.
    """
    done = _live(stack, model, version, reporter, reason) if live else _copy(stack, model, version, reporter)
    Ledger.of(stack).record(
        "drill",
        f"rollback to {spoken(done.target)} rehearsed on {'the live endpoint' if live else 'a copy'}: "
        f"{'it answers' if done.ok else 'it is not fit'} after {done.answered_s:.2f} s",
        actor=stack.identity.person,
        model=model,
        version=version_told(done.target),
        data={
            "where": done.where,
            "target": done.target,
            "from": done.live,
            "parts": done.parts,
            "answered_s": done.answered_s,
            "ok": done.ok,
            "reason": reason,
            "checks": [{"what": c.what, "verdict": c.verdict, "told": c.told} for c in done.checks],
        },
    )
    return done


def _copy(stack: StackContext, model: str, version: int | None, reporter: Reporter) -> Drill:
    spec, watch = stack.model(model), _Stopwatch(stack.clock.now)
    records = watch.part("read the ledger", Ledger.of(stack).records)
    seen = watch.part("look at the endpoint", lambda: observe(stack, model, records))
    target = choose_target(seen, records, version)
    config = seen.config_of(target.release)
    checks = watch.part("look at the target", lambda: health(stack, spec, seen, target, quick=False))
    rows = watch.part("read captured requests", lambda: last_rows(stack, model))
    probe = probe_of(stack, spec, holdout_uri=None)
    begun = stack.clock.now()
    with a_copy(stack, spec, config, target.version, reporter) as copy:
        watch.parts["bring the copy up"] = round((stack.clock.now() - begun).total_seconds(), 3)
        watch.part("first answer", lambda: ask(stack, copy.endpoint, probe, target.release))
        answered_s = watch.so_far()
        if rows and target.release != fallback_release(seen.endpoint):
            scored = watch.part("re-score", lambda: score_on(stack, spec, copy, target, rows))
            checks = (*checks, *scored)
    ok = not any(c.verdict == "FAIL" for c in checks)
    return Drill(model, "copy", target.release, seen.live, watch.parts, answered_s, checks, ok)


def _live(stack: StackContext, model: str, version: int | None, reporter: Reporter, reason: str | None) -> Drill:
    watch = _Stopwatch(stack.clock.now)
    why = f"drill{f': {reason}' if reason else ''}"
    there = watch.part("look and check", lambda: prepare(stack, RollbackRequest(model, version, reason=why), reporter))
    seen = there.prepared.means.seen
    if seen.busy or seen.split:
        raise Locked(
            f"Endpoint {seen.endpoint} is not at rest: a drill on it would end what is under way",
            next_step=f"bedplate rollout status {model}, or bedplate rollback {model} --drill on a copy",
        )
    gone = watch.part("switch, and the first answer", lambda: rollback(there, reporter))
    answered_s = watch.so_far()
    request = RollbackRequest(model, version_told(seen.live), now=True, force=True, reason=f"back from the {why}")
    back = watch.part("look again", lambda: prepare(stack, request, reporter))
    watch.part("switch back", lambda: rollback(back, reporter))
    return Drill(model, "live", str(gone.live), seen.live, watch.parts, answered_s, there.checks, True)
