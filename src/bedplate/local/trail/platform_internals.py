"""What the parts of one platform see of it: its lock, its clock, its backends, and a few of its acts."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from bedplate.local.trail.event_history import EventHistory


class SnapshotMarker(Protocol):
    """What has to be saved again."""

    def mark(self, *services: str) -> None: ...


class PlatformInternals(Protocol):
    """`Platform` fulfils it. Hold the lock while using a backend."""

    @property
    def lock(self) -> AbstractContextManager[Any]: ...

    @property
    def store(self) -> SnapshotMarker: ...

    @property
    def trail(self) -> EventHistory: ...

    @property
    def account_id(self) -> str: ...

    def now(self) -> float:
        """Epoch seconds."""

    def backend(self, service: str, region: str | None = None) -> Any:
        """moto's backend of a service in this account."""

    def put_object(self, bucket: str, key: str, body: bytes | Path, content_type: str = ...) -> None:
        """Raises KeyError when there is no such bucket."""

    def log(self, line: str) -> None:
        """One line of the server's log."""
