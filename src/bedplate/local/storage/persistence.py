"""Saves the local platform's state: writes a snapshot of every changed service in one SQLite transaction.

A snapshot is the pickled state of a service's moto backends. All changed services are pickled together under the
platform's lock and written together, so the saved state is one that existed at some time: a kill loses at most about a
second, and never half of a call. The time that a snapshot takes determines the interval to the next one. A service
with many parts (S3 with its objects) has a `Partition`, so that only changed parts are written.
"""

from __future__ import annotations

import pickle
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bedplate.local.storage.generation import Generation
from bedplate.local.storage.pickling import pickle_state

_INTERVAL_S = 0.4
_COST_RATIO = 5  # a snapshot that takes 0.2 s is made at most every second
_SCHEMA = """
CREATE TABLE IF NOT EXISTS snapshots (
    service TEXT, account TEXT, region TEXT, state BLOB, PRIMARY KEY (service, account, region)
);
CREATE TABLE IF NOT EXISTS parts (
    service TEXT, account TEXT, region TEXT, part_group TEXT, part TEXT, state BLOB,
    PRIMARY KEY (service, account, region, part_group, part)
);
"""


@dataclass
class BackendChanges:
    """The changes to a backend's parts (S3: keys), which belong to groups (S3: buckets).

    `groups` are all existing groups; the old parts of `replaced_groups` are deleted first. `parts` are the changed
    parts by (group, part), with None for a deleted one.
    """

    groups: frozenset[str] = frozenset()
    replaced_groups: frozenset[str] = frozenset()
    parts: Mapping[tuple[str, str], Any] = field(default_factory=dict)


class Partition(Protocol):
    """How to split a service's backend into parts. The pickled backend itself must not contain the parts."""

    def changes(self, backend: Any) -> BackendChanges:
        """Returns the changes since the last call. Called with the platform's lock held."""

    def restore(self, backend: Any, parts: Iterable[tuple[str, str, Any]]) -> None:
        """Adds parts (group, part, state) to a backend that was just loaded."""

    def forget(self, backend: Any) -> None:
        """Marks every part as changed; called when the last changes could not be written."""


BackendKey = tuple[str, str, str]


class SnapshotStore:
    """The snapshots of all services. `mark` records changes; a thread writes them in `run`; `flush` writes them now."""

    def __init__(
        self,
        path: Path,
        lock: AbstractContextManager[Any],
        backends: Callable[[str], Any | None],
        log: Callable[[str], None],
    ) -> None:
        self._lock, self._backends, self._log = lock, backends, log
        self._dirty: set[str] = set()
        self._services: set[str] = set()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._writing = threading.Lock()
        self._db = _open(path)
        self._generation = Generation(path.parent)
        self.partitions: dict[str, Partition] = {}
        self.before_snapshot: list[Callable[[], None]] = []
        self.after_snapshot: list[Callable[[], None]] = []
        self.after_load: list[Callable[[], None]] = []

    @property
    def generation(self) -> str:
        """The id of the state, which changes after a kill that lost changes."""
        return self._generation.id

    def mark(self, *services: str) -> None:
        """Records that these services changed. Fast, as every request that writes calls it. Requires the lock."""
        self._generation.mark_unsaved()
        self._dirty.update(services)
        self._services.update(services)
        self._wake.set()

    def mark_all(self) -> None:
        with self._lock:
            self.mark(*self._services)

    def load(self) -> None:
        """Restores every service from its last snapshot, before the first request."""
        for service, account, region, state in self._db.execute("SELECT * FROM snapshots").fetchall():
            backends = self._backends(service)
            if backends is None:
                continue
            backend = backends[account][region]
            backend.__dict__.update(pickle.loads(state))
            if service in self.partitions:
                rows = self._db.execute(
                    "SELECT part_group, part, state FROM parts WHERE service = ? AND account = ? AND region = ?",
                    (service, account, region),
                )
                parts = ((group, part, pickle.loads(part_state)) for group, part, part_state in rows)
                self.partitions[service].restore(backend, parts)
            self._services.add(service)
        for callback in self.after_load:
            callback()

    def flush(self) -> float:
        """Writes every change; returns the seconds that it took. May be called from any thread."""
        with self._writing:
            with self._lock:
                started = time.perf_counter()
                dirty, self._dirty = self._dirty, set()
                for callback in self.before_snapshot:
                    callback()
                snapshots = [row for service in sorted(dirty) for row in self._pickle_backends(service)]
            try:
                with self._db:
                    for key, state, changes in snapshots:
                        self._write(key, state, changes)
            except sqlite3.Error:
                self._mark_again(dirty)
                raise
            with self._lock:
                if not self._dirty:
                    self._generation.mark_saved()
            for callback in self.after_snapshot:
                callback()
            return time.perf_counter() - started

    def run(self) -> None:
        """Writes snapshots until `close`: soon after a change, but at most a sixth of the time."""
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            if self._closing.is_set():
                return
            took_s = 1.0
            try:
                took_s = self.flush()
            except Exception:  # a full disk may have room again later; without this loop nothing would be saved
                self._log(f"snapshot failed\n{traceback.format_exc().rstrip()}")
            self._closing.wait(max(_INTERVAL_S, took_s * _COST_RATIO))

    def close(self) -> None:
        """Writes the remaining changes and closes the file."""
        self._closing.set()
        self._wake.set()
        self.flush()
        with self._writing:
            self._db.close()

    def _pickle_backends(self, service: str) -> list[tuple[BackendKey, bytes, BackendChanges]]:
        snapshots = []
        for account, region, backend in self._list_backends(service):
            try:
                state = pickle_state(backend.__dict__)
                partition = self.partitions.get(service)
                changes = partition.changes(backend) if partition else BackendChanges()
                parts = {key: None if part is None else pickle_state(part) for key, part in changes.parts.items()}
            except Exception as exc:  # a service that cannot be pickled must not prevent the others' snapshots
                self._log(f"snapshot of {service} failed: {type(exc).__name__}: {exc}")
                continue
            snapshots.append(((service, account, region), state, replace(changes, parts=parts)))
        return snapshots

    def _write(self, key: BackendKey, state: bytes, changes: BackendChanges) -> None:
        self._db.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)", (*key, state))
        if key[0] not in self.partitions:
            return
        condition = "service = ? AND account = ? AND region = ?"
        saved = {row[0] for row in self._db.execute(f"SELECT DISTINCT part_group FROM parts WHERE {condition}", key)}
        for group in (saved - changes.groups) | changes.replaced_groups:
            self._db.execute(f"DELETE FROM parts WHERE {condition} AND part_group = ?", (*key, group))
        deleted = [(*key, *part_key) for part_key, part in changes.parts.items() if part is None]
        self._db.executemany(f"DELETE FROM parts WHERE {condition} AND part_group = ? AND part = ?", deleted)
        changed = [(*key, *part_key, part) for part_key, part in changes.parts.items() if part is not None]
        self._db.executemany("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)", changed)

    def _mark_again(self, services: Iterable[str]) -> None:
        with self._lock:
            self.mark(*services)
            for service in services:
                for _, _, backend in self._list_backends(service) if service in self.partitions else ():
                    self.partitions[service].forget(backend)

    def _list_backends(self, service: str) -> list[tuple[str, str, Any]]:
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
