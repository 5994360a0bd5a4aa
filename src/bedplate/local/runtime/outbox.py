"""Metrics and captured requests on their way out: collected without waiting, written a few times a second.

An invocation must not wait for the platform's lock, so what it leaves behind is put here and written by one thread,
shortly after. `flush` writes at once what is waiting, for a reader who must see it.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import NamedTuple

from bedplate.local.hooks import Services

FLUSH_S = 0.2


class QueuedMetric(NamedTuple):
    namespace: str
    name: str
    dims: Mapping[str, str]
    value: float
    unit: str
    timestamp: float


class QueuedObject(NamedTuple):
    """One captured record; records of one `prefix` that wait together become one object, named by `name`."""

    bucket: str
    prefix: str
    name: Callable[[], str]
    line: Callable[[], bytes]


class Outbox:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._waiting: list[QueuedMetric | QueuedObject] = []
        self._some = threading.Condition()
        self._writing = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def put(self, *items: QueuedMetric | QueuedObject) -> None:
        with self._some:
            first = not self._waiting
            self._waiting.extend(items)
            if first:
                self._some.notify()

    def metric(
        self,
        namespace: str,
        name: str,
        dims: Mapping[str, str],
        value: float,
        unit: str,
        timestamp: float | None = None,
    ) -> None:
        moment = self._services.now() if timestamp is None else timestamp
        self.put(QueuedMetric(namespace, name, dims, value, unit, moment))

    def flush(self) -> None:
        """Write everything put so far. Never call it with the platform's lock held."""
        with self._writing:
            with self._some:
                items, self._waiting = self._waiting, []
            objects: dict[tuple[str, str], list[QueuedObject]] = {}
            for item in items:
                if isinstance(item, QueuedMetric):
                    self._services.put_metric(*item[:4], unit=item.unit, timestamp=item.timestamp)
                else:
                    objects.setdefault((item.bucket, item.prefix), []).append(item)
            for (bucket, prefix), records in objects.items():
                body = b"".join(record.line() for record in records)
                try:
                    self._services.put_object(bucket, prefix + records[0].name(), body, "application/jsonlines")
                except KeyError as exc:
                    sys.stderr.write(f"{len(records)} captured requests are lost: {exc.args[0]}\n")

    def close(self) -> None:
        self._closed.set()
        with self._some:
            self._some.notify()
        self._thread.join(2)
        self._try_flush()

    def _run(self) -> None:
        while not self._closed.is_set():
            with self._some:
                self._some.wait_for(lambda: self._waiting or self._closed.is_set())
            self._closed.wait(FLUSH_S)
            self._try_flush()

    def _try_flush(self) -> None:
        try:
            self.flush()
        except Exception:  # whatever cannot be written must not end the thread that writes for every endpoint
            traceback.print_exc()
