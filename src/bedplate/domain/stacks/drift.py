"""Finds where a stack's program, state and live resources differ, property by property."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from bedplate.domain.stacks.plan import PlanStep

DriftKind = Literal["changed", "gone", "not applied"]
"""`changed`: the live resource differs from the state. `gone`: it no longer exists. `not applied`: the program differs
from the state."""


@dataclass(frozen=True, slots=True)
class PropertyDrift:
    """A property of a resource in program, state and live resource; `path` is empty if it is about the whole
    resource.

    Secrets are `[secret]`, absent values are None.
    """

    kind: DriftKind
    urn: str
    type: str
    name: str
    path: str
    program: Any
    state: Any
    live: Any


@dataclass(frozen=True, slots=True)
class StackDrift:
    """All differences: first those of live resources, by type and name, then those of the program alone."""

    differences: tuple[PropertyDrift, ...]

    @property
    def has_drifted(self) -> bool:
        """Whether a live resource differs from the state. Changes of the program that were not applied yet do not
        count."""
        return any(difference.kind != "not applied" for difference in self.differences)

    @property
    def has_unapplied_changes(self) -> bool:
        """Whether the program contains changes that no update has applied."""
        return any(difference.program != difference.state for difference in self.differences)


def compare_steps(refreshed: Iterable[PlanStep], pending: Iterable[PlanStep]) -> StackDrift:
    """Joins what a refresh would change (`refreshed`: state against live) with what `up` would change (`pending`: state
    against program).

    For a property that only one of them contains, the other side has the state's value. Properties in `ignoreChanges`
    are in neither, so they never drift.
    """
    refreshed, pending = list(refreshed), list(pending)
    programs = {(step.urn, change.path): change.new for step in pending for change in step.changes}
    deleted = {step.urn for step in pending if step.op == "delete"}
    live_drift: list[PropertyDrift] = []
    reported: set[tuple[str, str]] = set()
    gone: set[str] = set()
    for step in refreshed:
        if step.op == "delete":
            gone.add(step.urn)
            program = None if step.urn in deleted else "exists"
            live_drift.append(PropertyDrift("gone", step.urn, step.type, step.name, "", program, "exists", None))
            continue
        for change in step.changes:
            key = (step.urn, change.path)
            reported.add(key)
            program = None if step.urn in deleted else programs.get(key, change.old)
            resource = (step.urn, step.type, step.name, change.path)
            live_drift.append(PropertyDrift("changed", *resource, program, change.old, change.new))
    live_drift.sort(key=lambda drift: (drift.kind, drift.type, drift.name, drift.path))
    unapplied = (d for step in pending if step.urn not in gone for d in _unapplied_changes(step, reported))
    return StackDrift((*live_drift, *unapplied))


def _unapplied_changes(step: PlanStep, reported: set[tuple[str, str]]) -> list[PropertyDrift]:
    whole = {"create": ("exists", None), "import": ("exists", None), "delete": (None, "exists")}
    if step.op in whole:
        program, state = whole[step.op]
        return [PropertyDrift("not applied", step.urn, step.type, step.name, "", program, state, state)]
    return [
        PropertyDrift("not applied", step.urn, step.type, step.name, change.path, change.new, change.old, change.old)
        for change in step.changes
        if (step.urn, change.path) not in reported
    ]
