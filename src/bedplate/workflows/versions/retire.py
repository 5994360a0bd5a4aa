"""Retires a version or a model from a day on: looks who uses it, marks it, records it; nothing that serves is moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from bedplate.domain.ledger import Record
from bedplate.domain.release import fallback_release, version_told
from bedplate.domain.versions.retirement import QUIET_DAYS, UsageSummary, objections, retirement_of
from bedplate.errors import ApprovalNeeded, NotFound, UsageError
from bedplate.ports import Package
from bedplate.workflows.endpoint.observe import observe
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext

RETIRED = "retire_on"
"""Key of a package's metadata: from which day on it is retired."""
NEVER = "never"
"""Its value when that was taken back: SageMaker takes no empty one."""


@dataclass(frozen=True, slots=True)
class RetireRequest:
    """`version` None is the model with all its versions; `on` None is today."""

    model: str
    version: int | None
    reason: str
    on: date | None = None
    force: bool = False
    cancel: bool = False


@dataclass(frozen=True, slots=True)
class RetirementResult:
    """`objections` are what speaks against it: overridden by force, or to be seen to until its date."""

    what: str
    on: date | None
    objections: tuple[str, ...]
    changed: bool


def retire(stack: StackContext, request: RetireRequest) -> RetirementResult:
    """Mark and record. The same command again changes nothing.

    On a day to come it is announced, whatever uses it now. Today or before, it is refused with ApprovalNeeded while it
    is live, on its way, what a rollback goes back to, or asked in the last days; `force` overrides that. Raises
    NotFound, and UsageError without a reason.
    """
    if not request.reason.strip():
        raise UsageError("Retiring needs a reason, which is kept", next_step='the same command with --reason "..."')
    stack.model(request.model)
    package = None
    if request.version is not None:
        package = stack.registry.get(stack.names(request.model).package_group, request.version)
    ledger, today = Ledger.of(stack), stack.clock.now().date()
    records = ledger.records()
    what = request.model if package is None else f"{request.model}:{package.version}"
    standing = _standing(records, request)
    if request.cancel:
        if standing is None:
            return RetirementResult(what, None, (), changed=False)
        _mark(stack, package, NEVER)
        _record(stack, ledger, request, what, None, ())
        return RetirementResult(what, None, (), changed=True)
    on = request.on or today
    against = objections(_use(stack, request, records))
    if against and on <= today and not request.force:
        raise ApprovalNeeded(
            f"{what} is not retired: {'; '.join(against)}",
            next_step="bedplate deploy or rollback to another version; or --on a later day; or --force",
        )
    _mark(stack, package, on.isoformat())
    if standing == on:
        return RetirementResult(what, on, against, changed=False)
    _record(stack, ledger, request, what, on, against)
    return RetirementResult(what, on, against, changed=True)


def must_not_be_retired(stack: StackContext, model: str, package: Package, records: Sequence[Record]) -> None:
    """Raises UsageError for a version whose day has come."""
    found = retirement_of(records, model, package.version, stack.model(model).retire_on)
    today = stack.clock.now().date()
    if found is None or not found.due(today):
        return
    by_contract = found.said_by == "model.yaml"
    back = (
        f"$EDITOR models/{model}/model.yaml"
        if by_contract
        else (f'bedplate models retire {found.what} --cancel --reason "..."')
    )
    raise UsageError(f"{found.spoken(today)}. It is not deployed any more", next_step=back)


def _standing(records: Sequence[Record], request: RetireRequest) -> date | None:
    mine = [r for r in records if (r.kind, r.model, r.version) == ("retired", request.model, request.version)]
    return date.fromisoformat(str(mine[-1].data["on"])) if mine and mine[-1].data.get("on") else None


def _use(stack: StackContext, request: RetireRequest, records: Sequence[Record]) -> UsageSummary:
    try:
        seen = observe(stack, request.model, records)
    except NotFound:
        return UsageSummary((), 0)
    fallback = fallback_release(seen.endpoint)
    if request.version is None:
        roles = [] if seen.live == fallback else [f"live: {seen.live} on {seen.endpoint}"]
    else:
        from bedplate.workflows.versions.card import (
            deployments_of,  # numpy comes with it, which a rollback can do without
        )

        told, _ = deployments_of(stack, request.model, request.version, records)
        roles = [f"{d.role} on {d.endpoint}" for d in told]
    mine = {
        str(r.data["live"])
        for r in records
        if r.model == request.model and r.data.get("live") and r.data["live"] != fallback
    }
    asked = [r for r in sorted(mine) if request.version is None or version_told(r) == request.version]
    return UsageSummary(roles, sum(_answers(stack, seen.endpoint, release) for release in asked))


def _answers(stack: StackContext, endpoint: str, release: str) -> float:
    """Answers of the last days, by the hour, as the release counted them itself."""
    now = stack.clock.now()
    points = stack.metrics.series(
        "Bedplate/Serving",
        "Answers",
        {"Endpoint": endpoint, "Release": release},
        start=now - timedelta(days=QUIET_DAYS),
        end=now + timedelta(hours=1),
        period_s=3600,
        stat="Sum",
    )
    return sum(value for _, value in points)


def _mark(stack: StackContext, package: Package | None, on: str) -> None:
    if package is not None and package.metadata.get(RETIRED, NEVER) != on:
        stack.registry.annotate(package, {RETIRED: on})


def _record(
    stack: StackContext, ledger: Ledger, request: RetireRequest, what: str, on: date | None, against: Sequence[str]
) -> None:
    person = stack.identity.person
    done = f"retires {what} from {on} on" if on else f"takes the retirement of {what} back"
    ledger.record(
        "retired",
        f"{person} {done}: {request.reason}",
        actor=person,
        model=request.model,
        version=request.version,
        data={
            "on": on.isoformat() if on else None,
            "reason": request.reason,
            "although": list(against),
            "forced": request.force,
        },
    )
