"""Follows one answer back to what it rests on: release, training, verdicts, and the person who said yes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedplate.domain.ledger import Record, who_was_live
from bedplate.domain.names import version_of_release
from bedplate.domain.release import version_told

_OF_A_VERSION = ("trained", "evaluated", "approved", "forced", "rejected")
_OF_A_RELEASE = ("deploying", "deployed", "rolled-back", "rollback")


@dataclass(frozen=True, slots=True)
class DecisionGrounds:
    """What the ledger held when an answer was given. Each record is the last of its kind up to that moment.

    `version` 0 is the fallback, which nobody trained or approved; None when the answer names no release of ours.
    """

    release: str | None
    version: int | None
    live: str | None
    """The release that the ledger says was live then; None before the first deployment, when it is the fallback."""
    trained: Record | None
    evaluated: Record | None
    approvals: tuple[Record, ...]
    """Yes and no, in order; for high risk there are two."""
    moves: tuple[Record, ...]
    """How this release came to answer: `deploying` and what became of it."""

    @property
    def agree(self) -> bool:
        """Whether answer and ledger name the same release. In a rollout they need not: the canary answers too."""
        if self.version == 0:
            return self.live is None or version_told(self.live) == 0
        return self.release == self.live

    @property
    def records(self) -> tuple[Record, ...]:
        """All of them, in the ledger's order."""
        alone = [r for r in (self.trained, self.evaluated) if r is not None]
        return tuple(sorted((*alone, *self.approvals, *self.moves), key=lambda r: r.seq))


def grounds(records: Sequence[Record], model: str, release: str | None, at: datetime) -> DecisionGrounds:
    """What the ledger says of the release that answered at `at`; `records` are in order of their numbers.

    Only acts up to then count: a yes that was said afterwards is no ground of the answer.
    """
    version = version_told(release) if release else None
    before = [r for r in records if r.model == model and r.at <= at]
    mine = [r for r in before if r.version == version and version_of_release(release or "") is not None]
    of_kind = {kind: [r for r in mine if r.kind == kind] for kind in _OF_A_VERSION}
    live = who_was_live(records, model, at)
    return DecisionGrounds(
        release=release,
        version=version,
        live=live.release if live else None,
        trained=next(iter(of_kind["trained"][-1:]), None),
        evaluated=next(iter(of_kind["evaluated"][-1:]), None),
        approvals=tuple(r for r in mine if r.kind in ("approved", "forced", "rejected")),
        moves=tuple(r for r in before if r.kind in _OF_A_RELEASE and release in _named(r)),
    )


def _named(record: Record) -> tuple[object, object]:
    return record.data.get("release"), record.data.get("live")
