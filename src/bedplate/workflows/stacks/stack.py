"""Bring a stack up, compare it or tear it down: look first, let the person agree to what was seen, then act."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bedplate.domain.policy import POLICIES, PolicyReport, judge
from bedplate.domain.policy import rules as policy
from bedplate.domain.stacks.drift import StackDrift, compare
from bedplate.domain.stacks.mode_change import mode_changes
from bedplate.domain.stacks.plan import PlanStep, ResourceChange
from bedplate.domain.stacks.plan_cost import PlanCost, price_plan
from bedplate.domain.stacks.plan_risk import Risk, risks
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
    def changed(self) -> bool: ...


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
    def done(self) -> int: ...


Watch = Callable[[Any], None]
"""Called with `UpdateProgress` while a run works, from another thread."""
Agree = Callable[[UpdateResult], None]
"""Called with what would be done before anything is; raises to stop."""


class StackEngine(Protocol):
    """`engine.stack.StackEngine`, as far as it is needed here."""

    def preview(self, *, on_progress: Watch | None = None, refresh: bool = False) -> UpdateResult: ...
    def preview_destroy(self, *, on_progress: Watch | None = None) -> UpdateResult: ...
    def preview_refresh(self, *, on_progress: Watch | None = None) -> UpdateResult: ...
    def refresh(self, *, on_progress: Watch | None = None) -> UpdateResult: ...
    def up(self, *, on_progress: Watch | None = None, refresh: bool = False) -> UpdateResult: ...
    def destroy(self, *, on_progress: Watch | None = None) -> UpdateResult: ...


class ExportableStack(Protocol):
    """`engine.stack.StackEngine`, as far as its state can be taken out and put back."""

    def export(self) -> Mapping[str, Any]: ...
    def import_(self, document: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class Review:
    """A plan with what a reviewer asks of it."""

    update: UpdateResult
    cost: PlanCost
    risks: tuple[Risk, ...]
    policies: PolicyReport


def review(planned: UpdateResult) -> Review:
    """What a plan costs a month, what it puts at risk, and which policies it violates."""
    return Review(planned, price_plan(planned.resources), risks(planned.resources), judge_update(planned))


def judge_update(update: UpdateResult) -> PolicyReport:
    """What a run leaves, or would leave, in the stack, put through every policy."""
    return judge(policy.planned(update.resources), POLICIES)


def require_lawful(judgement: PolicyReport, *, stack: str, applied: bool) -> None:
    """Raises GateFailed, with every violation of a mandatory policy, when there is one."""
    broken = [v for v in judgement.violations if v.level == "mandatory"]
    if broken:
        lines = "\n".join(f"  {v.policy}: {v.type} {v.name}: {v.what}. Mend: {v.mend}" for v in broken)
        count = "One mandatory policy is" if len(broken) == 1 else f"{len(broken)} mandatory policies are"
        fate = "what was applied stays; mend it and bring it up again" if applied else "nothing was changed"
        raise GateFailed(f"{count} violated, {fate}:\n{lines}", next_step=f"bedplate preview --stack {stack}")


def require_same_modes(update: UpdateResult, *, stack: str) -> None:
    """Raises UsageError, with the way out, when a model that is up would have to answer in another mode."""
    found = mode_changes(update.resources)
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
    check: Agree | None = None,
    agree: Agree | None = None,
    on_progress: Watch | None = None,
    refresh: bool = False,
) -> UpdateResult:
    """Create or update. With `check` or `agree` it is previewed first and shown to them, in this order; where somebody
    is to agree, nothing is done when nothing would change.

    Raises PlatformError when a step failed (the same command again goes on from there), Locked when another run is at
    work, and whatever `check` and `agree` raise.
    """
    if check is not None or agree is not None:
        planned = stack.preview(refresh=refresh)
        if check is not None:
            check(planned)
        if agree is not None:
            if not planned.changed:
                return planned
            agree(planned)
    return stack.up(on_progress=on_progress, refresh=refresh)


def tear_down(
    stack: StackEngine,
    *,
    agree: Agree | None = None,
    before: Callable[[], None] | None = None,
    on_progress: Watch | None = None,
) -> UpdateResult:
    """Delete everything that the stack holds; `before` runs once it was agreed to.

    Raises NotFound, PlatformError, Locked, and what `agree` raises.
    """
    if agree is not None:
        agree(stack.preview_destroy())
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


def find_drift(stack: StackEngine, *, on_progress: Watch | None = None) -> StackDrift:
    """Compare program, state and world; nothing is changed, the state included. Raises NotFound, PlatformError."""
    found = stack.preview_refresh(on_progress=on_progress)
    pending = stack.preview(on_progress=on_progress)
    return compare(found.steps, pending.steps)


def take_over(stack: StackEngine, *, agree: Agree | None = None, on_progress: Watch | None = None) -> UpdateResult:
    """Write the world's values into the state. With `agree` it is looked at first, and nothing is done when the state
    is right already. Raises NotFound, PlatformError, Locked, and what `agree` raises."""
    if agree is not None:
        found = stack.preview_refresh()
        if not found.steps:
            return found
        agree(found)
    return stack.refresh(on_progress=on_progress)
