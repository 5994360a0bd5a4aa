"""Waits for conditions that another process or thread fulfils."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


def wait_until(read: Callable[[], Any], condition: Callable[[Any], bool] = bool, *, timeout_s: float = 60) -> Any:
    """Calls `read` until `condition` is true of the value that it returns. Returns this value.

    Raises AssertionError after `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while not condition(value := read()):
        if time.monotonic() > deadline:
            raise AssertionError(f"The condition is not true after {timeout_s} s; the last value is {value!r}")
        threading.Event().wait(0.02)
    return value
