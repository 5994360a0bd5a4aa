"""Records the end of a deployment or a rollback that nobody followed: what the endpoint says counts, and not who would
deploy that version today."""

from __future__ import annotations

from bedplate.domain.rollout import Attempt, ObservedEndpoint, plan_settle
from bedplate.errors import NotFound, RolledBack
from bedplate.ports import Reporter
from bedplate.workflows.endpoint.probe import probe_of
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import unwatched
from bedplate.workflows.release.execute import DeploymentTools, ExecutionResult, execute
from bedplate.workflows.stack_context import StackContext


def settle(stack: StackContext, seen: ObservedEndpoint, attempt: Attempt, reporter: Reporter) -> ExecutionResult:
    """Ask the endpoint and record what it says. Raises RolledBack, after that, for one that the platform undid."""
    plan = plan_settle(seen, attempt)
    outcome = execute(plan, means_of(stack, seen, attempt), reporter)
    if plan.undone:
        why = seen.failure_reason or "it gave no reason"
        raise RolledBack(
            f"The deploy of v{attempt.version} was undone by the platform: {why}. {outcome.live} answers.",
            next_step=f"bedplate ledger show --model {seen.model}",
        )
    return outcome


def means_of(stack: StackContext, seen: ObservedEndpoint, attempt: Attempt) -> DeploymentTools:
    """What it takes to go on with an act, from the record of its beginning: its version may be rejected, retired or
    changed in model.yaml since."""
    told = {**attempt.told, "resumes": attempt.seq, "verdict": unwatched(stack, seen)}
    return DeploymentTools(
        platform=stack,
        ledger=Ledger.of(stack),
        seen=seen,
        probe=probe_of(stack, stack.model(seen.model), holdout_uri=_holdout(stack, seen.model, attempt)),
        alarms=tuple(attempt.told.get("alarms") or ()),
        bake_s=attempt.bake_s,
        needed_answers=attempt.needed_answers,
        data=told,
        reason=attempt.reason,
    )


def _holdout(stack: StackContext, model: str, attempt: Attempt) -> str | None:
    if not attempt.version:
        return None
    try:
        package = stack.registry.get(stack.names(model).package_group, attempt.version)
    except NotFound:
        return None
    return package.metadata.get("holdout_uri")
