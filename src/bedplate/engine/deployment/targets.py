"""Selects the resources of a run by Pulumi's options --target, --target-dependents and --replace."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from bedplate.engine.state.snapshot import ROOT_TYPE, Resource


@dataclass(frozen=True, slots=True)
class Selection:
    """URNs or patterns: `*` matches within a part of a URN, `**` matches everything. No targets select everything."""

    targets: tuple[str, ...] = ()
    target_dependents: bool = False
    """Whether the dependents of targets are targets too."""
    replace: tuple[str, ...] = ()
    reached: set[str] = field(default_factory=set)
    """URNs of the targets that this run has reached, their dependents included."""

    @property
    def has_targets(self) -> bool:
        return bool(self.targets)

    @property
    def needs_dependency_check(self) -> bool:
        """Whether a resource may depend on one that this run skips."""
        return bool(self.targets or self.replace)

    def includes(self, resource: Resource) -> bool:
        """Returns whether the run may change the resource; always true for providers and the stack itself."""
        if not self.targets or resource.is_provider or resource.type == ROOT_TYPE:
            return True
        is_dependent = self.target_dependents and self.reached & resource.all_dependencies()
        if is_dependent or matches_any(self.targets, resource.urn):
            self.reached.add(resource.urn)
            return True
        return False

    def must_replace(self, urn: str) -> bool:
        """Returns whether --replace names this URN."""
        return matches_any(self.replace, urn)

    def unknown_targets(self, urns: Iterable[str]) -> tuple[str, ...]:
        """Returns the targets that are URNs, not patterns, and not among `urns`."""
        existing = set(urns)
        return tuple(target for target in self.targets if "*" not in target and target not in existing)


EVERYTHING = Selection()


def target_pattern(text: str) -> str:
    """Returns a URN or a pattern unchanged, and for the name of a resource the pattern that matches it.

    >>> target_pattern("artifacts"), target_pattern("urn:pulumi:local::shop::aws:s3/bucket:Bucket::a")
    ('**::artifacts', 'urn:pulumi:local::shop::aws:s3/bucket:Bucket::a')
    """
    return text if text.startswith("urn:") or "*" in text else f"**::{text}"


def matches_any(patterns: Iterable[str], urn: str) -> bool:
    """Returns whether any of the URNs or patterns matches `urn`.

    >>> urn = "urn:pulumi:s::p::t:t:T::a"
    >>> matches_any(["**::a"], urn), matches_any(["urn:*:s::p::t:*:T::a"], urn)
    (True, True)
    >>> matches_any(["**::a"], "urn:pulumi:s::p::t:t:T::ba"), matches_any(["*::a"], urn)
    (False, False)
    """
    return any(text == urn or ("*" in text and _compile_pattern(text).fullmatch(urn)) for text in patterns)


def _compile_pattern(text: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*?)", text)
    wildcards = {"*": "[^:]*", "**": ".*"}
    return re.compile("".join(wildcards.get(part, re.escape(part)) for part in parts), re.DOTALL)
