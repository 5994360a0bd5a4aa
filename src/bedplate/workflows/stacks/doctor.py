"""Runs `doctor`'s checks concurrently, each with a time limit, and collects their findings."""

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
    """One check. It is skipped if a check that it comes `after` failed or was skipped."""

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
    """Returns the findings of all checks, in the order of the checks; calls `on_check` with each name as it ends.

    A check that raises or exceeds its time limit is FAIL; one that AWS denies is WARN, because the checked thing may be
    fine. Raises ValueError for an `after` that does not precede the check.
    """
    names: set[str] = set()
    for check in checks:
        if not names.issuperset(check.after):
            raise ValueError(f"{check.name} depends on {check.after}, and not all of them come before it")
        names.add(check.name)
    findings: dict[str, tuple[Finding, ...]] = {}
    pending, running = list(checks), dict[str, tuple[DoctorCheck, float]]()
    results: SimpleQueue[tuple[str, tuple[Finding, ...]]] = SimpleQueue()
    while pending or running:
        for check in [c for c in pending if all(name in findings for name in c.after)]:
            pending.remove(check)
            blocker = next((name for name in check.after if any(map(_blocks, findings[name]))), None)
            if blocker:
                findings[check.name] = (skip(check.name, f"depends on {blocker!r}"),)
                on_check(check.name)
                continue
            running[check.name] = (check, clock() + check.timeout_s)
            threading.Thread(target=_run_check, args=(check, results), daemon=True).start()
        if not running:
            continue
        try:
            name, check_findings = results.get(timeout=max(0.0, min(until for _, until in running.values()) - clock()))
        except Empty:
            timed_out = [check for check, until in running.values() if until <= clock()]
        else:
            timed_out = []
            if name in running:  # a check that timed out was reported already
                del running[name]
                findings[name] = check_findings
                on_check(name)
        for check in timed_out:
            del running[check.name]
            detail = f"no result within {check.timeout_s:g} s"
            findings[check.name] = (fail(check.name, detail, "check the network, then: bedplate doctor"),)
            on_check(check.name)
    return tuple(replace(finding, section=check.section) for check in checks for finding in findings[check.name])


def _blocks(finding: Finding) -> bool:
    return finding.health in (Health.FAIL, Health.SKIPPED)


def _run_check(check: DoctorCheck, results: SimpleQueue[tuple[str, tuple[Finding, ...]]]) -> None:
    try:
        returned = check.run()
        findings = (returned,) if isinstance(returned, Finding) else tuple(returned)
    except Denied as exc:
        findings = (warn(check.name, f"could not be checked: {exc.message}", "use an identity with this permission"),)
    except BedplateError as exc:
        findings = (fail(check.name, exc.message, exc.next_step or ""),)
    except Exception as exc:  # a check that breaks must not stop the others
        findings = (fail(check.name, f"the check broke: {type(exc).__name__}: {exc}", "report this as a bug"),)
    results.put((check.name, findings))
