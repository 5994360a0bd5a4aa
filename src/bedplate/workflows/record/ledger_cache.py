"""Caches the ledger's records on this machine, so that not every command fetches a long ledger again.

Records never change, and each one holds its predecessor's hash: when the last cached record is still the one that is
stored under its number, the chain vouches for all cached records before it. `ledger verify` is stricter: it uses a
cached record only if the bucket's listing shows the ETag with which it was read, because S3 changes the ETag with every
write.
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
    """A record's bytes and the ETag of its object when it was read."""

    etag: str
    raw: bytes


class LedgerCache:
    """A file with a line `<etag> TAB <record>` for each record, from number 1 without a gap.

    An unreadable file counts as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, project_dir: Path, bucket: str) -> LedgerCache:
        """Returns the cache in the project's `.bedplate` folder, or in the folder that BEDPLATE_STATE_DIR names."""
        base = os.environ.get("BEDPLATE_STATE_DIR")
        return cls((Path(base) if base else project_dir / ".bedplate") / "cache" / f"{bucket}.ledger")

    @property
    def tail(self) -> LedgerCache:
        """The cache of the ledger's last records, for reads that need only those."""
        return LedgerCache(self._path.with_suffix(".tail"))

    def load(self) -> list[CachedRecord]:
        try:
            lines = [line.split(b"\t", 1) for line in self._path.read_bytes().splitlines()]
            return [CachedRecord(etag.decode(), raw) for etag, raw in lines]
        except (OSError, ValueError):
            return []

    def save(self, records: Sequence[CachedRecord]) -> None:
        """Replaces the whole file; of two concurrent saves either result is valid."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=self._path.parent)
            with os.fdopen(handle, "wb") as file:
                file.writelines(b"%s\t%s\n" % (copy.etag.encode(), copy.raw) for copy in records)
            Path(partial).replace(self._path)
