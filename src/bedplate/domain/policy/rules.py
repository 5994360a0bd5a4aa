"""What a policy is, what it looks at, and how a plan is judged by many of them."""

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
    """One resource as the program wants it; `inputs` in pulumi-aws's spelling, `UNKNOWN` where they are computed."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    urn: str = ""

    def __getitem__(self, path: str) -> Any:
        """The input at a dotted path (list entries by number), None where there is none.

        Raises Undecided when it, or what it is in, is not known before the run.

        >>> PlannedResource("t", "n", {"rules": [{"days": 3}]})["rules.0.days"]
        3
        """
        at: Any = self.inputs
        for part in path.split("."):
            if isinstance(at, Mapping):
                at = at.get(part)
            elif isinstance(at, list | tuple) and part.isdigit():
                at = at[int(part)] if int(part) < len(at) else None
            else:
                return None
            if at == UNKNOWN:
                raise Undecided(path)
        return at

    def has(self, path: str) -> bool:
        """Whether something stands there, known or not."""
        try:
            return self[path] not in (None, "", [], {})
        except Undecided:
            return True

    def statements(self, path: str = "policy") -> list[dict[str, Any]]:
        """The statements of a policy document, each with `Action`, `NotAction` and `PlannedResource` as lists."""
        text = self[path]
        document = json.loads(text) if isinstance(text, str) else text or {}
        found = document.get("Statement", [])
        return [
            {**s, **{key: listed(s[key]) for key in ("Action", "NotAction", "Resource") if key in s}}
            for s in listed(found)
        ]


class Undecided(Exception):
    """The answer depends on what is not known before the run."""


@dataclass(frozen=True, slots=True)
class PlannedStack:
    """Everything that one stack holds after the run."""

    resources: tuple[PlannedResource, ...]

    def of(self, *types: str) -> Iterator[PlannedResource]:
        """All resources whose type is one of these, e.g. `s3/bucket:Bucket`."""
        wanted = {f"aws:{type}" for type in types}
        return (resource for resource in self.resources if resource.type in wanted)


Finding = tuple[PlannedResource, str]
Check = Callable[[PlannedStack], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Policy:
    """One rule. `check` yields what violates it; scope `resource`: it looks at each resource by itself."""

    name: str
    description: str
    mend: str
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
    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """`violations`, mandatory ones first; `undecided`: pairs of policy and resource that only the run can tell."""

    violations: tuple[PolicyViolation, ...]
    undecided: tuple[tuple[str, str], ...]
    policies: int

    @property
    def stops(self) -> bool:
        return any(v.level == "mandatory" for v in self.violations)


def judge(resources: Iterable[PlannedResource], policies: Sequence[Policy]) -> PolicyReport:
    """Put every resource through every policy."""
    program = PlannedStack(tuple(r for r in resources if r.type.startswith("aws:")))
    violations: list[PolicyViolation] = []
    undecided: list[tuple[str, str]] = []
    for policy in policies:
        parts = (program,) if policy.scope == "stack" else tuple(PlannedStack((r,)) for r in program.resources)
        for part in parts:
            try:
                for resource, what in policy.check(part):
                    at = (resource.urn, resource.type, resource.name)
                    violations.append(PolicyViolation(policy.name, policy.level, *at, what, policy.mend))
            except Undecided as exc:
                name = part.resources[0].name if policy.scope == "resource" else str(exc)
                undecided.append((policy.name, name))
    violations.sort(key=lambda v: (v.level != "mandatory", v.policy, v.type, v.name))
    return PolicyReport(tuple(violations), tuple(undecided), len(policies))


def planned(resources: Iterable[ResourceChange]) -> Iterator[PlannedResource]:
    """What a plan leaves in the stack, as resources to judge."""
    return (PlannedResource(r.type, r.name, r.after, r.urn) for r in resources if r.after is not None)


def listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
