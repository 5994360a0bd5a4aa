"""Retires a version or a model from a date: checks its use, marks it and records it; endpoints stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from bedplate.domain.ledger import Record
from bedplate.domain.release import fallback_name, version_of
from bedplate.domain.versions.approval import list_version_records
from bedplate.domain.versions.retirement import QUIET_DAYS, UsageSummary, find_retirement, retirement_warnings
from bedplate.errors import ApprovalNeeded, NotFound, UsageError
from bedplate.ports import Package
from bedplate.workflows.endpoint.observe import observe_endpoint
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext

RETIRE_ON = "retire_on"
"""Metadata key of a package: the date from which it is retired."""
NEVER = "never"
"""The value after a cancellation, because SageMaker does not accept an empty one."""


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
    """`warnings` are the reasons against it: overridden by `force`, or to be resolved before its date."""

    target: str
    on: date | None
    warnings: tuple[str, ...]
    is_changed: bool


def retire(stack: StackContext, request: RetireRequest) -> RetirementResult:
    """Marks and records the retirement. The same command again changes nothing.

    A future date is always accepted. For today or earlier raises ApprovalNeeded while the version is live, pending, a
    rollback candidate, or had requests in the last days; `force` overrides that. Raises NotFound, and UsageError
    without a reason.
    """
    if not request.reason.strip():
        raise UsageError("Retiring needs a reason, which is recorded", next_step='the same command with --reason "..."')
    stack.model(request.model)
    package = None
    if request.version is not None:
        package = stack.registry.get(stack.names(request.model).package_group, request.version)
    today = stack.clock.now().date()
    records = Ledger.of(stack).records()
    target = request.model if package is None else f"{request.model}:{package.version}"
    current_date = _find_date(records, request)
    if request.cancel:
        if current_date is None:
            return RetirementResult(target, None, (), is_changed=False)
        _mark(stack, package, NEVER)
        return _record(stack, request, RetirementResult(target, None, (), is_changed=True))
    retire_date = request.on or today
    warnings = retirement_warnings(_summarize_usage(stack, request, records))
    if warnings and retire_date <= today and not request.force:
        raise ApprovalNeeded(
            f"{target} is not retired: {'; '.join(warnings)}",
            next_step="bedplate deploy or rollback to another version; or --on a later date; or --force",
        )
    _mark(stack, package, retire_date.isoformat())
    if current_date == retire_date:
        return RetirementResult(target, retire_date, warnings, is_changed=False)
    return _record(stack, request, RetirementResult(target, retire_date, warnings, is_changed=True))


def require_not_retired(stack: StackContext, model: str, package: Package, records: Sequence[Record]) -> None:
    """Raises UsageError for a version whose retirement date has come."""
    retirement = find_retirement(records, model, package.version, stack.model(model).retire_on)
    today = stack.clock.now().date()
    if retirement is None or not retirement.is_due(today):
        return
    next_step = f'bedplate models retire {retirement.target} --cancel --reason "..."'
    if retirement.declared_by == "model.yaml":
        next_step = f"$EDITOR models/{model}/model.yaml"
    raise UsageError(f"{retirement.describe(today)}. It can no longer be deployed", next_step=next_step)


def _find_date(records: Sequence[Record], request: RetireRequest) -> date | None:
    own_records = list_version_records(records, request.model, request.version)
    dates = [record.data.get("retire_on") for record in own_records if record.kind == "retired"]
    return date.fromisoformat(str(dates[-1])) if dates and dates[-1] else None


def _summarize_usage(stack: StackContext, request: RetireRequest, records: Sequence[Record]) -> UsageSummary:
    try:
        view = observe_endpoint(stack, request.model, records)
    except NotFound:
        return UsageSummary((), 0)
    fallback = fallback_name(view.endpoint)
    if request.version is None:
        roles = [] if view.live == fallback else [f"live: {view.live} on {view.endpoint}"]
    else:
        from bedplate.workflows.versions.card import find_deployments  # imports numpy, which a rollback avoids

        deployments, _ = find_deployments(stack, request.model, request.version, records)
        roles = [f"{d.role} on {d.endpoint}" for d in deployments]
    own_records = (record for record in records if record.model == request.model and record.data.get("live"))
    releases = {str(record.data["live"]) for record in own_records} - {fallback}
    selected = [name for name in sorted(releases) if request.version in (None, version_of(name))]
    return UsageSummary(roles, sum(_count_predictions(stack, view.endpoint, release) for release in selected))


def _count_predictions(stack: StackContext, endpoint: str, release: str) -> float:
    """Returns the release's number of predictions in the last days, from its own hourly metric."""
    now = stack.clock.now()
    points = stack.metrics.list_datapoints(
        "Bedplate/Serving",
        "Predictions",
        {"Endpoint": endpoint, "Release": release},
        start=now - timedelta(days=QUIET_DAYS),
        end=now + timedelta(hours=1),
        period_s=3600,
        stat="Sum",
    )
    return sum(value for _, value in points)


def _mark(stack: StackContext, package: Package | None, retire_date: str) -> None:
    if package is not None and package.metadata.get(RETIRE_ON, NEVER) != retire_date:
        stack.registry.update_metadata(package, {RETIRE_ON: retire_date})


def _record(stack: StackContext, request: RetireRequest, result: RetirementResult) -> RetirementResult:
    target, retire_date = result.target, result.on
    person = stack.identity.actor
    action = f"retires {target} from {retire_date} on" if retire_date else f"cancels the retirement of {target}"
    Ledger.of(stack).record(
        "retired",
        f"{person} {action}: {request.reason}",
        actor=person,
        model=request.model,
        version=request.version,
        data={
            "retire_on": retire_date.isoformat() if retire_date else None,
            "reason": request.reason,
            "overridden": list(result.warnings),
            "forced": request.force,
        },
    )
    return result
