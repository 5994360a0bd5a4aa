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

    The operating system releases the lock when the process ends, so on one machine a lock is never stale. On a shared
    disk the lock file can name a holder on another machine, which may still be running, so that lock is kept until
    `unlock`. `verb` is the command that holds the lock. Raises Locked, with user, host, pid and age, when another run
    holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Locked(
                f"Stack {stack!r} is locked: {_describe_holder(_read_holder(path), clock())}",
                next_step=f"bedplate {verb} --stack {stack}",
            ) from exc
        previous_holder = _read_holder(path)
        if previous_holder is not None and previous_holder["host"] != host():
            raise Locked(
                f"Stack {stack!r} is locked by another machine: {_describe_holder(previous_holder, clock())}",
                next_step=f"bedplate state unlock --stack {stack}, when no run on {previous_holder['host']} needs it",
            )
        holder = {"pid": os.getpid(), "host": host(), "user": _user_name(), "verb": verb, "since": clock()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
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
        holder = _read_holder(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Locked(
                f"Stack {stack!r} is locked by a run on this machine: {_describe_holder(holder, clock())}",
                next_step="wait until that run has ended, or end its process, which releases the lock",
            ) from exc
        os.ftruncate(descriptor, 0)
        return None if holder is None else _describe_holder(holder, clock())
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Returns whether a run holds the lock, according to its file; one on another machine is assumed to be running."""
    holder = _read_holder(path)
    if holder is None or holder["host"] != socket.gethostname():
        return holder is not None
    try:
        os.kill(holder["pid"], 0)
    except (ProcessLookupError, PermissionError) as exc:
        return isinstance(exc, PermissionError)  # the process belongs to another user
    return True


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The holder of a lock; a holder on another machine may no longer be running."""

    description: str
    is_on_other_machine: bool


def find_holder(path: Path, *, clock: Callable[[], float] = time.time) -> LockHolder | None:
    """Returns who holds the lock; None when it is free, or when its holder's process has ended."""
    holder = _read_holder(path)
    if holder is None or not is_locked(path):
        return None
    return LockHolder(_describe_holder(holder, clock()), holder["host"] != socket.gethostname())


def user_at_host() -> str:
    """Returns `user@host`."""
    return f"{_user_name()}@{socket.gethostname()}"


def _read_holder(path: Path) -> dict[str, Any] | None:
    """Returns the content of a lock file, None when it is empty or being written."""
    try:
        holder: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return holder if {"pid", "host", "user", "verb", "since"} <= holder.keys() else None
    except (ValueError, AttributeError, OSError):
        return None


def _describe_holder(holder: dict[str, Any] | None, now: float) -> str:
    if holder is None:
        return "another run has just begun"
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(holder["since"]))
    user = f"{holder['user']}@{holder['host']} (pid {holder['pid']})"
    return f"{user} has been running `{holder['verb']}` since {since}, for {_format_age(now - holder['since'])}"


def _format_age(seconds: float) -> str:
    """Returns an age in seconds up to 2 minutes, in minutes up to 2 hours, otherwise in hours and minutes.

    >>> _format_age(41.6), _format_age(3 * 3600 + 125)
    ('42 s', '3 h 2 min')
    """
    age_s = max(0, round(seconds))
    if age_s < 120:
        return f"{age_s} s"
    return f"{age_s // 60} min" if age_s < 7200 else f"{age_s // 3600} h {age_s % 3600 // 60} min"


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
