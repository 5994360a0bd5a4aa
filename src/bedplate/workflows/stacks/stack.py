"""Updates, compares or destroys a stack: plans first, asks for confirmation, then acts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bedplate.domain.policy import POLICIES, PolicyReport, evaluate
from bedplate.domain.policy import rules as policy
from bedplate.domain.stacks.drift import StackDrift, compare_steps
from bedplate.domain.stacks.mode_change import find_mode_changes
from bedplate.domain.stacks.plan import PlanStep, ResourceChange
from bedplate.domain.stacks.plan_cost import PlanCost, price_plan
from bedplate.domain.stacks.plan_risk import Risk, find_risks
from bedplate.errors import GateFailed, UsageError


class UpdateResult(Protocol):
    """The result of an update, planned or performed."""

    @property
    def steps(self) -> Sequence[PlanStep]: ...
    @property
    def resources(self) -> Sequence[ResourceChange]: ...
    @property
    def counts(self) -> Mapping[str, int]: ...
    @property
    def outputs(self) -> Mapping[str, Any]: ...
    @property
    def messages(self) -> Sequence[str]: ...
    @property
    def duration_s(self) -> float: ...
    @property
    def has_changes(self) -> bool: ...


class UpdateProgress(Protocol):
    @property
    def state(self) -> str: ...
    @property
    def op(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def completed_count(self) -> int: ...


OnProgress = Callable[[Any], None]
"""Called with `UpdateProgress` during an update, from another thread."""
Confirm = Callable[[UpdateResult], None]
"""Called with the planned update; raises to stop it."""


class StackEngine(Protocol):
    """`engine.automation.stack.Stack`, for updates and previews."""

    def preview(self, *, on_progress: OnProgress | None = None, refresh: bool = False) -> UpdateResult: ...
    def preview_destroy(self, *, on_progress: OnProgress | None = None) -> UpdateResult: ...
    def preview_refresh(self, *, on_progress: OnProgress | None = None) -> UpdateResult: ...
    def refresh(self, *, on_progress: OnProgress | None = None) -> UpdateResult: ...
    def up(self, *, on_progress: OnProgress | None = None, refresh: bool = False) -> UpdateResult: ...
    def destroy(self, *, on_progress: OnProgress | None = None) -> UpdateResult: ...


class UpdateSummary(Protocol):
    """`engine.automation.update.PastUpdate`."""

    @property
    def verb(self) -> str: ...
    @property
    def result(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime | None: ...


class StackState(Protocol):
    """`engine.automation.stack.Stack`, for reading its state and history."""

    def history(self, limit: int = 20) -> Sequence[UpdateSummary]: ...
    def export(self) -> Mapping[str, Any]: ...


class ExportableStack(Protocol):
    """`engine.automation.stack.Stack`, for exporting and importing its state."""

    def export(self) -> Mapping[str, Any]: ...
    def import_(self, document: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class PlanReview:
    """A planned update with its cost, its risks and its policy report."""

    update: UpdateResult
    cost: PlanCost
    risks: tuple[Risk, ...]
    policies: PolicyReport


def review_plan(planned: UpdateResult) -> PlanReview:
    """Returns what a plan costs a month, what it puts at risk, and which policies it violates."""
    return PlanReview(planned, price_plan(planned.resources), find_risks(planned.resources), check_policies(planned))


def check_policies(update: UpdateResult) -> PolicyReport:
    """Evaluates every policy over the resources that exist after an update."""
    return evaluate(policy.list_planned_resources(update.resources), POLICIES)


def require_compliant(report: PolicyReport, *, stack: str, applied: bool) -> None:
    """Raises GateFailed with all violations of mandatory policies, if there are any."""
    violations = [violation for violation in report.violations if violation.level == "mandatory"]
    if violations:
        lines = "\n".join(
            f"  {violation.policy}: {violation.type} {violation.name}: {violation.detail}. Fix: {violation.fix}"
            for violation in violations
        )
        count = "One mandatory policy is" if len(violations) == 1 else f"{len(violations)} mandatory policies are"
        outcome = "what was applied stays; fix it and run `up` again" if applied else "nothing was changed"
        raise GateFailed(f"{count} violated, {outcome}:\n{lines}", next_step=f"bedplate preview --stack {stack}")


def require_same_modes(update: UpdateResult, *, stack: str) -> None:
    """Raises UsageError with instructions if the serving mode of an existing endpoint would change."""
    changes = find_mode_changes(update.resources)
    if changes:
        lines = "\n".join(
            f"  {change.endpoint} has mode {change.before!r}, but model.yaml declares {change.after!r}"
            for change in changes
        )
        raise UsageError(
            f"serving.mode cannot change while a model's endpoint exists; SageMaker does not support it:\n{lines}\n"
            f"Remove the model from bedplate:models in stacks/Pulumi.{stack}.yaml, run `up`, add it again "
            "with the new mode, run `up` again, and deploy its version. Nothing was changed.",
            next_step=f"bedplate up --stack {stack}, after removing the model from bedplate:models",
        )


def bring_up(
    stack: StackEngine,
    *,
    check: Confirm | None = None,
    confirm: Confirm | None = None,
    on_progress: OnProgress | None = None,
    refresh: bool = False,
) -> UpdateResult:
    """Creates or updates the stack. With `check` or `confirm`, previews it first and calls them in this order;
    `confirm` is not called, and nothing is done, if nothing would change.

    Raises PlatformError if a step failed (the same command again continues from there), Locked while another update is
    running, and whatever `check` and `confirm` raise.
    """
    if check is not None or confirm is not None:
        planned = stack.preview(refresh=refresh)
        if check is not None:
            check(planned)
        if confirm is not None:
            if not planned.has_changes:
                return planned
            confirm(planned)
    return stack.up(on_progress=on_progress, refresh=refresh)


def tear_down(
    stack: StackEngine,
    *,
    confirm: Confirm | None = None,
    before: Callable[[], None] | None = None,
    on_progress: OnProgress | None = None,
) -> UpdateResult:
    """Deletes all resources of the stack; `before` runs after the confirmation.

    Raises NotFound, PlatformError, Locked, and what `confirm` raises.
    """
    if confirm is not None:
        confirm(stack.preview_destroy())
    if before is not None:
        before()
    return stack.destroy(on_progress=on_progress)


def unprotect(stack: ExportableStack) -> int:
    """Removes the protection of every resource in the state, and returns how many had one.

    Raises NotFound for a stack that was never brought up, Locked.
    """
    document = json.loads(json.dumps(stack.export()))
    resources = (document.get("deployment") or {}).get("resources") or []
    protected = [resource for resource in resources if resource.get("protect")]
    for resource in protected:
        resource["protect"] = False
    if protected:
        stack.import_(document)
    return len(protected)


def find_drift(stack: StackEngine, *, on_progress: OnProgress | None = None) -> StackDrift:
    """Compares program, state and live resources without changing them. Raises NotFound, PlatformError."""
    refresh = stack.preview_refresh(on_progress=on_progress)
    pending = stack.preview(on_progress=on_progress)
    return compare_steps(refresh.steps, pending.steps)


def refresh_state(
    stack: StackEngine, *, confirm: Confirm | None = None, on_progress: OnProgress | None = None
) -> UpdateResult:
    """Writes the live resources' values into the state. With `confirm`, previews it first and does nothing if the state
    is up to date. Raises NotFound, PlatformError, Locked, and what `confirm` raises."""
    if confirm is not None:
        planned = stack.preview_refresh()
        if not planned.steps:
            return planned
        confirm(planned)
    return stack.refresh(on_progress=on_progress)
