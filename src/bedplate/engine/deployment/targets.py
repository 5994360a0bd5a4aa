"""Which resources a run is for: --target, --target-dependents and --replace, as Pulumi understands them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from bedplate.engine.state.snapshot import ROOT_TYPE, Resource


@dataclass(frozen=True, slots=True)
class Selection:
    """URNs, or patterns of them: `*` stands for anything within a part, `**` for anything. Empty selects everything."""

    targets: tuple[str, ...] = ()
    dependents: bool = False
    """What depends on a target is one too."""
    replace: tuple[str, ...] = ()
    implied: set[str] = field(default_factory=set)
    """Targets met in this run, also those that are targets as dependents only."""

    @property
    def constrained(self) -> bool:
        return bool(self.targets)

    @property
    def checked(self) -> bool:
        """Whether a step may meet a dependency that this run leaves out."""
        return bool(self.targets or self.replace)

    def takes(self, resource: Resource) -> bool:
        """Whether the run may change it; providers and the stack itself always."""
        if not self.targets or resource.is_provider or resource.type == ROOT_TYPE:
            return True
        if matches(self.targets, resource.urn) or (self.dependents and self.implied & resource.edges()):
            self.implied.add(resource.urn)
            return True
        return False

    def replaces(self, urn: str) -> bool:
        return matches(self.replace, urn)

    def unknown(self, resources: Iterable[str]) -> tuple[str, ...]:
        """Whole URNs among the targets that no resource has."""
        known = set(resources)
        return tuple(target for target in self.targets if "*" not in target and target not in known)


EVERYTHING = Selection()


def pattern(text: str) -> str:
    """What a person types as a target: a URN or a pattern as it is, a bare name as the resource of that name.

    >>> pattern("artifacts"), pattern("urn:pulumi:local::shop::aws:s3/bucket:Bucket::a")
    ('**::artifacts', 'urn:pulumi:local::shop::aws:s3/bucket:Bucket::a')
    """
    return text if text.startswith("urn:") or "*" in text else f"**::{text}"


def matches(patterns: Iterable[str], urn: str) -> bool:
    """
    >>> matches(["**::a"], "urn:pulumi:s::p::t:t:T::a"), matches(["urn:*:s::p::t:*:T::a"], "urn:pulumi:s::p::t:t:T::a")
    (True, True)
    >>> matches(["**::a"], "urn:pulumi:s::p::t:t:T::ba"), matches(["*::a"], "urn:pulumi:s::p::t:t:T::a")
    (False, False)
    """
    return any(each == urn or ("*" in each and _regex(each).fullmatch(urn)) for each in patterns)


def _regex(text: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*?)", text)
    words = {"*": "[^:]*", "**": ".*"}
    return re.compile("".join(words.get(part, re.escape(part)) for part in parts), re.DOTALL)
