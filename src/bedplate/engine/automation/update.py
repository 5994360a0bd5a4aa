"""A run as an application sees it: what happened to each resource, how far it is, and what the history keeps of it."""

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
    """One property before and after; a secret is `[secret]` in both, what is absent is None."""

    path: str
    old: Any
    new: Any
    replaces: bool


@dataclass(frozen=True, slots=True)
class StackStep:
    """What happens to one resource. A replacement is one step `replace`, not its parts."""

    op: str
    """create, update, replace, delete, read, import, delete-replaced (left over from an earlier run), same."""
    urn: str
    type: str
    name: str
    changes: tuple[PropertyChange, ...] = ()
    replace_keys: tuple[str, ...] = ()
    parent: str = ""
    before: Mapping[str, Any] | None = None
    """Inputs in the state, secrets as `[secret]`; None for what is not there yet."""
    after: Mapping[str, Any] | None = None
    """Inputs as the program wants them; None for what goes."""


@dataclass(frozen=True, slots=True)
class Update:
    """How a run went, or would go."""

    verb: str
    steps: tuple[StackStep, ...]
    """In order; without what stays the same."""
    counts: Mapping[str, int]
    """Per operation, `same` included; providers that Pulumi makes by itself are not counted."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """What the program exports, secrets as `[secret]`; empty for a preview."""
    messages: tuple[str, ...] = ()
    """Warnings, and what the program printed."""
    duration_s: float = 0.0
    resources: tuple[StackStep, ...] = ()
    """Everything that the run looked at, what stays the same included."""

    @property
    def changed(self) -> bool:
        return any(count for op, count in self.counts.items() if op not in ("same", "read", "refresh"))


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: `state` of one resource's operation, `done` resources so far."""

    state: Literal["begin", "done", "failed"]
    op: str
    type: str
    name: str
    done: int


@dataclass(frozen=True, slots=True)
class PastUpdate:
    """One entry of a stack's history."""

    version: int | None
    """Its number, from 1; None where the backend does not number."""
    verb: str
    result: str
    """succeeded, failed, in-progress, or interrupted: begun, never ended, and nobody is at it."""
    started_at: datetime
    ended_at: datetime | None
    counts: Mapping[str, int]
    message: str
    who: str
    """`user@host`, with the Pulumi CLI the author that git names; empty where nobody knows."""
    engine: str
    """embedded or pulumi, with its version where it is known."""

    @property
    def duration_s(self) -> float | None:
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


def past_update(run: UpdateSummary, *, at_work: bool) -> PastUpdate:
    """An entry of the Automation API's history; `at_work` says whether somebody is at the latest one now."""
    told = run.environment
    engine = told.get("engine", "pulumi")
    version = told.get("engine.version") or told.get("pulumi.version") or ""
    result = str(run.result)
    return PastUpdate(
        version=run.version or None,
        verb="up" if run.kind == "update" else run.kind,
        result="interrupted" if result == IN_PROGRESS and not at_work else result,
        started_at=run.start_time.replace(tzinfo=UTC),
        ended_at=run.end_time.replace(tzinfo=UTC) if run.end_time else None,
        counts=counted(run.resource_changes or {}),
        message=run.message,
        who=told.get("user") or told.get("git.author", ""),
        engine=f"{engine} {version}".strip(),
    )


def counted(changes: Mapping[Any, int]) -> dict[str, int]:
    """Operations by their names, whether the Automation API gives names or members of its enum."""
    return {str(getattr(op, "value", op)): count for op, count in changes.items()}
