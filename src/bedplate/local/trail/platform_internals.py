"""Protocols for the parts of the local platform that its own components use: lock, clock, backends, objects."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from bedplate.local.trail.event_history import EventHistory


class SnapshotMarker(Protocol):
    """Records which services have unsaved changes."""

    def mark(self, *services: str) -> None: ...


class PlatformInternals(Protocol):
    """Implemented by `LocalPlatform`. Hold the lock while using a backend."""

    @property
    def lock(self) -> AbstractContextManager[Any]: ...

    @property
    def store(self) -> SnapshotMarker: ...

    @property
    def trail(self) -> EventHistory: ...

    @property
    def account_id(self) -> str: ...

    def now(self) -> float:
        """Returns the time in epoch seconds."""

    def backend(self, service: str, region: str | None = None) -> Any:
        """Returns moto's backend of a service in this account."""

    def put_object(self, bucket: str, key: str, body: bytes | Path, content_type: str = ...) -> None:
        """Raises KeyError when the bucket does not exist."""

    def log(self, line: str) -> None:
        """Writes a line to the server's log."""
