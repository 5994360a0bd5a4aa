"""Locks a stack for one run at a time; the lock names its holder and ends with the holder's process."""

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
def hold_lock(
    path: Path,
    *,
    stack: str,
    verb: str,
    clock: Callable[[], float] = time.time,
    host: Callable[[], str] = socket.gethostname,
) -> Iterator[None]:
    """Holds the lock of a stack while the body runs.

    The operating system releases the lock when the process ends, so on one machine a lock is never stale. An entry of
    another machine (the state is on a shared disk) may belong to a run that is still running, so it stays until
    `unlock`. Raises Locked, with user, host, pid and age, when another run holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Locked(
                f"Stack {stack!r} is locked: {_describe_owner(_read_owner(path), clock())}",
                next_step=f"bedplate {verb} --stack {stack}",
            ) from exc
        leftover = _read_owner(path)
        if leftover is not None and leftover["host"] != host():
            raise Locked(
                f"Stack {stack!r} is locked by another machine: {_describe_owner(leftover, clock())}",
                next_step=f"bedplate state unlock --stack {stack}, when nothing runs on {leftover['host']} any more",
            )
        owner = {"pid": os.getpid(), "host": host(), "user": _user_name(), "verb": verb, "since": clock()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def unlock(path: Path, *, stack: str, clock: Callable[[], float] = time.time) -> str | None:
    """Removes the lock of a run on another machine; returns a description of its holder, None without a lock.

    Raises Locked when a run on this machine holds the lock.
    """
    if not path.exists():
        return None
    descriptor = os.open(path, os.O_RDWR)
    try:
        leftover = _read_owner(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Locked(
                f"Stack {stack!r} is locked by a run on this machine: {_describe_owner(leftover, clock())}",
                next_step="wait for it, or end that process, which releases the lock",
            ) from exc
        os.ftruncate(descriptor, 0)
        return None if leftover is None else _describe_owner(leftover, clock())
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Returns whether a run holds the lock, according to its file; one on another machine is assumed to be running."""
    owner = _read_owner(path)
    if owner is None or owner["host"] != socket.gethostname():
        return owner is not None
    try:
        os.kill(owner["pid"], 0)
    except (ProcessLookupError, PermissionError) as exc:
        return isinstance(exc, PermissionError)  # the process belongs to another user
    return True


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Describes who holds a lock; a holder on another machine may no longer be running."""

    description: str
    on_other_machine: bool


def find_holder(path: Path, *, clock: Callable[[], float] = time.time) -> LockHolder | None:
    """Returns who holds the lock; None when it is free, or when its holder's process has ended."""
    owner = _read_owner(path)
    if owner is None or not is_locked(path):
        return None
    return LockHolder(_describe_owner(owner, clock()), owner["host"] != socket.gethostname())


def whoami() -> str:
    """Returns `user@host`."""
    return f"{_user_name()}@{socket.gethostname()}"


def _read_owner(path: Path) -> dict[str, Any] | None:
    """Returns the content of a lock file, None when it is empty or being written."""
    try:
        owner: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return owner if {"pid", "host", "user", "verb", "since"} <= owner.keys() else None
    except (ValueError, AttributeError, OSError):
        return None


def _describe_owner(owner: dict[str, Any] | None, now: float) -> str:
    if owner is None:
        return "another run has just begun"
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(owner["since"]))
    user = f"{owner['user']}@{owner['host']} (pid {owner['pid']})"
    return f"{user} runs `{owner['verb']}` since {since}, for {_format_age(now - owner['since'])}"


def _format_age(seconds: float) -> str:
    """Returns an age in the largest units that matter.

    >>> _format_age(41.6), _format_age(3 * 3600 + 125)
    ('42 s', '3 h 2 min')
    """
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
