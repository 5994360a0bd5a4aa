"""Buffers metrics and captured requests in memory and writes them to the platform a few times a second.

An invocation must not wait for the platform's lock, so it puts its metrics and captured request here and one thread
writes them. `flush` writes them at once, for a reader that needs them.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from typing import NamedTuple

from bedplate.local.hooks import Services
from bedplate.local.runtime.log_metrics import MetricValue

FLUSH_INTERVAL_S = 0.2


class QueuedCapture(NamedTuple):
    """One captured request. Those with the same `prefix` in one flush become one object, which `name` names."""

    bucket: str
    prefix: str
    name: Callable[[], str]
    line: Callable[[], bytes]


class Outbox:
    """A queue of metric values and captured requests with one writer thread."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._waiting: list[MetricValue | QueuedCapture] = []
        self._not_empty = threading.Condition()
        self._writing = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._flush_regularly, name="outbox", daemon=True)
        self._thread.start()

    def put(self, *items: MetricValue | QueuedCapture) -> None:
        with self._not_empty:
            was_empty = not self._waiting
            self._waiting.extend(items)
            if was_empty:
                self._not_empty.notify()

    def flush(self) -> None:
        """Writes everything put so far. Must not be called with the platform's lock held."""
        with self._writing:
            with self._not_empty:
                items, self._waiting = self._waiting, []
            objects: dict[tuple[str, str], list[QueuedCapture]] = {}
            for item in items:
                if isinstance(item, MetricValue):
                    self._services.put_metric(*item)
                else:
                    objects.setdefault((item.bucket, item.prefix), []).append(item)
            for (bucket, prefix), captures in objects.items():
                body = b"".join(capture.line() for capture in captures)
                try:
                    self._services.put_object(bucket, prefix + captures[0].name(), body, "application/jsonlines")
                except KeyError as exc:
                    sys.stderr.write(f"{len(captures)} captured requests are lost: {exc.args[0]}\n")

    def close(self) -> None:
        self._closed.set()
        with self._not_empty:
            self._not_empty.notify()
        self._thread.join(2)
        self._try_flush()

    def _flush_regularly(self) -> None:
        while not self._closed.is_set():
            with self._not_empty:
                self._not_empty.wait_for(lambda: self._waiting or self._closed.is_set())
            self._closed.wait(FLUSH_INTERVAL_S)
            self._try_flush()

    def _try_flush(self) -> None:
        try:
            self.flush()
        except Exception:  # a failed write must not end the thread that writes for every endpoint
            traceback.print_exc()
