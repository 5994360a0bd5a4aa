"""Starts, shares and keeps warm the serving processes of all endpoints."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from bedplate.local.hooks import Services
from bedplate.local.runtime.endpoints.model_source import ModelCache, ModelSource, ModelSourceError
from bedplate.local.runtime.endpoints.serving_process import LOG_GROUP, ServingProcess
from bedplate.local.runtime.environment import container_environment
from bedplate.local.runtime.outbox import Outbox

SERVERLESS_IDLE_S = 60.0
"""A serverless variant's process ends after this time without a request; AWS does not publish its own limit."""
_MAX_IDLE = 2
_Key = tuple[str, str, str]
"""Endpoint, variant and digest of the model source."""


class ServingPool:
    """Serving processes by endpoint, variant and model source.

    Users of the same model source share a process. The last unused processes stay warm, so that a rollback to the
    previous release takes milliseconds.
    """

    def __init__(
        self,
        services: Services,
        outbox: Outbox,
        container_command: Sequence[str],
        folder: Path,
        serverless_idle_s: float,
    ) -> None:
        self._serverless_idle_s = serverless_idle_s
        self._services = services
        self._outbox = outbox
        self._command = [*container_command, "serve"]
        self._models = ModelCache(services, folder)
        self._lock = threading.Lock()
        self._users: dict[_Key, int] = {}
        self._processes: dict[_Key, tuple[ServingProcess, ModelSource]] = {}
        self._idle: OrderedDict[_Key, None] = OrderedDict()
        self._borrowed: dict[_Key, _Key] = {}
        """Maps the key of an endpoint without a process of its own to the key of the process that it borrows."""
        self._closed = False

    def acquire(
        self, endpoint: str, variant: str, source: ModelSource, *, ready_timeout_s: float, serverless: bool = False
    ) -> ServingProcess:
        """Returns the process that serves the model source and starts it if needed.

        Raises ModelSourceError when the artifact cannot be unpacked or the platform is ending.
        """
        with self._lock:
            own_key = (endpoint, variant, source.digest)
            key = own_key if serverless else self._process_key(own_key)
            if self._closed:
                raise ModelSourceError("The local platform is ending.")
            entry = self._processes.get(key)
            if entry is not None and entry[0].state in ("failed", "stopped"):
                self._stop_process(key)
                entry = None
            if entry is None:
                idle_s = self._serverless_idle_s if serverless else None
                entry = (self._start_process(endpoint, variant, source, ready_timeout_s, idle_s), source)
                self._processes[key] = entry
            self._users[key] = self._users.get(key, 0) + 1
            self._idle.pop(key, None)
        return entry[0]

    def release(self, endpoint: str, variant: str, source: ModelSource, *, keep_warm: bool = True) -> None:
        own_key = (endpoint, variant, source.digest)
        with self._lock:
            key = self._borrowed.get(own_key, own_key)
            keep_warm = keep_warm or key != own_key  # a borrowed process still belongs to the other endpoint
            if key not in self._processes:
                return
            self._users[key] -= 1
            if self._users[key] > 0:
                return
            if keep_warm and self._processes[key][0].state == "ready":
                self._idle[key] = None
            else:
                self._stop_process(key)
            while len(self._idle) > _MAX_IDLE:
                self._stop_process(self._idle.popitem(last=False)[0])

    def drop_idle(self, endpoint: str) -> None:
        """Stops the endpoint's warm processes."""
        with self._lock:
            self._borrowed = {k: v for k, v in self._borrowed.items() if k[0] != endpoint}
            for key in [k for k in self._idle if k[0] == endpoint]:
                del self._idle[key]
                self._stop_process(key)

    def _process_key(self, key: _Key) -> _Key:
        """Returns the key of the process to use: its own, or a ready one of another endpoint with the same source."""
        if key in self._processes:
            return key
        borrowed = self._borrowed.get(key)
        if borrowed is not None and borrowed in self._processes:
            return borrowed
        ready = next((k for k in self._processes if k[1:] == key[1:] and self._processes[k][0].state == "ready"), None)
        if ready is None:
            self._borrowed.pop(key, None)
            return key
        self._borrowed[key] = ready
        return ready

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for process, _ in self._processes.values():
                process.kill()

    def _start_process(
        self, endpoint: str, variant: str, source: ModelSource, ready_timeout_s: float, idle_s: float | None
    ) -> ServingProcess:
        root = self._models.acquire(source)
        return ServingProcess(
            self._command,
            root=root,
            env=container_environment(root, dict(source.environment), region=self._services.region, threads=1),
            log=(f"{LOG_GROUP}/{endpoint}", f"{variant}/i-{source.digest}"),
            services=self._services,
            outbox=self._outbox,
            ready_timeout_s=ready_timeout_s,
            idle_s=idle_s,
        )

    def _stop_process(self, key: _Key) -> None:
        process, source = self._processes.pop(key)
        self._users.pop(key, None)
        self._idle.pop(key, None)
        process.stop()
        self._models.release(source)


def local_container_command() -> list[str]:
    """Returns the command that starts the image's entry points in this Python environment."""
    return [sys.executable, "-m", "bedplate.container"]
