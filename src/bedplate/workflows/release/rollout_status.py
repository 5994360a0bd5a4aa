"""Reads the status and history of a model's rollouts, whatever their strategy; changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from bedplate.domain.rollout.history import RolloutSummary, list_history
from bedplate.domain.rollout.state_machine import MEASURED_PHASES
from bedplate.workflows.endpoint.follow import LOOK_BACK_S, bake_left_s, count_predictions
from bedplate.workflows.endpoint.observe import build_observation
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.rollout_measurements import judge
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """A model's endpoint and rollout at one time.

    `weights` are shares of the traffic by variant, `shadows` the shares of the requests that are copied. `predictions`
    and `bake_left_s` belong to a canary or linear bake, `verdict_message` to a comparison of two releases.
    """

    model: str
    endpoint: str
    status: str
    live: str
    weights: Mapping[str, float]
    shadows: Mapping[str, float]
    open_rollout: RolloutSummary | None
    last_rollout: RolloutSummary | None
    predictions: float | None = None
    bake_left_s: float | None = None
    verdict_message: str | None = None


def read_rollout_status(stack: StackContext, model: str) -> RolloutStatus:
    """Returns the current status. Raises NotFound when the model or the platform does not exist."""
    spec = stack.model(model)
    records = Ledger.of(stack).records()
    endpoint = stack.endpoints.observe(stack.names(model).endpoint)
    movements = list_history(records, model)
    open_rollout = next((m for m in reversed(movements) if m.is_open), None)
    predictions = left_s = message = None
    if open_rollout and open_rollout.state is None and open_rollout.min_bake_predictions:
        now, since = stack.clock.now(), open_rollout.started_at - timedelta(seconds=LOOK_BACK_S)
        predictions = count_predictions(stack, endpoint.name, open_rollout.release, since, now)
        left_s = bake_left_s(endpoint, now, open_rollout.bake_s)
    elif open_rollout and open_rollout.state and open_rollout.state.phase in MEASURED_PHASES:
        message = judge(stack, spec, open_rollout.state).message
    return RolloutStatus(
        model=model,
        endpoint=endpoint.name,
        status=endpoint.status,
        live=build_observation(stack, model, endpoint, records).live,
        weights=dict(endpoint.variants),
        shadows=endpoint.shadows,
        open_rollout=open_rollout,
        last_rollout=movements[-1] if movements else None,
        predictions=predictions,
        bake_left_s=left_s,
        verdict_message=message,
    )


def read_rollout_history(stack: StackContext, model: str) -> tuple[RolloutSummary, ...]:
    """Returns every movement of a model's traffic, oldest first."""
    stack.model(model)
    return list_history(Ledger.of(stack).records(), model)
