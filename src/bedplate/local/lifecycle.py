"""Starting, finding and stopping the local platform of one project.

The server's state directory is `<project>/.bedplate/local` (`BEDPLATE_STATE_DIR` takes the place of `.bedplate`).
A running server holds a lock on `server.lock` there for as long as it lives, so a file left behind by a dead one
proves nothing and disturbs nobody, and two servers never share a state. Only the standard library is imported here:
every command of the local stack passes through `ensure_running`.
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
from bedplate.errors import PlatformError

HOST = "127.0.0.1"
DEFAULT_PORT = 4566
HEALTH_PATH = "/_bedplate/health"
_POLL_S = 0.03
_LOG_BYTES = 10_000_000
EXIT_PORT_TAKEN = 98


@dataclass(frozen=True, slots=True)
class Status:
    """Where the platform is. `since` is ISO 8601 in UTC; `world` names what it holds, and changes when a kill lost some
    of it. All but `running` and `state_dir` are None when it is down."""

    running: bool
    url: str | None
    port: int | None
    pid: int | None
    state_dir: str
    since: str | None
    version: str | None
    world: str | None = None
    faults: bool = False
    """Whether it commits faults on demand."""
    region: str | None = None


def state_dir_of(project_dir: str | Path) -> Path:
    """The platform's directory for this project; it need not exist yet."""
    base = os.environ.get("BEDPLATE_STATE_DIR")
    return (Path(base) if base else Path(project_dir) / ".bedplate").resolve() / "local"


def ensure_running(project_dir: str | Path, *, region: str | None = None) -> str:
    """The URL of this project's platform, which is started first when it is not running.

    Raises PlatformError when what it holds is in another region than the asked one.
    """
    now = status(project_dir)
    if now.running and now.version != __version__:
        stop(project_dir)  # another version of Bedplate left it running; what it holds stays
        now = status(project_dir)
    if not now.running:
        now = start(project_dir, region=region)
    if region and now.region and now.region != region:
        raise PlatformError(
            f"The local platform of {project_dir} is in {now.region}, and the stack asks for {region}",
            next_step="bedplate local reset, which throws away what it holds, or aws:region in the stack's file",
        )
    return str(now.url)


def status(project_dir: str | Path) -> Status:
    """Ask the server that the state directory names; a file left behind by a dead server counts as not running."""
    state_dir = state_dir_of(project_dir)
    card = _card(state_dir)
    health = _health(int(card["port"])) if card else None
    if not card or not health or health.get("state_dir") != str(state_dir):
        return Status(False, None, None, None, str(state_dir), None, None)
    port = int(card["port"])
    return Status(
        running=True,
        url=f"http://{HOST}:{port}",
        port=port,
        pid=int(health["pid"]),
        state_dir=str(state_dir),
        since=health["since"],
        version=health["version"],
        world=health.get("world"),
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
    """Start the server, or return the one that is running. With `faults` it commits them on demand (`local.faults`).

    A platform is in one region, that of its first start, until it is reset. Without `port` it is 4566 when that is
    free, else the project's last one, else any free one; 0 asks for any.
    Raises PlatformError when an asked port is taken, when the platform already runs at another port than the asked
    one, or without the faults that are asked for, or when the server is not ready within `timeout_s`.
    """
    state_dir = state_dir_of(project_dir)
    state_dir.mkdir(parents=True, exist_ok=True)
    with _locked(state_dir / "start.lock", timeout_s):
        running = status(project_dir)
        if not running.running and _holder(state_dir) is not None:  # busy, or stopping: it answers, or it ends
            _until(lambda: status(project_dir).running or _holder(state_dir) is None, timeout_s)
            running = status(project_dir)
        if running.running:
            if port and running.port != port:
                raise PlatformError(
                    f"The local platform of {project_dir} already runs at {running.url}, not at port {port}",
                    next_step=f"bedplate local stop && bedplate local start --port {port}",
                )
            if faults and not running.faults:
                raise PlatformError(
                    f"The local platform of {project_dir} already runs, without faults",
                    next_step="bedplate local stop && bedplate local start --faults",
                )
            return running
        if port and _taken(port):
            raise _port_taken(port)
        return _launch(project_dir, state_dir, port, region, timeout_s, faults)


def stop(project_dir: str | Path, *, timeout_s: float = 20) -> bool:
    """Stop the server after it has written what it holds; False when none was running."""
    state_dir = state_dir_of(project_dir)
    pid = _holder(state_dir)
    if pid is None:
        return False
    _signal(pid, signal.SIGTERM)
    if not _until(lambda: _holder(state_dir) is None, timeout_s):
        _signal(pid, signal.SIGKILL)
        _until(lambda: _holder(state_dir) is None, 5)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    (state_dir / "server.json").unlink(missing_ok=True)
    return True


def reset(project_dir: str | Path, *, region: str | None = None) -> Status:
    """Throw away everything the platform holds; it runs again afterwards, in `region`, if it ran before."""
    ran = stop(project_dir)
    state_dir = state_dir_of(project_dir)
    for entry in state_dir.iterdir() if state_dir.is_dir() else ():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.suffix != ".lock":
            entry.unlink(missing_ok=True)
    return start(project_dir, region=region) if ran else status(project_dir)


def usual_port_is_free() -> bool:
    """Whether a platform that is started now would get its usual port."""
    return not _taken(DEFAULT_PORT)


def logs(project_dir: str | Path, lines: int = 100, follow: bool = False) -> Iterator[str]:
    """The last `lines` lines of the server's log; with `follow`, then every new one until the caller stops."""
    path = state_dir_of(project_dir) / "server.log"
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
    command = [sys.executable, "-m", "bedplate.local.server", "--state-dir", str(state_dir)]
    if port is not None:
        command += ["--port", str(port)]
    if region is not None:
        command += ["--region", region]
    if faults:
        command.append("--faults")
    log = str(state_dir / "server.log")
    if Path(log).exists() and Path(log).stat().st_size > _LOG_BYTES:
        Path(log).replace(f"{log}.1")
    into_log = (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    no_input = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    files = [no_input, into_log, (os.POSIX_SPAWN_DUP2, 1, 2)]
    pid = os.posix_spawn(sys.executable, command, _environment(), file_actions=files)
    exit_codes: list[int] = []

    def decided() -> bool:
        if not status(project_dir).running:
            ended, code = os.waitpid(pid, os.WNOHANG)
            if not ended:
                return False
            exit_codes.append(os.waitstatus_to_exitcode(code))
        return True

    if _until(decided, timeout_s) and not exit_codes:
        return status(project_dir)
    if not exit_codes:
        _signal(pid, signal.SIGTERM)
    if exit_codes == [EXIT_PORT_TAKEN] and port:
        raise _port_taken(port)
    tail = "\n".join(f"  {line}" for line in logs(project_dir, lines=5))
    raise PlatformError(f"The local platform did not start:\n{tail}", next_step="bedplate local logs")


def _environment() -> dict[str, str]:
    """The server's environment: nothing of the caller's AWS settings may reach it, or the jobs that it starts."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "BEDPLATE_", "MOTO_", "PULUMI_"))}
    return {**kept, "PYTHONUNBUFFERED": "1", "MOTO_DISABLE_GLOBAL_CORS": "true"}


def _port_taken(port: int) -> PlatformError:
    return PlatformError(
        f"Port {port} on {HOST} is in use by another program", next_step="bedplate local start --port 0"
    )


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _until(condition: Any, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


# --- what the state directory says ---------------------------------------------------------------------------------


def _card(state_dir: Path) -> dict[str, Any] | None:
    """What the server wrote about itself, or None when there is nothing legible."""
    try:
        card = json.loads((state_dir / "server.json").read_text())
        return card if {"port", "pid"} <= card.keys() else None
    except (OSError, ValueError, AttributeError):
        return None


def _holder(state_dir: Path) -> int | None:
    """The pid of the server that holds the state directory, by its lock rather than by hearsay."""
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


def _health(port: int) -> dict[str, Any] | None:
    try:
        with socket.create_connection((HOST, port), timeout=2) as link:
            link.sendall(f"GET {HEALTH_PATH} HTTP/1.0\r\nHost: {HOST}:{port}\r\n\r\n".encode())
            answer = b""
            while chunk := link.recv(4096):
                answer += chunk
        head, _, body = answer.partition(b"\r\n\r\n")
        health = json.loads(body) if b" 200 " in head.split(b"\r\n", 1)[0] else None
        return health if isinstance(health, dict) and health.get("service") == "bedplate-local" else None
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _locked(path: Path, timeout_s: float) -> Iterator[None]:
    with path.open("a") as lock:

        def acquired() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not _until(acquired, timeout_s):
            raise PlatformError(
                f"Another command has been starting the local platform for {timeout_s:.0f} s",
                next_step="bedplate local logs",
            )
        yield


def health_card(state_dir: Path, region: str, port: int, since: str, world: str, faults: bool) -> dict[str, Any]:
    """What a server says about itself, at the health path and in `server.json`."""
    return {
        "service": "bedplate-local",
        "status": "ok",
        "state_dir": str(state_dir),
        "port": port,
        "pid": os.getpid(),
        "since": since,
        "version": __version__,
        "world": world,
        "faults": faults,
        "region": region,
    }
