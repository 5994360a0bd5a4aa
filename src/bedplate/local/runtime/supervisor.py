"""Supervises one command: kills it and every process that it started when standard input ends.

The file is run by its path (`python -I -S supervisor.py command ...`), so that it starts in a few milliseconds. The
platform holds the other end of standard input and writes nothing to it; the kernel closes that end however the platform
dies. SIGTERM is forwarded to the command alone, as by `docker stop`; processes that the command leaves behind are
killed. The exit code is the command's, or 128 + n when signal n ended it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from types import FrameType

PARENT_PID = "BEDPLATE_PARENT_PID"
"""Tells the command which process it must not outlive, on systems without the parent-death signal of Linux."""
_PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        env={**os.environ, PARENT_PID: str(os.getpid())},
        start_new_session=True,
        preexec_fn=_child_setup(),
    )

    def forward_signal(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    signal.signal(signal.SIGTERM, forward_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_kill_on_stdin_end, args=(child.pid,), daemon=True).start()
    code = child.wait()
    _kill_group(child.pid)
    return code if code >= 0 else 128 - code


def _child_setup() -> Callable[[], None]:
    """Returns what the child does before the command: unblock SIGTERM and, on Linux, die with the supervisor."""
    prctl = ctypes.CDLL(None).prctl if sys.platform.startswith("linux") else None

    def setup() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return setup


def _kill_on_stdin_end(group: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 64):
            pass
    _kill_group(group)
    os._exit(137)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OSError as exc:  # the command does not exist, or may not be run
        sys.stderr.write(f"{exc.strerror}: {sys.argv[1]}\n")
        sys.exit(127)
