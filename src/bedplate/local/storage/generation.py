"""Whether the platform still holds everything that it ever answered: an id that changes when something was lost."""

from __future__ import annotations

import uuid
from pathlib import Path


class Generation:
    """`world` names what the platform holds. It stays the same over stop and start, and over a kill that found
    everything saved; after a kill that lost the last moment's changes it is another one, and whoever keeps a state of
    their own about the platform (the engine) knows that it has to look again.
    """

    def __init__(self, folder: Path) -> None:
        """Called once when the platform starts, before the first request."""
        self._name = folder / "world"
        self._unsaved = folder / "unsaved"
        self._behind = False
        if self._unsaved.exists() or not self._name.exists():
            self._name.write_text(uuid.uuid4().hex)
            self._unsaved.unlink(missing_ok=True)
        self.world = self._name.read_text()

    def changed(self) -> None:
        """Something is to be saved: said before it is answered, with the platform's lock held."""
        if not self._behind:
            self._behind = True
            self._unsaved.touch()

    def saved(self) -> None:
        """Everything is saved; with the platform's lock held."""
        self._behind = False
        self._unsaved.unlink(missing_ok=True)
