"""How the story is told: chapters, commands as a person would type them, and how long each took."""

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
    """The story went another way than it is told."""


@dataclass
class Stage:
    """Runs commands in this process, so that imports are paid once; a subprocess where wall time is to be shown."""

    started: float = field(default_factory=time.perf_counter)
    chapters: list[tuple[str, float]] = field(default_factory=list)

    def chapter(self, title: str, text: str) -> None:
        self.chapters.append((title, time.perf_counter()))
        console.print()
        console.rule(f"[bold]{len(self.chapters)}. {title}", align="left", style="blue")
        console.print(f"[dim]{text}[/dim]")

    def run(self, command: str, *, expect: int = 0) -> float:
        """Run `bedplate <command>`, show it, and insist on the exit code. Returns seconds."""
        console.print(f"[bold blue]$[/bold blue] [bold]bedplate {command}[/bold]")
        sys.stdout.flush()
        start = time.perf_counter()
        code = _in_process(shlex.split(command))
        taken = time.perf_counter() - start
        if code != expect:
            raise StoryError(f"`bedplate {command}` ended with exit code {code}, expected {expect}")
        console.print(f"[dim]{'' if expect == 0 else f'exit code {code}, as it should be; '}{taken:.1f} s[/dim]")
        return taken

    def ask(self, command: str) -> Any:
        """What `bedplate <command> --json` says, without showing it."""
        captured = io.StringIO()
        with contextlib.redirect_stdout(captured):
            code = _in_process([*shlex.split(command), "--json"])
        if code not in (0, 3, 6):
            raise StoryError(f"`bedplate {command} --json` ended with exit code {code}")
        return json.loads(captured.getvalue())

    def from_the_shell(self, command: str, *, expect: int = 0) -> float:
        """Run it as a process of its own, as from a prompt. Returns seconds from Enter to the end."""
        console.print(f"[bold blue]$[/bold blue] [bold]bedplate {command}[/bold]")
        sys.stdout.flush()
        start = time.perf_counter()
        done = subprocess.run([str(Path(sys.executable).parent / "bedplate"), *shlex.split(command)], check=False)
        taken = time.perf_counter() - start
        if done.returncode != expect:
            raise StoryError(f"`bedplate {command}` ended with exit code {done.returncode}, expected {expect}")
        console.print(f"[dim]{taken:.2f} s from Enter[/dim]")
        return taken

    def say(self, text: str) -> None:
        console.print(text)

    def clock(self) -> None:
        """Where the time went."""
        table = Table(title="Where the time went", title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("chapter")
        table.add_column("s", justify="right")
        ends = [at for _, at in self.chapters[1:]] + [time.perf_counter()]
        for (title, at), end in zip(self.chapters, ends, strict=True):
            table.add_row(title, f"{end - at:.1f}")
        table.add_row("in all", f"{time.perf_counter() - self.started:.1f}", style="bold")
        console.print(table)


class Meanwhile:
    """A command that runs as a process beside the story; its output is kept until somebody waits for it."""

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
        console.print(f"[bold blue]$[/bold blue] [bold]bedplate {self.command}[/bold]  [dim](ran meanwhile)[/dim]")
        code = self.process.wait()
        self.reader.join()
        sys.stdout.write("".join(self.lines))
        sys.stdout.flush()
        if code != 0:
            raise StoryError(f"`bedplate {self.command}` ended with exit code {code}")


def _in_process(arguments: list[str]) -> int:
    from bedplate.cli import tell

    try:
        code = root.main(arguments, prog_name="bedplate", standalone_mode=False)
    except BedplateError as exc:
        return tell(exc, as_json="--json" in arguments)
    return code if isinstance(code, int) else 0
