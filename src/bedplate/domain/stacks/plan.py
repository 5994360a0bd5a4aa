"""Defines the shapes of an update's steps and resources, for the rules that check a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Pulumi's placeholder for a value that is computed and not known before the update."""


class PropertyDiff(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def old(self) -> Any: ...
    @property
    def new(self) -> Any: ...
    @property
    def replaces(self) -> bool: ...


class PlannedOperation(Protocol):
    """The operation on one resource, planned or performed."""

    @property
    def op(self) -> str: ...
    @property
    def urn(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...


class PlanStep(PlannedOperation, Protocol):
    """An operation that changes a resource, with the properties that change."""

    @property
    def changes(self) -> Sequence[PropertyDiff]: ...
    @property
    def replace_keys(self) -> Sequence[str]: ...


class ResourceChange(PlannedOperation, Protocol):
    """One resource before and after the update, whether it changes or not."""

    @property
    def parent(self) -> str: ...
    @property
    def before(self) -> Mapping[str, Any] | None:
        """Its inputs in the state; None if it does not exist yet."""

    @property
    def after(self) -> Mapping[str, Any] | None:
        """Its inputs in the program, `UNKNOWN` where they are computed; None if it is deleted."""
