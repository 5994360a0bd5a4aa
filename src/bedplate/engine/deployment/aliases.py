"""Under which URNs a resource may have been known before, its own aliases multiplied by its parent's."""

from __future__ import annotations

from bedplate.engine.deployment.steps import Alias, Goal
from bedplate.engine.state.snapshot import ROOT_TYPE, make_urn, name_of, qualified_type, type_of


class Aliases:
    """The aliases that were found true in this run, and the candidates for a registration."""

    def __init__(self, stack: str, project: str) -> None:
        self.taken: dict[str, str] = {}
        """Old URN to the new one that claimed it."""
        self._used: dict[str, str] = {}
        self._stack = stack
        self._project = project

    def take(self, old_urn: str, new_urn: str) -> None:
        self.taken[old_urn] = new_urn
        self._used[new_urn] = old_urn

    def of(self, goal: Goal) -> list[str]:
        """Candidates in Pulumi's order: the resource's own, then those inherited from a renamed parent."""
        found = [self._collapse(goal, alias) for alias in goal.aliases]
        parent_was = self._used.get(goal.parent)
        if parent_was:
            inherited = [(goal.type, goal.name), *((type_of(urn), name_of(urn)) for urn in found)]
            found += [self._inherit(goal.parent, parent_was, type, name) for type, name in inherited]
        return list(dict.fromkeys(found))

    def _collapse(self, goal: Goal, alias: Alias) -> str:
        if alias.urn:
            return alias.urn
        parent = self._used.get(alias.parent, alias.parent) if alias.parent else goal.parent
        if alias.no_parent or (parent and qualified_type(parent) == ROOT_TYPE):
            parent = ""
        return make_urn(
            alias.stack or self._stack,
            alias.project or self._project,
            parent,
            alias.type or goal.type,
            alias.name or goal.name,
        )

    def _inherit(self, parent: str, parent_was: str, type: str, name: str) -> str:
        """A child named after its parent was named after the parent's old name."""
        now = name_of(parent)
        if name.startswith(now):
            name = name_of(parent_was) + name[len(now) :]
        return make_urn(self._stack, self._project, parent_was, type, name)
