"""Plans deployments: turns one observation of the endpoint and the ledger into a plan of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from bedplate.domain.ledger import LIVE_KINDS, Record
from bedplate.domain.release import display_name, fallback_name, version_of
from bedplate.errors import Locked, PlatformError

TrafficKind = Literal["ALL_AT_ONCE", "CANARY", "LINEAR"]
KINDS: dict[str, TrafficKind] = {"all-at-once": "ALL_AT_ONCE", "canary": "CANARY", "linear": "LINEAR"}
Operation = Literal["deploy", "rollback"]


# --- observation ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    """A deployment or rollback from its `deployment-started` record, while the ledger has no outcome of it."""

    release: str
    version: int
    started_at: datetime
    seq: int
    is_rollback: bool = False
    previous: str | None = None
    reason: str | None = None
    strategy: str | None = None
    bake_s: int = 0
    min_bake_predictions: int = 0
    is_followed: bool = True
    """Whether a command follows it to its end; False after `--no-wait`, until a command resumes it."""
    start_data: Mapping[str, Any] = field(default_factory=dict)
    """Data of the start record that the record of the outcome repeats."""


@dataclass(frozen=True, slots=True)
class ObservedEndpoint:
    """An endpoint at one time. Releases have the names that they report; `fallback_config` is the EndpointConfig of
    release 0."""

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
    """The live EndpointConfig: that of `live`, or a multi-variant one in which `live` is the champion."""
    multi_variant_champions: Mapping[str, str] = field(default_factory=dict)
    """The champion of every multi-variant EndpointConfig in the ledger."""

    @property
    def is_multi_variant(self) -> bool:
        return self.config in self.multi_variant_champions

    @property
    def is_busy(self) -> bool:
        return self.status in ("Creating", "Updating", "SystemUpdating", "RollingBack")

    def config_of(self, release: str) -> str:
        return self.fallback_config if release == fallback_name(self.endpoint) else release

    def release_of(self, config: str) -> str:
        """Returns the release that an EndpointConfig serves; the champion of a multi-variant one."""
        if config == self.fallback_config:
            return fallback_name(self.endpoint)
        return self.multi_variant_champions.get(config, config)


_START_ONLY_KEYS = ("action", "release", "previous", "reason", "followed")


def list_open_attempts(records: Sequence[Record], model: str) -> tuple[Attempt, ...]:
    """Returns the attempts after the last record of a live release, without those whose update AWS rejected."""
    attempts: list[Attempt] = []
    for record in records:
        if record.model != model:
            continue
        if record.kind == "deployment-started":
            attempts.append(_parse_attempt(record))
        elif record.kind == "resumed":
            attempts = [replace(a, is_followed=True) if a.seq == record.data.get("resumes") else a for a in attempts]
        elif record.kind in LIVE_KINDS:
            attempts.clear()
        elif record.kind == "alert" and "rejected_update" in record.data:
            attempts = [a for a in attempts if a.seq != record.data["rejected_update"]]
    return tuple(attempts)


def _parse_attempt(record: Record) -> Attempt:
    data = record.data
    return Attempt(
        release=str(data["release"]),
        version=record.version or 0,
        started_at=record.at,
        seq=record.seq,
        is_rollback=data.get("action") == "rollback",
        previous=data.get("previous"),
        reason=data.get("reason"),
        strategy=data.get("strategy"),
        bake_s=int(data.get("bake_s") or 0),
        min_bake_predictions=int(data.get("min_bake_predictions") or 0),
        is_followed=data.get("followed", True),
        start_data={key: value for key, value in data.items() if key not in _START_ONLY_KEYS},
    )


def find_recorded_live(records: Sequence[Record], model: str) -> str | None:
    """Returns the release that the ledger last recorded as live."""
    live_records = (r for r in reversed(records) if r.model == model and r.kind in LIVE_KINDS)
    return next((str(r.data["live"]) for r in live_records if r.data.get("live")), None)


# --- steps ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateRelease:
    """Creates the release's Model and EndpointConfig."""

    message: str
    release: str


@dataclass(frozen=True, slots=True)
class CreateGuard:
    """Creates the release's alarm on its own predictions."""

    message: str
    release: str


@dataclass(frozen=True, slots=True)
class RecordStart:
    """Records in the ledger which release is about to get traffic."""

    message: str
    release: str
    version: int
    action: Operation


@dataclass(frozen=True, slots=True)
class Resume:
    """Records in the ledger who resumes the attempt of record `seq`."""

    message: str
    release: str
    version: int
    action: Operation
    seq: int | None


@dataclass(frozen=True, slots=True)
class Shift:
    """Starts to move traffic to the EndpointConfig `config`."""

    message: str
    config: str
    kind: TrafficKind
    step_pct: int
    bake_s: int
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Abort:
    """Rolls an update in flight back by putting one of its alarms into ALARM."""

    message: str
    alarm: str
    config: str


@dataclass(frozen=True, slots=True)
class Follow:
    """Waits until the update to `config` has ended, and checks that `expected_config` is live then."""

    message: str
    config: str
    expected_config: str


@dataclass(frozen=True, slots=True)
class Verify:
    """Invokes the endpoint to verify which release it serves."""

    message: str
    release: str


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """Records in the ledger which release is live."""

    message: str
    release: str
    version: int
    kind: Literal["deployed", "rollback", "deployment-rolled-back"]
    previous: str | None = None


Step = CreateRelease | CreateGuard | RecordStart | Resume | Shift | Abort | Follow | Verify | RecordOutcome


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, with a summary and notices for people. A plan without steps has nothing to do."""

    summary: str
    steps: tuple[Step, ...] = ()
    notices: tuple[str, ...] = ()
    rolled_back: Attempt | None = None
    """An earlier attempt that SageMaker rolled back unattended; the plan records it and does nothing else."""

    @property
    def moves_traffic(self) -> bool:
        return any(isinstance(step, Shift | Abort) for step in self.steps)


# --- deploy ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReleaseTarget:
    """The release to deploy. `is_live` means that the live release serves the same content, whatever its name."""

    release: str
    version: int
    is_live: bool
    is_guarded: bool


@dataclass(frozen=True, slots=True)
class ShiftPolicy:
    """How traffic moves to the release. An alarm of `alarms` rolls it back when it goes into ALARM."""

    strategy: str
    step_pct: int
    bake_s: int
    alarms: tuple[str, ...]


def plan_deploy(observed: ObservedEndpoint, target: ReleaseTarget, policy: ShiftPolicy, *, force: bool = False) -> Plan:
    """Plans to start a deployment, to follow one in flight, to finish one that a killed command left, or nothing.

    Raises Locked while another version is being deployed, PlatformError when the endpoint is out of service or an alarm
    is in ALARM that would roll the deployment back at once (with `force` such alarms do not monitor it).
    """
    name = display_name(target.release)
    if observed.is_busy:
        return _plan_join(observed, target)
    if observed.status == "OutOfService":
        raise PlatformError(f"Endpoint {observed.endpoint} is {observed.status}", next_step="bedplate up")
    attempt = _find_unrecorded(observed)
    if target.is_live:
        if attempt is None:
            return Plan(f"{name} is already live: nothing to do")
        return replace(plan_finalize(observed, attempt), rolled_back=None)  # the requested release is live
    if attempt and attempt.release != observed.live and attempt.version == target.version:
        return plan_finalize(observed, attempt)
    before = plan_finalize(observed, attempt).steps[1:] if attempt else ()
    steps = before + _rollout_steps(observed, target, policy, force)
    return Plan(f"{name} replaces {display_name(observed.live)}", steps)


def plan_finalize(observed: ObservedEndpoint, attempt: Attempt) -> Plan:
    """Plans to record the outcome of an attempt that ended unattended, whatever its version's approval is by now."""
    name, release, version = display_name(attempt.release), attempt.release, attempt.version
    first = (resume_step(attempt), _verify_step(observed, observed.live))
    if release == observed.live:
        kind: Literal["deployed", "rollback"] = "rollback" if attempt.is_rollback else "deployed"
        outcome = RecordOutcome(f"Record that {name} is live", release, version, kind, attempt.previous)
        return Plan(f"{name} is live, but the ledger has no record of it yet", (*first, outcome))
    outcome = RecordOutcome(
        f"Record that {name} was rolled back", release, version, "deployment-rolled-back", observed.live
    )
    return Plan(f"{name} was rolled back unattended", (*first, outcome), rolled_back=attempt)


def resume_step(attempt: Attempt) -> Resume:
    """Returns the step that records who resumes an attempt."""
    action: Operation = "rollback" if attempt.is_rollback else "deploy"
    operation = "rollback to" if attempt.is_rollback else "deployment of"
    message = f"Record that the {operation} {display_name(attempt.release)} (record {attempt.seq}) is resumed"
    return Resume(message, attempt.release, attempt.version, action, attempt.seq)


def _verify_step(observed: ObservedEndpoint, release: str) -> Verify:
    return Verify(f"Verify which release {observed.endpoint} serves", release)


def _rollout_steps(
    observed: ObservedEndpoint, target: ReleaseTarget, policy: ShiftPolicy, force: bool
) -> tuple[Step, ...]:
    name, live, kind = display_name(target.release), display_name(observed.live), KINDS[policy.strategy]
    raised = [alarm for alarm in policy.alarms if alarm in observed.alarms_raised]
    if raised and not force:
        raise PlatformError(
            f"{', '.join(raised)} is in ALARM and would roll the deployment back at once",
            next_step=f"bedplate status {observed.model}, or deploy with --force --reason '...' to ignore the alarm",
        )
    alarms = tuple(alarm for alarm in policy.alarms if alarm not in observed.alarms_raised)
    guard = CreateGuard(f"Create the alarm that compares {name}'s predictions with {live}'s", target.release)
    shift = {
        "ALL_AT_ONCE": "all at once",
        "CANARY": f"{policy.step_pct} % first, monitored for {policy.bake_s} s",
        "LINEAR": f"in steps of {policy.step_pct} %, each monitored for {policy.bake_s} s",
    }[kind]
    return (
        CreateRelease(f"Create release {target.release}", target.release),
        *((guard,) if target.is_guarded else ()),
        RecordStart(f"Record the start of the deployment of {name}", target.release, target.version, "deploy"),
        Shift(f"Shift traffic to {name}: {shift}", target.release, kind, policy.step_pct, policy.bake_s, alarms),
        *_follow_steps(observed, target.release, target.version),
    )


def _follow_steps(observed: ObservedEndpoint, release: str, version: int) -> tuple[Step, ...]:
    name = display_name(release)
    return (
        Follow(f"Follow the deployment of {name}", release, release),
        _verify_step(observed, release),
        RecordOutcome(f"Record that {name} is live", release, version, "deployed", observed.live),
    )


def _plan_join(observed: ObservedEndpoint, target: ReleaseTarget) -> Plan:
    """Plans to follow an update in flight of the same version. Raises Locked when it deploys another one."""
    in_flight = observed.pending or (observed.attempts[-1].release if observed.attempts else None)
    version = version_of(in_flight) if in_flight else None
    if in_flight is None or version != target.version or any(a.is_rollback for a in observed.attempts[-1:]):
        update = f"an update to {display_name(in_flight)}" if in_flight else "an update that Bedplate did not start"
        raise Locked(
            f"Endpoint {observed.endpoint} is {observed.status}: {update} is in progress",
            next_step=f"bedplate status {observed.model}, then the same command again",
        )
    attempt = next((a for a in reversed(observed.attempts) if a.release == in_flight), None)
    resume = (resume_step(attempt),) if attempt else ()
    summary = f"The deployment of {display_name(in_flight)} is already in progress and is followed to its end"
    return Plan(summary, (*resume, *_follow_steps(observed, in_flight, version)))


def _find_unrecorded(observed: ObservedEndpoint) -> Attempt | None:
    """Returns the attempt that moved traffic but has no recorded outcome; one that moved no traffic does not count."""
    for attempt in reversed(observed.attempts):
        if attempt.release == observed.live and observed.recorded_live != observed.live:
            return attempt
    last = observed.attempts[-1] if observed.attempts else None
    return last if last and last.release != observed.live and observed.modified_at > last.started_at else None
