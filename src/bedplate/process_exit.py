"""Ends a process of ours once everything is said, without taking the interpreter apart.

A thread of Arrow's that lets go of a Python object while the interpreter goes down aborts the whole process, after its
work is done: "terminate called without an active exception", exit code -6 (apache/arrow, issues 34314 and 39162).
Taking apart what is gone a moment later anyway also costs time.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import NoReturn


def end(code: int) -> NoReturn:
    """What the interpreter does first, then no more: threads are waited for, exit functions run, output is written."""
    # Joins threads and wakes idle pools, as the interpreter does first of all.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):  # nobody reads on, or it is closed already
            continue
    os._exit(code)
