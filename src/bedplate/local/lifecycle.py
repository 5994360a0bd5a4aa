"""Starts, finds and stops the local platform of a project.

The server's state directory is `<project>/.bedplate/local` (`BEDPLATE_STATE_DIR` replaces `.bedplate`). A running
server holds a lock on `server.lock` in it, so that two servers never share a state, and the files of a server that was
killed do no harm. This module imports only the standard library, because every command on a local stack calls
`ensure_running`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate import __version__
from bedplate.errors import PlatformError, UnsupportedFormat

HOST = "127.0.0.1"
DEFAULT_PORT = 4566
HEALTH_PATH = "/_bedplate/health"
_POLL_S = 0.03
_LOG_BYTES = 10_000_000
EXIT_PORT_TAKEN = 98
STATE_FORMAT = 1
"""Format of the state directory, which its file `format` records."""


@dataclass(frozen=True, slots=True)
class Status:
    """Whether and where the platform runs. All fields but `running` and `state_dir` are None when it is down.

    `since` is ISO 8601 in UTC. `generation` identifies the platform's state; it changes when a kill loses changes.
    """

    running: bool
    url: str | None
    port: int | None
    pid: int | None
    state_dir: str
    since: str | None
    version: str | None
    generation: str | None = None
    faults: bool = False
    """Whether it was started with faults (`local.faults`)."""
    region: str | None = None


def local_state_dir(project_dir: str | Path) -> Path:
    """Returns the platform's state directory for this project, which may not exist yet."""
    base = os.environ.get("BEDPLATE_STATE_DIR")
    return (Path(base) if base else Path(project_dir) / ".bedplate").resolve() / "local"


def ensure_running(project_dir: str | Path, *, region: str | None = None) -> str:
    """Returns the URL of this project's platform, and starts the platform when it is not running.

    Raises PlatformError when the platform's state is in another region than `region`.
    """
    current = status(project_dir)
    if current.running and current.version != __version__:
        stop(project_dir)  # another version of Bedplate started it; its state is kept
        current = status(project_dir)
    if not current.running:
        current = start(project_dir, region=region)
    if region and current.region and current.region != region:
        raise PlatformError(
            f"The local platform of {project_dir} is in {current.region}, but the stack is in {region}",
            next_step="bedplate local reset, which deletes its state, or change aws:region in the stack's file",
        )
    return str(current.url)


def status(project_dir: str | Path) -> Status:
    """Returns the status that the server in the state directory's `server.json` reports; not running without one."""
    state_dir = local_state_dir(project_dir)
    server = _read_server_file(state_dir)
    health = _fetch_health(int(server["port"])) if server else None
    if not server or not health or health.get("state_dir") != str(state_dir):
        return Status(False, None, None, None, str(state_dir), None, None)
    port = int(server["port"])
    return Status(
        running=True,
        url=f"http://{HOST}:{port}",
        port=port,
        pid=int(health["pid"]),
        state_dir=str(state_dir),
        since=health["since"],
        version=health["version"],
        generation=health.get("generation"),
        faults=bool(health.get("faults")),
        region=health.get("region"),
    )


def start(
    project_dir: str | Path,
    *,
    port: int | None = None,
    region: str | None = None,
    timeout_s: float = 30,
    faults: bool = False,
) -> Status:
    """Starts the server unless it is running; returns its status. `faults` enables injected faults (`local.faults`).

    The region of the first start stays until `reset`. Without `port` the port is 4566 if free, else the project's last
    one, else any free one; 0 is any free one.
    Raises PlatformError when `port` is taken, when the platform already runs at another port, or without `faults`, and
    when the server is not ready within `timeout_s`.
    """
    state_dir = local_state_dir(project_dir)
    state_dir.mkdir(parents=True, exist_ok=True)
    with _start_lock(state_dir / "start.lock", timeout_s):
        running = status(project_dir)
        if not running.running and _server_pid(state_dir) is not None:  # it is starting, busy or stopping
            _wait_until(lambda: status(project_dir).running or _server_pid(state_dir) is None, timeout_s)
            running = status(project_dir)
        if running.running:
            if port and running.port != port:
                raise PlatformError(
                    f"The local platform of {project_dir} already runs at {running.url}, not at port {port}",
                    next_step=f"bedplate local stop && bedplate local start --port {port}",
                )
            if faults and not running.faults:
                raise PlatformError(
                    f"The local platform of {project_dir} already runs, without --faults",
                    next_step="bedplate local stop && bedplate local start --faults",
                )
            return running
        if port and _is_port_taken(port):
            raise _port_taken_error(port)
        return _launch(project_dir, state_dir, port, region, timeout_s, faults)


def stop(project_dir: str | Path, *, timeout_s: float = 20) -> bool:
    """Stops the server, which saves its state first; returns False when it was not running."""
    state_dir = local_state_dir(project_dir)
    pid = _server_pid(state_dir)
    if pid is None:
        return False
    _send_signal(pid, signal.SIGTERM)
    if not _wait_until(lambda: _server_pid(state_dir) is None, timeout_s):
        _send_signal(pid, signal.SIGKILL)
        _wait_until(lambda: _server_pid(state_dir) is None, 5)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    (state_dir / "server.json").unlink(missing_ok=True)
    return True


def reset(project_dir: str | Path, *, region: str | None = None) -> Status:
    """Deletes the platform's state; restarts it, in `region`, if it was running."""
    was_running = stop(project_dir)
    state_dir = local_state_dir(project_dir)
    for entry in state_dir.iterdir() if state_dir.is_dir() else ():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.suffix != ".lock":
            entry.unlink(missing_ok=True)
    return start(project_dir, region=region) if was_running else status(project_dir)


def is_default_port_free() -> bool:
    """Returns whether the default port is free for a platform that is started now."""
    return not _is_port_taken(DEFAULT_PORT)


def logs(project_dir: str | Path, lines: int = 100, follow: bool = False) -> Iterator[str]:
    """Yields the last `lines` lines of the server's log; with `follow`, then every new line."""
    path = local_state_dir(project_dir) / "server.log"
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as log:
        yield from (line.rstrip("\n") for line in log.readlines()[-lines:] if lines > 0)
        while follow:
            line = log.readline()
            if line:
                yield line.rstrip("\n")
            else:
                time.sleep(0.2)


# --- the server process --------------------------------------------------------------------------------------------


def _launch(
    project_dir: str | Path, state_dir: Path, port: int | None, region: str | None, timeout_s: float, faults: bool
) -> Status:
    _check_state_format(state_dir)
    command = [sys.executable, "-m", "bedplate.local.server", "--state-dir", str(state_dir)]
    if port is not None:
        command += ["--port", str(port)]
    if region is not None:
        command += ["--region", region]
    if faults:
        command.append("--faults")
    log = state_dir / "server.log"
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(f"{log}.1")
    file_actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawn(sys.executable, command, _environment(), file_actions=file_actions)
    exit_codes: list[int] = []

    def is_ready_or_exited() -> bool:
        if not status(project_dir).running:
            exited_pid, wait_status = os.waitpid(pid, os.WNOHANG)
            if not exited_pid:
                return False
            exit_codes.append(os.waitstatus_to_exitcode(wait_status))
        return True

    if _wait_until(is_ready_or_exited, timeout_s) and not exit_codes:
        return status(project_dir)
    if not exit_codes:
        _send_signal(pid, signal.SIGTERM)
    if exit_codes == [EXIT_PORT_TAKEN] and port:
        raise _port_taken_error(port)
    tail = "\n".join(f"  {line}" for line in logs(project_dir, lines=5))
    raise PlatformError(f"The local platform did not start:\n{tail}", next_step="bedplate local logs")


def _check_state_format(state_dir: Path) -> None:
    """Records the format of a new state. Raises UnsupportedFormat for an existing state of another format."""
    path = state_dir / "format"
    if not (state_dir / "state.db").exists():
        path.write_text(f"{STATE_FORMAT}\n", encoding="utf-8")
        return
    written = path.read_text(encoding="utf-8").strip() if path.exists() else "0"
    if written != str(STATE_FORMAT):
        raise UnsupportedFormat(
            f"{state_dir} has state of format {written}; this version of Bedplate reads format {STATE_FORMAT}",
            next_step="bedplate local reset, which deletes the local platform's state",
        )


def _environment() -> dict[str, str]:
    """Returns the server's environment without the caller's AWS settings, which must not reach its jobs either."""
    excluded = ("AWS_", "BEDPLATE_", "MOTO_", "PULUMI_")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(excluded)}
    return {**inherited, "PYTHONUNBUFFERED": "1", "MOTO_DISABLE_GLOBAL_CORS": "true"}


def _port_taken_error(port: int) -> PlatformError:
    return PlatformError(
        f"Port {port} on {HOST} is in use by another program", next_step="bedplate local start --port 0"
    )


def _is_port_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _send_signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait_until(condition: Any, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


# --- the state directory -------------------------------------------------------------------------------------------


def _read_server_file(state_dir: Path) -> dict[str, Any] | None:
    """Returns the server's `server.json`; None when it is missing or invalid."""
    try:
        server = json.loads((state_dir / "server.json").read_text())
        return server if {"port", "pid"} <= server.keys() else None
    except (OSError, ValueError, AttributeError):
        return None


def _server_pid(state_dir: Path) -> int | None:
    """Returns the pid of the server that holds the state directory's lock; None when the lock is free."""
    path = state_dir / "server.lock"
    try:
        with path.open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read().strip() or 0) or None
    except (FileNotFoundError, ValueError):
        pass
    return None


def _fetch_health(port: int) -> dict[str, Any] | None:
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(f"GET {HEALTH_PATH} HTTP/1.0\r\nHost: {HOST}:{port}\r\n\r\n".encode())
            response = b""
            while chunk := connection.recv(4096):
                response += chunk
        head, _, body = response.partition(b"\r\n\r\n")
        health = json.loads(body) if b" 200 " in head.split(b"\r\n", 1)[0] else None
        return health if isinstance(health, dict) and health.get("service") == "bedplate-local" else None
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _start_lock(path: Path, timeout_s: float) -> Iterator[None]:
    with path.open("a") as lock:

        def try_lock() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not _wait_until(try_lock, timeout_s):
            raise PlatformError(
                f"Another command has been starting the local platform for {timeout_s:.0f} s",
                next_step="bedplate local logs",
            )
        yield


def build_health(state_dir: Path, region: str, port: int, since: str, generation: str, faults: bool) -> dict[str, Any]:
    """Returns what a server reports at the health path and in `server.json`."""
    return {
        "service": "bedplate-local",
        "status": "ok",
        "state_dir": str(state_dir),
        "port": port,
        "pid": os.getpid(),
        "since": since,
        "version": __version__,
        "generation": generation,
        "faults": faults,
        "region": region,
    }
