"""Decides which release a rollback returns to, whether it is healthy, and how the traffic moves to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from bedplate.domain.ledger import LIVE_KINDS, Record
from bedplate.domain.release import display_name, fallback_name, version_of
from bedplate.domain.rollout.deployment import (
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
    resume_step,
)
from bedplate.errors import ApprovalNeeded, NotFound, UsageError

# --- target ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PastRelease:
    """A release that was live.

    `since` and `until` bound its last live period, which ends when the next release begins to take traffic; None when
    the time is unknown or the period has not ended.
    """

    release: str
    version: int
    since: datetime | None
    until: datetime | None
    rollback_reason: str | None = None
    """Why SageMaker rolled it back; None when it never did, or when a later deployment of it succeeded."""


def list_past_releases(records: Sequence[Record], model: str, endpoint: str) -> tuple[PastRelease, ...]:
    """Returns the releases that a rollback may return to, from release 0 to the one that should be live.

    They form a stack: a deployment pushes its release, a rollback pops everything above its target. So a second
    rollback goes further back, and never returns to the release that the first one removed.
    """
    releases = [PastRelease(fallback_name(endpoint), 0, None, None)]
    start_times: dict[str, datetime] = {}
    for record in records:
        if record.model == model and record.kind == "deployment-started":
            start_times[str(record.data.get("release"))] = record.at
        live = str(record.data.get("live") or "")
        if record.model != model or not live or record.kind not in LIVE_KINDS:
            continue
        release = PastRelease(live, version_of(live) or 0, record.at, None)
        if record.kind == "deployed" and releases[-1].release != live:
            releases[-1] = replace(releases[-1], until=start_times.get(live, record.at))
            releases.append(release)
        elif record.kind == "rollback":
            index = _last_index(releases, live)
            target = releases[index] if index < len(releases) else release
            releases = [*releases[:index], replace(target, until=None)]
    reasons = _rollback_reasons(records, model)
    return tuple(replace(s, rollback_reason=reasons.get(s.release)) for s in releases)


def _last_index(releases: Sequence[PastRelease], release: str) -> int:
    """Returns the last position of a release in the stack; the stack's length when it is not there."""
    return next((i for i in reversed(range(len(releases))) if releases[i].release == release), len(releases))


def choose_target(observed: ObservedEndpoint, records: Sequence[Record], version: int | None) -> PastRelease:
    """Returns the release to roll back to.

    Without a version this is the release that an update in flight would replace, the champion when two releases share
    the traffic, otherwise the nearest release before the live one that the platform never rolled back.

    Raises NotFound when there is none, UsageError when the named version is already live.
    """
    releases = list_past_releases(records, observed.model, observed.endpoint)
    if version is not None:
        return _find_version(observed, records, releases, version)
    index = _last_index(releases, observed.live)
    if observed.is_busy or observed.is_multi_variant:
        release = PastRelease(observed.live, version_of(observed.live) or 0, None, None)
        return releases[index] if index < len(releases) else release
    earlier = [s for s in releases[:index] if s.release != observed.live and s.rollback_reason is None]
    if not earlier:
        raise _no_target_error(observed, releases[-1])
    return earlier[-1]


def _no_target_error(observed: ObservedEndpoint, last: PastRelease) -> NotFound:
    """Reports the last recorded release too when the traffic was moved without a record, instead of guessing."""
    message = f"{display_name(observed.live)} is the first release of {observed.model}: there is nothing to go back to"
    if last.release == observed.live:
        return NotFound(message, next_step=f"bedplate ledger show --model {observed.model}")
    return NotFound(
        f"{message}. The ledger's last live release is {display_name(last.release)}: the traffic was moved since, "
        "without a record",
        next_step=f"bedplate rollback {observed.model} --to {last.version}",
    )


def _find_version(
    observed: ObservedEndpoint, records: Sequence[Record], releases: Sequence[PastRelease], version: int
) -> PastRelease:
    model = observed.model
    if version_of(observed.live) == version and not observed.is_busy and not observed.is_multi_variant:
        raise UsageError(f"{display_name(observed.live)} is already live", next_step=f"bedplate status {model}")
    reasons = _rollback_reasons(records, model)
    earlier = [
        PastRelease(release, version_of(release) or 0, r.at, None, reasons.get(release))
        for r in records
        if r.model == model and r.kind in ("deployed", "deployment-rolled-back")
        for release in [str(r.data["live"] if r.kind == "deployed" else r.data.get("release"))]
    ]
    matches = [s for s in releases if s.version == version] or [s for s in earlier if s.version == version]
    if not matches:
        versions = ", ".join(f"v{v}" for v in sorted({s.version for s in (*releases, *earlier)}, reverse=True))
        raise NotFound(
            f"v{version} of {model} was never live (these versions were: {versions})",
            next_step=f"bedplate deploy {model}:{version}",
        )
    return matches[-1]


def _rollback_reasons(records: Sequence[Record], model: str) -> dict[str, str]:
    """Returns the reason of each release's last rollback by the platform, unless it was deployed again since."""
    reasons: dict[str, str] = {}
    for record in records:
        if record.model == model and record.kind == "deployment-rolled-back" and record.data.get("release"):
            reasons[str(record.data["release"])] = str(record.data.get("reason") or record.summary)
        elif record.model == model and record.kind == "deployed":
            reasons.pop(str(record.data.get("live")), None)
    return reasons


# --- health ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The result of one check of a rollback's target."""

    name: str
    verdict: Literal["PASS", "WARN", "FAIL", "NO_DATA"]
    """WARN is reported but does not block the rollback."""
    detail: str


def require_healthy(
    target: PastRelease, checks: Sequence[HealthCheck], *, force: bool, reason: str | None, model: str
) -> None:
    """Raises ApprovalNeeded with every failed check, unless the rollback is forced with a reason."""
    failures = [c for c in checks if c.verdict == "FAIL"]
    if not failures or (force and reason):
        return
    details = "; ".join(f"{c.name}: {c.detail}" for c in failures)
    raise ApprovalNeeded(
        f"{display_name(target.release)} is not healthy enough to roll back to ({details})",
        next_step=f"bedplate rollback {model} --to VERSION, or the same command with --force --reason '...'",
    )


# --- plan -----------------------------------------------------------------------------------------------------------


def plan_resume(observed: ObservedEndpoint) -> Plan | None:
    """Plans the remaining steps of a killed rollback; None when there is none, or when it has moved no traffic."""
    attempt = observed.attempts[-1] if observed.attempts and observed.attempts[-1].is_rollback else None
    if attempt is None:
        return None
    name, resume, final = display_name(attempt.release), resume_step(attempt), _final_steps(observed, attempt)
    if not observed.is_busy and attempt.release == observed.live:
        return Plan(f"The rollback to {name} is complete, but the ledger has no record of it yet", (resume, *final))
    if observed.is_busy and observed.pending == observed.config_of(attempt.release):
        follow = Follow(f"Wait until {name} has the traffic", observed.pending, observed.pending)
        return Plan(f"The rollback to {name} is in progress", (resume, follow, *final))
    return None


def plan_rollback(observed: ObservedEndpoint, target: PastRelease, *, abort_alarm: str | None) -> Plan:
    """Plans an all-at-once switch to the target; an update in flight is first rolled back by an alarm that monitors it.

    SageMaker accepts no second update while one is in flight, but rolls the first one back when one of its alarms goes
    into ALARM. The switch itself has no alarms: those of a broken release are in ALARM and would roll the switch back.
    """
    name = display_name(target.release)
    attempt = Attempt(target.release, target.version, observed.modified_at, 0, True, observed.live)
    abort: tuple[Step, ...] = ()
    if observed.is_busy:
        abort, replaced = _abort_steps(observed, abort_alarm)
        attempt = replace(attempt, previous=replaced or observed.live)
    start = RecordStart(f"Record the start of the rollback to {name}", target.release, target.version, "rollback")
    final = _final_steps(observed, attempt)
    if observed.is_busy and target.release == observed.live and not observed.is_multi_variant:
        return Plan(f"{name} keeps the traffic", (start, *abort, *final))
    config = observed.config_of(target.release)
    switch = (
        Shift(f"Switch all traffic to {name}", config, "ALL_AT_ONCE", 100, 0, ()),
        Follow(f"Wait until {name} has the traffic", config, config),
    )
    replaced_name = display_name(attempt.previous or observed.live)
    only = observed.is_multi_variant and target.release == observed.live
    summary = f"{name} gets all traffic again" if only else f"{name} replaces {replaced_name}"
    return Plan(summary, (*abort, start, *switch, *final))


def _abort_steps(observed: ObservedEndpoint, abort_alarm: str | None) -> tuple[tuple[Step, ...], str | None]:
    """Returns the steps that roll an update in flight back, and the release that the update would have made live."""
    pending = observed.pending
    back_to = observed.config if observed.is_multi_variant else observed.config_of(observed.live)
    replaced = observed.release_of(pending) if pending else None
    wait = Follow(f"Wait until {display_name(observed.live)} has all traffic again", pending or back_to, back_to)
    if not (abort_alarm and pending and observed.status == "Updating"):
        return (wait,), replaced
    return (Abort(f"Abort the rollout of {display_name(replaced or pending)}", abort_alarm, pending), wait), replaced


def _final_steps(observed: ObservedEndpoint, attempt: Attempt) -> tuple[Step, ...]:
    release, version, name = attempt.release, attempt.version, display_name(attempt.release)
    return (
        Verify(f"Verify which release {observed.endpoint} serves", release),
        RecordOutcome(f"Record that {name} is live again", release, version, "rollback", attempt.previous),
    )
