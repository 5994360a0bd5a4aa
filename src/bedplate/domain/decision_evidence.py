"""Traces one prediction back to its release, training, evaluation and approvals in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedplate.domain.ledger import Record, who_was_live
from bedplate.domain.names import parse_release_version
from bedplate.domain.release import version_of

_RELEASE_KINDS = ("deployment-started", "deployed", "deployment-rolled-back", "rollback")


@dataclass(frozen=True, slots=True)
class DecisionEvidence:
    """What the ledger held when a prediction was returned. Each record is the last of its kind up to that time.

    `version` 0 is the fallback, which has no training and no approval; None when the release is not one of Bedplate's.
    """

    release: str | None
    version: int | None
    live_release: str | None
    """The live release at that time by the ledger; None before the first deployment, when it is the fallback."""
    trained: Record | None
    evaluated: Record | None
    approvals: tuple[Record, ...]
    """Approvals and rejections, in order; a high-risk model needs two approvals."""
    deployments: tuple[Record, ...]
    """The deployments and rollbacks of this release: their starts and their outcomes."""

    @property
    def is_consistent(self) -> bool:
        """Whether prediction and ledger name the same release. They may differ in a rollout, when a canary responds."""
        if self.version == 0:
            return self.live_release is None or version_of(self.live_release) == 0
        return self.release == self.live_release

    @property
    def records(self) -> tuple[Record, ...]:
        """All records, in the ledger's order."""
        single = [r for r in (self.trained, self.evaluated) if r is not None]
        return tuple(sorted((*single, *self.approvals, *self.deployments), key=lambda r: r.seq))


def find_evidence(records: Sequence[Record], model: str, release: str | None, at: datetime) -> DecisionEvidence:
    """Returns what the ledger says about the release that returned a prediction at `at`.

    `records` are in order of their numbers. Only records up to `at` count: a later approval is not evidence.
    """
    version = version_of(release) if release else None
    before = [r for r in records if r.model == model and r.at <= at]
    own = [r for r in before if r.version == version and parse_release_version(release or "") is not None]
    live = who_was_live(records, model, at)
    return DecisionEvidence(
        release=release,
        version=version,
        live_release=live.release if live else None,
        trained=next((r for r in reversed(own) if r.kind == "trained"), None),
        evaluated=next((r for r in reversed(own) if r.kind == "evaluated"), None),
        approvals=tuple(r for r in own if r.kind in ("approved", "forced", "rejected")),
        deployments=tuple(
            r for r in before if r.kind in _RELEASE_KINDS and release in (r.data.get("release"), r.data.get("live"))
        ),
    )
