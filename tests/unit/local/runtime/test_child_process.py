"""Child processes report lines and exit codes and never outlive the platform."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from bedplate.local.runtime.child_process import ChildProcess

LONG = "import sys, time; open(sys.argv[1], 'w').write('up'); time.sleep(600)"
GRANDCHILD = """
import os, subprocess, sys, time
held = open(sys.argv[1], "w")
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=[held.fileno()])
print("up", flush=True)
time.sleep(600)
"""
PARENT = """
import os, sys
from pathlib import Path
from bedplate.local.runtime.child_process import ChildProcess
command = [sys.executable, "-c", *sys.argv[1:]]
ChildProcess(command, env=dict(os.environ), cwd=Path("."), on_line=lambda line: print(line, flush=True)).wait()
"""


def start(code: str, tmp_path: Path, lines: list[str]) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", code], env=dict(os.environ), cwd=tmp_path, on_line=lines.append)


def test_wait_returns_after_every_line_was_received(tmp_path: Path) -> None:
    lines: list[str] = []
    child = start("print('x' * 10); [print(i) for i in range(2000)]; raise SystemExit(7)", tmp_path, lines)
    assert child.wait(30) == 7
    assert lines == ["x" * 10, *(str(i) for i in range(2000))]


def test_binary_output_does_not_stop_the_reader(tmp_path: Path) -> None:
    lines: list[str] = []
    child = start("import sys; sys.stdout.buffer.write(b'\\xff\\xfe\\nend\\n')", tmp_path, lines)
    assert child.wait(30) == 0
    assert lines[-1] == "end"


def test_exit_code_of_a_killed_command_has_the_signal(tmp_path: Path) -> None:
    child = start("import os; os.kill(os.getpid(), 9)", tmp_path, [])
    assert child.wait(30) == 128 + signal.SIGKILL


def test_command_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    fifo = tmp_path / "up"
    os.mkfifo(fifo)
    code = f"import signal; signal.signal(15, signal.SIG_IGN); import sys; sys.argv.append({str(fifo)!r}); {LONG}"
    child = start(code, tmp_path, [])
    assert fifo.read_text() == "up"
    assert child.stop(0.2) == 137


def test_failing_callback_does_not_stop_the_reader(tmp_path: Path, capsys: object) -> None:
    def fail(line: str) -> None:
        raise RuntimeError(line)

    child = ChildProcess([sys.executable, "-c", "print(1); print(2)"], env=dict(os.environ), cwd=tmp_path, on_line=fail)
    assert child.wait(30) == 0


def test_no_process_outlives_a_killed_platform(tmp_path: Path) -> None:
    """The grandchild holds the writing end of a pipe, so reading it ends when the last process has ended."""
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    pipe = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, GRANDCHILD, str(fifo)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout as output:
        assert output.readline() == b"up\n"
        os.set_blocking(pipe, True)
        parent.kill()
        parent.wait(10)
        assert os.read(pipe, 1) == b""
    os.close(pipe)
