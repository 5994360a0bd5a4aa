"""Decides which steps a registration needs, following Pulumi's step generator case by case.

Decisions depend on what was decided before in the same run, so one planner sees every registration, one at a time.
"""

from __future__ import annotations

from dataclasses import replace

from bedplate.engine import property_paths
from bedplate.engine.deployment.aliases import Aliases
from bedplate.engine.deployment.events import Events
from bedplate.engine.deployment.provider_checks import ProviderChecks, RegistrationRejected, replace_on_changes, seed_of
from bedplate.engine.deployment.providers import Providers
from bedplate.engine.deployment.steps import Goal, Op, Step
from bedplate.engine.deployment.targets import EVERYTHING, Selection, matches
from bedplate.engine.property_values import mask
from bedplate.engine.protocol import UNKNOWN, DiffChanges, DiffResult
from bedplate.engine.state.snapshot import ROOT_TYPE, DependencyGraph, Resource, Snapshot, make_urn


class Planner:
    """Steps for registrations (`plan`), for reads (`plan_read`), and for what nobody registered (`deletions`)."""

    def __init__(
        self,
        stack: str,
        project: str,
        snapshot: Snapshot,
        providers: Providers,
        events: Events,
        *,
        preview: bool,
        selection: Selection = EVERYTHING,
    ) -> None:
        self.stack = stack
        self.project = project
        self.preview = preview
        self.errored = False
        """Something was told as an error although planning went on (only in a preview)."""
        self.duplicated = False
        """A URN was registered twice, so nothing that was planned is carried out."""
        self.root = ""
        self._snapshot = snapshot
        self._providers = providers
        self._events = events
        self._prev = list(snapshot.resources())
        self.olds: dict[str, Resource] = {r.urn: r for r in self._prev if not r.delete}
        self._inquiry = ProviderChecks(providers, events, self.olds)
        self._graph = DependencyGraph(self._prev)
        self._aliases = Aliases(stack, project)
        self._seen: set[str] = set()
        self._decided: set[str] = set()
        """URNs for which there is a step; a deletion for a replacement elsewhere is taken out again."""
        self._replaced: set[str] = set()
        self.deleting: set[str] = set()
        self._condemned: dict[str, tuple[str, ...]] = {}
        """Deleted because something they depend on is replaced: URN to the paths that force their own replacement."""
        self._gone: set[int] = set()
        self._selection = selection
        self.staying: list[Resource] = []
        """What nobody registered and is no target: it stays, and is told so."""
        self._skipped: set[str] = set()
        """URNs that would have been made, were they among the targets."""

    # --- registrations ------------------------------------------------------------------------------------------

    def urn_of(self, goal: Goal) -> str:
        return make_urn(self.stack, self.project, goal.parent, goal.type, goal.name)

    def plan(self, goal: Goal) -> list[Step]:
        """The steps for one registration.

        Raises Rejected when the registration is invalid: its URN was registered already, its inputs fail the
        provider's check, or a protected resource would be replaced.
        """
        urn = self.urn_of(goal)
        self._claim(urn)
        if goal.type == ROOT_TYPE:
            self.root = urn
        old = self._find_old(urn, goal)
        new = goal.resource(urn)
        if old is not None:
            new.created, new.modified = old.created, old.modified
        if not self._selection.takes(new):
            if old is None or urn not in self.deleting:
                return [self._left_out(urn, old, new)]
            goal, new.inputs = replace(goal, inputs=old.inputs), old.inputs  # taken along: made again as it was
        steps = self._wanted(goal, old, new)
        if self._selection.checked:
            self._refuse_what_needs_the_skipped(steps)
        return steps

    def _wanted(self, goal: Goal, old: Resource | None, new: Resource) -> list[Step]:
        urn = new.urn
        if goal.custom and goal.import_id and self._is_import(goal, old):
            self._decided.add(urn)
            op = Op.IMPORT if old is None or urn in self.deleting else Op.IMPORT_REPLACEMENT
            steps = [Step(op, old, new, keep_old=op == Op.IMPORT_REPLACEMENT)]
            return steps + ([Step(Op.REPLACE, old, new)] if op == Op.IMPORT_REPLACEMENT else [])
        return self._against(goal, old, new)

    def _left_out(self, urn: str, old: Resource | None, new: Resource) -> Step:
        """Not among the targets: what is there stays as it is, what is not is not made."""
        self._decided.add(urn)
        if old is None:
            self._skipped.add(urn)
            return Step(Op.SAME, None, new, skipped=True)
        return Step(Op.SAME, old, old.copy(urn=urn))

    def _refuse_what_needs_the_skipped(self, steps: list[Step]) -> None:
        for resource in (step.new for step in steps if step.new is not None):
            for urn in sorted(resource.edges() & self._skipped):
                message = f"Resource '{resource.urn}' depends on '{urn}' which was was not specified in --target list."
                if not self.preview:
                    self._reject(message, resource.urn)
                self._events.error(message, urn=resource.urn)
                self.errored = True
                self._skipped.discard(urn)

    def plan_after_import(self, goal: Goal, imported: Resource) -> list[Step]:
        """What remains to be done to a resource just imported: nothing, when the program says what was found."""
        steps = self._against(goal, imported, goal.resource(imported.urn))
        return [step for step in steps if step.op != Op.SAME]

    def _claim(self, urn: str) -> None:
        if urn in self._seen:
            self.duplicated = True
            self._reject(f"Duplicate resource URN '{urn}'; try giving it a unique name", urn)
        self._seen.add(urn)

    def _find_old(self, urn: str, goal: Goal) -> Resource | None:
        taken_by = self._aliases.taken.get(urn)
        if taken_by:
            self._reject(
                f"Duplicate resource URN '{urn}' conflicting with alias on resource with URN '{taken_by}'", urn
            )
        for candidate in (urn, *self._aliases.of(goal)):
            old = self.olds.get(candidate)
            if old is None:
                continue
            if candidate != urn:
                other = urn if candidate in self._seen else self._aliases.taken.get(candidate)
                if other:
                    self._reject(
                        f"Duplicate resource alias '{candidate}' applied to resource with URN '{urn}' conflicting with "
                        f"resource with URN '{other}'",
                        urn,
                    )
                self._aliases.take(candidate, urn)
                self._snapshot.rename(candidate, urn)
            return old
        return None

    @staticmethod
    def _is_import(goal: Goal, old: Resource | None) -> bool:
        return old is None or old.external or goal.import_id != (old.import_id or old.id)

    def _against(self, goal: Goal, old: Resource | None, new: Resource) -> list[Step]:
        urn = new.urn
        recreating = urn in self.deleting
        fresh = old is None or recreating or old.external or self._selection.replaces(urn)
        if old is not None:
            new.inputs = property_paths.restore(new.inputs, old.inputs, goal.ignore_changes)
        if goal.custom:
            olds = None if fresh or old is None else old.inputs
            self._inquiry.check(
                new, goal.inputs if fresh else new.inputs, olds, seed_of(urn, old if recreating else None)
            )
        self._decided.add(urn)
        if old is None:
            return [Step(Op.CREATE, None, new)]
        if recreating:
            self.deleting.discard(urn)
            self._replaced.add(urn)
            keys = self._condemned.get(urn, ())
            return [Step(Op.REPLACE, old, new), Step(Op.CREATE_REPLACEMENT, old, new, keys=keys)]
        if old.external:
            return [Step(Op.CREATE_REPLACEMENT, old, new, keep_old=True), Step(Op.REPLACE, old, new)]
        return self._from_diff(goal, old, new, self._diff(goal, old, new))

    def _from_diff(self, goal: Goal, old: Resource, new: Resource, diff: DiffResult) -> list[Step]:
        diff = replace_on_changes(diff, goal.replace_on_changes, bool(old.init_errors))
        changed = diff.changes == DiffChanges.SOME or old.pending_replacement
        if changed and (diff.replaces or old.pending_replacement):
            return self._replacement(goal, old, new, diff)
        if changed or old.init_errors:
            return [Step(Op.UPDATE, old, new, diff.diffs, detailed=diff.detailed)]
        return [Step(Op.SAME, old, new)]

    def _replacement(self, goal: Goal, old: Resource, new: Resource, diff: DiffResult) -> list[Step]:
        urn = new.urn
        if new.protect and old.protect:
            message = (
                f'unable to replace resource "{urn}"\nas it is currently marked for protection. To unprotect the '
                "resource, remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`"
            )
            if not self.preview:
                self._reject(message, urn)
            self._events.error(message, urn=urn)
            self.errored = True
        if goal.import_id:
            message = (
                "previously-imported resources that still specify an ID may not be replaced; "
                "please remove the `import` declaration from your program;\n"
            )
            message += "\n".join(f"{k}: {mask(old.inputs.get(k))} => {mask(new.inputs.get(k))}" for k in diff.replaces)
            if not self.preview:
                self._reject(message, urn)
            self._events.say("warning", message, urn=urn)
        self._replaced.add(urn)
        if goal.custom:
            self._inquiry.check(new, goal.inputs, None, seed_of(urn, old))
        first = diff.delete_before_replace if goal.delete_before_replace is None else goal.delete_before_replace
        create = Step(Op.CREATE_REPLACEMENT, old, new, diff.diffs, diff.replaces, diff.detailed, keep_old=not first)
        replace = Step(Op.REPLACE, old, new, diff.diffs, diff.replaces, diff.detailed)
        if not first:
            return [create, replace]
        steps = self._delete_dependents(old)
        if not old.pending_replacement:
            self._gone.add(id(old))
            self.deleting.add(old.urn)
            steps.append(Step(Op.DELETE_REPLACED, old, recreate=True))
        return [*steps, replace, create]

    # --- what a deletion before its replacement takes along -----------------------------------------------------

    def _delete_dependents(self, root: Resource) -> list[Step]:
        steps: list[Step] = []
        for dependent, keys in reversed(self._dependent_replacements(root)):
            if id(dependent) in self._gone:
                continue
            self._gone.add(id(dependent))
            if dependent.delete:
                steps.append(Step(Op.DELETE_REPLACED, dependent))
                continue
            self._condemned[dependent.urn] = keys
            if dependent.protect:
                self._reject(
                    f'unable to replace resource "{dependent.urn}" as part of replacing "{root.urn}" as it is '
                    "currently marked for protection. To unprotect the resource, remove the `protect` flag from the "
                    "resource in your Pulumi program and run `pulumi up`, or use the command:\n"
                    f"`pulumi state unprotect '{dependent.urn}'`",
                    dependent.urn,
                )
            self.deleting.add(dependent.urn)
            steps.append(Step(Op.DELETE_REPLACED, dependent, recreate=True))
        return steps

    def _dependent_replacements(self, root: Resource) -> list[tuple[Resource, tuple[str, ...]]]:
        """Those that would be replaced themselves if everything computed by the replaced ones were unknown."""
        replaced = {root.urn}
        found: list[tuple[Resource, tuple[str, ...]]] = []
        for resource in self._graph.dependents(root, self._decided - {root.urn}):
            keys = self._forced_by(resource, replaced)
            if keys is not None:
                replaced.add(resource.urn)
                found.append((resource, keys))
        tied = [r for r in self.olds.values() if root.urn in (r.deleted_with, *r.replace_with)]
        return found + [(r, ()) for r in tied if r.urn not in self._decided]  # those go first, whatever needs them

    def _forced_by(self, resource: Resource, replaced: set[str]) -> tuple[str, ...] | None:
        if not resource.custom or resource.external:
            return None
        if resource.provider_urn in replaced or resource.deleted_with in replaced:
            return ()
        inputs = {
            key: UNKNOWN if replaced.intersection(resource.property_dependencies.get(key, ())) else value
            for key, value in resource.inputs.items()
        }
        if not any(replaced.intersection(resource.property_dependencies.get(key, ())) for key in inputs):
            return None
        diff = self._inquiry.ask(resource, resource.copy(inputs=inputs), resource.ignore_changes)
        diff = replace_on_changes(diff, resource.replace_on_changes, False)
        return diff.replaces or None

    # --- differences -----------------------------------------------------------------------------------------

    def _diff(self, goal: Goal, old: Resource, new: Resource) -> DiffResult:
        if self._selection.replaces(new.urn):
            return DiffResult(DiffChanges.SOME, replaces=("id",))
        if any(urn in self._replaced for urn in new.replace_with):
            return DiffResult(DiffChanges.SOME, replaces=("replaceWith",))
        if new.deleted_with in self._replaced:
            return DiffResult(DiffChanges.SOME, replaces=("deletedWith",))
        if self._provider_replaced(old, new):
            return DiffResult(DiffChanges.SOME, replaces=("provider",))
        if not goal.custom:
            same = old.inputs == new.inputs and old.custom == new.custom
            return DiffResult(DiffChanges.NONE if same else DiffChanges.SOME)
        return self._inquiry.diff(old, new, goal.ignore_changes)

    def _provider_replaced(self, old: Resource, new: Resource) -> bool:
        if old.provider == new.provider:
            return False
        if not old.provider or not new.provider:
            return True
        if self._aliases.taken.get(old.provider_urn) == new.provider_urn:
            return False
        before, now = self.olds.get(old.provider_urn), self._registered_provider(new.provider_urn)
        if before is None or now is None or before.type != now.type:
            return True
        return bool(self._providers.diff_config(now.urn, now.type, before.inputs, now.inputs).replaces)

    def _registered_provider(self, urn: str) -> Resource | None:
        for resource in self._snapshot.news:
            if resource.urn == urn:
                return resource
        return self.olds.get(urn)

    def _reject(self, message: str, urn: str) -> None:
        self._events.error(message, urn=urn)
        raise RegistrationRejected(message)

    # --- reads and leftovers ------------------------------------------------------------------------------------

    def plan_read(self, goal: Goal) -> list[Step]:
        """Steps for a resource that the program only looks at (`get`)."""
        urn = self.urn_of(goal)
        self._claim(urn)
        self._decided.add(urn)
        old = self._find_old(urn, goal)
        new = goal.resource(urn)
        new.external, new.id, new.import_id = True, goal.import_id, ""
        if old is not None:
            new.created, new.modified = old.created, old.modified
        if old is None or old.external or old.id == new.id:
            return [Step(Op.READ, old, new)]
        self._replaced.add(urn)
        return [Step(Op.READ_REPLACEMENT, old, new, keep_old=True), Step(Op.REPLACE, old, new)]

    def deletions(self) -> list[list[Step]]:
        """Layers of deletions for what nobody registered and what was replaced; a layer may go at once.

        What is no target stays as it is. Raises Rejected for a target that nothing is, or one that something depends on
        which is to stay.
        """
        for target in self._selection.unknown({*self._seen, *self.olds}):
            self._reject(
                f"Target '{target}' could not be found in the stack. Did you forget to escape $ in your shell?", ""
            )
        steps: dict[int, Step] = {}
        allowed = self._targets_to_delete()
        if self._selection.constrained and allowed is None:
            return []
        for resource in self._prev:
            if allowed is not None and resource.urn not in allowed:
                if not resource.delete and not self._operated_on(resource.urn):
                    self.staying.append(resource)
                continue
            if resource.delete:
                if id(resource) in self._gone:
                    continue
                op = Op.DISCARD_REPLACED if resource.external else Op.DELETE_REPLACED
                steps[id(resource)] = Step(op, resource)
                self.deleting.add(resource.urn)
            elif not self._operated_on(resource.urn):
                self.deleting.add(resource.urn)
                if resource.pending_replacement:
                    steps[id(resource)] = Step(Op.REMOVE_PENDING_REPLACE, resource)
                else:
                    steps[id(resource)] = Step(Op.DISCARD if resource.external else Op.DELETE, resource)
        layers = self._graph.layers([step.resource for step in steps.values()])
        return [[steps[id(resource)] for resource in layer] for layer in layers]

    def _targets_to_delete(self) -> set[str] | None:
        """URNs among the targets, with what depends on them; None when everything may go."""
        if not self._selection.constrained:
            return None
        wanted = {r.urn for r in self._prev if matches(self._selection.targets, r.urn)}
        condemned = [r for r in self._prev if r.urn in wanted and (r.delete or not self._operated_on(r.urn))]
        found = wanted | self._selection.implied
        for root in condemned:
            for dependent in self._graph.dependents(root, self._decided):
                if dependent.urn in found:
                    continue
                if not self._selection.dependents:
                    self._events.error(
                        f"Resource '{dependent.urn}' will be destroyed but was not specified in --target list.\n"
                        "Either include resource in --target list or pass --target-dependents to proceed.",
                        urn=dependent.urn,
                    )
                    self.errored = True
                found.add(dependent.urn)
        return None if self.errored else found

    def needs_all(self, resource: Resource) -> set[int]:
        return self._graph.needs_all(resource)

    def _operated_on(self, urn: str) -> bool:
        return urn in self._decided or urn in self._aliases.taken
