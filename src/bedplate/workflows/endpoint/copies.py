"""A copy of one release behind an endpoint of its own, for as long as something is asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from bedplate.domain import tags
from bedplate.errors import Conflict, PlatformError
from bedplate.ports import Reporter
from bedplate.settings import ModelSpec
from bedplate.workflows.stack_context import StackContext

POLL_LOCAL_S = 0.05
POLL_AWS_S = 10.0
MAX_WAIT_S = 1800.0


@dataclass(frozen=True, slots=True)
class EndpointCopy:
    """An endpoint that answers with one release, and how long it took to come up."""

    endpoint: str
    up_s: float


@contextmanager
def a_copy(
    stack: StackContext, spec: ModelSpec, config: str, version: int, reporter: Reporter
) -> Iterator[EndpointCopy]:
    """Have a release answer beside the live endpoint, whose traffic does not move; deleted in the end, come what may.

    One that a killed command left behind is taken over. On AWS an endpoint takes minutes to come up and costs what its
    instances cost meanwhile. Raises PlatformError when it does not come up.
    """
    name, clock = stack.names(spec.name).copy(version), stack.clock
    begun = clock.now()
    reporter("step", {"number": 0, "of": 0, "message": f"Put a copy of v{version} behind {name}"})
    carried = tags.for_model(
        project=stack.project,
        stack=stack.name,
        model=spec.name,
        version=version,
        owner=spec.owner,
        cost_center=stack.settings.cost_center,
    )
    with suppress(Conflict):  # left behind by a command that was killed: deleted in the end like one of our own
        stack.endpoints.create_endpoint(name, config, carried)
    try:
        while (state := stack.endpoints.observe(name)).status != "InService":
            waited_s = (clock.now() - begun).total_seconds()
            if state.status == "Failed" or waited_s > MAX_WAIT_S:
                raise PlatformError(f"The copy {name} is {state.status}: {state.failure_reason or 'no reason given'}")
            clock.sleep(POLL_LOCAL_S if stack.identity.local_url else POLL_AWS_S)
        if state.config != config:
            raise PlatformError(f"{name} holds {state.config}, left behind by another command; it is deleted now")
        yield EndpointCopy(name, (clock.now() - begun).total_seconds())
    finally:
        stack.endpoints.delete_endpoint(name)
