"""Bring a stack up, compare it or tear it down: look first, let the person agree to what was seen, then act."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    """How a run went, or would go."""

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
"""Called with `UpdateProgress` while a run works, from another thread."""
Confirm = Callable[[UpdateResult], None]
"""Called with what would be done before anything is; raises to stop."""


class StackEngine(Protocol):
    """`engine.stack.StackEngine`, as far as it is needed here."""

    def preview(self, *, on_progress: OnProgress | None = None, refresh: bool = False) -> UpdateResult: ...
    def preview_destroy(self, *, on_progress: OnProgress | None = None) -> UpdateResult: ...
    def preview_refresh(self, *, on_progress: OnProgress | None = None) -> UpdateResult: ...
    def refresh(self, *, on_progress: OnProgress | None = None) -> UpdateResult: ...
    def up(self, *, on_progress: OnProgress | None = None, refresh: bool = False) -> UpdateResult: ...
    def destroy(self, *, on_progress: OnProgress | None = None) -> UpdateResult: ...


class ExportableStack(Protocol):
    """`engine.stack.StackEngine`, as far as its state can be taken out and put back."""

    def export(self) -> Mapping[str, Any]: ...
    def import_(self, document: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class PlanReview:
    """A plan with what a reviewer asks of it."""

    update: UpdateResult
    cost: PlanCost
    risks: tuple[Risk, ...]
    policies: PolicyReport


def review_plan(planned: UpdateResult) -> PlanReview:
    """What a plan costs a month, what it puts at risk, and which policies it violates."""
    return PlanReview(planned, price_plan(planned.resources), find_risks(planned.resources), check_policies(planned))


def check_policies(update: UpdateResult) -> PolicyReport:
    """What a run leaves, or would leave, in the stack, put through every policy."""
    return evaluate(policy.list_planned_resources(update.resources), POLICIES)


def require_compliant(report: PolicyReport, *, stack: str, applied: bool) -> None:
    """Raises GateFailed, with every violation of a mandatory policy, when there is one."""
    broken = [v for v in report.violations if v.level == "mandatory"]
    if broken:
        lines = "\n".join(f"  {v.policy}: {v.type} {v.name}: {v.detail}. Fix: {v.fix}" for v in broken)
        count = "One mandatory policy is" if len(broken) == 1 else f"{len(broken)} mandatory policies are"
        fate = "what was applied stays; mend it and bring it up again" if applied else "nothing was changed"
        raise GateFailed(f"{count} violated, {fate}:\n{lines}", next_step=f"bedplate preview --stack {stack}")


def require_same_modes(update: UpdateResult, *, stack: str) -> None:
    """Raises UsageError, with the way out, when a model that is up would have to answer in another mode."""
    found = find_mode_changes(update.resources)
    if found:
        lines = "\n".join(f"  {c.endpoint} is up as {c.before!r}, and model.yaml says {c.after!r}" for c in found)
        raise UsageError(
            f"serving.mode of a model that is up cannot change, for SageMaker turns no mode into another:\n{lines}\n"
            f"Take the model out of bedplate:models in stacks/Pulumi.{stack}.yaml, bring the stack up, put it back "
            "with the new mode, bring it up again, and deploy its version. Nothing was changed.",
            next_step=f"bedplate up --stack {stack}, once the model is out of bedplate:models",
        )


def bring_up(
    stack: StackEngine,
    *,
    check: Confirm | None = None,
    confirm: Confirm | None = None,
    on_progress: OnProgress | None = None,
    refresh: bool = False,
) -> UpdateResult:
    """Create or update. With `check` or `confirm` it is previewed first and shown to them, in this order; where somebody
    is to agree, nothing is done when nothing would change.

    Raises PlatformError when a step failed (the same command again goes on from there), Locked when another run is at
    work, and whatever `check` and `confirm` raise.
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
    """Delete everything that the stack holds; `before` runs once it was agreed to.

    Raises NotFound, PlatformError, Locked, and what `confirm` raises.
    """
    if confirm is not None:
        confirm(stack.preview_destroy())
    if before is not None:
        before()
    return stack.destroy(on_progress=on_progress)


def unprotect(stack: ExportableStack) -> int:
    """Take the protection off everything in the state, as somebody asked to lose it; how many had one.

    Raises NotFound for a stack that was never brought up, Locked.
    """
    document = json.loads(json.dumps(stack.export()))
    held = (document.get("deployment") or {}).get("resources") or []
    protected = [resource for resource in held if resource.get("protect")]
    for resource in protected:
        resource["protect"] = False
    if protected:
        stack.import_(document)
    return len(protected)


def find_drift(stack: StackEngine, *, on_progress: OnProgress | None = None) -> StackDrift:
    """Compare program, state and world; nothing is changed, the state included. Raises NotFound, PlatformError."""
    found = stack.preview_refresh(on_progress=on_progress)
    pending = stack.preview(on_progress=on_progress)
    return compare_steps(found.steps, pending.steps)


def refresh_state(stack: StackEngine, *, confirm: Confirm | None = None, on_progress: OnProgress | None = None) -> UpdateResult:
    """Write the world's values into the state. With `confirm` it is looked at first, and nothing is done when the state
    is right already. Raises NotFound, PlatformError, Locked, and what `confirm` raises."""
    if confirm is not None:
        found = stack.preview_refresh()
        if not found.steps:
            return found
        confirm(found)
    return stack.refresh(on_progress=on_progress)
