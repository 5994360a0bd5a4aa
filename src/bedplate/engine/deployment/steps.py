"""What a program asks for (a goal), and what is done about it (steps)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bedplate.engine.protocol import Properties
from bedplate.engine.state.snapshot import Resource


class Op(StrEnum):
    """Pulumi's names for what happens to a resource."""

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
"""Parts of a replacement, and looks: the summary counts `replace`, and what a refresh found, in their place."""


@dataclass(frozen=True, slots=True)
class Alias:
    """Where a resource was before: a whole URN, or the parts that were different."""

    urn: str = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str = ""
    no_parent: bool = False


@dataclass(frozen=True, slots=True)
class Goal:
    """One registration, as the program made it."""

    type: str
    name: str
    custom: bool
    inputs: Properties = field(default_factory=dict)
    parent: str = ""
    provider: str = ""
    version: str = ""
    """Of the provider's package, when the program names one."""
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

    def resource(self, urn: str) -> Resource:
        """The resource that this goal describes, without id and outputs."""
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
    """One thing done to one resource: `old` before, `new` after."""

    op: Op
    old: Resource | None = None
    new: Resource | None = None
    diffs: tuple[str, ...] = ()
    """Paths that differ."""
    keys: tuple[str, ...] = ()
    """Paths that force the replacement."""
    detailed: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    keep_old: bool = False
    """Of a create-replacement: the old one is still there and is deleted at the end."""
    recreate: bool = False
    """Of a delete-replaced: a new one is created right after it."""
    skipped: bool = False
    """Of a same: it is not among the targets and not there yet, so it is not made, and leaves no trace."""
    found: Op | None = None
    """Of a refresh: what the world had done (same, update, delete)."""

    @property
    def resource(self) -> Resource:
        resource = self.new or self.old
        assert resource is not None
        return resource

    @property
    def urn(self) -> str:
        return self.resource.urn
