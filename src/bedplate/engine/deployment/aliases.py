"""Computes the old URNs of a resource from its aliases and those of its parent."""

from __future__ import annotations

from bedplate.engine.deployment.steps import Alias, Goal
from bedplate.engine.state.snapshot import ROOT_TYPE, build_urn, name_of, qualified_type, type_of


class Aliases:
    """The aliases that matched an old resource in this run, and the candidates for a registration."""

    def __init__(self, stack: str, project: str) -> None:
        self.claims: dict[str, str] = {}
        """Old URN to the new URN that it was renamed to."""
        self._old_urns: dict[str, str] = {}
        self._stack = stack
        self._project = project

    def claim(self, old_urn: str, new_urn: str) -> None:
        self.claims[old_urn] = new_urn
        self._old_urns[new_urn] = old_urn

    def candidates(self, goal: Goal) -> list[str]:
        """Returns possible old URNs in Pulumi's order: from the resource's aliases, then from a renamed parent."""
        urns = [self._alias_urn(goal, alias) for alias in goal.aliases]
        old_parent = self._old_urns.get(goal.parent)
        if old_parent:
            inherited = [(goal.type, goal.name), *((type_of(urn), name_of(urn)) for urn in urns)]
            urns += [self._inherited_urn(goal.parent, old_parent, type, name) for type, name in inherited]
        return list(dict.fromkeys(urns))

    def _alias_urn(self, goal: Goal, alias: Alias) -> str:
        if alias.urn:
            return alias.urn
        parent = self._old_urns.get(alias.parent, alias.parent) if alias.parent else goal.parent
        if alias.no_parent or (parent and qualified_type(parent) == ROOT_TYPE):
            parent = ""
        return build_urn(
            alias.stack or self._stack,
            alias.project or self._project,
            parent,
            alias.type or goal.type,
            alias.name or goal.name,
        )

    def _inherited_urn(self, parent: str, old_parent: str, type: str, name: str) -> str:
        """Returns the URN under the old parent; a name that starts with the parent's name changes with it."""
        parent_name = name_of(parent)
        if name.startswith(parent_name):
            name = name_of(old_parent) + name[len(parent_name) :]
        return build_urn(self._stack, self._project, old_parent, type, name)
