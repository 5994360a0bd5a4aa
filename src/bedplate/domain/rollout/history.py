"""Lists every deployment, rollout and rollback of a model, as `rollout status` and `rollout history` show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bedplate.domain.ledger import LIVE_KINDS, Record
from bedplate.domain.rollout.state_machine import RolloutState, list_rollouts


@dataclass(frozen=True, slots=True)
class RolloutSummary:
    """One deployment, rollout or rollback.

    `id` is the rollout's id, or `#` and the number of the ledger record that started the deployment or rollback.
    `phase` of a rollout is the phase of its state machine. A deployment's is `in-progress`, `promoted`, `rolled-back`,
    `no-data` or `rejected`; a rollback's is `switching`, and `completed` at the end. `state` is set for rollouts only,
    and `switch_s`, the seconds until the first prediction of the new release, for the others.
    """

    id: str
    strategy: str
    release: str
    version: int
    champion: str | None
    phase: str
    verdict: str | None
    started_at: datetime
    ended_at: datetime | None
    actor: str
    reason: str | None
    state: RolloutState | None = None
    switch_s: float | None = None
    bake_s: int = 0
    min_bake_predictions: int = 0

    @property
    def is_open(self) -> bool:
        return self.ended_at is None


def list_history(records: Sequence[Record], model: str) -> tuple[RolloutSummary, ...]:
    """Returns every deployment, rollout and rollback of a model, oldest first.

    The deployment that promotes a rollout's release is not listed: it is part of the rollout, which its reason names.
    """
    rollouts = [_summarize_rollout(state) for state in list_rollouts(records, model)]
    for record in (r for r in records if r.model == model):
        if record.kind == "deployment-started":
            if not str(record.data.get("reason") or "").startswith("rollout "):
                rollouts.append(_summarize_start(record))
        elif record.kind in LIVE_KINDS or "rejected_update" in record.data:
            rollouts = [_apply_record(m, record) if m.is_open and m.state is None else m for m in rollouts]
    return tuple(sorted(rollouts, key=lambda m: m.started_at))


def _summarize_rollout(state: RolloutState) -> RolloutSummary:
    terms = state.terms
    return RolloutSummary(
        id=state.id,
        strategy=terms.strategy,
        release=terms.challenger,
        version=terms.version,
        champion=terms.champion,
        phase=state.phase,
        verdict=state.verdict,
        started_at=state.started_at,
        ended_at=state.phase_since if state.is_over else None,
        actor=state.actor,
        reason=state.reason,
        state=state,
    )


def _summarize_start(record: Record) -> RolloutSummary:
    """Returns the open deployment or rollback that a `deployment-started` record starts."""
    data, is_rollback = record.data, record.data.get("action") == "rollback"
    return RolloutSummary(
        id=f"#{record.seq}",
        strategy="rollback" if is_rollback else str(data.get("strategy") or "all-at-once"),
        release=str(data["release"]),
        version=record.version or 0,
        champion=data.get("previous"),
        phase="switching" if is_rollback else "in-progress",
        verdict=None,
        started_at=record.at,
        ended_at=None,
        actor=record.actor,
        reason=data.get("reason"),
        bake_s=int(data.get("bake_s") or 0),
        min_bake_predictions=int(data.get("min_bake_predictions") or 0),
    )


def _apply_record(rollout: RolloutSummary, record: Record) -> RolloutSummary:
    """Returns an open deployment or rollback after a record of which release is live.

    A record closes the one that it names. It also closes any other as rolled back, because another release is live now,
    unless the record reports an automatic rollback.
    """
    data = record.data
    if "rejected_update" in data:
        return _close(rollout, record) if rollout.id == f"#{data['rejected_update']}" else rollout
    if rollout.release == str(data.get("release") or data.get("live")):
        return _close(rollout, record)
    if record.kind == "deployment-rolled-back":
        return rollout
    return replace(rollout, phase="rolled-back", ended_at=record.at, reason=data.get("reason") or rollout.reason)


def _close(rollout: RolloutSummary, record: Record) -> RolloutSummary:
    """Returns a deployment or rollback with the outcome in the record: rejected, rolled back or successful."""
    data = record.data
    end: dict[str, Any] = {"ended_at": record.at, "reason": data.get("reason") or rollout.reason}
    if "rejected_update" in data:
        return replace(rollout, phase="rejected", **end)
    if record.kind == "deployment-rolled-back":
        no_data = data.get("verdict") == "NO_DATA"
        end["verdict"] = "NO_DATA" if no_data else "FAIL"
        return replace(rollout, phase="no-data" if no_data else "rolled-back", **end)
    if record.kind == "rollback" and rollout.strategy != "rollback":
        return replace(rollout, phase="rolled-back", verdict=None, **end)
    phase = "completed" if record.kind == "rollback" else "promoted"
    verdict = data.get("verdict") or ("PASS" if rollout.bake_s and record.kind == "deployed" else None)
    return replace(rollout, phase=phase, verdict=verdict, switch_s=data.get("switch_s"), **end)
