"""Plans a rollout of two releases side by side, and records its start."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from bedplate.domain.release import display_name, fallback_name
from bedplate.domain.rollout.deployment import ObservedEndpoint
from bedplate.domain.rollout.state_machine import (
    MIRRORED,
    RolloutState,
    RolloutTerms,
    Strategy,
    find_open_rollout,
    list_rollouts,
)
from bedplate.domain.rollout.tick import format_weights
from bedplate.errors import BedplateError, Locked, UsageError
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.observe import observe_endpoint
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import (
    DeployRequest,
    build_release_draft,
    find_approved_package,
    is_live_release,
    read_champion_edges,
)
from bedplate.workflows.release.rollout_record import append_rollout_record, open_rollout_error
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class RolloutStart:
    """A rollout to start, or an open one to continue (`state`)."""

    terms: RolloutTerms
    summary: str
    notices: tuple[str, ...]
    state: RolloutState | None
    since: int
    """Number of the last record that this plan takes into account."""


def propose_rollout(stack: StackContext, request: DeployRequest, strategy: Strategy) -> RolloutStart:
    """Observes the endpoint and plans the rollout; changes nothing. An open rollout of the same version and strategy is
    continued.

    Raises UsageError when the fallback or the version itself is live, Locked while another update or rollout is in
    progress.
    """
    model, spec, names = request.model, stack.model(request.model), stack.names(request.model)
    records = Ledger.of(stack).records()
    package = find_approved_package(stack, model, request.version, records)
    last = records[-1].seq if records else 0
    state = find_open_rollout(records, model)
    if state:
        if (state.terms.version, state.terms.strategy) != (package.version, strategy):
            raise open_rollout_error(state)
        summary = f"The rollout of v{package.version} is {state.phase} and continues"
        return RolloutStart(state.terms, summary, (), state, last)
    observed = observe_endpoint(stack, model, records, names.rollback_alarms)
    if observed.is_busy or observed.is_multi_variant:
        message = f"Endpoint {observed.endpoint} is {observed.status}"
        raise Locked(message, next_step=f"bedplate rollout status {model}")
    if observed.live == fallback_name(observed.endpoint):
        raise UsageError(
            f"{display_name(observed.live)} returns a constant: v{package.version} cannot be compared with it",
            next_step=f"bedplate deploy {model}:{package.version} --strategy canary",
        )
    if is_live_release(stack, observed, package, spec):
        raise UsageError(f"v{package.version} is already live", next_step=f"bedplate status {model}")
    if observed.alarms_raised:
        raise BedplateError(
            f"{', '.join(observed.alarms_raised)} is in ALARM and would end the rollout at once",
            next_step=f"bedplate status {model}",
        )
    edges, _ = read_champion_edges(stack, spec, names, observed)
    challenger = build_release_draft(stack, spec, package, observed.live, edges).name
    terms = _build_terms(stack, spec, strategy, observed, challenger, package.version)
    return RolloutStart(terms, _summary(terms), _notices(spec, terms), None, last)


def start_rollout(stack: StackContext, start: RolloutStart, model: str, *, reason: str | None = None) -> RolloutState:
    """Records the start; the first tick deploys both releases to the endpoint.

    Raises Locked when another command moved traffic or started a rollout first.
    """
    if start.state:
        return start.state
    terms = start.terms
    rollout = f"v{terms.version}-{stack.clock.now():%Y%m%d-%H%M%S}"
    data = {"rollout": rollout, "event": "proposed", "phase": "proposed", "terms": asdict(terms), "reason": reason}
    summary = f"{terms.strategy} rollout of v{terms.version} next to {display_name(terms.champion)} proposed"
    record = append_rollout_record(stack, model, terms.version, summary, data, start.since)
    return list_rollouts([record], model)[0]


def _build_terms(
    stack: StackContext, spec: ModelSpec, strategy: Strategy, observed: ObservedEndpoint, challenger: str, version: int
) -> RolloutTerms:
    settings, is_mirrored = spec.rollout.experiment, strategy in MIRRORED
    share = (1.0 if is_mirrored else 0.5) if settings.share_pct is None else settings.share_pct / 100
    content = [observed.live, challenger, is_mirrored, share, spec.serving.instance_count]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return RolloutTerms(
        strategy=strategy,
        champion=observed.live,
        champion_config=observed.config_of(observed.live),
        challenger=challenger,
        version=version,
        multi_variant_config=stack.names(spec.name).multi_variant_config(digest),
        share=share,
        max_s=settings.max_hours * 3600,
        auto_promote=settings.auto_promote,
        promotion_strategy=spec.rollout.traffic_routing if is_mirrored else "all-at-once",
    )


def _summary(terms: RolloutTerms) -> str:
    new, old = f"v{terms.version}", display_name(terms.champion)
    copies = f"{new} gets copies of {100 * terms.share:g} % of {old}'s requests"
    return {
        "shadow": f"{copies}; callers do not get its predictions",
        "champion-challenger": f"{copies}, and both releases are compared on late labels",
        "ab": f"A/B test of {new} against {old}: {format_weights(terms.weights)}",
        "bandit": f"{new} and {old} share the traffic, and the better one gets more: {format_weights(terms.weights)}",
    }[terms.strategy]


def _notices(spec: ModelSpec, terms: RolloutTerms) -> tuple[str, ...]:
    settings = spec.rollout.experiment
    cost = f"{spec.serving.instance_count} more {spec.serving.instance_type} run until the rollout is over"
    labels = f"judged by {settings.metric!r} on late labels: bedplate labels add {spec.name}"
    stop = f"without a verdict after {settings.max_hours:g} h the champion stays live (NO_DATA)"
    return (cost, stop) if terms.strategy == "shadow" else (labels, cost, stop)
