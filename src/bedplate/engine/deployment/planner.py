"""Plans the steps of each registration and the deletions of a run, exactly as Pulumi's step generator does.

A plan depends on the earlier plans of the same run, so one planner receives all registrations, one at a time.
"""

from __future__ import annotations

from dataclasses import replace

from bedplate.engine.deployment.aliases import Aliases
from bedplate.engine.deployment.events import Events
from bedplate.engine.deployment.provider_checks import ProviderChecks, RegistrationRejected, apply_replace_on_changes
from bedplate.engine.deployment.providers import Providers
from bedplate.engine.deployment.steps import Goal, Op, Step
from bedplate.engine.deployment.targets import EVERYTHING, Selection, matches_any
from bedplate.engine.property_paths import apply_ignore_changes
from bedplate.engine.property_values import mask
from bedplate.engine.protocol import UNKNOWN, DiffChanges, DiffResult, derive_seed
from bedplate.engine.state.snapshot import ROOT_TYPE, DependencyGraph, Resource, Snapshot, build_urn


class Planner:
    """Plans registrations (`plan`), reads (`plan_read`) and deletions of unregistered resources (`plan_deletions`)."""

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
        self.has_errors = False
        """Whether an error was reported although planning continued (only in a preview)."""
        self.has_duplicates = False
        """Whether a URN was registered twice; then no planned step is executed."""
        self.root_urn = ""
        self._snapshot = snapshot
        self._providers = providers
        self._events = events
        self._old_resources = list(snapshot.resources())
        self.olds: dict[str, Resource] = {r.urn: r for r in self._old_resources if not r.delete}
        self._checks = ProviderChecks(providers, events, self.olds)
        self._graph = DependencyGraph(self._old_resources)
        self._aliases = Aliases(stack, project)
        self._registered_urns: set[str] = set()
        self._planned_urns: set[str] = set()
        """URNs of registrations that have a plan."""
        self._replaced_urns: set[str] = set()
        self.deleting_urns: set[str] = set()
        self._dependent_replace_keys: dict[str, tuple[str, ...]] = {}
        """Resources deleted with one that they depend on: URN to the paths that force their own replacement."""
        self._planned_deletions: set[int] = set()
        """`id()` of old resources that a replacement deletes before it creates the new ones."""
        self._selection = selection
        self.untargeted: list[Resource] = []
        """Unregistered resources that are not targets and therefore stay."""
        self._skipped_urns: set[str] = set()
        """URNs of new resources that are not targets and therefore are not created."""

    # --- registrations ------------------------------------------------------------------------------------------

    def urn_of(self, goal: Goal) -> str:
        return build_urn(self.stack, self.project, goal.parent, goal.type, goal.name)

    def plan(self, goal: Goal) -> list[Step]:
        """Returns the steps of one registration.

        Raises RegistrationRejected when the registration is invalid: its URN was registered before, its inputs fail
        the provider's check, or a protected resource would be replaced.
        """
        urn = self.urn_of(goal)
        self._claim_urn(urn)
        if goal.type == ROOT_TYPE:
            self.root_urn = urn
        old = self._find_old(urn, goal)
        new = goal.build_resource(urn)
        if old is not None:
            new.created, new.modified = old.created, old.modified
        if not self._selection.includes(new):
            if old is None or urn not in self.deleting_urns:
                return [self._plan_untargeted(urn, old, new)]
            goal, new.inputs = replace(goal, inputs=old.inputs), old.inputs  # a dependent is recreated unchanged
        steps = self._plan_targeted(goal, old, new)
        if self._selection.needs_dependency_check:
            self._reject_skipped_dependencies(steps)
        return steps

    def _plan_targeted(self, goal: Goal, old: Resource | None, new: Resource) -> list[Step]:
        urn = new.urn
        if goal.custom and goal.import_id and self._is_import(goal, old):
            self._planned_urns.add(urn)
            op = Op.IMPORT if old is None or urn in self.deleting_urns else Op.IMPORT_REPLACEMENT
            steps = [Step(op, old, new, keep_old=op == Op.IMPORT_REPLACEMENT)]
            return steps + ([Step(Op.REPLACE, old, new)] if op == Op.IMPORT_REPLACEMENT else [])
        return self._plan_change(goal, old, new)

    def _plan_untargeted(self, urn: str, old: Resource | None, new: Resource) -> Step:
        """Returns the step of a resource that is not a target: an existing one stays, a new one is not created."""
        self._planned_urns.add(urn)
        if old is None:
            self._skipped_urns.add(urn)
            return Step(Op.SAME, None, new, skipped=True)
        return Step(Op.SAME, old, old.copy(urn=urn))

    def _reject_skipped_dependencies(self, steps: list[Step]) -> None:
        for resource in (step.new for step in steps if step.new is not None):
            for urn in sorted(resource.all_dependencies() & self._skipped_urns):
                message = f"Resource '{resource.urn}' depends on '{urn}' which was was not specified in --target list."
                self._reject_unless_preview(message, resource.urn)
                self._skipped_urns.discard(urn)

    def plan_after_import(self, goal: Goal, imported: Resource) -> list[Step]:
        """Returns the steps after an import; none when the program has the inputs of the imported resource."""
        steps = self._plan_change(goal, imported, goal.build_resource(imported.urn))
        return [step for step in steps if step.op != Op.SAME]

    def _claim_urn(self, urn: str) -> None:
        if urn in self._registered_urns:
            self.has_duplicates = True
            self._reject(f"Duplicate resource URN '{urn}'; try giving it a unique name", urn)
        self._registered_urns.add(urn)

    def _find_old(self, urn: str, goal: Goal) -> Resource | None:
        claimed_by = self._aliases.claims.get(urn)
        if claimed_by:
            self._reject(
                f"Duplicate resource URN '{urn}' conflicting with alias on resource with URN '{claimed_by}'", urn
            )
        for candidate in (urn, *self._aliases.candidates(goal)):
            old = self.olds.get(candidate)
            if old is None:
                continue
            if candidate != urn:
                other = urn if candidate in self._registered_urns else self._aliases.claims.get(candidate)
                if other:
                    self._reject(
                        f"Duplicate resource alias '{candidate}' applied to resource with URN '{urn}' conflicting with "
                        f"resource with URN '{other}'",
                        urn,
                    )
                self._aliases.claim(candidate, urn)
                self._snapshot.rename(candidate, urn)
            return old
        return None

    @staticmethod
    def _is_import(goal: Goal, old: Resource | None) -> bool:
        return old is None or old.external or goal.import_id != (old.import_id or old.id)

    def _plan_change(self, goal: Goal, old: Resource | None, new: Resource) -> list[Step]:
        urn = new.urn
        is_recreated = urn in self.deleting_urns
        has_no_old_inputs = old is None or is_recreated or old.external or self._selection.must_replace(urn)
        if old is not None:
            new.inputs = apply_ignore_changes(new.inputs, old.inputs, goal.ignore_changes)
        if goal.custom:
            olds = None if has_no_old_inputs or old is None else old.inputs
            seed = derive_seed(urn, old.id if old is not None and is_recreated else "")
            self._checks.check(new, goal.inputs if has_no_old_inputs else new.inputs, olds, seed)
        self._planned_urns.add(urn)
        if old is None:
            return [Step(Op.CREATE, None, new)]
        if is_recreated:
            self.deleting_urns.discard(urn)
            self._replaced_urns.add(urn)
            keys = self._dependent_replace_keys.get(urn, ())
            return [Step(Op.REPLACE, old, new), Step(Op.CREATE_REPLACEMENT, old, new, keys=keys)]
        if old.external:
            return [Step(Op.CREATE_REPLACEMENT, old, new, keep_old=True), Step(Op.REPLACE, old, new)]
        return self._plan_diff(goal, old, new, self._diff(goal, old, new))

    def _plan_diff(self, goal: Goal, old: Resource, new: Resource, diff: DiffResult) -> list[Step]:
        diff = apply_replace_on_changes(diff, goal.replace_on_changes, bool(old.init_errors))
        changed = diff.changes == DiffChanges.SOME or old.pending_replacement
        if changed and (diff.replaces or old.pending_replacement):
            return self._plan_replacement(goal, old, new, diff)
        if changed or old.init_errors:
            return [Step(Op.UPDATE, old, new, diff.diffs, detailed_diff=diff.detailed_diff)]
        return [Step(Op.SAME, old, new)]

    def _plan_replacement(self, goal: Goal, old: Resource, new: Resource, diff: DiffResult) -> list[Step]:
        urn = new.urn
        if new.protect and old.protect:
            message = (
                f'unable to replace resource "{urn}"\nas it is currently marked for protection. To unprotect the '
                "resource, remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`"
            )
            self._reject_unless_preview(message, urn)
        if goal.import_id:
            message = (
                "previously-imported resources that still specify an ID may not be replaced; "
                "please remove the `import` declaration from your program;\n"
            )
            message += "\n".join(f"{k}: {mask(old.inputs.get(k))} => {mask(new.inputs.get(k))}" for k in diff.replaces)
            if not self.preview:
                self._reject(message, urn)
            self._events.emit_diagnostic("warning", message, urn=urn)
        self._replaced_urns.add(urn)
        if goal.custom:
            self._checks.check(new, goal.inputs, None, derive_seed(urn, old.id))
        delete_first = diff.delete_before_replace if goal.delete_before_replace is None else goal.delete_before_replace
        details = (old, new, diff.diffs, diff.replaces, diff.detailed_diff)
        create = Step(Op.CREATE_REPLACEMENT, *details, keep_old=not delete_first)
        replace = Step(Op.REPLACE, *details)
        if not delete_first:
            return [create, replace]
        steps = self._delete_dependents(old)
        if not old.pending_replacement:
            self._planned_deletions.add(id(old))
            self.deleting_urns.add(old.urn)
            steps.append(Step(Op.DELETE_REPLACED, old, recreate=True))
        return [*steps, replace, create]

    # --- dependents of a resource that is deleted before its replacement ----------------------------------------

    def _delete_dependents(self, root: Resource) -> list[Step]:
        steps: list[Step] = []
        for dependent, keys in reversed(self._dependent_replacements(root)):
            if id(dependent) in self._planned_deletions:
                continue
            self._planned_deletions.add(id(dependent))
            if dependent.delete:
                steps.append(Step(Op.DELETE_REPLACED, dependent))
                continue
            self._dependent_replace_keys[dependent.urn] = keys
            if dependent.protect:
                self._reject(
                    f'unable to replace resource "{dependent.urn}" as part of replacing "{root.urn}" as it is '
                    "currently marked for protection. To unprotect the resource, remove the `protect` flag from the "
                    "resource in your Pulumi program and run `pulumi up`, or use the command:\n"
                    f"`pulumi state unprotect '{dependent.urn}'`",
                    dependent.urn,
                )
            self.deleting_urns.add(dependent.urn)
            steps.append(Step(Op.DELETE_REPLACED, dependent, recreate=True))
        return steps

    def _dependent_replacements(self, root: Resource) -> list[tuple[Resource, tuple[str, ...]]]:
        """Returns the dependents that are replaced if all outputs of the replaced resources are unknown.

        Each comes with the paths that force its replacement. Pulumi's calculateDependentReplacements.
        """
        replaced_urns = {root.urn}
        replacements: list[tuple[Resource, tuple[str, ...]]] = []
        for resource in self._graph.dependents_of(root, self._planned_urns - {root.urn}):
            keys = self._forced_replace_keys(resource, replaced_urns)
            if keys is not None:
                replaced_urns.add(resource.urn)
                replacements.append((resource, keys))
        unplanned = (r for r in self.olds.values() if r.urn not in self._planned_urns)
        linked = [(r, ()) for r in unplanned if root.urn in (r.deleted_with, *r.replace_with)]
        return replacements + linked  # the linked ones are deleted first, even if others depend on them

    def _forced_replace_keys(self, resource: Resource, replaced_urns: set[str]) -> tuple[str, ...] | None:
        if not resource.custom or resource.external:
            return None
        if resource.provider_urn in replaced_urns or resource.deleted_with in replaced_urns:
            return ()
        inputs = {
            key: UNKNOWN if replaced_urns.intersection(resource.property_dependencies.get(key, ())) else value
            for key, value in resource.inputs.items()
        }
        if not any(replaced_urns.intersection(resource.property_dependencies.get(key, ())) for key in inputs):
            return None
        diff = self._checks.diff_with_provider(resource, resource.copy(inputs=inputs), resource.ignore_changes)
        diff = apply_replace_on_changes(diff, resource.replace_on_changes, False)
        return diff.replaces or None

    # --- differences -----------------------------------------------------------------------------------------

    def _diff(self, goal: Goal, old: Resource, new: Resource) -> DiffResult:
        if self._selection.must_replace(new.urn):
            return DiffResult(DiffChanges.SOME, replaces=("id",))
        if any(urn in self._replaced_urns for urn in new.replace_with):
            return DiffResult(DiffChanges.SOME, replaces=("replaceWith",))
        if new.deleted_with in self._replaced_urns:
            return DiffResult(DiffChanges.SOME, replaces=("deletedWith",))
        if self._is_provider_replaced(old, new):
            return DiffResult(DiffChanges.SOME, replaces=("provider",))
        if not goal.custom:
            same = old.inputs == new.inputs and old.custom == new.custom
            return DiffResult(DiffChanges.NONE if same else DiffChanges.SOME)
        return self._checks.diff(old, new, goal.ignore_changes)

    def _is_provider_replaced(self, old: Resource, new: Resource) -> bool:
        if old.provider == new.provider:
            return False
        if not old.provider or not new.provider:
            return True
        if self._aliases.claims.get(old.provider_urn) == new.provider_urn:
            return False
        before, now = self.olds.get(old.provider_urn), self._find_provider(new.provider_urn)
        if before is None or now is None or before.type != now.type:
            return True
        return bool(self._providers.diff_config(now.urn, now.type, before.inputs, now.inputs).replaces)

    def _find_provider(self, urn: str) -> Resource | None:
        return next((resource for resource in self._snapshot.news if resource.urn == urn), self.olds.get(urn))

    def _reject(self, message: str, urn: str) -> None:
        self._events.emit_error(message, urn=urn)
        raise RegistrationRejected(message)

    def _reject_unless_preview(self, message: str, urn: str) -> None:
        if not self.preview:
            self._reject(message, urn)
        self._events.emit_error(message, urn=urn)
        self.has_errors = True

    # --- reads and deletions ------------------------------------------------------------------------------------

    def plan_read(self, goal: Goal) -> list[Step]:
        """Returns the steps of a resource that the program only reads (`get`)."""
        urn = self.urn_of(goal)
        self._claim_urn(urn)
        self._planned_urns.add(urn)
        old = self._find_old(urn, goal)
        new = goal.build_resource(urn)
        new.external, new.id, new.import_id = True, goal.import_id, ""
        if old is not None:
            new.created, new.modified = old.created, old.modified
        if old is None or old.external or old.id == new.id:
            return [Step(Op.READ, old, new)]
        self._replaced_urns.add(urn)
        return [Step(Op.READ_REPLACEMENT, old, new, keep_old=True), Step(Op.REPLACE, old, new)]

    def plan_deletions(self) -> list[list[Step]]:
        """Returns the deletions of unregistered and replaced resources in layers; a layer can be executed in parallel.

        Resources that are not targets stay. Raises RegistrationRejected for a target that does not exist; returns
        nothing if a resource that stays depends on a target.
        """
        for target in self._selection.unknown_targets({*self._registered_urns, *self.olds}):
            self._reject(
                f"Target '{target}' could not be found in the stack. Did you forget to escape $ in your shell?", ""
            )
        steps: dict[int, Step] = {}
        deletable = self._targets_to_delete()
        if self._selection.has_targets and deletable is None:
            return []
        for resource in self._old_resources:
            if deletable is not None and resource.urn not in deletable:
                if not resource.delete and not self._is_planned(resource.urn):
                    self.untargeted.append(resource)
                continue
            if resource.delete:
                if id(resource) in self._planned_deletions:
                    continue
                op = Op.DISCARD_REPLACED if resource.external else Op.DELETE_REPLACED
                steps[id(resource)] = Step(op, resource)
                self.deleting_urns.add(resource.urn)
            elif not self._is_planned(resource.urn):
                self.deleting_urns.add(resource.urn)
                if resource.pending_replacement:
                    steps[id(resource)] = Step(Op.REMOVE_PENDING_REPLACE, resource)
                else:
                    steps[id(resource)] = Step(Op.DISCARD if resource.external else Op.DELETE, resource)
        layers = self._graph.deletion_layers([step.resource for step in steps.values()])
        return [[steps[id(resource)] for resource in layer] for layer in layers]

    def _targets_to_delete(self) -> set[str] | None:
        """Returns the URNs of targets and their dependents; None without targets or after an error."""
        if not self._selection.has_targets:
            return None
        target_urns = {r.urn for r in self._old_resources if matches_any(self._selection.targets, r.urn)}
        roots = [r for r in self._old_resources if r.urn in target_urns and (r.delete or not self._is_planned(r.urn))]
        urns = target_urns | self._selection.reached
        for root in roots:
            for dependent in self._graph.dependents_of(root, self._planned_urns):
                if dependent.urn in urns:
                    continue
                if not self._selection.target_dependents:
                    self._events.emit_error(
                        f"Resource '{dependent.urn}' will be destroyed but was not specified in --target list.\n"
                        "Either include resource in --target list or pass --target-dependents to proceed.",
                        urn=dependent.urn,
                    )
                    self.has_errors = True
                urns.add(dependent.urn)
        return None if self.has_errors else urns

    def transitive_dependencies(self, resource: Resource) -> set[int]:
        return self._graph.transitive_dependencies(resource)

    def _is_planned(self, urn: str) -> bool:
        return urn in self._planned_urns or urn in self._aliases.claims
