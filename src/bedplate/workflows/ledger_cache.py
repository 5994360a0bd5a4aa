"""Keeps a copy of the ledger's records on this machine, so that a long ledger is not fetched anew by every command.

Records never change, and each names its predecessor's hash: when the last record kept here is still the one that is
stored under its number, everything before it is what the chain says. `ledger verify` does not look here.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path


class LedgerCache:
    """One file, a record a line, from number 1 on. A file that cannot be read or written is as good as none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, project_dir: Path, bucket: str) -> LedgerCache:
        """The project's own, below `.bedplate` (or what BEDPLATE_STATE_DIR names)."""
        base = os.environ.get("BEDPLATE_STATE_DIR")
        return cls((Path(base) if base else project_dir / ".bedplate") / "cache" / f"{bucket}.jsonl")

    def load(self) -> list[bytes]:
        try:
            return self._path.read_bytes().splitlines()
        except OSError:
            return []

    def save(self, records: Sequence[bytes]) -> None:
        """Replace the file whole; of two who save at once either's is right."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=self._path.parent)
            with os.fdopen(handle, "wb") as file:
                file.writelines(raw + b"\n" for raw in records)
            Path(partial).replace(self._path)
