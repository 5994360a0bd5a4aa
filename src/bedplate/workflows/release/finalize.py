"""Records the outcome of an unattended deployment or rollback from the state of the endpoint.

The outcome is recorded whether or not the version could still be deployed today.
"""

from __future__ import annotations

from bedplate.domain.rollout.deployment import Attempt, ObservedEndpoint, plan_finalize
from bedplate.errors import RolledBack
from bedplate.ports import Reporter
from bedplate.workflows.endpoint.probe import build_probe
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import unattended_verdict
from bedplate.workflows.release.execute import DeploymentTools, ExecutionResult, execute
from bedplate.workflows.stack_context import StackContext, find_package


def finalize(stack: StackContext, observed: ObservedEndpoint, attempt: Attempt, reporter: Reporter) -> ExecutionResult:
    """Records which release the endpoint serves. Raises RolledBack, after that, when SageMaker rolled it back."""
    plan = plan_finalize(observed, attempt)
    result = execute(plan, build_tools(stack, observed, attempt), reporter)
    if plan.rolled_back:
        reason = observed.failure_reason or "no reason given"
        raise RolledBack(
            f"SageMaker rolled the deployment of v{attempt.version} back: {reason}. {result.live} is live.",
            next_step=f"bedplate ledger show --model {observed.model}",
        )
    return result


def build_tools(stack: StackContext, observed: ObservedEndpoint, attempt: Attempt) -> DeploymentTools:
    """Builds the tools to continue an attempt from its start record.

    They do not depend on the version's approval or on model.yaml, which may have changed since.
    """
    spec, package = stack.model(observed.model), find_package(stack, observed.model, attempt.version)
    return DeploymentTools(
        stack=stack,
        ledger=Ledger.of(stack),
        observed=observed,
        probe=build_probe(stack, spec, holdout_uri=package.metadata.get("holdout_uri") if package else None),
        alarms=tuple(attempt.start_data.get("alarms") or ()),
        bake_s=attempt.bake_s,
        min_bake_predictions=attempt.min_bake_predictions,
        data={**attempt.start_data, "resumes": attempt.seq, "verdict": unattended_verdict(stack, observed)},
        reason=attempt.reason,
    )
