"""A serving process: one container's `serve` behind a port, kept alive, and the keep-alive connections to it."""

from __future__ import annotations

import http.client
import select
import socket
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bedplate.local.hooks import Services
from bedplate.local.runtime.child_process import ChildProcess
from bedplate.local.runtime.endpoints.model_source import ModelCache, ModelSource, ModelSourceError
from bedplate.local.runtime.environment import environment
from bedplate.local.runtime.metric_lines import embedded_metrics
from bedplate.local.runtime.outbox import Outbox

LOG_GROUP = "/aws/sagemaker/Endpoints"
HOST = "127.0.0.1"
ANSWER_TIMEOUT_S = 60.0
"""What SageMaker gives a container to answer a request."""
READY_TIMEOUT_S = 120.0
PING_EVERY_S = 0.03
_RESTART_S = (0.2, 1.0, 5.0, 15.0, 30.0)
_STEADY_S = 60.0
SERVERLESS_IDLE_S = 60.0
"""After so long without a request a serverless variant's process ends; AWS does not say how long it keeps one."""
_IDLE = 2
_KEEP_ALIVE_S = 4.0
"""Below the 5 s after which uvicorn closes an idle connection."""


class ContainerResponse(NamedTuple):
    """What the container answered."""

    status: int
    headers: dict[str, str]
    body: bytes


class ContainerUnavailable(Exception):
    """The container did not answer: it is down, it closed the connection, or it took too long."""


class ConnectionRefused(ContainerUnavailable):
    """Nobody listens: the request did not reach the container, and may be sent again once it is back."""


class ServingProcess:
    """States: starting, ready, after a crash starting again; failed when its first start comes to nothing; stopped.

    With `idle_s` it is a serverless variant's: asleep, without a process, after so long without a request, until the
    next one, which pays for the cold start.
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
        self._under_way = 0
        self._command = command
        self._root = root
        self._env = env
        self._log = log
        self._services = services
        self._outbox = outbox
        self._ready_timeout_s = ready_timeout_s
        self._changed = threading.Condition()
        self._state = "starting"
        self._reason = ""
        self._stopping = threading.Event()
        self._child: ChildProcess | None = None
        self._port = 0
        self._connections: deque[tuple[http.client.HTTPConnection, float]] = deque()
        threading.Thread(target=self._keep, name=f"serve-{log[1]}", daemon=True).start()

    @property
    def state(self) -> str:
        return self._state

    @property
    def reason(self) -> str:
        """Why it failed."""
        return self._reason

    @property
    def pid(self) -> int | None:
        """Of the leash that holds the running process."""
        return self._child.pid if self._child is not None else None

    def await_ready(self, timeout_s: float | None = None) -> bool:
        """Whether it answers; waits while it starts."""
        self._used_at = time.monotonic()
        if self._state == "ready":
            return True
        with self._changed:
            if self._state == "asleep":
                self._state = "starting"
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._state != "starting", timeout_s)
        return self._state == "ready"

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> ContainerResponse:
        """One request over a connection that is kept. Raises NoReply, or Refused when it went nowhere."""
        with self._changed:
            if self._state == "asleep":
                raise ConnectionRefused("The container sleeps.")
            self._under_way += 1
        try:
            return self._ask(method, path, body, headers)
        finally:
            with self._changed:
                self._under_way -= 1
                self._used_at = time.monotonic()

    def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> ContainerResponse:
        connection = self._connection()
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            data = answer.read()
        except TimeoutError as exc:
            connection.close()
            raise ContainerUnavailable(
                "Your invocation timed out while waiting for a response from the container."
            ) from exc
        except ConnectionRefusedError as exc:
            connection.close()
            self._see_crash(connection.port, 5)
            raise ConnectionRefused("The container is down.") from exc
        except (OSError, http.client.HTTPException) as exc:
            connection.close()  # it may have been at work on the request: sending it again is the caller's decision
            self._see_crash(connection.port, 0.25)
            raise ContainerUnavailable(f"The container closed the connection: {type(exc).__name__}.") from exc
        if answer.will_close or self._stopping.is_set():
            connection.close()
        else:
            self._connections.append((connection, time.monotonic()))
        return ContainerResponse(answer.status, {k.lower(): v for k, v in answer.getheaders()}, data)

    def stop(self, grace_s: float = 2.0) -> None:
        """End it; returns at once, the process gets `grace_s` to end by itself."""
        self._stopping.set()
        child = self._child
        if child is not None and not child.ended:
            threading.Thread(target=child.stop, args=(grace_s,), daemon=True).start()
        self._become("stopped")

    def kill(self) -> None:
        self._stopping.set()
        if self._child is not None:
            self._child.kill()
        self._become("stopped")

    def _see_crash(self, port: int, timeout_s: float) -> None:
        """If it has just died, wait until that is noticed, which takes milliseconds: the next request then waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._state != "ready" or self._port != port, timeout_s)

    def _connection(self) -> http.client.HTTPConnection:
        """One that is open and was used a moment ago, or a new one."""
        port = self._port
        while True:
            try:
                connection, used_at = self._connections.pop()
            except IndexError:
                return http.client.HTTPConnection(HOST, port, timeout=ANSWER_TIMEOUT_S)
            if (
                connection.port == port
                and time.monotonic() - used_at < _KEEP_ALIVE_S
                and not _closed_by_peer(connection)
            ):
                return connection
            connection.close()

    def _keep(self) -> None:
        """Start it, see it become ready, wait for its end; start it again unless it was meant to end."""
        crashes = 0
        came_up = False
        while not self._stopping.is_set():
            began = time.monotonic()
            child = self._start()
            fault = self._see_ready(child)
            if fault is None:
                came_up = True
                self._become("ready")
                if self._idle_s is not None and self._slept(child, self._idle_s):
                    if self._stopping.is_set():
                        return
                    continue
                child.wait()
            elif not came_up and not self._stopping.is_set():
                child.kill()
                self._become("failed", fault)
                return
            else:
                child.kill()
            if self._stopping.is_set():
                return
            self._become("starting")
            crashes = 0 if time.monotonic() - began > _STEADY_S else crashes + 1
            pause_s = _RESTART_S[min(crashes, len(_RESTART_S)) - 1] if crashes else 0.0
            self._say(f"the serving process ended with exit code {child.wait(5)}; it is started again")
            self._stopping.wait(pause_s)

    def _slept(self, child: ChildProcess, idle_s: float) -> bool:
        """Whether nobody asked for so long that the process was ended, and then somebody did; False when it died."""
        while child.wait(min(0.5, idle_s / 2)) is None:
            with self._changed:
                unused_s = time.monotonic() - self._used_at
                if self._under_way or unused_s < idle_s or self._state != "ready":
                    continue
                self._state = "asleep"
            child.stop(2.0)
            self._say(f"nobody asked for {idle_s:g} s: the container is gone until somebody does")
            with self._changed:
                while self._state == "asleep" and not self._stopping.is_set():
                    self._changed.wait(1.0)
            while self._connections:
                self._connections.pop()[0].close()
            return True
        return False

    def _start(self) -> ChildProcess:
        self._port = _free_port()
        child = ChildProcess(
            self._command,
            env={**self._env, "SAGEMAKER_BIND_TO_PORT": str(self._port)},
            cwd=self._root,
            on_line=self._say,
        )
        self._child = child
        if self._stopping.is_set():
            child.kill()
        return child

    def _see_ready(self, child: ChildProcess) -> str | None:
        """None once `/ping` answers 200; else why it will not."""
        deadline = time.monotonic() + self._ready_timeout_s
        said = "nothing"
        while time.monotonic() < deadline:
            try:
                reply = self.ask("GET", "/ping", b"", {})
                if reply.status == 200:
                    return None
                said = f"{reply.status} {reply.body[:300].decode('utf-8', 'replace')}"
            except ContainerUnavailable:
                pass
            if child.wait(PING_EVERY_S) is not None:
                return f"It ended with exit code {child.wait()}. Last lines of its log: {child.tail()}"
        return f"It answered {said} to /ping for {self._ready_timeout_s:.0f} s. Last lines of its log: {child.tail()}"

    def _become(self, state: str, reason: str = "") -> None:
        with self._changed:
            if self._state != "stopped":
                self._state, self._reason = state, reason
            self._changed.notify_all()
        while state != "ready" and self._connections:
            self._connections.pop()[0].close()

    def _say(self, line: str) -> None:
        self._services.put_log(*self._log, line)
        for point in embedded_metrics(line):
            self._outbox.metric(*point)


class ServingPool:
    """Serving processes by endpoint, variant and content: what is the same is shared, and the last few that nobody
    uses any more stay warm, so that going back to the release before is a matter of milliseconds."""

    def __init__(
        self,
        services: Services,
        outbox: Outbox,
        container: Sequence[str],
        folder: Path,
        *,
        idle: int = _IDLE,
        serverless_idle_s: float = SERVERLESS_IDLE_S,
    ) -> None:
        self._serverless_idle_s = serverless_idle_s
        self._services = services
        self._outbox = outbox
        self._command = [*container, "serve"]
        self._shelf = ModelCache(services, folder)
        self._idle_limit = idle
        self._lock = threading.Lock()
        self._users: dict[tuple[str, str, str], int] = {}
        self._processes: dict[tuple[str, str, str], tuple[ServingProcess, ModelSource]] = {}
        self._idle: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._lent: dict[tuple[str, str, str], tuple[str, str, str]] = {}
        """What another endpoint asked for and a warm process already serves -> that process."""
        self._closed = False

    def acquire(
        self, endpoint: str, variant: str, source: ModelSource, *, ready_timeout_s: float, serverless: bool = False
    ) -> ServingProcess:
        """Its process, started when there is none. Raises CannotServe when the artifact cannot be unpacked."""
        with self._lock:
            asked = (endpoint, variant, source.digest)
            key = asked if serverless else self._lend(asked)
            if self._closed:
                raise ModelSourceError("The local platform is ending.")
            found = self._processes.get(key)
            if found is not None and found[0].state in ("failed", "stopped"):
                self._forget(key)
                found = None
            if found is None:
                idle_s = self._serverless_idle_s if serverless else None
                found = (self._begin(endpoint, variant, source, ready_timeout_s, idle_s), source)
                self._processes[key] = found
            self._users[key] = self._users.get(key, 0) + 1
            self._idle.pop(key, None)
        return found[0]

    def release(self, endpoint: str, variant: str, source: ModelSource, *, keep_warm: bool = True) -> None:
        asked = (endpoint, variant, source.digest)
        with self._lock:
            key = self._lent.get(asked, asked)
            keep_warm = keep_warm or key != asked  # it goes back to whom it was lent from
            if key not in self._processes:
                return
            self._users[key] -= 1
            if self._users[key] > 0:
                return
            if keep_warm and self._processes[key][0].state == "ready":
                self._idle[key] = None
            else:
                self._forget(key)
            while len(self._idle) > self._idle_limit:
                self._forget(self._idle.popitem(last=False)[0])

    def discard(self, endpoint: str) -> None:
        """Nothing of this endpoint is to stay warm."""
        with self._lock:
            self._lent = {k: v for k, v in self._lent.items() if k[0] != endpoint}
            for key in [k for k in self._idle if k[0] == endpoint]:
                del self._idle[key]
                self._forget(key)

    def _lend(self, asked: tuple[str, str, str]) -> tuple[str, str, str]:
        """The key of the process that serves this: its own, or a warm one of another endpoint with the same content."""
        if asked in self._processes:
            return asked
        known = self._lent.get(asked)
        if known is not None and known in self._processes:
            return known
        warm = next((k for k in self._processes if k[1:] == asked[1:] and self._processes[k][0].state == "ready"), None)
        if warm is None:
            self._lent.pop(asked, None)
            return asked
        self._lent[asked] = warm
        return warm

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for process, _ in self._processes.values():
                process.kill()

    def _begin(
        self, endpoint: str, variant: str, source: ModelSource, ready_timeout_s: float, idle_s: float | None
    ) -> ServingProcess:
        root = self._shelf.take(source)
        return ServingProcess(
            self._command,
            root=root,
            env=environment(root, dict(source.environment), region=self._services.region, threads=1),
            log=(f"{LOG_GROUP}/{endpoint}", f"{variant}/i-{source.digest}"),
            services=self._services,
            outbox=self._outbox,
            ready_timeout_s=ready_timeout_s,
            idle_s=idle_s,
        )

    def _forget(self, key: tuple[str, str, str]) -> None:
        process, source = self._processes.pop(key)
        self._users.pop(key, None)
        self._idle.pop(key, None)
        process.stop()
        self._shelf.put_back(source)


def serve_here() -> list[str]:
    """The command of the image's entry points, on this machine."""
    return [sys.executable, "-m", "bedplate.container"]


def _closed_by_peer(connection: http.client.HTTPConnection) -> bool:
    """An idle connection with something to read has been closed at the other end."""
    if connection.sock is None:
        return True
    poller = select.poll()
    poller.register(connection.sock, select.POLLIN)
    return bool(poller.poll(0))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
