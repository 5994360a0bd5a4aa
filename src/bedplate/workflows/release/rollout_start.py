"""Proposes a rollout of two releases side by side, and begins it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from bedplate.domain.release import fallback_release, spoken, version_told
from bedplate.domain.rollout.machine import MIRRORED, RolloutState, RolloutTerms, Strategy, open_rollout, rollouts_in
from bedplate.domain.rollout.ticking import spoken_weights
from bedplate.errors import BedplateError, Locked, UsageError
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.observe import observe
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import (
    DeployRequest,
    approved_package,
    champion_edges,
    content_of,
    live_content,
    release_draft,
)
from bedplate.workflows.release.rollout_record import append
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class RolloutStart:
    """A rollout that is about to begin, or one that is under way to be gone on with (`state`)."""

    terms: RolloutTerms
    summary: str
    remarks: tuple[str, ...]
    state: RolloutState | None
    since: int
    """Last record that this was decided from."""


def propose(stack: StackContext, request: DeployRequest, strategy: Strategy) -> RolloutStart:
    """Observe and plan; nothing is changed. One that is under way for the same version and strategy is gone on with.

    Raises UsageError where the fallback is live or the version is live already, Locked while anything else is moving.
    """
    spec = stack.model(request.model)
    records = Ledger.of(stack).records()
    package = approved_package(stack, request.model, request.version, records)
    last = records[-1].seq if records else 0
    under_way = open_rollout(records, request.model)
    if under_way:
        if (under_way.terms.version, under_way.terms.strategy) != (package.version, strategy):
            raise Locked(
                f"A rollout of {spoken(under_way.terms.challenger)} ({under_way.terms.strategy}) is {under_way.phase}",
                next_step=f"bedplate rollout status {request.model}, then rollout promote or rollout abort",
            )
        told = f"The rollout of v{package.version} is {under_way.phase}: it is gone on with"
        return RolloutStart(under_way.terms, told, (), under_way, last)
    seen = observe(stack, request.model, records, stack.names(request.model).rollback_alarms)
    if seen.busy or seen.split:
        raise Locked(f"Endpoint {seen.endpoint} is {seen.status}", next_step=f"bedplate rollout status {request.model}")
    if seen.live == fallback_release(seen.endpoint):
        raise UsageError(
            f"{spoken(seen.live)} gives one constant answer: there is nothing to compare v{package.version} with",
            next_step=f"bedplate deploy {request.model}:{package.version} --strategy canary",
        )
    if version_told(seen.live) == package.version and live_content(stack, seen) == content_of(package, spec):
        raise UsageError(f"v{package.version} is live already", next_step=f"bedplate status {request.model}")
    if seen.alarms_raised:
        raise BedplateError(
            f"{', '.join(seen.alarms_raised)} is in ALARM now and would end the rollout at once",
            next_step=f"bedplate status {request.model}",
        )
    edges, _ = champion_edges(stack, spec, stack.names(request.model), seen)
    challenger = release_draft(stack, spec, package, seen.live, edges).name
    terms = _terms(spec, strategy, seen.live, seen.config_of(seen.live), challenger, package.version, stack)
    return RolloutStart(terms, _summary(terms), _remarks(spec, terms), None, last)


def begin(stack: StackContext, beginning: RolloutStart, model: str, *, reason: str | None = None) -> RolloutState:
    """Write the proposal; the first tick puts both releases behind the endpoint. Raises Locked when somebody else was
    faster."""
    if beginning.state:
        return beginning.state
    terms = beginning.terms
    name = f"v{terms.version}-{stack.clock.now():%Y%m%d-%H%M%S}"
    data = {"rollout": name, "event": "proposed", "phase": "proposed", "terms": asdict(terms), "reason": reason}
    summary = f"{terms.strategy} rollout of v{terms.version} begins beside {spoken(terms.champion)}"
    record = append(stack, model, terms.version, summary, data, beginning.since)
    return rollouts_in([record], model)[0]


def _terms(
    spec: ModelSpec,
    strategy: Strategy,
    champion: str,
    champion_config: str,
    challenger: str,
    version: int,
    stack: StackContext,
) -> RolloutTerms:
    wanted = spec.rollout.experiment
    share = (1.0 if strategy in MIRRORED else 0.5) if wanted.share_pct is None else wanted.share_pct / 100
    digest = hashlib.sha256(
        json.dumps([champion, challenger, strategy in MIRRORED, share, spec.serving.instance_count]).encode()
    ).hexdigest()
    return RolloutTerms(
        strategy=strategy,
        champion=champion,
        champion_config=champion_config,
        challenger=challenger,
        version=version,
        split=stack.names(spec.name).split(digest),
        share=share,
        max_s=wanted.max_hours * 3600,
        auto_promote=wanted.auto_promote,
        promote_by=spec.rollout.shift if strategy in MIRRORED else "all-at-once",
    )


def _summary(terms: RolloutTerms) -> str:
    new, old = f"v{terms.version}", spoken(terms.champion)
    return {
        "shadow": f"{new} answers a copy of {100 * terms.share:g} % of {old}'s requests; nobody sees its answers",
        "champion-challenger": f"{new} answers a copy of {100 * terms.share:g} % of {old}'s requests, and late labels "
        "say which of the two was right",
        "ab": f"A/B test of {new} against {old}: {spoken_weights(terms.weights)}",
        "bandit": f"{new} and {old} share the traffic, the better one more and more: {spoken_weights(terms.weights)}",
    }[terms.strategy]


def _remarks(spec: ModelSpec, terms: RolloutTerms) -> tuple[str, ...]:
    wanted = spec.rollout.experiment
    cost = f"{spec.serving.instance_count} more {spec.serving.instance_type} run until it is over"
    labels = f"judged by {wanted.metric!r} on late labels: bedplate labels add {spec.name}"
    stop = f"without a verdict after {wanted.max_hours:g} h the champion stays (NO_DATA)"
    return (cost, stop) if terms.strategy == "shadow" else (labels, cost, stop)
