"""Detects that the local platform has lost changes since the last run, so that the state must be refreshed."""

from __future__ import annotations

from pathlib import Path


class StateEpoch:
    """The generation of the local platform with which the state last agreed, stored in `<stack>.epoch`.

    A local platform that was killed may have lost its latest changes, so resources of the state may be missing there.
    It then starts with another `generation`, and the next run refreshes first. `generation` is None on AWS.
    """

    def __init__(self, state_dir: Path, stack: str, generation: str | None) -> None:
        self._file = state_dir / f"{stack}.epoch"
        self._checkpoint = state_dir / f"{stack}.json"
        self._generation = generation

    def needs_refresh(self) -> bool:
        """Returns whether the run must refresh the state before it plans anything; always False on AWS."""
        if self._generation is None:
            return False
        try:
            return self._file.read_text(encoding="utf-8") != self._generation
        except FileNotFoundError:
            return self._checkpoint.exists()

    def start_run(self) -> None:
        """Stores the generation at the start of the first run of a stack, which has no state yet."""
        if self._generation is not None and not self._file.exists() and not self._checkpoint.exists():
            self._write()

    def finish_run(self) -> None:
        """Stores the generation after a successful run."""
        if self._generation is not None:
            self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(self._generation or "", encoding="utf-8")
