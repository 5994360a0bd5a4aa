"""What a stack holds: resources and interrupted operations, merged while a run is under way, as Pulumi's checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bedplate.engine.protocol import Properties

ROOT_TYPE = "pulumi:pulumi:Stack"
PROVIDER_PREFIX = "pulumi:providers:"


def make_urn(stack: str, project: str, parent: str, type: str, name: str) -> str:
    """The URN of a resource; a parent other than the stack itself stands in it with its types.

    >>> make_urn("local", "shop", "urn:pulumi:local::shop::a:b:C::x", "d:e:F", "y")
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
    """One resource as the checkpoint has it; identity is the object's own, for several may share a URN."""

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
    """Reference `<urn>::<id>` of the provider resource."""
    protect: bool = False
    external: bool = False
    delete: bool = False
    """Replaced already, and still to be deleted."""
    pending_replacement: bool = False
    """Deleted already, and still to be created anew."""
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

    def edges(self) -> set[str]:
        """URNs of everything this one must outlive nothing of: it is created after them and deleted before them."""
        found = {*self.dependencies, self.parent, self.provider_urn, self.deleted_with, *self.replace_with}
        found.update(urn for urns in self.property_dependencies.values() for urn in urns)
        found.discard("")
        return found

    def copy(self, **changes: Any) -> Resource:
        return replace(self, **changes)


_FIELDS: tuple[tuple[str, str], ...] = (
    ("urn", "urn"),
    ("custom", "custom"),
    ("delete", "delete"),
    ("id", "id"),
    ("type", "type"),
    ("inputs", "inputs"),
    ("outputs", "outputs"),
    ("parent", "parent"),
    ("protect", "protect"),
    ("external", "external"),
    ("dependencies", "dependencies"),
    ("init_errors", "initErrors"),
    ("provider", "provider"),
    ("property_dependencies", "propertyDependencies"),
    ("pending_replacement", "pendingReplacement"),
    ("additional_secret_outputs", "additionalSecretOutputs"),
    ("custom_timeouts", "customTimeouts"),
    ("import_id", "importID"),
    ("retain_on_delete", "retainOnDelete"),
    ("deleted_with", "deletedWith"),
    ("replace_with", "replaceWith"),
    ("created", "created"),
    ("modified", "modified"),
    ("ignore_changes", "ignoreChanges"),
    ("replace_on_changes", "replaceOnChanges"),
)


def to_json(resource: Resource) -> dict[str, Any]:
    """The resource under the checkpoint's keys; what is empty is left out. Secrets are still `Secret`."""
    return {key: value for name, key in _FIELDS if (value := getattr(resource, name)) or name == "custom"}


def from_json(data: Mapping[str, Any]) -> Resource:
    """Read one resource of a checkpoint; keys that mean nothing to this engine are passed over."""
    known = {name: data[key] for name, key in _FIELDS if key in data and data[key] is not None}
    known.setdefault("custom", False)
    return Resource(**known)


@dataclass(slots=True, eq=False)
class Operation:
    """A call to a provider that was announced on disk and not yet concluded there."""

    resource: Resource
    kind: str
    """`creating`, `updating` or `deleting`, as in Pulumi's pending_operations."""
    intent: str = ""


@dataclass(slots=True)
class UnsavedChanges:
    """What has changed in a snapshot since it was written last, by numbers: of the old list first, then as settled."""

    settled: dict[int, Resource] = field(default_factory=dict)
    moved: dict[int, int] = field(default_factory=dict)
    """Settled as it was: new number to old number."""
    dropped: list[int] = field(default_factory=list)
    begun: dict[int, Operation] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)


class Snapshot:
    """The state while it changes: what the run has settled, then what is left of the state before it.

    Both lists are topologically sorted, and so is their concatenation: a resource of the old list depends on others of
    the old list, or on such as were settled already.
    """

    def __init__(self, resources: Iterable[Resource] = (), pending: Iterable[Operation] = ()) -> None:
        self.base: list[Resource] = list(resources)
        self.news: list[Resource] = []
        self.pending: list[Operation] = list(pending)
        self.renamed: dict[str, str] = {}
        """Old URN to new URN of what was found under an alias."""
        self._done: set[int] = set()
        self._numbers = {id(resource): number for number, resource in enumerate(self.base)}
        self._operations = {id(operation): number for number, operation in enumerate(self.pending)}
        self._begun = len(self.pending)
        self._unwritten = UnsavedChanges()

    def resources(self) -> Iterator[Resource]:
        for resource in (*self.news, *self.base):
            if id(resource) not in self._done:
                yield resource

    def settle(self, new: Resource | None, old: Resource | None = None, *, same: bool = False) -> None:
        """`new` exists from now on, `old` no longer (or as `new`); `same`: it is written as `old` was."""
        if new is not None:
            number = len(self.base) + len(self.news)
            self.news.append(new)
            self._numbers[id(new)] = number
            if same and old is not None and self._numbers[id(old)] not in self._unwritten.settled:
                self._unwritten.moved[number] = self._numbers[id(old)]
            else:
                self._unwritten.settled[number] = new
        if old is not None:
            self._done.add(id(old))
            if id(old) in self._numbers:
                self._unwritten.dropped.append(self._numbers[id(old)])

    def touch(self, resource: Resource) -> None:
        """Said of a resource that is mutated after it was settled, or where it stood before."""
        if id(resource) in self._numbers and id(resource) not in self._done:
            self._unwritten.settled[self._numbers[id(resource)]] = resource

    def begin(self, operation: Operation) -> None:
        self.pending.append(operation)
        self._operations[id(operation)] = self._begun
        self._unwritten.begun[self._begun] = operation
        self._begun += 1

    def end(self, operation: Operation) -> None:
        self.pending.remove(operation)
        self._unwritten.ended.append(self._operations.pop(id(operation)))

    def rename(self, old_urn: str, new_urn: str) -> None:
        self.renamed[old_urn] = new_urn
        self._unwritten.renamed[old_urn] = new_urn

    def unwritten(self) -> UnsavedChanges:
        """What has changed since this was asked last."""
        taken, self._unwritten = self._unwritten, UnsavedChanges()
        return taken

    def live(self) -> dict[str, Resource]:
        """By URN what is neither waiting for its deletion nor gone."""
        return {r.urn: r for r in self.resources() if not r.delete}


def with_new_names(resource: Resource, renamed: Mapping[str, str]) -> Resource:
    """The resource with references to renamed ones put right (itself, when there is nothing to put right)."""
    if not renamed or not (renamed.keys() & resource.edges()):
        return resource

    def now(urn: str) -> str:
        return renamed.get(urn, urn)

    urn, _, id = resource.provider.rpartition("::")
    return resource.copy(
        parent=now(resource.parent),
        dependencies=[now(u) for u in resource.dependencies],
        property_dependencies={k: [now(u) for u in urns] for k, urns in resource.property_dependencies.items()},
        provider=f"{now(urn)}::{id}" if resource.provider else "",
        deleted_with=now(resource.deleted_with),
        replace_with=[now(u) for u in resource.replace_with],
    )


class DependencyGraph:
    """Who depends on whom in a topologically sorted list of resources, where several may share a URN.

    A URN means every resource of that name before the one that says it, as in Pulumi.
    """

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources = list(resources)
        self._needs: dict[int, list[Resource]] = {}
        seen: dict[str, list[Resource]] = {}
        for resource in self.resources:
            self._needs[id(resource)] = [found for urn in resource.edges() for found in seen.get(urn, ())]
            seen.setdefault(resource.urn, []).append(resource)

    def needs(self, resource: Resource) -> list[Resource]:
        """What it depends on directly: dependencies, parent, provider, deletedWith."""
        return self._needs.get(id(resource), [])

    def needs_all(self, resource: Resource) -> set[int]:
        """`id()` of everything it depends on, at any distance."""
        found: set[int] = set()
        todo = list(self.needs(resource))
        while todo:
            each = todo.pop()
            if id(each) not in found:
                found.add(id(each))
                todo.extend(self.needs(each))
        return found

    def dependents(self, root: Resource, but: set[str]) -> list[Resource]:
        """Everything that depends on `root` at any distance, in order; a URN in `but` ends the walk."""
        reached, found = {id(root)}, []
        for resource in self.resources:
            if resource.urn not in but and any(id(each) in reached for each in self.needs(resource)):
                reached.add(id(resource))
                found.append(resource)
        return found

    def layers(self, condemned: Iterable[Resource]) -> list[list[Resource]]:
        """Deletion order: each layer may go at once, after the one before it has gone."""
        left = {id(r): r for r in condemned}
        layers: list[list[Resource]] = []
        depth: dict[int, int] = {}
        for resource in self.resources:
            if id(resource) in left:
                below = [depth[id(each)] for each in self.needs(resource) if id(each) in depth]
                depth[id(resource)] = max(below, default=-1) + 1
        by_depth: dict[int, list[Resource]] = {}
        for key, resource in left.items():
            by_depth.setdefault(depth.get(key, 0), []).append(resource)
        for level in sorted(by_depth, reverse=True):
            layers.append(by_depth[level])
        return layers
