"""The local platform's server process: locks the state directory, binds a port, restores the state and serves."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gc
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from bedplate.local.lifecycle import DEFAULT_PORT, EXIT_PORT_TAKEN, HOST

_THREADS = 40
_LOCK_TIMEOUT_S = 3.0
_CHECK_INTERVAL_S = 2.0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bedplate.local.server", description="The local platform's server process.")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=None)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--region", default="us-east-1", help="of a platform without a state")
    options = parser.parse_args(argv)
    state_dir = options.state_dir.resolve()
    state_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):
        os.setsid()  # closing the terminal, or interrupting the command, must not stop the platform
    os.chdir(state_dir)
    with (state_dir / "server.lock").open("a+") as lock:
        if not _acquire_lock(lock):
            sys.stderr.write("another server holds this state directory\n")
            return 1
        listener = _bind_first_free(_candidate_ports(options.port, state_dir))
        if listener is None:
            sys.stderr.write(f"port {options.port} is taken\n")
            return EXIT_PORT_TAKEN
        return _serve(state_dir, _read_region(state_dir, options.region), listener, lock, options.faults)


def _read_region(state_dir: Path, requested: str) -> str:
    """Returns the region of the state; a new state gets the requested region."""
    path = state_dir / "region"
    if not path.exists():
        path.write_text("us-east-1" if (state_dir / "state.db").exists() else requested)
    return path.read_text().strip()


def _serve(state_dir: Path, region: str, listener: socket.socket, lock: IO[str], faults: bool) -> int:
    from bedplate.local.assembly import assemble
    from bedplate.local.faults import Faults
    from bedplate.local.wire.gateway import Gateway, format_iso

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    platform, moto_app = assemble(state_dir, region, listener.getsockname()[1], format_iso(time.time()))
    platform.faults = Faults() if faults else None
    server = _http_server(listener, Gateway(platform, moto_app))
    server.prepare()
    platform.start()  # before the first request, which must find the endpoints restored
    threading.Thread(target=server.serve, name="http", daemon=True).start()
    _write_server_files(state_dir, platform.health())
    platform.log(f"ready at {platform.url}")
    gc.collect()
    gc.freeze()
    while not stop.wait(_CHECK_INTERVAL_S) and _is_lock_current(lock):
        pass
    platform.log("stopping" if stop.is_set() else "the state directory is gone: stopping")
    (state_dir / "server.json").unlink(missing_ok=True)
    platform.stop()
    with contextlib.suppress(Exception):
        server.stop()
    if _is_lock_current(lock):
        platform.close()
    platform.log("stopped")
    return 0


def _http_server(listener: socket.socket, app: Any) -> Any:
    from cheroot import wsgi
    from moto.core.request import (
        PRESERVED_HEADER_NAMES_ENVIRON_KEY,
        environ_key_for_header,
        should_preserve_original_header_name,
    )

    class BoundServer(wsgi.Server):
        """Serves on a socket that is already bound, so that no other process can take the port in between."""

        def bind(self, *_: Any) -> socket.socket:
            self.socket = listener
            return listener

    base: Any = wsgi.Gateway_10

    class HeaderPreservingGateway(base):  # type: ignore[misc]
        def get_environ(self) -> dict[str, Any]:
            """Adds the original names of headers with an underscore, which moto needs for S3 metadata."""
            environ: dict[str, Any] = super().get_environ()
            names = [name.decode("latin-1") for name in self.req.inheaders if b"_" in name]
            preserved = {environ_key_for_header(n): n.lower() for n in names if should_preserve_original_header_name(n)}
            if preserved:
                environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = preserved
            return environ

    server = BoundServer(
        listener.getsockname(),
        app,
        numthreads=_THREADS,
        server_name=HOST,
        request_queue_size=256,
        shutdown_timeout=2,
    )
    server.gateway = HeaderPreservingGateway
    return server


def _acquire_lock(lock: IO[str]) -> bool:
    """Locks the state directory until this process exits. Retries, because `lifecycle` tests the lock briefly."""
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return True


def _is_lock_current(lock: IO[str]) -> bool:
    """Returns whether the locked file still exists; it does not after the project was deleted, and the server stops."""
    try:
        return Path(lock.name).stat().st_ino == os.fstat(lock.fileno()).st_ino
    except OSError:
        return False


def _candidate_ports(requested: int | None, state_dir: Path) -> list[int]:
    if requested is not None:
        return [requested]
    with contextlib.suppress(OSError, ValueError, KeyError):
        return [DEFAULT_PORT, int(json.loads((state_dir / "port.json").read_text())["port"]), 0]
    return [DEFAULT_PORT, 0]


def _bind_first_free(ports: list[int]) -> socket.socket | None:
    for port in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(256)
        except OSError:
            listener.close()
            continue
        return listener
    return None


def _write_server_files(state_dir: Path, health: dict[str, Any]) -> None:
    for name in ("port.json", "server.json"):
        temporary = state_dir / f"{name}.new"
        temporary.write_text(json.dumps(health))
        temporary.replace(state_dir / name)


if __name__ == "__main__":
    sys.exit(main())
