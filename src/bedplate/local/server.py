"""The process of the local platform: takes the state directory's lock, binds a port, restores, answers, saves."""

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
_CLAIM_S = 3.0
_LOOK_S = 2.0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bedplate.local.server", description="The local platform's server process.")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=None)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--region", default="us-east-1", help="of a platform that holds nothing yet")
    options = parser.parse_args(argv)
    state_dir = options.state_dir.resolve()
    state_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):
        os.setsid()  # a terminal that closes, or an interrupted command, must not take the platform along
    os.chdir(state_dir)
    with (state_dir / "server.lock").open("a+") as lock:
        if not _claim(lock):
            sys.stderr.write("another server holds this state directory\n")
            return 1
        listener = _bind(_candidates(options.port, state_dir))
        if listener is None:
            sys.stderr.write(f"port {options.port} is taken\n")
            return EXIT_PORT_TAKEN
        return _serve(state_dir, _region(state_dir, options.region), listener, lock, options.faults)


def _region(state_dir: Path, asked: str) -> str:
    """The region that the state is in; a new state takes the asked one and stays there."""
    kept = state_dir / "region"
    if not kept.exists():
        kept.write_text("us-east-1" if (state_dir / "state.db").exists() else asked)
    return kept.read_text().strip()


def _serve(state_dir: Path, region: str, listener: socket.socket, lock: IO[str], with_faults: bool) -> int:
    from bedplate.local.assembly import assemble
    from bedplate.local.faults import Faults
    from bedplate.local.wire.gateway import Gateway, stamp

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    platform, moto_app = assemble(state_dir, region, listener.getsockname()[1], stamp(time.time()))
    platform.faults = Faults() if with_faults else None
    server = _http_server(listener, Gateway(platform, moto_app))
    server.prepare()
    platform.begin()  # before the first answer: whoever asks at once must not find endpoints that are not back yet
    threading.Thread(target=server.serve, name="http", daemon=True).start()
    _write_card(state_dir, platform.health())
    platform.log(f"ready at {platform.url}")
    gc.collect()
    gc.freeze()
    while not stop.wait(_LOOK_S) and _holds(lock):
        pass
    platform.log("stopping" if stop.is_set() else "the state directory is gone: stopping")
    (state_dir / "server.json").unlink(missing_ok=True)
    platform.end()
    with contextlib.suppress(Exception):
        server.stop()
    if _holds(lock):
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

    class Bound(wsgi.Server):
        """Answers on the socket that is already bound, so that nobody can take the port in between."""

        def bind(self, *_: Any) -> socket.socket:
            self.socket = listener
            return listener

    plain: Any = wsgi.Gateway_10

    class Gateway(plain):  # type: ignore[misc]
        def get_environ(self) -> dict[str, Any]:
            """cheroot's, with the spelling of S3 metadata names that hold an underscore, which moto asks for."""
            environ: dict[str, Any] = super().get_environ()
            names = [name.decode("latin-1") for name in self.req.inheaders if b"_" in name]
            kept = {environ_key_for_header(n): n for n in names if should_preserve_original_header_name(n)}
            if kept:
                environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = {k: n.lower() for k, n in kept.items()}
            return environ

    address = listener.getsockname()
    server = Bound(address, app, numthreads=_THREADS, server_name=HOST, request_queue_size=256, shutdown_timeout=2)
    server.gateway = Gateway
    return server


def _claim(lock: IO[str]) -> bool:
    """Hold the state directory for as long as this process lives. A prober holds the lock only for an instant."""
    deadline = time.monotonic() + _CLAIM_S
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


def _holds(lock: IO[str]) -> bool:
    """Whether the lock is still the file of that name: when a project is deleted, its server has nothing to serve."""
    try:
        return Path(lock.name).stat().st_ino == os.fstat(lock.fileno()).st_ino
    except OSError:
        return False


def _candidates(asked: int | None, state_dir: Path) -> list[int]:
    if asked is not None:
        return [asked]
    with contextlib.suppress(OSError, ValueError, KeyError):
        return [DEFAULT_PORT, int(json.loads((state_dir / "port.json").read_text())["port"]), 0]
    return [DEFAULT_PORT, 0]


def _bind(ports: list[int]) -> socket.socket | None:
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


def _write_card(state_dir: Path, card: dict[str, Any]) -> None:
    for name in ("port.json", "server.json"):
        fresh = state_dir / f"{name}.new"
        fresh.write_text(json.dumps(card))
        fresh.replace(state_dir / name)


if __name__ == "__main__":
    sys.exit(main())
