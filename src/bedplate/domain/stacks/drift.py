"""Where program, state and world disagree about a stack, property by property."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from bedplate.domain.stacks.plan import PlanStep

Kind = Literal["changed", "gone", "not applied"]
"""`changed`: the world is not what the last run left. `gone`: it is no longer in the world. `not applied`: the program
says something else than the last run did."""


@dataclass(frozen=True, slots=True)
class PropertyDrift:
    """One property of one resource by its three tellers; `path` is empty when the resource as a whole is meant.

    Secrets are `[secret]`, what is absent is None.
    """

    kind: Kind
    urn: str
    type: str
    name: str
    path: str
    program: Any
    state: Any
    world: Any


@dataclass(frozen=True, slots=True)
class StackDrift:
    """Every difference: first those of the world, by type and name, then those of the program alone."""

    differences: tuple[PropertyDrift, ...]

    @property
    def drifted(self) -> bool:
        """The world is not what the state says. That the program is ahead of the state is no drift."""
        return any(each.kind != "not applied" for each in self.differences)

    @property
    def ahead(self) -> bool:
        """The program says something that no run has applied."""
        return any(each.program != each.state for each in self.differences)


def compare(found: Iterable[PlanStep], pending: Iterable[PlanStep]) -> StackDrift:
    """Join what a refresh would take over (`found`: state against world) with what `up` would do (`pending`: state
    against program). A property that only one of them names is told by the other's teller as the state has it.

    What the program leaves to others (`ignoreChanges`) is in neither, and so it is never drift.
    """
    found, pending = list(found), list(pending)
    programs = {(step.urn, change.path): change.new for step in pending for change in step.changes}
    leaving = {step.urn for step in pending if step.op == "delete"}
    world: list[PropertyDrift] = []
    told: set[tuple[str, str]] = set()
    gone: set[str] = set()
    for step in found:
        if step.op == "delete":
            gone.add(step.urn)
            wanted = None if step.urn in leaving else "exists"
            world.append(PropertyDrift("gone", step.urn, step.type, step.name, "", wanted, "exists", None))
            continue
        for change in step.changes:
            key = (step.urn, change.path)
            told.add(key)
            program = None if step.urn in leaving else programs.get(key, change.old)
            at = (step.urn, step.type, step.name, change.path)
            world.append(PropertyDrift("changed", *at, program, change.old, change.new))
    world.sort(key=lambda each: (each.kind, each.type, each.name, each.path))
    return StackDrift((*world, *(d for step in pending if step.urn not in gone for d in _ahead(step, told))))


def _ahead(step: PlanStep, told: set[tuple[str, str]]) -> list[PropertyDrift]:
    whole = {"create": ("exists", None), "import": ("exists", None), "delete": (None, "exists")}
    if step.op in whole:
        program, state = whole[step.op]
        return [PropertyDrift("not applied", step.urn, step.type, step.name, "", program, state, state)]
    return [
        PropertyDrift("not applied", step.urn, step.type, step.name, change.path, change.new, change.old, change.old)
        for change in step.changes
        if (step.urn, change.path) not in told
    ]
