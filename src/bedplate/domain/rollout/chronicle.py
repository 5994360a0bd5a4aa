"""Every way in which traffic ever moved, in one list: what `rollout status` and `rollout history` show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bedplate.domain.ledger import Record
from bedplate.domain.rollout.machine import RolloutState, rollouts_in


@dataclass(frozen=True, slots=True)
class Movement:
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


def movements(records: Sequence[Record], model: str) -> tuple[Movement, ...]:
    """Oldest first. A promotion out of a rollout is part of it, and not told twice."""
    found = [_told(state) for state in rollouts_in(records, model)]
    open_one: Movement | None = None
    for r in (r for r in records if r.model == model):
        if r.kind == "deploying":
            if not str(r.data.get("reason") or "").startswith("rollout "):
                open_one = _begun(r)
                found.append(open_one)
        elif open_one is None:
            continue
        elif r.kind in ("deployed", "rolled-back", "rollback") or "refused" in r.data:
            found[found.index(open_one)] = _ended(open_one, r)
            open_one = None
    return tuple(sorted(found, key=lambda m: m.begun_at))


def _told(state: RolloutState) -> Movement:
    terms = state.terms
    return Movement(
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


def _begun(r: Record) -> Movement:
    back = r.data.get("act") == "rollback"
    return Movement(
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


def _ended(movement: Movement, r: Record) -> Movement:
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
