"""What a run does, or would do, to a stack's resources: the shapes that rules about it are written against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Pulumi's own sign for a value that is computed, and not known before the run."""


class PropertyDiff(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def old(self) -> Any: ...
    @property
    def new(self) -> Any: ...
    @property
    def replaces(self) -> bool: ...


class PlanStep(Protocol):
    """What happens, or would happen, to one resource."""

    @property
    def op(self) -> str: ...
    @property
    def urn(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def changes(self) -> Sequence[PropertyDiff]: ...
    @property
    def replace_keys(self) -> Sequence[str]: ...


class ResourceChange(Protocol):
    """One resource as it is and as it will be, whether anything happens to it or not."""

    @property
    def op(self) -> str: ...
    @property
    def urn(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def parent(self) -> str: ...
    @property
    def before(self) -> Mapping[str, Any] | None:
        """Its inputs in the state; None for what is not there yet."""

    @property
    def after(self) -> Mapping[str, Any] | None:
        """Its inputs as the program wants them, `UNKNOWN` where they are computed; None for what goes."""
