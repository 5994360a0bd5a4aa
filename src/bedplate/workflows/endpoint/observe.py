"""Observes a model's endpoint once: its state, its alarms, and what the ledger records about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bedplate.domain.ledger import Record
from bedplate.domain.names import is_multi_variant
from bedplate.domain.rollout.deployment import ObservedEndpoint, find_recorded_live, list_open_attempts
from bedplate.domain.rollout.state_machine import champions_by_config
from bedplate.ports import EndpointState
from bedplate.workflows.stack_context import StackContext

RELEASE_VARIABLE = "BEDPLATE_RELEASE"
"""Environment variable that holds the name of a container's release."""


def observe_endpoint(
    stack: StackContext, model: str, records: Sequence[Record], alarms: Sequence[str] = ()
) -> ObservedEndpoint:
    """Observes a model's endpoint and the states of `alarms`. Raises NotFound when model or endpoint does not exist."""
    state = stack.endpoints.observe(stack.names(model).endpoint)
    states = stack.metrics.get_alarms(alarms) if alarms else {}
    alarms_raised = tuple(name for name, alarm in states.items() if alarm.state == "ALARM")
    return build_observation(stack, model, state, records, alarms_raised)


def build_observation(
    stack: StackContext,
    model: str,
    state: EndpointState,
    records: Sequence[Record],
    alarms_raised: tuple[str, ...] = (),
) -> ObservedEndpoint:
    """Builds the observation from an endpoint's state and the ledger's records."""
    champions = dict(champions_by_config(records, model))
    if is_multi_variant(state.config) and state.config not in champions:
        champions[state.config] = _read_champion(stack, state.config)
    observed = ObservedEndpoint(
        model=model,
        endpoint=state.name,
        status=state.status,
        live="",
        pending=state.pending_config,
        failure_reason=state.failure_reason,
        modified_at=state.modified_at,
        fallback_config=stack.outputs.fallback_releases.get(model, ""),
        attempts=list_open_attempts(records, model),
        recorded_live=find_recorded_live(records, model),
        alarms_raised=alarms_raised,
        config=state.config,
        multi_variant_champions=champions,
    )
    return replace(observed, live=observed.release_of(state.config))


def _read_champion(stack: StackContext, config: str) -> str:
    """Returns the first release of a multi-variant EndpointConfig that is not in the ledger."""
    return str(stack.endpoints.get_release(config).environment.get(RELEASE_VARIABLE, config))


def read_variant_metric(
    stack: StackContext, endpoint: str, variant: str, metric: str, stat: str, start: datetime, end: datetime
) -> list[float]:
    """Returns the datapoints of a variant's CloudWatch metric (`AWS/SageMaker`), one a minute."""
    datapoints = stack.metrics.list_datapoints(
        "AWS/SageMaker",
        metric,
        {"EndpointName": endpoint, "VariantName": variant},
        start=start,
        end=end + timedelta(seconds=1),
        period_s=60,
        stat=stat,
    )
    return [value for _, value in datapoints]
