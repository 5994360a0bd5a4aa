"""Every way in which traffic ever moved, in one list: what `rollout status` and `rollout history` show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bedplate.domain.ledger import LIVE_KINDS, Record
from bedplate.domain.rollout.machine import RolloutState, rollouts_in


@dataclass(frozen=True, slots=True)
class RolloutSummary:
    """One rollout, of whatever strategy. `phase` is a rollout's own; that of a deployment, which the platform carries
    out by itself, is `rolling`, `promoted`, `rolled-back`, `no-data` or `refused`; a rollback's is `switching`, and
    `back` in the end."""

    id: str
    strategy: str
    release: str
    version: int
    champion: str | None
    phase: str
    verdict: str | None
    begun_at: datetime
    ended_at: datetime | None
    actor: str
    reason: str | None
    state: RolloutState | None = None
    took_s: float | None = None
    bake_s: int = 0
    needed_answers: int = 0

    @property
    def open(self) -> bool:
        return self.ended_at is None


def movements(records: Sequence[Record], model: str) -> tuple[RolloutSummary, ...]:
    """Oldest first. A promotion out of a rollout is part of it, and not told twice."""
    found = [_told(state) for state in rollouts_in(records, model)]
    for r in (r for r in records if r.model == model):
        if r.kind == "deploying":
            if not str(r.data.get("reason") or "").startswith("rollout "):
                found.append(_begun(r))
        elif r.kind in LIVE_KINDS or "refused" in r.data:
            found = [_after(m, r) if m.open and m.state is None else m for m in found]
    return tuple(sorted(found, key=lambda m: m.begun_at))


def _told(state: RolloutState) -> RolloutSummary:
    terms = state.terms
    return RolloutSummary(
        state.id,
        terms.strategy,
        terms.challenger,
        terms.version,
        terms.champion,
        state.phase,
        state.verdict,
        state.begun_at,
        state.since if state.over else None,
        state.actor,
        state.reason,
        state,
    )


def _begun(r: Record) -> RolloutSummary:
    back = r.data.get("act") == "rollback"
    return RolloutSummary(
        f"#{r.seq}",
        "rollback" if back else str(r.data.get("strategy") or "all-at-once"),
        str(r.data["release"]),
        r.version or 0,
        r.data.get("from"),
        "switching" if back else "rolling",
        None,
        r.at,
        None,
        r.actor,
        r.data.get("reason"),
        bake_s=int(r.data.get("bake_s") or 0),
        needed_answers=int(r.data.get("needed_answers") or 0),
    )


def _after(movement: RolloutSummary, r: Record) -> RolloutSummary:
    """A record ends the movement that it names, and every other one that it put an end to."""
    if "refused" in r.data:
        return _ended(movement, r) if movement.id == f"#{r.data['refused']}" else movement
    if movement.release == str(r.data.get("release") or r.data.get("live")):
        return _ended(movement, r)
    if r.kind == "rolled-back":
        return movement
    return replace(movement, phase="rolled-back", ended_at=r.at, reason=r.data.get("reason") or movement.reason)


def _ended(movement: RolloutSummary, r: Record) -> RolloutSummary:
    told: dict[str, Any] = {"ended_at": r.at, "reason": r.data.get("reason") or movement.reason}
    if "refused" in r.data:
        return replace(movement, phase="refused", **told)
    if r.kind == "rolled-back":
        starved = r.data.get("verdict") == "NO_DATA"
        return replace(
            movement,
            phase="no-data" if starved else "rolled-back",
            verdict="NO_DATA" if starved else "FAIL",
            **told,
        )
    if r.kind == "rollback" and movement.strategy != "rollback":
        return replace(movement, phase="rolled-back", verdict=None, **told)
    phase = "back" if r.kind == "rollback" else "promoted"
    verdict = r.data.get("verdict") or ("PASS" if movement.bake_s and r.kind == "deployed" else None)
    return replace(movement, phase=phase, verdict=verdict, took_s=r.data.get("took_s"), **told)
