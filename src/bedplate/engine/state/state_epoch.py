"""Whether a local stack's state still describes the platform that it was made on, or one that has lost something."""

from __future__ import annotations

from pathlib import Path


class StateEpoch:
    """`<stack>.world` beside the state: the platform's id for what it held when the state last was all of it.

    A platform that was killed may have lost its last moment: what the state calls made is not there then. Its id is
    another one from then on, and the next run looks at the world first.
    """

    def __init__(self, state_dir: Path, stack: str, world: str | None) -> None:
        self._file = state_dir / f"{stack}.world"
        self._checkpoint = state_dir / f"{stack}.json"
        self._world = world

    def broken(self) -> bool:
        """Whether the world has to be looked at before anything is decided; False where nobody knows (on AWS)."""
        if self._world is None:
            return False
        try:
            return self._file.read_text(encoding="utf-8") != self._world
        except FileNotFoundError:
            return self._checkpoint.exists()

    def begin(self) -> None:
        """A run begins: a stack without any state is made on this world."""
        if self._world is not None and not self._file.exists() and not self._checkpoint.exists():
            self._write()

    def whole(self) -> None:
        """A run has looked, and ended well."""
        if self._world is not None:
            self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(self._world or "", encoding="utf-8")
