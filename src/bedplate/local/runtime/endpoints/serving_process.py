"""Runs one container's `serve` process, restarts it after a crash and sends requests to it."""

from __future__ import annotations

import http.client
import select
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bedplate.local.hooks import Services
from bedplate.local.runtime.child_process import LOCALHOST, ChildProcess, find_free_port
from bedplate.local.runtime.log_metrics import parse_embedded_metrics
from bedplate.local.runtime.outbox import Outbox

LOG_GROUP = "/aws/sagemaker/Endpoints"
RESPONSE_TIMEOUT_S = 60.0
"""SageMaker's limit for a container's response to an invocation."""
READY_TIMEOUT_S = 120.0
PING_INTERVAL_S = 0.03
_RESTART_PAUSES_S = (0.2, 1.0, 5.0, 15.0, 30.0)
_STABLE_S = 60.0
_KEEP_ALIVE_S = 4.0
"""Below the 5 s after which uvicorn closes an idle connection."""


class ContainerResponse(NamedTuple):
    """The container's HTTP response, with header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class ContainerUnavailable(Exception):
    """The container did not respond: it is down, it closed the connection, or it took too long."""


class ContainerNotListening(ContainerUnavailable):
    """The request did not reach the container, and may be sent again once the container is ready."""


class ServingProcess:
    """A container's serving process in one of these states: starting, ready, asleep, failed, stopped.

    It is failed when its first start fails; after a crash it is starting again. With `idle_s` (a serverless variant) it
    is asleep, without a process, after `idle_s` seconds without a request; the next request wakes it up and waits for
    the cold start. `log` is the log group and stream. `reason` says why the process failed.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        root: Path,
        env: Mapping[str, str],
        log: tuple[str, str],
        services: Services,
        outbox: Outbox,
        ready_timeout_s: float = READY_TIMEOUT_S,
        idle_s: float | None = None,
    ) -> None:
        self._idle_s = idle_s
        self._used_at = time.monotonic()
        self._active_requests = 0
        self._command = command
        self._root = root
        self._env = env
        self._log = log
        self._services = services
        self._outbox = outbox
        self._ready_timeout_s = ready_timeout_s
        self._changed = threading.Condition()
        self.state = "starting"
        self.reason = ""
        self._stopping = threading.Event()
        self._child: ChildProcess | None = None
        self._port = 0
        self._connections: deque[tuple[http.client.HTTPConnection, float]] = deque()
        threading.Thread(target=self._supervise, name=f"serve-{log[1]}", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """Process ID of the supervisor of the running process."""
        return self._child.pid if self._child is not None else None

    def await_ready(self, timeout_s: float | None = None) -> bool:
        """Returns whether the process is ready, after waiting up to `timeout_s` while it starts."""
        self._used_at = time.monotonic()
        if self.state == "ready":
            return True
        with self._changed:
            if self.state == "asleep":
                self.state = "starting"
                self._changed.notify_all()
            self._changed.wait_for(lambda: self.state != "starting", timeout_s)
        return self.state == "ready"

    def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> ContainerResponse:
        """Sends a request over a keep-alive connection. Raises ContainerUnavailable."""
        with self._changed:
            if self.state == "asleep":
                raise ContainerNotListening("The container is asleep.")
            self._active_requests += 1
        try:
            return self._exchange(method, path, body, headers)
        finally:
            with self._changed:
                self._active_requests -= 1
                self._used_at = time.monotonic()

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> ContainerResponse:
        connection = self._take_connection()
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            data = response.read()
        except TimeoutError as exc:
            connection.close()
            message = "Your invocation timed out while waiting for a response from the container."
            raise ContainerUnavailable(message) from exc
        except ConnectionRefusedError as exc:
            connection.close()
            self._await_crash_noticed(connection.port, 5)
            raise ContainerNotListening("The container is down.") from exc
        except (OSError, http.client.HTTPException) as exc:
            connection.close()  # the container may have processed the request, so it is not sent again
            self._await_crash_noticed(connection.port, 0.25)
            raise ContainerUnavailable(f"The container closed the connection: {type(exc).__name__}.") from exc
        if response.will_close or self._stopping.is_set():
            connection.close()
        else:
            self._connections.append((connection, time.monotonic()))
        return ContainerResponse(response.status, {k.lower(): v for k, v in response.getheaders()}, data)

    def stop(self, grace_s: float = 2.0) -> None:
        """Returns at once and terminates the process, which is killed after `grace_s` seconds."""
        self._stopping.set()
        child = self._child
        if child is not None and not child.has_ended:
            threading.Thread(target=child.stop, args=(grace_s,), daemon=True).start()
        self._set_state("stopped")

    def kill(self) -> None:
        self._stopping.set()
        if self._child is not None:
            self._child.kill()
        self._set_state("stopped")

    def _await_crash_noticed(self, port: int, timeout_s: float) -> None:
        """Waits until the supervising thread notices a crash, so that the next request waits for the restart."""
        with self._changed:
            self._changed.wait_for(lambda: self.state != "ready" or self._port != port, timeout_s)

    def _take_connection(self) -> http.client.HTTPConnection:
        """Returns an open connection that was used in the last seconds, or a new one."""
        port = self._port
        while True:
            try:
                connection, used_at = self._connections.pop()
            except IndexError:
                return http.client.HTTPConnection(LOCALHOST, port, timeout=RESPONSE_TIMEOUT_S)
            is_fresh = connection.port == port and time.monotonic() - used_at < _KEEP_ALIVE_S
            if is_fresh and not _is_closed_by_peer(connection):
                return connection
            connection.close()

    def _supervise(self) -> None:
        """Starts the process, waits for its end and restarts it until `stop`, with longer pauses after each crash."""
        crashes = 0
        was_ready = False
        while not self._stopping.is_set():
            started_at = time.monotonic()
            child = self._start()
            error = self._await_ping(child)
            if error is None:
                was_ready = True
                self._set_state("ready")
                if self._idle_s is not None and self._sleep_when_idle(child, self._idle_s):
                    continue
                child.wait()
            elif not was_ready and not self._stopping.is_set():
                child.kill()
                self._set_state("failed", error)
                return
            else:
                child.kill()
            if self._stopping.is_set():
                return
            self._set_state("starting")
            crashes = 0 if time.monotonic() - started_at > _STABLE_S else crashes + 1
            pause_s = _RESTART_PAUSES_S[min(crashes, len(_RESTART_PAUSES_S)) - 1] if crashes else 0.0
            self._log_line(f"the serving process exited with code {child.wait(5)} and is restarted")
            self._stopping.wait(pause_s)

    def _sleep_when_idle(self, child: ChildProcess, idle_s: float) -> bool:
        """Ends the process when it is idle and waits for the next request; returns False when the process crashed."""
        while child.wait(min(0.5, idle_s / 2)) is None:
            with self._changed:
                unused_s = time.monotonic() - self._used_at
                if self._active_requests or unused_s < idle_s or self.state != "ready":
                    continue
                self.state = "asleep"
            child.stop(2.0)
            self._log_line(f"no request for {idle_s:g} s: the container is stopped until the next request")
            with self._changed:
                while self.state == "asleep" and not self._stopping.is_set():
                    self._changed.wait(1.0)
            while self._connections:
                self._connections.pop()[0].close()
            return True
        return False

    def _start(self) -> ChildProcess:
        self._port = find_free_port()
        child = ChildProcess(
            self._command,
            env={**self._env, "SAGEMAKER_BIND_TO_PORT": str(self._port)},
            cwd=self._root,
            on_line=self._log_line,
        )
        self._child = child
        if self._stopping.is_set():
            child.kill()
        return child

    def _await_ping(self, child: ChildProcess) -> str | None:
        """Returns None once `/ping` has status 200, otherwise the reason why the process did not start."""
        deadline = time.monotonic() + self._ready_timeout_s
        last_response = "no response"
        while time.monotonic() < deadline:
            try:
                response = self.request("GET", "/ping", b"", {})
                if response.status == 200:
                    return None
                last_response = f"{response.status} {response.body[:300].decode('utf-8', 'replace')}"
            except ContainerUnavailable:
                pass
            if child.wait(PING_INTERVAL_S) is not None:
                return f"It exited with code {child.wait()}. Last lines of its log: {child.tail()}"
        timeout = f"/ping was not ready within {self._ready_timeout_s:.0f} s (last: {last_response})"
        return f"{timeout}. Last lines of its log: {child.tail()}"

    def _set_state(self, state: str, reason: str = "") -> None:
        with self._changed:
            if self.state != "stopped":
                self.state, self.reason = state, reason
            self._changed.notify_all()
        while state != "ready" and self._connections:
            self._connections.pop()[0].close()

    def _log_line(self, line: str) -> None:
        self._services.put_log(*self._log, line)
        for value in parse_embedded_metrics(line):
            self._outbox.put(value)


def _is_closed_by_peer(connection: http.client.HTTPConnection) -> bool:
    """Returns whether the server closed an idle connection, which then has something to read."""
    if connection.sock is None:
        return True
    poller = select.poll()
    poller.register(connection.sock, select.POLLIN)
    return bool(poller.poll(0))
