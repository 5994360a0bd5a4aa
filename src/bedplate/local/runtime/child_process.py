"""Runs a command as a child process that never outlives the platform, and reports its output and exit code."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LOCALHOST = "127.0.0.1"
SUPERVISOR = Path(__file__).with_name("supervisor.py")
_TAIL_LINES = 20
_MAX_LINE_LENGTH = 250_000  # CloudWatch Logs accepts 256 KB per event


class ChildProcess:
    """A command under the supervisor. One thread calls `on_line` with each line, then `on_exit` with the exit code.

    >>> import os
    >>> lines = []
    >>> command = [sys.executable, "-c", "print('hello')"]
    >>> child = ChildProcess(command, env=dict(os.environ), cwd=Path("."), on_line=lines.append)
    >>> child.wait(30), lines
    (0, ['hello'])
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        on_line: Callable[[str], None],
        on_exit: Callable[[int], None] | None = None,
    ) -> None:
        self._on_line = on_line
        self._on_exit = on_exit
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._exited = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SUPERVISOR), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        threading.Thread(target=self._read_output, name=f"child-{self._process.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process ID of the supervisor, whose only child is the command."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._exited.is_set()

    def tail(self, limit: int = 600) -> str:
        """Returns the end of the output, at most `limit` characters."""
        return "\n".join(list(self._tail)).strip()[-limit:]

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Returns the exit code once `on_line` has received every line, or None after `timeout_s`."""
        return self._process.returncode if self._exited.wait(timeout_s) else None

    def terminate(self) -> None:
        """Sends the command SIGTERM."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """Kills the command and every process that it started."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def stop(self, grace_s: float) -> int | None:
        """Terminates the command, kills it after `grace_s` seconds and returns the exit code."""
        self.terminate()
        code = self.wait(grace_s)
        if code is None:
            self.kill()
            code = self.wait(10)
        return code

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for raw in output:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")[:_MAX_LINE_LENGTH]
                self._tail.append(line)
                self._call(self._on_line, line)
        code = self._process.wait()
        self.kill()
        self._exited.set()
        if self._on_exit is not None:
            self._call(self._on_exit, code)

    def _call(self, callback: Callable[..., None], value: object) -> None:
        try:
            callback(value)
        except Exception:  # the output must be read even if a callback fails, or the child process would block
            traceback.print_exc()


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])
