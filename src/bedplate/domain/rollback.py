"""Decides what a rollback goes back to, whether that is healthy, and how the traffic gets there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from bedplate.domain.ledger import LIVE_KINDS, Record
from bedplate.domain.release import fallback_release, spoken, version_told
from bedplate.domain.rollout import (
    Abort,
    Attempt,
    Follow,
    ObservedEndpoint,
    Plan,
    RecordOutcome,
    RecordStart,
    Shift,
    Step,
    Verify,
    take_up,
)
from bedplate.errors import ApprovalNeeded, NotFound, UsageError

# --- where to -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PastRelease:
    """A release that was live, with the times of its last turn (None: not known, or not over); the turn ends when the
    next release begins to take traffic."""

    release: str
    version: int
    since: datetime | None
    until: datetime | None
    undone_because: str | None = None
    """Why the platform took it away by itself; None when it did not, or when it was deployed well afterwards."""


def standings(records: Sequence[Record], model: str, endpoint: str) -> tuple[PastRelease, ...]:
    """Releases that a rollback may return to, the one that should be live last; release 0 is the first.

    A stack: a deployment puts its release on top, a rollback takes off what lies above its target. So a second
    rollback goes further back, and never returns to what the first one took away.
    """
    stack = [PastRelease(fallback_release(endpoint), 0, None, None)]
    begun: dict[str, datetime] = {}
    for r in records:
        if r.model == model and r.kind == "deploying":
            begun[str(r.data.get("release"))] = r.at
        live = str(r.data.get("live") or "")
        if r.model != model or not live or r.kind not in LIVE_KINDS:
            continue
        turn = PastRelease(live, version_told(live) or 0, r.at, None)
        if r.kind == "deployed" and stack[-1].release != live:
            stack[-1] = replace(stack[-1], until=begun.get(live, r.at))
            stack.append(turn)
        elif r.kind == "rollback":
            at = next((i for i in reversed(range(len(stack))) if stack[i].release == live), len(stack))
            below = stack[at] if at < len(stack) else turn
            stack = [*stack[:at], replace(below, until=None)]
    undone = _undone(records, model)
    return tuple(replace(s, undone_because=undone.get(s.release)) for s in stack)


def choose_target(seen: ObservedEndpoint, records: Sequence[Record], version: int | None) -> PastRelease:
    """The release to go back to. Without a version: the one that an update in flight would replace, the champion where
    two releases share the traffic, else the nearest one below the live one that the platform never had to undo.

    Raises NotFound when there is none, UsageError when the named one is live already.
    """
    stack = standings(records, seen.model, seen.endpoint)
    if version is not None:
        return _named(seen, records, stack, version)
    if seen.busy or seen.split:
        known = [s for s in stack if s.release == seen.live]
        return known[-1] if known else PastRelease(seen.live, version_told(seen.live) or 0, None, None)
    top = next((i for i in reversed(range(len(stack))) if stack[i].release == seen.live), len(stack))
    below = [s for s in stack[:top] if s.release != seen.live and s.undone_because is None]
    if not below:
        raise _nothing_below(seen, stack[-1])
    return below[-1]


def _nothing_below(seen: ObservedEndpoint, last: PastRelease) -> NotFound:
    """Somebody may have moved the traffic past the ledger: then what it last heard is worth a word, not a guess."""
    told = f"{spoken(seen.live)} is the first release of {seen.model}: there is nothing to go back to"
    if last.release == seen.live:
        return NotFound(told, next_step=f"bedplate ledger show --model {seen.model}")
    return NotFound(
        f"{told}; but the ledger last heard {spoken(last.release)}, and somebody moved the traffic since",
        next_step=f"bedplate rollback {seen.model} --to {last.version}",
    )


def _named(
    seen: ObservedEndpoint, records: Sequence[Record], stack: Sequence[PastRelease], version: int
) -> PastRelease:
    if version_told(seen.live) == version and not seen.busy and not seen.split:
        raise UsageError(f"{spoken(seen.live)} is live already", next_step=f"bedplate status {seen.model}")
    undone = _undone(records, seen.model)
    earlier = [
        PastRelease(live, version_told(live) or 0, r.at, None, undone.get(live))
        for r in records
        if r.model == seen.model and r.kind in ("deployed", "rolled-back")
        for live in [str(r.data["live"] if r.kind == "deployed" else r.data.get("release"))]
    ]
    turns = [s for s in stack if s.version == version] or [s for s in earlier if s.version == version]
    if not turns:
        have = ", ".join(f"v{v}" for v in sorted({s.version for s in (*stack, *earlier)}, reverse=True))
        raise NotFound(
            f"v{version} of {seen.model} was never live (these were: {have})",
            next_step=f"bedplate deploy {seen.model}:{version}",
        )
    return turns[-1]


def _undone(records: Sequence[Record], model: str) -> dict[str, str]:
    """Why the platform undid a release, by release; a good deployment of it afterwards clears it."""
    undone: dict[str, str] = {}
    for r in records:
        if r.model == model and r.kind == "rolled-back" and r.data.get("release"):
            undone[str(r.data["release"])] = str(r.data.get("reason") or r.summary)
        elif r.model == model and r.kind == "deployed":
            undone.pop(str(r.data.get("live")), None)
    return undone


# --- whether --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One thing known about a rollback's target."""

    what: str
    verdict: Literal["PASS", "WARN", "FAIL", "NO_DATA"]
    """WARN is told and refuses nothing."""
    told: str


def require_health(
    target: PastRelease, checks: Sequence[HealthCheck], *, force: bool, reason: str | None, model: str
) -> None:
    """An unhealthy release gets no traffic unless somebody says so and why.

    Raises ApprovalNeeded with everything that speaks against it.
    """
    against = [c for c in checks if c.verdict == "FAIL"]
    if not against or (force and reason):
        return
    told = "; ".join(f"{c.what}: {c.told}" for c in against)
    raise ApprovalNeeded(
        f"{spoken(target.release)} is not healthy enough to go back to ({told})",
        next_step=f"bedplate rollback {model} --to VERSION, or the same command with --force --reason '...'",
    )


# --- how ------------------------------------------------------------------------------------------------------------


def plan_resume(seen: ObservedEndpoint) -> Plan | None:
    """What a rollback that was killed has left to do; None when there is no such rollback, or it moved nothing."""
    left = seen.attempts[-1] if seen.attempts and seen.attempts[-1].by_rollback else None
    if left is None:
        return None
    if not seen.busy and left.release == seen.live:
        return Plan(
            f"The rollback to {spoken(left.release)} was made; the ledger does not know it yet",
            (take_up(left), *_conclude(seen, left)),
        )
    if seen.busy and seen.pending == seen.config_of(left.release):
        follow = Follow(f"Wait until {spoken(left.release)} has the traffic", seen.pending, seen.pending)
        return Plan(
            f"The rollback to {spoken(left.release)} is on its way", (take_up(left), follow, *_conclude(seen, left))
        )
    return None


def plan_rollback(seen: ObservedEndpoint, target: PastRelease, *, abort_alarm: str | None) -> Plan:
    """Switch all at once; where an update is in flight, have it undone first, by the alarm that watches it.

    SageMaker takes no second update while one is in flight, but undoes the first when one of its alarms is raised. No
    alarm watches the switch itself: those of a broken release are raised, and would undo its removal.
    """
    name = spoken(target.release)
    wanted = Attempt(target.release, target.version, seen.modified_at, 0, True, seen.live)
    undo: tuple[Step, ...] = ()
    if seen.busy:
        undo, replaced = _undo(seen, abort_alarm)
        wanted = replace(wanted, previous=replaced or seen.live)
    begin = RecordStart(f"Record that {name} is wanted back", target.release, target.version, "rollback")
    if seen.busy and target.release == seen.live and not seen.split:
        return Plan(f"{name} keeps the traffic", (begin, *undo, *_conclude(seen, wanted)))
    config = seen.config_of(target.release)
    switch = (
        Shift(f"Switch all traffic to {name}", config, "ALL_AT_ONCE", 100, 0, ()),
        Follow(f"Wait until {name} has the traffic", config, config),
    )
    alone = seen.split and target.release == seen.live
    return Plan(
        f"{name} alone answers again" if alone else f"{name} takes the place of {spoken(wanted.previous or seen.live)}",
        (*undo, begin, *switch, *_conclude(seen, wanted)),
    )


def _undo(seen: ObservedEndpoint, abort_alarm: str | None) -> tuple[tuple[Step, ...], str | None]:
    back_to = seen.config if seen.split else seen.config_of(seen.live)
    replaced = seen.release_of(seen.pending) if seen.pending else None
    wait = Follow(f"Wait until {spoken(seen.live)} has all traffic again", seen.pending or back_to, back_to)
    if not (abort_alarm and seen.pending and seen.status == "Updating"):
        return (wait,), replaced
    return (Abort(f"Undo the rollout of {spoken(replaced or seen.pending)}", abort_alarm, seen.pending), wait), replaced


def _conclude(seen: ObservedEndpoint, wanted: Attempt) -> tuple[Step, ...]:
    return (
        Verify(f"Ask {seen.endpoint} who answers", wanted.release),
        RecordOutcome(
            f"Record that {spoken(wanted.release)} is live again",
            wanted.release,
            wanted.version,
            "rollback",
            wanted.previous,
        ),
    )
