"""Serves a release temporarily from an endpoint of its own, next to the live endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bedplate.errors import Conflict, PlatformError
from bedplate.ports import Reporter
from bedplate.settings import ModelSpec
from bedplate.workflows.stack_context import StackContext, model_tags

POLL_LOCAL_S = 0.05
POLL_AWS_S = 10.0
MAX_WAIT_S = 1800.0


@contextmanager
def temporary_copy(
    stack: StackContext, spec: ModelSpec, config: str, version: int, reporter: Reporter
) -> Iterator[str]:
    """Yields the name of a temporary endpoint that serves `config`; it is deleted at the end, also after an error.

    The live endpoint's traffic does not move. A copy that a killed command left is reused. On AWS an endpoint takes
    minutes to start and costs as much as its instances. Raises PlatformError when it does not come into service.
    """
    name, clock = stack.names(spec.name).copy_endpoint(version), stack.clock
    started_at = clock.now()
    reporter("step", {"number": 0, "of": 0, "message": f"Deploy a copy of v{version} to {name}"})
    with suppress(Conflict):  # left by a killed command: used and deleted like a new one
        stack.endpoints.create_endpoint(name, config, model_tags(stack, spec, version))
    try:
        while (state := stack.endpoints.observe(name)).status != "InService":
            waited_s = (clock.now() - started_at).total_seconds()
            if state.status == "Failed" or waited_s > MAX_WAIT_S:
                raise PlatformError(f"The copy {name} is {state.status}: {state.failure_reason or 'no reason given'}")
            clock.sleep(POLL_LOCAL_S if stack.identity.local_url else POLL_AWS_S)
        if state.config != config:
            raise PlatformError(f"{name} serves {state.config}, left by another command; it is now deleted")
        yield name
    finally:
        stack.endpoints.delete_endpoint(name)
