"""How long an operation on one resource may take: customTimeouts, from the program to whoever waits in a provider."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from bedplate.errors import UsageError

_LIMIT_S: ContextVar[float | None] = ContextVar("limit_s", default=None)
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def duration_s(text: str) -> float:
    """Seconds of a duration as Go writes it, which is how Pulumi's customTimeouts are given.

    >>> duration_s("5m"), duration_s("1h30m"), duration_s("1.5s")
    (300.0, 5400.0, 1.5)

    Raises UsageError for anything else.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(
            f"customTimeouts: {text!r} is no duration: a number with ms, s, m or h expected, as in 5m or 1h30m"
        )
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """While the body runs, `limit_s` answers with this; None or 0 leaves it to whoever asks."""
    token = _LIMIT_S.set(seconds or None)
    try:
        yield
    finally:
        _LIMIT_S.reset(token)


def limit_s(default: float) -> float:
    """How long the operation under way in this thread may take."""
    found = _LIMIT_S.get()
    return default if found is None else found
