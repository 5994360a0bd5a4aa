"""Keeps a copy of the ledger's records on this machine, so that a long ledger is not fetched anew by every command.

Records never change, and each names its predecessor's hash: when the last record kept here is still the one that is
stored under its number, everything before it is what the chain says. `ledger verify` goes further: it takes a copy only
where the bucket's listing still has the ETag that the copy was read under, and S3 gives a new one with every write.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CachedRecord:
    """A record's bytes, and the ETag of the object that they were read from."""

    etag: str
    raw: bytes


class LedgerCache:
    """One file, `<etag> TAB <record>` a line, from number 1 on without a gap. Unreadable, it is as good as none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, project_dir: Path, bucket: str) -> LedgerCache:
        """The project's own, below `.bedplate` (or what BEDPLATE_STATE_DIR names)."""
        base = os.environ.get("BEDPLATE_STATE_DIR")
        return cls((Path(base) if base else project_dir / ".bedplate") / "cache" / f"{bucket}.ledger")

    @property
    def tail(self) -> LedgerCache:
        """The same for the ledger's last records alone, where only those were asked for."""
        return LedgerCache(self._path.with_suffix(".tail"))

    def load(self) -> list[CachedRecord]:
        try:
            lines = [line.split(b"\t", 1) for line in self._path.read_bytes().splitlines()]
            return [CachedRecord(etag.decode(), raw) for etag, raw in lines]
        except (OSError, ValueError):
            return []

    def save(self, records: Sequence[CachedRecord]) -> None:
        """Replace the file whole; of two who save at once either's is right."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=self._path.parent)
            with os.fdopen(handle, "wb") as file:
                file.writelines(b"%s\t%s\n" % (copy.etag.encode(), copy.raw) for copy in records)
            Path(partial).replace(self._path)
