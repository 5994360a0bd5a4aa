"""Identifies the state of the local platform by an id that changes when a crash loses changes."""

from __future__ import annotations

import uuid
from pathlib import Path


class Generation:
    """`id` stays the same when the platform is stopped and started, or killed with everything saved.

    A kill that loses the latest changes gives it a new value. A client with a state of its own about the platform, such
    as the engine, then knows that it has to refresh that state.
    """

    def __init__(self, folder: Path) -> None:
        """Reads or creates the id; called once when the platform starts, before the first request."""
        self._id_file = folder / "generation"
        self._unsaved_file = folder / "unsaved"
        self._has_unsaved = False
        if self._unsaved_file.exists() or not self._id_file.exists():
            self._id_file.write_text(uuid.uuid4().hex)
            self._unsaved_file.unlink(missing_ok=True)
        self.id = self._id_file.read_text()

    def mark_unsaved(self) -> None:
        """Records that there are unsaved changes, before the request is answered. Requires the platform's lock."""
        if not self._has_unsaved:
            self._has_unsaved = True
            self._unsaved_file.touch()

    def mark_saved(self) -> None:
        """Records that everything is saved. Requires the platform's lock."""
        self._has_unsaved = False
        self._unsaved_file.unlink(missing_ok=True)
