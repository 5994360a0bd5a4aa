"""Defines goals (a program's registrations) and steps (the operations that a plan consists of)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bedplate.engine.protocol import Properties
from bedplate.engine.state.snapshot import Resource


class Op(StrEnum):
    """Pulumi's names of the operations on a resource."""

    SAME = "same"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    REPLACE = "replace"
    CREATE_REPLACEMENT = "create-replacement"
    DELETE_REPLACED = "delete-replaced"
    READ = "read"
    READ_REPLACEMENT = "read-replacement"
    DISCARD = "discard"
    DISCARD_REPLACED = "discard-replaced"
    REFRESH = "refresh"
    IMPORT = "import"
    IMPORT_REPLACEMENT = "import-replacement"
    REMOVE_PENDING_REPLACE = "remove-pending-replace"


UNCOUNTED = frozenset(
    {
        Op.CREATE_REPLACEMENT,
        Op.DELETE_REPLACED,
        Op.READ_REPLACEMENT,
        Op.IMPORT_REPLACEMENT,
        Op.DISCARD_REPLACED,
        Op.REFRESH,
        Op.REMOVE_PENDING_REPLACE,
    }
)
"""Operations that the summary does not count: it counts `replace` for its parts, and what a refresh found."""


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias of a resource: its whole old URN, or the parts of it that were different."""

    urn: str = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str = ""
    no_parent: bool = False


@dataclass(frozen=True, slots=True)
class Goal:
    """The goal state of one resource, as the program registered it."""

    type: str
    name: str
    custom: bool
    inputs: Properties = field(default_factory=dict)
    parent: str = ""
    provider: str = ""
    version: str = ""
    """The version of the provider's package, if the program sets one."""
    protect: bool = False
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, list[str]] = field(default_factory=dict)
    delete_before_replace: bool | None = None
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    aliases: tuple[Alias, ...] = ()
    import_id: str = ""
    retain_on_delete: bool = False
    deleted_with: str = ""
    replace_with: tuple[str, ...] = ()
    custom_timeouts: Mapping[str, float] = field(default_factory=dict)

    def build_resource(self, urn: str) -> Resource:
        """Returns the resource of this goal, without id and outputs."""
        return Resource(
            urn=urn,
            type=self.type,
            custom=self.custom,
            inputs=self.inputs,
            parent=self.parent,
            dependencies=list(self.dependencies),
            property_dependencies=dict(self.property_dependencies),
            provider=self.provider,
            protect=self.protect,
            retain_on_delete=self.retain_on_delete,
            deleted_with=self.deleted_with,
            replace_with=list(self.replace_with),
            import_id=self.import_id,
            ignore_changes=list(self.ignore_changes),
            replace_on_changes=list(self.replace_on_changes),
            additional_secret_outputs=list(self.additional_secret_outputs),
            custom_timeouts=dict(self.custom_timeouts),
        )


@dataclass(slots=True, eq=False)
class Step:
    """One operation on one resource, from its state `old` to `new`."""

    op: Op
    old: Resource | None = None
    new: Resource | None = None
    diffs: tuple[str, ...] = ()
    """Property paths that differ."""
    keys: tuple[str, ...] = ()
    """Property paths that force the replacement."""
    detailed_diff: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    keep_old: bool = False
    """For a create-replacement: the old resource still exists and is deleted at the end of the run."""
    recreate: bool = False
    """For a delete-replaced: the new resource is created directly after it."""
    skipped: bool = False
    """For a same: the resource is not a target; nothing is created or recorded."""
    refresh_op: Op | None = None
    """For a refresh: how the actual resource has changed (same, update, delete); None if it could not be read."""

    @property
    def resource(self) -> Resource:
        resource = self.new or self.old
        assert resource is not None
        return resource

    @property
    def urn(self) -> str:
        return self.resource.urn
