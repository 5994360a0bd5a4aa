"""Keeps one command on a leash: when standard input ends, the command and all it started are killed.

Run by path (`python -I -S leash.py command ...`), so that it starts in a few milliseconds. The platform holds the other
end of standard input and writes nothing to it: however the platform dies, the kernel closes that end. SIGTERM is passed
on to the command alone, as `docker stop` does; what the command leaves behind when it ends is killed. The exit code is
the command's, 128 + n when signal n ended it.
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
"""Whom the command must not outlive, for systems without the parent-death signal of Linux."""
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

    def pass_on(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_watch, args=(child.pid,), daemon=True).start()
    code = child.wait()
    _kill_group(child.pid)
    return code if code >= 0 else 128 - code


def _child_setup() -> Callable[[], None]:
    """What the child does before the command: take SIGTERM again and, on Linux, die when the leash is killed."""
    prctl = ctypes.CDLL(None).prctl if sys.platform.startswith("linux") else None

    def setup() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return setup


def _watch(group: int) -> None:
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
