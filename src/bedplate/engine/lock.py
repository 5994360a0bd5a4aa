"""One run at a time on a stack: a lock that says who holds it and since when, and that dies with its process."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bedplate.errors import Locked


@contextmanager
def hold(path: Path, *, stack: str, verb: str, clock: Callable[[], float] = time.time) -> Iterator[None]:
    """Hold the lock of a stack while the body runs.

    The operating system drops the lock when its process ends, however it ends, so nobody ever has to break one.
    Raises Locked, with owner, host, pid and age, when another run holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Locked(
                f"Stack {stack!r} is locked: {_owner(path, clock())}", next_step=f"bedplate {verb} --stack {stack}"
            ) from exc
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "user": _user(),
            "verb": verb,
            "since": clock(),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _owner(path: Path, now: float) -> str:
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(owner["since"]))
        who = f"{owner['user']}@{owner['host']} (pid {owner['pid']})"
        return f"{who} runs `{owner['verb']}` since {since}, for {max(0, round(now - owner['since']))} s"
    except (ValueError, KeyError, OSError):
        return "another run has just begun"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
