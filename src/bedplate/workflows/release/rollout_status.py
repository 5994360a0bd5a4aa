"""Where a model's rollout stands right now, whichever strategy moves it; asks, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from bedplate.domain.rollout.history import RolloutSummary, movements
from bedplate.domain.rollout.machine import WATCHED
from bedplate.workflows.endpoint.follow import LOOK_BACK_S, answers_since, bake_left
from bedplate.workflows.endpoint.observe import seen
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.rollout_measurements import judge
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """`weights` are shares of the traffic that is answered, `shadows` of which a copy goes elsewhere. `answers` and
    `bake_left_s` are those of a canary or linear bake, `judged` what the figures of a comparison say at this moment."""

    model: str
    endpoint: str
    status: str
    live: str
    weights: Mapping[str, float]
    shadows: Mapping[str, float]
    open: RolloutSummary | None
    last: RolloutSummary | None
    answers: float | None = None
    bake_left_s: float | None = None
    judged: str | None = None


def standing(stack: StackContext, model: str) -> RolloutStatus:
    """Look once. Raises NotFound when there is no such model, or the platform is not up."""
    spec = stack.model(model)
    records = Ledger.of(stack).records()
    endpoint = stack.endpoints.observe(stack.names(model).endpoint)
    told = movements(records, model)
    under_way = next((m for m in reversed(told) if m.open), None)
    now = stack.clock.now()
    answers = left = judged = None
    weights: dict[str, float] = dict(endpoint.variants)
    if under_way and under_way.state is None and under_way.needed_answers:
        since = under_way.begun_at - timedelta(seconds=LOOK_BACK_S)
        answers = answers_since(stack, endpoint.name, under_way.release, since, now)
        left = bake_left(endpoint, now, under_way.bake_s)
    elif under_way and under_way.state and under_way.state.phase in WATCHED:
        judged = judge(stack, spec, under_way.state).told
    return RolloutStatus(
        model,
        endpoint.name,
        endpoint.status,
        seen(stack, model, endpoint, records).live,
        weights,
        endpoint.shadows,
        under_way,
        told[-1] if told else None,
        answers,
        left,
        judged,
    )


def past(stack: StackContext, model: str) -> tuple[RolloutSummary, ...]:
    """Every movement of a model's traffic, oldest first."""
    stack.model(model)
    return movements(Ledger.of(stack).records(), model)
