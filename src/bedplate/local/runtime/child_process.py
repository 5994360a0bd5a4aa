"""A child process of the platform: its lines, its end, and the certainty that it never outlives the platform."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

SUPERVISOR = Path(__file__).with_name("supervisor.py")
_TAIL_LINES = 20
_LONGEST_LINE = 250_000  # CloudWatch Logs takes 256 KB an event


class ChildProcess:
    """A command on the leash. `on_line` gets each line of its output, then `on_exit` the exit code, in one thread.

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
        self._ended = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SUPERVISOR), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        threading.Thread(target=self._read, name=f"child-{self._process.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Of the leash, whose only child is the command."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def tail(self, limit: int = 600) -> str:
        """The last lines of its output, at most `limit` characters."""
        return "\n".join(list(self._tail)).strip()[-limit:]

    def wait(self, timeout_s: float | None = None) -> int | None:
        """The exit code once every line has been handed on; None when it still runs after `timeout_s`."""
        return self._process.returncode if self._ended.wait(timeout_s) else None

    def terminate(self) -> None:
        """Ask the command to end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End the command and whatever it started, now."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def stop(self, grace_s: float) -> int | None:
        """Ask, wait `grace_s` seconds, then kill."""
        self.terminate()
        code = self.wait(grace_s)
        if code is None:
            self.kill()
            code = self.wait(10)
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for raw in output:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")[:_LONGEST_LINE]
                self._tail.append(line)
                self._call(self._on_line, line)
        code = self._process.wait()
        self.kill()
        self._ended.set()
        if self._on_exit is not None:
            self._call(self._on_exit, code)

    def _call(self, callback: Callable[..., None], value: object) -> None:
        try:
            callback(value)
        except Exception:  # output must be drained whatever a listener does, or the child would block
            traceback.print_exc()
