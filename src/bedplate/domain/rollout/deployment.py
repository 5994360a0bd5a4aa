"""Decides how traffic moves: from one look at the endpoint and the ledger to a plan of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from bedplate.domain.ledger import Record
from bedplate.domain.release import fallback_release, spoken, version_told
from bedplate.errors import Locked, PlatformError

TrafficKind = Literal["ALL_AT_ONCE", "CANARY", "LINEAR"]
KINDS: dict[str, TrafficKind] = {"all-at-once": "ALL_AT_ONCE", "canary": "CANARY", "linear": "LINEAR"}


# --- what is seen ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    """A `deploying` record whose outcome the ledger does not tell yet."""

    release: str
    version: int
    at: datetime
    seq: int
    by_rollback: bool = False
    previous: str | None = None
    reason: str | None = None
    strategy: str | None = None
    bake_s: int = 0
    needed_answers: int = 0
    followed: bool = True
    """Somebody waits for its end, or did: False after `--no-wait`, until it is taken up."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What its record says, for the record of its end."""


@dataclass(frozen=True, slots=True)
class ObservedEndpoint:
    """One look. Releases go by what they call themselves; `fallback_config` is release 0's name on the platform."""

    model: str
    endpoint: str
    status: str
    live: str
    pending: str | None
    failure_reason: str | None
    modified_at: datetime
    fallback_config: str
    attempts: tuple[Attempt, ...] = ()
    recorded_live: str | None = None
    alarms_raised: tuple[str, ...] = ()
    config: str = ""
    """EndpointConfig that is live: that of `live`, or a split in which `live` is the champion."""
    splits: Mapping[str, str] = field(default_factory=dict)
    """EndpointConfig of every split that the ledger knows -> its champion."""

    @property
    def split(self) -> bool:
        return self.config in self.splits

    @property
    def busy(self) -> bool:
        return self.status in ("Creating", "Updating", "SystemUpdating", "RollingBack")

    def config_of(self, release: str) -> str:
        return self.fallback_config if release == fallback_release(self.endpoint) else release

    def release_of(self, config: str) -> str:
        """What answers behind an EndpointConfig; the champion where it is a split."""
        return fallback_release(self.endpoint) if config == self.fallback_config else self.splits.get(config, config)


_OF_THE_BEGINNING = ("act", "release", "from", "reason", "followed")


def attempts_in(records: Sequence[Record], model: str) -> tuple[Attempt, ...]:
    """Acts begun after the last record that says who is live, without those that the platform refused."""
    begun: list[Attempt] = []
    for r in records:
        if r.model != model:
            continue
        if r.kind == "deploying":
            begun.append(
                Attempt(
                    str(r.data["release"]),
                    r.version or 0,
                    r.at,
                    r.seq,
                    r.data.get("act") == "rollback",
                    r.data.get("from"),
                    r.data.get("reason"),
                    r.data.get("strategy"),
                    int(r.data.get("bake_s") or 0),
                    int(r.data.get("needed_answers") or 0),
                    r.data.get("followed", True),
                    {key: value for key, value in r.data.items() if key not in _OF_THE_BEGINNING},
                )
            )
        elif r.kind == "resumed":
            begun = [replace(a, followed=True) if a.seq == r.data.get("resumes") else a for a in begun]
        elif r.kind in ("deployed", "rolled-back", "rollback"):
            begun.clear()
        elif r.kind == "alert" and "refused" in r.data:
            begun = [a for a in begun if a.seq != r.data["refused"]]
    return tuple(begun)


def recorded_live(records: Sequence[Record], model: str) -> str | None:
    """The release that the ledger last heard answer."""
    told = (r for r in reversed(records) if r.model == model and r.kind in ("deployed", "rolled-back", "rollback"))
    return next((str(r.data["live"]) for r in told if r.data.get("live")), None)


# --- what is to be done ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateRelease:
    """Model and EndpointConfig of the release come into being."""

    message: str
    release: str


@dataclass(frozen=True, slots=True)
class CreateGuard:
    """The release's alarm on its own answers comes into being."""

    message: str
    release: str


@dataclass(frozen=True, slots=True)
class RecordStart:
    """The ledger learns what is about to move."""

    message: str
    release: str
    version: int
    act: Literal["deploy", "rollback"]


@dataclass(frozen=True, slots=True)
class Resume:
    """The ledger learns who goes on with what an earlier command began in record `seq`."""

    message: str
    release: str
    version: int
    act: Literal["deploy", "rollback"]
    seq: int | None


@dataclass(frozen=True, slots=True)
class Shift:
    """Traffic starts to move to the EndpointConfig `config`."""

    message: str
    config: str
    kind: TrafficKind
    step_pct: int
    bake_s: int
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Abort:
    """An update in flight is undone, by raising one of the alarms that watch it."""

    message: str
    alarm: str
    config: str


@dataclass(frozen=True, slots=True)
class Follow:
    """Wait until the update to `config` has settled, and check that `wanted` is what the endpoint settled on."""

    message: str
    config: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Verify:
    """Ask the endpoint itself which release answers."""

    message: str
    release: str


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """The ledger learns who is live."""

    message: str
    release: str
    version: int
    kind: Literal["deployed", "rollback", "rolled-back"]
    previous: str | None = None


Step = CreateRelease | CreateGuard | RecordStart | Resume | Shift | Abort | Follow | Verify | RecordOutcome


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, and what is said of the situation before them. No steps: nothing is to be done."""

    summary: str
    steps: tuple[Step, ...] = ()
    remarks: tuple[str, ...] = ()
    undone: Attempt | None = None
    """An earlier attempt that the platform undid while nobody watched; the plan records it and goes no further."""

    @property
    def moves_traffic(self) -> bool:
        return any(isinstance(step, Shift | Abort) for step in self.steps)


# --- deploy ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReleaseTarget:
    """The release asked for. `live_is_it`: the live one serves the same content, whatever its name."""

    release: str
    version: int
    live_is_it: bool
    guarded: bool


@dataclass(frozen=True, slots=True)
class ShiftPolicy:
    """How traffic is to move there. `alarms` undo it; those raised already would undo it at once."""

    strategy: str
    step_pct: int
    bake_s: int
    alarms: tuple[str, ...]


def plan_deploy(seen: ObservedEndpoint, target: ReleaseTarget, way: ShiftPolicy, *, force: bool = False) -> Plan:
    """What `deploy` does about what it sees: start, go on with an update in flight, finish what a killed one left, or
    nothing.

    Raises Locked while another version is on its way, PlatformError when the endpoint is broken or an alarm is raised
    that would undo the rollout at once (with `force`, such alarms do not watch it).
    """
    name = spoken(target.release)
    if seen.busy:
        return _join(seen, target)
    if seen.status == "OutOfService":
        raise PlatformError(f"Endpoint {seen.endpoint} is {seen.status}", next_step="bedplate up")
    left = _left_over(seen)
    if target.live_is_it:
        if left is None:
            return Plan(f"{name} is live already: nothing to do")
        return replace(plan_settle(seen, left), undone=None)  # asked for is what is live
    if left and left.release != seen.live and left.version == target.version:
        return plan_settle(seen, left)
    before = plan_settle(seen, left).steps[1:] if left else ()
    return Plan(f"{name} takes the place of {spoken(seen.live)}", before + _rollout(seen, target, way, force))


def plan_settle(seen: ObservedEndpoint, left: Attempt) -> Plan:
    """Record the end of an act that settled while nobody watched, whatever may be thought of its version by now."""
    name = spoken(left.release)
    ask = Verify(f"Ask {seen.endpoint} who answers", seen.live)
    if left.release == seen.live:
        kind: Literal["deployed", "rollback"] = "rollback" if left.by_rollback else "deployed"
        end = RecordOutcome(f"Record that {name} is live", left.release, left.version, kind, left.previous)
        return Plan(f"{name} is live, the ledger does not know it yet", (take_up(left), ask, end))
    undone = RecordOutcome(f"Record that {name} was undone", left.release, left.version, "rolled-back", seen.live)
    return Plan(f"{name} was undone while nobody watched", (take_up(left), ask, undone), undone=left)


def take_up(left: Attempt) -> Resume:
    """The step that says who goes on with what was begun."""
    act: Literal["deploy", "rollback"] = "rollback" if left.by_rollback else "deploy"
    what = "rollback to" if left.by_rollback else "deploy of"
    message = f"Record that the {what} {spoken(left.release)}, begun in record {left.seq}, is taken up"
    return Resume(message, left.release, left.version, act, left.seq)


def _rollout(seen: ObservedEndpoint, target: ReleaseTarget, way: ShiftPolicy, force: bool) -> tuple[Step, ...]:
    name, kind = spoken(target.release), KINDS[way.strategy]
    raised = [alarm for alarm in way.alarms if alarm in seen.alarms_raised]
    if raised and not force:
        raise PlatformError(
            f"{', '.join(raised)} is in ALARM now and would undo the rollout at once",
            next_step=f"bedplate status {seen.model}, or deploy with --force --reason '...' to leave it out",
        )
    alarms = tuple(alarm for alarm in way.alarms if alarm not in seen.alarms_raised)
    guard: tuple[Step, ...] = (
        (CreateGuard(f"Guard {name}'s answers against those of {spoken(seen.live)}", target.release),)
        if target.guarded
        else ()
    )
    how = {
        "ALL_AT_ONCE": "all at once",
        "CANARY": f"{way.step_pct} % first, watched {way.bake_s} s",
        "LINEAR": f"in steps of {way.step_pct} %, each watched {way.bake_s} s",
    }[kind]
    return (
        CreateRelease(f"Create release {target.release}", target.release),
        *guard,
        RecordStart(f"Record that {name} is on its way", target.release, target.version, "deploy"),
        Shift(f"Shift traffic to {name}: {how}", target.release, kind, way.step_pct, way.bake_s, alarms),
        Follow(f"Follow the rollout of {name}", target.release, target.release),
        Verify(f"Ask {seen.endpoint} who answers", target.release),
        RecordOutcome(f"Record that {name} is live", target.release, target.version, "deployed", seen.live),
    )


def _join(seen: ObservedEndpoint, target: ReleaseTarget) -> Plan:
    """An update is in flight: ours to follow when it is to the same version, somebody else's otherwise."""
    in_flight = seen.pending or (seen.attempts[-1].release if seen.attempts else None)
    version = version_told(in_flight) if in_flight else None
    if in_flight is None or version != target.version or any(a.by_rollback for a in seen.attempts[-1:]):
        what = spoken(in_flight) if in_flight else "an update that Bedplate did not start"
        raise Locked(
            f"Endpoint {seen.endpoint} is {seen.status}: {what} is on its way",
            next_step=f"bedplate status {seen.model}, then the same command again",
        )
    begun = next((a for a in reversed(seen.attempts) if a.release == in_flight), None)
    return Plan(
        f"{spoken(in_flight)} is on its way already: its rollout is followed to its end",
        (
            *((take_up(begun),) if begun else ()),
            Follow(f"Follow the rollout of {spoken(in_flight)}", in_flight, in_flight),
            Verify(f"Ask {seen.endpoint} who answers", in_flight),
            RecordOutcome(f"Record that {spoken(in_flight)} is live", in_flight, version, "deployed", seen.live),
        ),
    )


def _left_over(seen: ObservedEndpoint) -> Attempt | None:
    """The attempt that moved something and was never recorded to its end; one that moved nothing is no matter."""
    for attempt in reversed(seen.attempts):
        if attempt.release == seen.live and seen.recorded_live != seen.live:
            return attempt
    last = seen.attempts[-1] if seen.attempts else None
    return last if last and last.release != seen.live and seen.modified_at > last.at else None
