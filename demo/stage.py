"""Prints the demo: chapters, the commands with their output, and how long each one took."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bedplate.cli import root
from bedplate.errors import BedplateError

console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)


class StoryError(Exception):
    """A command ended differently from what the demo expects."""


@dataclass
class Stage:
    """Runs commands in this process, which imports modules only once, or in a subprocess, to measure their time."""

    started: float = field(default_factory=time.perf_counter)
    chapters: list[tuple[str, float]] = field(default_factory=list)

    def start_chapter(self, title: str, text: str) -> None:
        self.chapters.append((title, time.perf_counter()))
        console.print()
        console.rule(f"[bold]{len(self.chapters)}. {title}", align="left", style="blue")
        console.print(f"[dim]{text}[/dim]")

    def run(self, command: str, *, expect: int = 0) -> float:
        """Run and print `bedplate <command>`, and return its seconds. Raises StoryError for another exit code."""
        console.print(f"[bold blue]$[/bold blue] [bold]bedplate {command}[/bold]")
        sys.stdout.flush()
        start = time.perf_counter()
        code = _in_process(shlex.split(command))
        seconds = time.perf_counter() - start
        if code != expect:
            raise StoryError(f"`bedplate {command}` ended with exit code {code}, expected {expect}")
        console.print(f"[dim]{f'exit code {code}, as expected; ' if expect else ''}{seconds:.1f} s[/dim]")
        return seconds

    def read_json(self, command: str) -> Any:
        """Return the output of `bedplate <command> --json` without printing it."""
        stdout = io.StringIO()
        with contextlib.redirect_stdout(stdout):
            code = _in_process([*shlex.split(command), "--json"])
        if code not in (0, 3, 6):
            raise StoryError(f"`bedplate {command} --json` ended with exit code {code}")
        return json.loads(stdout.getvalue())

    def run_subprocess(self, command: str, *, expect: int = 0) -> float:
        """Run the command in a subprocess, as from a shell, and return the seconds from start to end."""
        console.print(f"[bold blue]$[/bold blue] [bold]bedplate {command}[/bold]")
        sys.stdout.flush()
        start = time.perf_counter()
        process = subprocess.run([str(Path(sys.executable).parent / "bedplate"), *shlex.split(command)], check=False)
        seconds = time.perf_counter() - start
        if process.returncode != expect:
            raise StoryError(f"`bedplate {command}` ended with exit code {process.returncode}, expected {expect}")
        console.print(f"[dim]{seconds:.2f} s as a separate process[/dim]")
        return seconds

    def print_times(self) -> None:
        """Print a table of the seconds of every chapter."""
        table = Table(
            title="Duration of the chapters", title_justify="left", title_style="bold", box=None, pad_edge=False
        )
        table.add_column("chapter")
        table.add_column("s", justify="right")
        ends = [start for _, start in self.chapters[1:]] + [time.perf_counter()]
        for (title, start), end in zip(self.chapters, ends, strict=True):
            table.add_row(title, f"{end - start:.1f}")
        table.add_row("total", f"{time.perf_counter() - self.started:.1f}", style="bold")
        console.print(table)


class BackgroundCommand:
    """A command that runs in a subprocess while the demo goes on; `wait` prints its output."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "bedplate"), *shlex.split(command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "130"},
        )
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)

    def wait(self) -> None:
        console.print(
            f"[bold blue]$[/bold blue] [bold]bedplate {self.command}[/bold]  [dim](ran in the background)[/dim]"
        )
        code = self.process.wait()
        self.reader.join()
        sys.stdout.write("".join(self.lines))
        sys.stdout.flush()
        if code != 0:
            raise StoryError(f"`bedplate {self.command}` ended with exit code {code}")


def _in_process(arguments: list[str]) -> int:
    from bedplate.cli import print_error

    try:
        code = root.main(arguments, prog_name="bedplate", standalone_mode=False)
    except BedplateError as exc:
        return print_error(exc, as_json="--json" in arguments)
    return code if isinstance(code, int) else 0
