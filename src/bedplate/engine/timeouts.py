"""Passes Pulumi's customTimeouts to the provider code that waits for an operation on a resource."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from bedplate.errors import UsageError

_TIMEOUT_S: ContextVar[float | None] = ContextVar("timeout_s", default=None)
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def parse_duration_s(text: str) -> float:
    """Returns the seconds of a duration in Go's notation, which Pulumi's customTimeouts use.

    >>> parse_duration_s("5m"), parse_duration_s("1h30m"), parse_duration_s("1.5s")
    (300.0, 5400.0, 1.5)

    Raises UsageError when `text` is not a duration.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(
            f"customTimeouts: {text!r} is not a duration: expected a number with ms, s, m or h, as in 5m or 1h30m"
        )
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


@contextmanager
def operation_timeout(seconds: float | None) -> Iterator[None]:
    """Makes `operation_timeout_s` return `seconds` while the body runs; None or 0 selects the caller's default."""
    token = _TIMEOUT_S.set(seconds or None)
    try:
        yield
    finally:
        _TIMEOUT_S.reset(token)


def operation_timeout_s(default: float) -> float:
    """Returns how many seconds the current operation of this thread may take, `default` without customTimeouts."""
    timeout_s = _TIMEOUT_S.get()
    return default if timeout_s is None else timeout_s
