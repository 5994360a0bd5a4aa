"""Lists the existing releases of a model, and deletes those that are no longer needed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from bedplate.domain.release import version_of
from bedplate.domain.rollback import list_past_releases
from bedplate.domain.rollout.deployment import ObservedEndpoint
from bedplate.domain.rollout.state_machine import find_open_rollout, list_rollouts
from bedplate.errors import NotFound
from bedplate.ports import Release
from bedplate.workflows.endpoint.observe import observe_endpoint
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class ReleaseRetention:
    """A release and the reason to keep it; `reason` is empty when it may be deleted."""

    release: str
    version: int | None
    created_at: datetime
    reason: str


def list_releases(stack: StackContext, model: str) -> tuple[ReleaseRetention, ...]:
    """Returns a model's releases, newest first. Raises NotFound for a model or endpoint that does not exist."""
    spec, names = stack.model(model), stack.names(model)
    records = Ledger.of(stack).records()
    observed = observe_endpoint(stack, model, records)
    rollback_order = [s.release for s in reversed(list_past_releases(records, model, names.endpoint))]
    rollout = find_open_rollout(records, model)
    challenger = rollout.terms.challenger if rollout else None
    existing = stack.endpoints.list_releases(names.endpoint)
    return decide_retention(existing, observed, rollback_order, spec.rollout.keep_releases, challenger=challenger)


def decide_retention(
    existing: Sequence[Release],
    observed: ObservedEndpoint,
    rollback_order: Sequence[str],
    count: int,
    *,
    challenger: str | None = None,
) -> tuple[ReleaseRetention, ...]:
    """Decides for each existing release whether and why it is kept.

    The live release, the one being deployed, the `challenger` of an open rollout and the first `count` rollback targets
    (`rollback_order`, nearest first) are kept; so are the newest releases while fewer than `count` are kept.
    """
    reasons = dict.fromkeys(rollback_order[:count], "rollback target")
    if observed.pending:
        reasons[observed.pending] = "being deployed"
    if challenger:
        reasons[challenger] = "challenger of an open rollout"
    reasons[observed.live] = "live"
    for release in existing:
        if sum(r.name in reasons for r in existing) >= count:
            break
        reasons.setdefault(release.name, "recent")
    return tuple(ReleaseRetention(r.name, version_of(r.name), r.created_at, reasons.get(r.name, "")) for r in existing)


def prune_releases(stack: StackContext, model: str) -> tuple[str, ...]:
    """Deletes the releases that are not kept with their alarms, and the EndpointConfigs of rollouts that are over.

    Returns the names of the deleted releases. Artifacts and versions remain: a deployment of its version creates a
    deleted release again.
    """
    names: list[str] = []
    live = stack.endpoints.observe(stack.names(model).endpoint)
    for rollout in list_rollouts(Ledger.of(stack).records(), model):
        config = rollout.terms.multi_variant_config
        if rollout.is_over and config not in (live.config, live.pending_config):
            with suppress(NotFound):
                stack.endpoints.delete_release(config)
    for release in list_releases(stack, model):
        if not release.reason:
            stack.endpoints.delete_release(release.release)
            stack.metrics.delete_alarm(stack.names(model).guard_alarm(release.release))
            names.append(release.release)
    return tuple(names)
