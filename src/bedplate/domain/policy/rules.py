"""Defines policies, and evaluates them over the resources of a plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bedplate.domain.stacks.plan import UNKNOWN, ResourceChange

Level = Literal["mandatory", "advisory"]
Scope = Literal["resource", "stack"]


@dataclass(frozen=True, slots=True)
class PlannedResource:
    """A resource as the program declares it; `inputs` have pulumi-aws's names, and `UNKNOWN` where they are
    computed."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    urn: str = ""

    def __getitem__(self, path: str) -> Any:
        """Returns the input at a dotted path (list items by index); None if it is absent.

        Raises UnknownInput if it, or what contains it, is not known before the update.

        >>> PlannedResource("t", "n", {"rules": [{"days": 3}]})["rules.0.days"]
        3
        """
        value: Any = self.inputs
        for part in path.split("."):
            if isinstance(value, Mapping):
                value = value.get(part)
            elif isinstance(value, list | tuple) and part.isdigit():
                value = value[int(part)] if int(part) < len(value) else None
            else:
                return None
            if value == UNKNOWN:
                raise UnknownInput(path)
        return value

    def has(self, path: str) -> bool:
        """Returns whether the input is set, even if its value is not known yet."""
        try:
            return self[path] not in (None, "", [], {})
        except UnknownInput:
            return True

    def statements(self, path: str = "policy") -> list[dict[str, Any]]:
        """Returns the statements of a policy document, with `Action`, `NotAction` and `Resource` as lists."""
        text = self[path]
        document = json.loads(text) if isinstance(text, str) else text or {}
        keys = ("Action", "NotAction", "Resource")
        return [
            {**statement, **{key: as_list(statement[key]) for key in keys if key in statement}}
            for statement in as_list(document.get("Statement", []))
        ]


class UnknownInput(Exception):
    """A policy depends on an input that is not known before the update."""


@dataclass(frozen=True, slots=True)
class PlannedStack:
    """All resources of a stack after the update."""

    resources: tuple[PlannedResource, ...]

    def of_type(self, *types: str) -> Iterator[PlannedResource]:
        """Yields the resources of the given types, e.g. `s3/bucket:Bucket`."""
        full_types = {f"aws:{type}" for type in types}
        return (resource for resource in self.resources if resource.type in full_types)


PolicyFinding = tuple[PlannedResource, str]
Check = Callable[[PlannedStack], Iterator[PolicyFinding]]


@dataclass(frozen=True, slots=True)
class Policy:
    """A rule. `check` yields violations; with scope `resource` it sees one resource at a time."""

    name: str
    description: str
    fix: str
    check: Check
    level: Level = "mandatory"
    scope: Scope = "resource"


@dataclass(frozen=True, slots=True)
class PolicyViolation:
    policy: str
    level: Level
    urn: str
    type: str
    name: str
    detail: str
    fix: str


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """`violations` has mandatory ones first; `undecided` are (policy, resource) pairs that depend on unknown inputs."""

    violations: tuple[PolicyViolation, ...]
    undecided: tuple[tuple[str, str], ...]
    policies: int

    @property
    def is_blocking(self) -> bool:
        return any(v.level == "mandatory" for v in self.violations)


def evaluate(resources: Iterable[PlannedResource], policies: Sequence[Policy]) -> PolicyReport:
    """Evaluates every policy over the resources."""
    program = PlannedStack(tuple(resource for resource in resources if resource.type.startswith("aws:")))
    violations: list[PolicyViolation] = []
    undecided: list[tuple[str, str]] = []
    for policy in policies:
        scopes = (
            (program,)
            if policy.scope == "stack"
            else tuple(PlannedStack((resource,)) for resource in program.resources)
        )
        for scope in scopes:
            try:
                for resource, detail in policy.check(scope):
                    identity = (resource.urn, resource.type, resource.name)
                    violations.append(PolicyViolation(policy.name, policy.level, *identity, detail, policy.fix))
            except UnknownInput as exc:
                name = scope.resources[0].name if policy.scope == "resource" else str(exc)
                undecided.append((policy.name, name))
    violations.sort(key=lambda v: (v.level != "mandatory", v.policy, v.type, v.name))
    return PolicyReport(tuple(violations), tuple(undecided), len(policies))


def list_planned_resources(resources: Iterable[ResourceChange]) -> Iterator[PlannedResource]:
    """Yields the resources that exist after a plan."""
    return (PlannedResource(r.type, r.name, r.after, r.urn) for r in resources if r.after is not None)


def as_list(value: Any) -> list[Any]:
    """Returns a list as it is, and any other value as a list of one."""
    return list(value) if isinstance(value, list | tuple) else [value]
