"""Keeping what the platform holds: a snapshot of every service that changed, in one SQLite transaction.

A snapshot is the pickled state of a service's moto backends. All services that changed are pickled together under the
platform's lock and written together, so after a kill the state is one that existed at a moment: at most about a second
is lost, and never half of a call. How long a snapshot takes decides how often there is one; a service with many parts
(S3 with its objects) is kept by a `Partition`, so that only the parts that changed are written.
"""

from __future__ import annotations

import pickle
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bedplate.local.storage.generation import Generation
from bedplate.local.storage.pickling import pickled

_INTERVAL_S = 0.4
_COST_RATIO = 5  # a snapshot that takes 0.2 s is made at most every second
_SCHEMA = """
CREATE TABLE IF NOT EXISTS snapshots (
    service TEXT, account TEXT, region TEXT, state BLOB, PRIMARY KEY (service, account, region)
);
CREATE TABLE IF NOT EXISTS parts (
    service TEXT, account TEXT, region TEXT, whole TEXT, part TEXT, state BLOB,
    PRIMARY KEY (service, account, region, whole, part)
);
"""


@dataclass
class BackendChanges:
    """What to write of a backend's parts: `wholes` are all there are, `anew` those whose old parts are dropped first,
    `parts` the changed ones by (whole, part), with None for one that is gone."""

    wholes: frozenset[str] = frozenset()
    anew: frozenset[str] = frozenset()
    parts: Mapping[tuple[str, str], Any] = field(default_factory=dict)


class Partition(Protocol):
    """How a service's backend comes apart (S3: buckets and their keys). The pickled whole must leave the parts out."""

    def changes(self, backend: Any) -> BackendChanges:
        """What changed since the last call. Called with the platform's lock held."""

    def restore(self, backend: Any, parts: Iterable[tuple[str, str, Any]]) -> None:
        """Put parts (whole, part, state) back into a backend that was just loaded."""

    def forget(self, backend: Any) -> None:
        """The last changes could not be written: everything counts as changed."""


Address = tuple[str, str, str]


class SnapshotStore:
    """Snapshots of named services. `mark` says what changed; `run` writes it from a thread; `flush` writes it now."""

    def __init__(
        self,
        path: Path,
        lock: AbstractContextManager[Any],
        backends: Callable[[str], Any | None],
        log: Callable[[str], None],
    ) -> None:
        self._lock, self._backends, self._log = lock, backends, log
        self._dirty: set[str] = set()
        self._seen: set[str] = set()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._writing = threading.Lock()
        self._db = _open(path)
        self._continuity = Generation(path.parent)
        self.partitions: dict[str, Partition] = {}
        self.before_snapshot: list[Callable[[], None]] = []
        self.after_snapshot: list[Callable[[], None]] = []
        self.after_load: list[Callable[[], None]] = []

    @property
    def world(self) -> str:
        """The name of what is held: another one after a kill that lost something."""
        return self._continuity.world

    def mark(self, *services: str) -> None:
        """Note that these services have something new to keep. Cheap: called after every request that writes, with the
        platform's lock held."""
        self._continuity.changed()
        self._dirty.update(services)
        self._seen.update(services)
        self._wake.set()

    def mark_all(self) -> None:
        with self._lock:
            self.mark(*self._seen)

    def load(self) -> None:
        """Bring back every service from its last snapshot, before the first request."""
        for service, account, region, state in self._db.execute("SELECT * FROM snapshots").fetchall():
            backends = self._backends(service)
            if backends is None:
                continue
            backend = backends[account][region]
            backend.__dict__.update(pickle.loads(state))
            if service in self.partitions:
                rows = self._db.execute(
                    "SELECT whole, part, state FROM parts WHERE service = ? AND account = ? AND region = ?",
                    (service, account, region),
                )
                self.partitions[service].restore(backend, ((w, p, pickle.loads(s)) for w, p, s in rows))
            self._seen.add(service)
        for then in self.after_load:
            then()

    def flush(self) -> float:
        """Write everything that changed; seconds of work it took. Safe from any thread."""
        with self._writing:
            with self._lock:
                began = time.perf_counter()
                dirty, self._dirty = self._dirty, set()
                for then in self.before_snapshot:
                    then()
                found = [row for service in sorted(dirty) for row in self._dump(service)]
            try:
                with self._db:
                    for address, state, changes in found:
                        self._write(address, state, changes)
            except sqlite3.Error:
                self._take_back(dirty)
                raise
            with self._lock:
                if not self._dirty:
                    self._continuity.saved()
            for then in self.after_snapshot:
                then()
            return time.perf_counter() - began

    def run(self) -> None:
        """Write snapshots until `close`: soon after a change, and rarely enough to stay a small part of the work."""
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            if self._closing.is_set():
                return
            took_s = 1.0
            try:
                took_s = self.flush()
            except Exception:  # a full disk may have room again; without this loop nothing would ever be kept
                self._log(f"snapshot failed\n{traceback.format_exc().rstrip()}")
            self._closing.wait(max(_INTERVAL_S, took_s * _COST_RATIO))

    def close(self) -> None:
        """Write what is left and close the file."""
        self._closing.set()
        self._wake.set()
        self.flush()
        with self._writing:
            self._db.close()

    def _dump(self, service: str) -> list[tuple[Address, bytes, BackendChanges]]:
        found = []
        for account, region, backend in self._backends_in(service):
            try:
                state = pickled(backend.__dict__)
                partition = self.partitions.get(service)
                changes = partition.changes(backend) if partition else BackendChanges()
                parts = {at: None if part is None else pickled(part) for at, part in changes.parts.items()}
            except Exception as exc:  # one service that cannot be kept must not take the others along
                self._log(f"snapshot of {service} failed: {type(exc).__name__}: {exc}")
                continue
            found.append(((service, account, region), state, BackendChanges(changes.wholes, changes.anew, parts)))
        return found

    def _write(self, address: Address, state: bytes, changes: BackendChanges) -> None:
        self._db.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)", (*address, state))
        if address[0] not in self.partitions:
            return
        where = "service = ? AND account = ? AND region = ?"
        known = {row[0] for row in self._db.execute(f"SELECT DISTINCT whole FROM parts WHERE {where}", address)}
        for whole in (known - changes.wholes) | changes.anew:
            self._db.execute(f"DELETE FROM parts WHERE {where} AND whole = ?", (*address, whole))
        gone = [(*address, *at) for at, part in changes.parts.items() if part is None]
        self._db.executemany(f"DELETE FROM parts WHERE {where} AND whole = ? AND part = ?", gone)
        kept = [(*address, *at, part) for at, part in changes.parts.items() if part is not None]
        self._db.executemany("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)", kept)

    def _take_back(self, services: Iterable[str]) -> None:
        with self._lock:
            self.mark(*services)
            for service in services:
                for _, _, backend in self._backends_in(service) if service in self.partitions else ():
                    self.partitions[service].forget(backend)

    def _backends_in(self, service: str) -> list[tuple[str, str, Any]]:
        backends = self._backends(service)
        return list(backends.iter_backends()) if backends is not None else []


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    db = sqlite3.connect(path, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.executescript(_SCHEMA)
    return db
