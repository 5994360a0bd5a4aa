"""Models a stack's state in memory: resources, pending operations and dependencies, as in Pulumi's checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bedplate.engine.protocol import Properties

ROOT_TYPE = "pulumi:pulumi:Stack"
PROVIDER_PREFIX = "pulumi:providers:"


def build_urn(stack: str, project: str, parent: str, type: str, name: str) -> str:
    """Returns the URN of a resource; it contains the qualified type of a parent other than the stack itself.

    >>> build_urn("local", "shop", "urn:pulumi:local::shop::a:b:C::x", "d:e:F", "y")
    'urn:pulumi:local::shop::a:b:C$d:e:F::y'
    """
    prefix = qualified_type(parent) if parent else ""
    chain = type if prefix in ("", ROOT_TYPE) else f"{prefix}${type}"
    return f"urn:pulumi:{stack}::{project}::{chain}::{name}"


def qualified_type(urn: str) -> str:
    return urn.split("::", 3)[2]


def type_of(urn: str) -> str:
    return qualified_type(urn).rsplit("$", 1)[-1]


def name_of(urn: str) -> str:
    return urn.split("::", 3)[3]


@dataclass(slots=True, eq=False)
class Resource:
    """One resource of the checkpoint, compared by identity because several may share a URN."""

    urn: str
    type: str
    custom: bool
    id: str = ""
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    parent: str = ""
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    provider: str = ""
    """The provider reference: `<urn>::<id>` of the provider resource."""
    protect: bool = False
    external: bool = False
    delete: bool = False
    """The resource has been replaced and is still to be deleted."""
    pending_replacement: bool = False
    """The resource has been deleted and is still to be created again."""
    retain_on_delete: bool = False
    deleted_with: str = ""
    replace_with: list[str] = field(default_factory=list)
    import_id: str = ""
    ignore_changes: list[str] = field(default_factory=list)
    replace_on_changes: list[str] = field(default_factory=list)
    additional_secret_outputs: list[str] = field(default_factory=list)
    init_errors: list[str] = field(default_factory=list)
    custom_timeouts: dict[str, float] = field(default_factory=dict)
    created: str = ""
    modified: str = ""

    @property
    def is_provider(self) -> bool:
        return self.type.startswith(PROVIDER_PREFIX)

    @property
    def is_default_provider(self) -> bool:
        return self.is_provider and name_of(self.urn).split("_")[0] == "default"

    @property
    def provider_urn(self) -> str:
        return self.provider.rpartition("::")[0]

    def all_dependencies(self) -> set[str]:
        """Returns the URNs of all resources that are created before this one and deleted after it."""
        urns = {*self.dependencies, self.parent, self.provider_urn, self.deleted_with, *self.replace_with}
        urns.update(urn for urns in self.property_dependencies.values() for urn in urns)
        urns.discard("")
        return urns

    def copy(self, **changes: Any) -> Resource:
        return replace(self, **changes)


_FIELDS = """
    urn custom delete id type inputs outputs parent protect external dependencies initErrors provider
    propertyDependencies pendingReplacement additionalSecretOutputs customTimeouts importID retainOnDelete deletedWith
    replaceWith created modified ignoreChanges replaceOnChanges
"""
_FIELD_OF_KEY = {key: re.sub("ID$|[A-Z]", lambda match: f"_{match[0].lower()}", key) for key in _FIELDS.split()}
"""The fields of `Resource` by the keys of a checkpoint, in the order in which they are written."""


def to_json(resource: Resource) -> dict[str, Any]:
    """Returns the resource in the checkpoint's format, without empty values. Secrets are still `Secret`."""
    return {key: value for key, name in _FIELD_OF_KEY.items() if (value := getattr(resource, name)) or key == "custom"}


def from_json(data: Mapping[str, Any]) -> Resource:
    """Returns a resource of a checkpoint; ignores keys that this engine does not use."""
    fields = {name: data[key] for key, name in _FIELD_OF_KEY.items() if data.get(key) is not None}
    fields.setdefault("custom", False)
    return Resource(**fields)


@dataclass(slots=True, eq=False)
class Operation:
    """A pending operation: a call to a provider whose start is in the journal and whose result is not."""

    resource: Resource
    kind: str
    """`creating`, `updating` or `deleting`, as in Pulumi's pending_operations."""
    intent: str = ""


@dataclass(slots=True)
class UnsavedChanges:
    """What has changed in a snapshot since it was last written.

    Resources have numbers: first those of the old state, then the new ones in the order in which they were recorded.
    Operations have numbers of their own.
    """

    resources: dict[int, Resource] = field(default_factory=dict)
    moved: dict[int, int] = field(default_factory=dict)
    """Recorded without a change: new number to old number."""
    removed: list[int] = field(default_factory=list)
    operations: dict[int, Operation] = field(default_factory=dict)
    completed: list[int] = field(default_factory=list)
    """Numbers of operations that are no longer pending."""
    renames: dict[str, str] = field(default_factory=dict)


class Snapshot:
    """The state during a run: the resources that the run has recorded, then those that remain of the old state.

    The concatenation of both lists is topologically sorted: a resource of the old state depends on resources of the
    old state or on resources that are already recorded.
    """

    def __init__(self, resources: Iterable[Resource] = (), pending: Iterable[Operation] = ()) -> None:
        self.base: list[Resource] = list(resources)
        self.news: list[Resource] = []
        self.pending: list[Operation] = list(pending)
        self.renames: dict[str, str] = {}
        """Old URN to new URN of resources that were matched by an alias."""
        self._removed: set[int] = set()
        self._numbers = {id(resource): number for number, resource in enumerate(self.base)}
        self._operation_numbers = {id(operation): number for number, operation in enumerate(self.pending)}
        self._operation_count = len(self.pending)
        self._unsaved = UnsavedChanges()

    def resources(self) -> Iterator[Resource]:
        for resource in (*self.news, *self.base):
            if id(resource) not in self._removed:
                yield resource

    def record(self, new: Resource | None, old: Resource | None = None, *, unchanged: bool = False) -> None:
        """Adds `new` and removes `old`; with `unchanged` the journal refers to the written `old` instead of `new`."""
        if new is not None:
            number = len(self.base) + len(self.news)
            self.news.append(new)
            self._numbers[id(new)] = number
            if unchanged and old is not None and self._numbers[id(old)] not in self._unsaved.resources:
                self._unsaved.moved[number] = self._numbers[id(old)]
            else:
                self._unsaved.resources[number] = new
        if old is not None:
            self._removed.add(id(old))
            if id(old) in self._numbers:
                self._unsaved.removed.append(self._numbers[id(old)])

    def mark_changed(self, resource: Resource) -> None:
        """Marks a resource that was mutated in place, so that it is written again."""
        if id(resource) in self._numbers and id(resource) not in self._removed:
            self._unsaved.resources[self._numbers[id(resource)]] = resource

    def add_pending(self, operation: Operation) -> None:
        self.pending.append(operation)
        self._operation_numbers[id(operation)] = self._operation_count
        self._unsaved.operations[self._operation_count] = operation
        self._operation_count += 1

    def remove_pending(self, operation: Operation) -> None:
        self.pending.remove(operation)
        self._unsaved.completed.append(self._operation_numbers.pop(id(operation)))

    def rename(self, old_urn: str, new_urn: str) -> None:
        self.renames[old_urn] = new_urn
        self._unsaved.renames[old_urn] = new_urn

    def take_unsaved_changes(self) -> UnsavedChanges:
        """Returns the changes since the last call."""
        changes, self._unsaved = self._unsaved, UnsavedChanges()
        return changes


def rename_references(resource: Resource, renames: Mapping[str, str]) -> Resource:
    """Returns the resource with renamed URNs in its references; the same object when it has none."""
    if not renames or not (renames.keys() & resource.all_dependencies()):
        return resource

    def new_urn(urn: str) -> str:
        return renames.get(urn, urn)

    urn, _, id = resource.provider.rpartition("::")
    return resource.copy(
        parent=new_urn(resource.parent),
        dependencies=[new_urn(u) for u in resource.dependencies],
        property_dependencies={k: [new_urn(u) for u in urns] for k, urns in resource.property_dependencies.items()},
        provider=f"{new_urn(urn)}::{id}" if resource.provider else "",
        deleted_with=new_urn(resource.deleted_with),
        replace_with=[new_urn(u) for u in resource.replace_with],
    )


class DependencyGraph:
    """The dependencies in a topologically sorted list of resources, of which several may share a URN.

    As in Pulumi, a reference means every earlier resource with that URN.
    """

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources = list(resources)
        self._dependencies: dict[int, list[Resource]] = {}
        earlier: dict[str, list[Resource]] = {}
        for resource in self.resources:
            self._dependencies[id(resource)] = [
                dependency for urn in resource.all_dependencies() for dependency in earlier.get(urn, ())
            ]
            earlier.setdefault(resource.urn, []).append(resource)

    def dependencies_of(self, resource: Resource) -> list[Resource]:
        """Returns the direct dependencies: dependencies, parent, provider, deletedWith."""
        return self._dependencies.get(id(resource), [])

    def transitive_dependencies(self, resource: Resource) -> set[int]:
        """Returns the `id()` of all direct and indirect dependencies."""
        ids: set[int] = set()
        todo = list(self.dependencies_of(resource))
        while todo:
            dependency = todo.pop()
            if id(dependency) not in ids:
                ids.add(id(dependency))
                todo.extend(self.dependencies_of(dependency))
        return ids

    def dependents_of(self, root: Resource, stop_at: set[str]) -> list[Resource]:
        """Returns all direct and indirect dependents of `root`, in order.

        Leaves out the URNs in `stop_at`, and what depends on `root` only through them.
        """
        reached, dependents = {id(root)}, []
        for resource in self.resources:
            if resource.urn not in stop_at and any(id(each) in reached for each in self.dependencies_of(resource)):
                reached.add(id(resource))
                dependents.append(resource)
        return dependents

    def deletion_layers(self, resources: Iterable[Resource]) -> list[list[Resource]]:
        """Returns layers in deletion order; the resources of one layer can be deleted at the same time."""
        to_delete = {id(r): r for r in resources}
        depth: dict[int, int] = {}
        for resource in self.resources:
            if id(resource) in to_delete:
                depths = [depth[id(each)] for each in self.dependencies_of(resource) if id(each) in depth]
                depth[id(resource)] = max(depths, default=-1) + 1
        by_depth: dict[int, list[Resource]] = {}
        for key, resource in to_delete.items():
            by_depth.setdefault(depth.get(key, 0), []).append(resource)
        return [by_depth[level] for level in sorted(by_depth, reverse=True)]
