"""Which releases of a model still exist on the platform, and which of them nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from bedplate.domain.release import version_told
from bedplate.domain.rollback import standings
from bedplate.domain.rollout import ObservedEndpoint
from bedplate.domain.rollout.machine import open_rollout, rollouts_in
from bedplate.errors import NotFound
from bedplate.ports import Release
from bedplate.workflows.endpoint.observe import observe
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class ReleaseRetention:
    """A release, and why it stays; `why` is empty for one that may go."""

    release: str
    version: int | None
    created_at: datetime
    why: str


def releases(stack: StackContext, model: str) -> tuple[ReleaseRetention, ...]:
    """Newest first. Raises NotFound for a model or endpoint that does not exist."""
    spec, names = stack.model(model), stack.names(model)
    records = Ledger.of(stack).records()
    seen = observe(stack, model, records)
    ranks = [s.release for s in reversed(standings(records, model, names.endpoint))]
    under_way = open_rollout(records, model)
    compared = under_way.terms.challenger if under_way else None
    existing = stack.endpoints.releases(names.endpoint)
    return keep(existing, seen, ranks, spec.rollout.keep_releases, compared=compared)


def keep(
    existing: Sequence[Release],
    seen: ObservedEndpoint,
    ranks: Sequence[str],
    count: int,
    *,
    compared: str | None = None,
) -> tuple[ReleaseRetention, ...]:
    """What is live, on its way, `compared` with the live one in a rollout, or among the first `count` places to roll
    back to (`ranks`, nearest first) stays; so do the newest ones while there are fewer than `count`.
    """
    why = dict.fromkeys(ranks[:count], "a rollback may go there")
    if seen.pending:
        why[seen.pending] = "on its way"
    if compared:
        why[compared] = "in a rollout beside the live one"
    why[seen.live] = "live"
    for release in existing:
        if sum(r.name in why for r in existing) >= count:
            break
        why.setdefault(release.name, "recent")
    return tuple(ReleaseRetention(r.name, version_told(r.name), r.created_at, why.get(r.name, "")) for r in existing)


def prune(stack: StackContext, model: str) -> tuple[str, ...]:
    """Delete what `releases` says may go, each with its alarm, and the splits of rollouts that are over; returns the
    releases' names. Artifacts and versions stay: a pruned release is made anew by deploying its version."""
    gone = []
    live = stack.endpoints.observe(stack.names(model).endpoint)
    for past in rollouts_in(Ledger.of(stack).records(), model):
        if past.over and past.terms.split not in (live.config, live.pending_config):
            with suppress(NotFound):
                stack.endpoints.delete_release(past.terms.split)
    for release in releases(stack, model):
        if not release.why:
            stack.endpoints.delete_release(release.release)
            stack.metrics.delete_alarm(stack.names(model).guard_alarm(release.release))
            gone.append(release.release)
    return tuple(gone)
