"""Stacks in memory with versions of the model `churn` to deploy."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedplate import ports
from builders import a_package, a_stack_context, record_approvals
from fakes import EPOCH, FakeStackContext, RollingEndpoints
from release_builders import ENDPOINT, FALLBACK_CONFIG
from release_stack import deploy_version, rolling_endpoints


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    """Two approved versions and one that waits for approval; the fallback is live."""
    context = a_stack_context(tmp_path)
    live = {ENDPOINT: FALLBACK_CONFIG}
    context.endpoints = RollingEndpoints(clock=context.clock, live=dict(live), fallbacks=live)
    packages = [a_package(1, approval="Approved"), a_package(2, approval="Approved"), a_package(3)]
    context.registry.packages[ENDPOINT] = packages
    record_approvals(context, 1, 2)
    return context


@pytest.fixture
def baking_stack(stack: FakeStackContext) -> FakeStackContext:
    """v1 is live; an update bakes for 20 s or until the errors alarm is in ALARM, as on SageMaker."""
    deploy_version(stack, version=1)
    endpoints, name = rolling_endpoints(stack), f"{ENDPOINT}-errors"
    endpoints.is_baking, endpoints.observations_needed = True, 10_000
    stack.metrics.alarms[name] = ports.AlarmState(name, "OK", "", EPOCH, "arn")

    def observe(rolling: RollingEndpoints) -> None:
        if rolling.pending and stack.metrics.alarms[name].state == "ALARM":
            rolling.rollback_reason = "alarm"
            rolling.finish_update(ENDPOINT)
        elif rolling.pending and (stack.clock.now() - rolling.modified_at).total_seconds() >= 20:
            rolling.finish_update(ENDPOINT)

    endpoints.on_observe = observe
    return stack
