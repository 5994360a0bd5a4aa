"""Describes a run to the application: the step of each resource, the progress, and the entry in the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from bedplate.engine.state.store import IN_PROGRESS

if TYPE_CHECKING:
    from pulumi.automation import UpdateSummary


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property before and after; a secret is `[secret]` in both, an absent value None."""

    path: str
    old: Any
    new: Any
    replaces: bool


@dataclass(frozen=True, slots=True)
class StackStep:
    """What a run does to one resource. A replacement is one step `replace`, not its parts."""

    op: str
    """create, update, replace, delete, read, import, delete-replaced (pending from an earlier run), same."""
    urn: str
    type: str
    name: str
    changes: tuple[PropertyChange, ...] = ()
    replace_keys: tuple[str, ...] = ()
    parent: str = ""
    before: Mapping[str, Any] | None = None
    """Inputs in the state, secrets as `[secret]`; None for a new resource."""
    after: Mapping[str, Any] | None = None
    """Inputs of the program, secrets as `[secret]`; None for a deletion."""


@dataclass(frozen=True, slots=True)
class Update:
    """The result of a run or of a preview."""

    verb: str
    steps: tuple[StackStep, ...]
    """In order, without unchanged resources."""
    counts: Mapping[str, int]
    """Resources per operation, `same` included, without Pulumi's default providers."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """The program's exports, secrets as `[secret]`; empty for a preview."""
    messages: tuple[str, ...] = ()
    """Warnings, and the program's output."""
    duration_s: float = 0.0
    resources: tuple[StackStep, ...] = ()
    """In order, with unchanged resources."""

    @property
    def has_changes(self) -> bool:
        return any(count for op, count in self.counts.items() if op not in ("same", "read", "refresh"))


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of one resource's operation, and the number of resources that are completed so far."""

    state: Literal["begin", "done", "failed"]
    op: str
    type: str
    name: str
    completed_count: int


@dataclass(frozen=True, slots=True)
class PastUpdate:
    """One entry of a stack's history."""

    version: int | None
    """The number of the run, from 1; None for a backend without numbers."""
    verb: str
    result: str
    """succeeded, failed, in-progress, or interrupted (started, not ended, and no longer running)."""
    started_at: datetime
    ended_at: datetime | None
    counts: Mapping[str, int]
    message: str
    user: str
    """`user@host`, or the author in git with the Pulumi CLI; empty if unknown."""
    engine: str
    """embedded or pulumi, with its version if known."""

    @property
    def duration_s(self) -> float | None:
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


def build_past_update(summary: UpdateSummary, *, is_running: bool) -> PastUpdate:
    """Converts an entry of the Automation API's history; `is_running` is whether that run is still running."""
    environment = summary.environment
    engine = environment.get("engine", "pulumi")
    version = environment.get("engine.version") or environment.get("pulumi.version") or ""
    result = str(summary.result)
    return PastUpdate(
        version=summary.version or None,
        verb="up" if summary.kind == "update" else summary.kind,
        result="interrupted" if result == IN_PROGRESS and not is_running else result,
        started_at=summary.start_time.replace(tzinfo=UTC),
        ended_at=summary.end_time.replace(tzinfo=UTC) if summary.end_time else None,
        counts=count_operations(summary.resource_changes or {}),
        message=summary.message,
        user=environment.get("user") or environment.get("git.author", ""),
        engine=f"{engine} {version}".strip(),
    )


def count_operations(changes: Mapping[Any, int]) -> dict[str, int]:
    """Returns the counts by operation name; the Automation API's keys are names or members of its enum."""
    return {str(getattr(op, "value", op)): count for op, count in changes.items()}
