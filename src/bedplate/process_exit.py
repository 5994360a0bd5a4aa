"""Exits the process after flushing its output, without finalizing the interpreter.

An Arrow thread that releases a Python object during finalization aborts a process whose work has succeeded:
"terminate called without an active exception", exit code -6 (apache/arrow, issues 34314 and 39162). Skipping the
finalization also saves time.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import NoReturn


def exit_process(code: int) -> NoReturn:
    """Joins the threads, runs the atexit functions, flushes stdout and stderr, and exits with `code`."""
    # The interpreter's own first step of an exit: it joins threads and wakes idle thread pools.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):  # the reader is gone, or the stream is closed
            continue
    os._exit(code)
