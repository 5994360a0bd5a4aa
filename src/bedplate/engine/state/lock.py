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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.errors import Locked


@contextmanager
def hold(
    path: Path,
    *,
    stack: str,
    verb: str,
    clock: Callable[[], float] = time.time,
    host: Callable[[], str] = socket.gethostname,
) -> Iterator[None]:
    """Hold the lock of a stack while the body runs.

    The operating system drops the lock when its process ends, however it ends, so on one machine nobody ever has to
    break one. What another machine left (the state is on a disk that both reach) cannot be told from a run at work.
    Raises Locked, with owner, host, pid and age, when another run holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Locked(
                f"Stack {stack!r} is locked: {_told(_owner(path), clock())}",
                next_step=f"bedplate {verb} --stack {stack}",
            ) from exc
        left = _owner(path)
        if left is not None and left["host"] != host():
            raise Locked(
                f"Stack {stack!r} is locked by another machine: {_told(left, clock())}",
                next_step=f"bedplate state unlock --stack {stack}, when nothing runs on {left['host']} any more",
            )
        owner = {"pid": os.getpid(), "host": host(), "user": _user(), "verb": verb, "since": clock()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def unlock(path: Path, *, stack: str, clock: Callable[[], float] = time.time) -> str | None:
    """Take away what a run on another machine left behind; whose it was, None when there was nothing.

    Raises Locked when a run on this machine holds the lock.
    """
    if not path.exists():
        return None
    descriptor = os.open(path, os.O_RDWR)
    try:
        left = _owner(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Locked(
                f"Stack {stack!r} is locked by a run that is at work: {_told(left, clock())}",
                next_step="wait for it, or end that process; its lock goes with it",
            ) from exc
        os.ftruncate(descriptor, 0)
        return None if left is None else _told(left, clock())
    finally:
        os.close(descriptor)


def at_work(path: Path) -> bool:
    """Whether a run on this machine holds the lock, as far as its file says."""
    owner = _owner(path)
    if owner is None or owner["host"] != socket.gethostname():
        return owner is not None
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds a lock, in words, and whether that is on another machine, where nobody here can tell if it lives."""

    told: str
    elsewhere: bool


def look(path: Path, *, clock: Callable[[], float] = time.time) -> LockHolder | None:
    """Who holds the lock; None when nobody does, or the process that did is gone."""
    owner = _owner(path)
    if owner is None or not at_work(path):
        return None
    return LockHolder(_told(owner, clock()), owner["host"] != socket.gethostname())


def whoami() -> str:
    """`user@host`."""
    return f"{_user()}@{socket.gethostname()}"


def _owner(path: Path) -> dict[str, Any] | None:
    """What the file says, None when it says nothing or is being written."""
    try:
        owner: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return owner if {"pid", "host", "user", "verb", "since"} <= owner.keys() else None
    except (ValueError, AttributeError, OSError):
        return None


def _told(owner: dict[str, Any] | None, now: float) -> str:
    if owner is None:
        return "another run has just begun"
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(owner["since"]))
    who = f"{owner['user']}@{owner['host']} (pid {owner['pid']})"
    return f"{who} runs `{owner['verb']}` since {since}, for {_age(now - owner['since'])}"


def _age(seconds: float) -> str:
    """
    >>> _age(41.6), _age(3 * 3600 + 125)
    ('42 s', '3 h 2 min')
    """
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
