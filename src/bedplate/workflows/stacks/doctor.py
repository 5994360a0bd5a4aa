"""Runs checks side by side, each for a limited time, and gathers what they found."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from bedplate.domain.stacks.diagnosis import Finding, Health, fail, skip, warn
from bedplate.errors import BedplateError, Denied

TIMEOUT_S = 20.0
Findings = Finding | Sequence[Finding]


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """One look at one thing. It is skipped when a check that it comes `after` failed or was skipped."""

    name: str
    section: str
    run: Callable[[], Findings]
    after: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S


def run_checks(
    checks: Sequence[DoctorCheck],
    *,
    on_check: Callable[[str], object] = str,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Finding, ...]:
    """The findings of all checks, in the order of the checks; `on_check` hears each one's name as it ends.

    A check that raises, or takes longer than its limit, has FAILed; one that is refused by AWS's permissions WARNs,
    since what it asks about may be well. Raises ValueError for an `after` that names no check before it.
    """
    names: set[str] = set()
    for check in checks:
        if not names.issuperset(check.after):
            raise ValueError(f"{check.name} comes after {check.after}, and not all of them come before it")
        names.add(check.name)
    found: dict[str, tuple[Finding, ...]] = {}
    waiting, running = list(checks), dict[str, tuple[DoctorCheck, float]]()
    answers: SimpleQueue[tuple[str, tuple[Finding, ...]]] = SimpleQueue()
    while waiting or running:
        for check in [c for c in waiting if all(name in found for name in c.after)]:
            waiting.remove(check)
            stops = next((name for name in check.after if any(map(_blocks, found[name]))), None)
            if stops:
                found[check.name] = (skip(check.name, f"comes after {stops!r}"),)
                on_check(check.name)
                continue
            running[check.name] = (check, clock() + check.timeout_s)
            threading.Thread(target=_run_check, args=(check, answers), daemon=True).start()
        if not running:
            continue
        try:
            name, told = answers.get(timeout=max(0.0, min(until for _, until in running.values()) - clock()))
        except Empty:
            late = [check for check, until in running.values() if until <= clock()]
        else:
            late = []
            if name in running:  # what comes too late was told already
                del running[name]
                found[name] = told
                on_check(name)
        for check in late:
            del running[check.name]
            said = f"no answer within {check.timeout_s:g} s"
            found[check.name] = (fail(check.name, said, "look at the network, then: bedplate doctor"),)
            on_check(check.name)
    return tuple(replace(each, section=check.section) for check in checks for each in found[check.name])


def _blocks(finding: Finding) -> bool:
    return finding.health in (Health.FAIL, Health.SKIPPED)


def _run_check(check: DoctorCheck, results: SimpleQueue[tuple[str, tuple[Finding, ...]]]) -> None:
    try:
        told = check.run()
        found = (told,) if isinstance(told, Finding) else tuple(told)
    except Denied as exc:
        found = (warn(check.name, f"could not be asked: {exc.message}", "ask with an identity that may"),)
    except BedplateError as exc:
        found = (fail(check.name, exc.message, exc.next_step or ""),)
    except Exception as exc:  # a check that breaks must not take the others along
        found = (fail(check.name, f"the check broke: {type(exc).__name__}: {exc}", "report this as a fault"),)
    results.put((check.name, found))
