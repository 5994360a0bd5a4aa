"""Keeping what the platform holds: a snapshot of every service that changed, in one SQLite transaction.

A snapshot is the pickled state of a service's moto backends. All services that changed are pickled together under the
platform's lock and written together, so after a kill the state is one that existed at a moment: at most about a second
is lost, and never half of a call. How long a snapshot may take decides how often there is one.
"""

from __future__ import annotations

import io
import pickle
import sqlite3
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from moto.backends import get_backend
from moto.core.base_backend import BackendDict, BaseBackend

_INTERVAL_S = 0.4
_COST_RATIO = 5  # a snapshot that takes 0.2 s is made at most every second


class Store:
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
        self.before_snapshot: list[Callable[[], None]] = []
        self.after_snapshot: list[Callable[[], None]] = []
        self.after_load: list[Callable[[], None]] = []

    def mark(self, *services: str) -> None:
        """Note that these services have something new to keep. Cheap: called after every request that writes."""
        self._dirty.update(services)
        self._seen.update(services)
        self._wake.set()

    def mark_all(self) -> None:
        self.mark(*self._seen)

    def load(self) -> list[str]:
        """Bring back every service from its last snapshot, before the first request. Returns their names."""
        rows = self._db.execute("SELECT service, account, region, state FROM snapshots").fetchall()
        for service, account, region, state in rows:
            backends = self._backends(service)
            if backends is None:
                continue
            backends[account][region].__dict__.update(pickle.loads(state))
            self._seen.add(service)
        for then in self.after_load:
            then()
        return sorted({row[0] for row in rows})

    def flush(self) -> float:
        """Write everything that changed; seconds of work it took. Safe from any thread."""
        with self._writing:
            with self._lock:
                began = time.perf_counter()
                dirty, self._dirty = self._dirty, set()
                for then in self.before_snapshot:
                    then()
                rows = [row for service in sorted(dirty) for row in self._dump(service)]
            if rows:
                with self._db:
                    self._db.executemany("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)", rows)
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
            took_s = self.flush()
            self._closing.wait(max(_INTERVAL_S, took_s * _COST_RATIO))

    def close(self) -> None:
        """Write what is left and close the file."""
        self._closing.set()
        self._wake.set()
        self.flush()
        with self._writing:
            self._db.close()

    def _dump(self, service: str) -> Iterator[tuple[str, str, str, bytes]]:
        backends = self._backends(service)
        for account, region, backend in list(backends.iter_backends()) if backends is not None else ():
            buffer = io.BytesIO()
            try:
                _Pickler(buffer, protocol=5).dump(backend.__dict__)
            except Exception as exc:  # one service that cannot be kept must not take the others along
                self._log(f"snapshot of {service} failed: {type(exc).__name__}: {exc}")
                continue
            yield service, account, region, buffer.getvalue()


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    db = sqlite3.connect(path, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute(
        "CREATE TABLE IF NOT EXISTS snapshots (service TEXT, account TEXT, region TEXT, state BLOB,"
        " PRIMARY KEY (service, account, region))"
    )
    return db


# --- what pickle alone cannot do ------------------------------------------------------------------------------------

_LOCKS: tuple[tuple[type, Callable[[], Any]], ...] = (
    (type(threading.Lock()), threading.Lock),
    (type(threading.RLock()), threading.RLock),
)


def _new_condition(_: Iterable[Any] = ()) -> threading.Condition:
    return threading.Condition()


def _key_from_pem(pem: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem, None)


class _Pickler(pickle.Pickler):
    """Pickles a backend's dict: locks become new locks, private keys PEM, backends references by name."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, BackendDict):
            return _backends_again, (obj.service_name,)
        if isinstance(obj, BaseBackend):
            return _backend_again, _address_of(obj)
        for kind, make in _LOCKS:
            if isinstance(obj, kind):
                return make, ()
        if isinstance(obj, dict) and type(obj) not in (dict, OrderedDict):
            return _mapping_again, (type(obj), _factory_of(obj)), _state_of(obj), None, None, _fill
        if isinstance(obj, type({}.keys())):
            return list, (list(obj),)
        if isinstance(obj, threading.Condition):
            return _new_condition, ()
        if hasattr(obj, "private_bytes") and hasattr(obj, "public_key"):
            from cryptography.hazmat.primitives import serialization as s

            pem = obj.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
            return _key_from_pem, (pem,)
        return NotImplemented


# moto's dicts of its own change what setting and listing items mean (all versions of an S3 key), and some default
# factories are lambdas: such a dict is taken apart and put together as the plain dict it rests on.


def _mapping_again(kind: type[dict[Any, Any]], factory: Any) -> Any:
    made = kind.__new__(kind)
    if isinstance(made, defaultdict):
        made.default_factory = factory
    return made


def _state_of(mapping: Any) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    return dict(vars(mapping)) if hasattr(mapping, "__dict__") else {}, list(dict.items(mapping))


def _fill(mapping: Any, state: tuple[dict[str, Any], list[tuple[Any, Any]]]) -> None:
    attributes, items = state
    for name, value in attributes.items():
        setattr(mapping, name, value)
    for key, value in items:
        dict.__setitem__(mapping, key, value)


def _factory_of(mapping: Any) -> Any:
    """A default factory that pickle can name: for a lambda, the function here that makes the same."""
    factory: Any = getattr(mapping, "default_factory", None)
    if getattr(factory, "__name__", "") != "<lambda>":
        return factory
    sample = factory()
    return _dict_of_dicts if isinstance(sample, defaultdict) else type(sample)


def _dict_of_dicts() -> Any:
    return defaultdict(dict)


def _address_of(backend: BaseBackend) -> tuple[str, str, str]:
    """Where a backend is found again: service, account, region."""
    for candidates in BackendDict._instances:
        for account, region, other in candidates.iter_backends():
            if other is backend:
                return candidates.service_name, account, region
    raise pickle.PicklingError(f"{type(backend).__name__} is no backend of a service")


def _backends_again(service: str) -> Any:
    return get_backend(service)


def _backend_again(service: str, account: str, region: str) -> Any:
    return get_backend(service)[account][region]
