"""Runs a project's committed Python program in this process, as Pulumi's language host runs it in one of its own."""

from __future__ import annotations

import contextlib
import contextvars
import io
import os
import runpy
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.engine.deployment.resource_monitor import EngineLog, ResourceMonitor
from bedplate.engine.deployment.workers import Workers
from bedplate.errors import BedplateError

_ONE_AT_A_TIME = threading.Lock()
"""Working directory, sys.path and standard output belong to the whole process."""


class ProgramError(Exception):
    """The program raised, or asked to exit with an error; the message holds its traceback."""


@dataclass(frozen=True, slots=True)
class Program:
    """Where the program is: `root` holds Pulumi.yaml, `main` is its folder or file below it."""

    root: Path
    main: str = "."

    @property
    def path(self) -> Path:
        return (self.root / self.main).resolve()

    @property
    def folder(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent


def run(
    program: Program,
    monitor: ResourceMonitor,
    log: EngineLog,
    workers: Workers,
    *,
    project: str,
    stack: str,
    config: Mapping[str, str],
    secret_keys: frozenset[str],
    preview: bool,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    """Run it to the end, and every registration that it set going.

    Raises ProgramError when the program itself fails; what the monitor refused is known to the monitor.
    """
    context = contextvars.copy_context()
    with _ONE_AT_A_TIME, _as_the_language_host(program, environment, say):
        context.run(_run, program, monitor, log, workers, project, stack, config, secret_keys, preview)


def _run(
    program: Program,
    monitor: ResourceMonitor,
    log: EngineLog,
    workers: Workers,
    project: str,
    stack: str,
    config: Mapping[str, str],
    secret_keys: frozenset[str],
    preview: bool,
) -> None:
    import asyncio

    from pulumi.runtime import run_in_stack, set_all_config
    from pulumi.runtime.settings import ROOT, Settings, configure

    ROOT.set(None)
    configure(
        Settings(
            project=project,
            stack=stack,
            monitor=monitor,
            engine=log,
            dry_run=preview,
            organization="organization",
            root_directory=str(program.root),
        )
    )
    set_all_config(dict(config), sorted(secret_keys))
    loop = asyncio.new_event_loop()
    loop.set_default_executor(workers)
    loop.set_exception_handler(lambda _loop, _context: None)
    workers.loop = loop
    try:
        with _untraced():
            loop.run_until_complete(run_in_stack(lambda: _execute(program)))
    except (Exception, SystemExit) as exc:
        if isinstance(exc, SystemExit) and exc.code in (None, 0):
            return
        raise ProgramError(_explain(exc, program)) from exc
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@contextlib.contextmanager
def _untraced() -> Iterator[None]:
    """The SDK tells with each registration by which lines of the program it came to it; that is a tenth of a large
    program's seconds, and an engine in the same process needs no telling."""
    from pulumi.runtime import resource
    from pulumi.runtime.proto import source_pb2

    tell = getattr(resource, "_get_stack_trace", None)
    if tell is None:  # another SDK than the pinned one
        yield
        return
    setattr(resource, "_get_stack_trace", source_pb2.StackTrace)  # noqa: B010 - none of its public names
    try:
        yield
    finally:
        setattr(resource, "_get_stack_trace", tell)  # noqa: B010


def _execute(program: Program) -> None:
    runpy.run_path(str(program.path), run_name="__main__")


def _explain(exc: BaseException, program: Program) -> str:
    """The traceback from the program's first own frame on; of a fault in the user's files only what it says."""
    if isinstance(exc, BedplateError):
        return exc.message
    frames = traceback.extract_tb(exc.__traceback__)
    folder = str(program.folder)
    own = next((i for i, frame in enumerate(frames) if frame.filename.startswith(folder)), None)
    shown = frames[own:] if own is not None else frames[-3:]
    text = "".join(["Traceback (most recent call last):\n", *traceback.format_list(shown)])
    text += "".join(traceback.format_exception_only(exc))
    return f"Program failed with an unhandled exception:\n{text}".rstrip()


@contextlib.contextmanager
def _as_the_language_host(
    program: Program, environment: Mapping[str, str], say: Callable[[str], None]
) -> Iterator[None]:
    """Working directory, sys.path, environment and modules as in a process started for the program alone."""
    directory, search, modules = Path.cwd(), list(sys.path), set(sys.modules)
    arguments, variables = list(sys.argv), dict(os.environ)
    main = sys.modules.get("__main__")
    own = _Lines(say)
    os.environ.update(environment)
    os.chdir(program.folder)
    sys.path.insert(0, str(program.folder))
    sys.argv = [str(program.path)]
    _forget(program, set(sys.modules))
    try:
        with contextlib.redirect_stdout(own):
            yield
    finally:
        own.close_line()
        _forget(program, set(sys.modules) - modules)
        sys.argv, sys.path[:] = arguments, search
        if main is not None:
            sys.modules["__main__"] = main
        os.chdir(directory)
        for name in set(os.environ) - set(variables):
            del os.environ[name]
        os.environ.update(variables)


def _forget(program: Program, names: set[str]) -> None:
    """Drop modules of the program's own folder, so that the next run reads them again; what is installed stays."""
    folder = str(program.folder) + os.sep
    for name in names:
        file: Any = getattr(sys.modules.get(name), "__file__", None)
        own = isinstance(file, str) and file.startswith(folder) and "site-packages" not in file
        if own and name != "__main__" and name.split(".")[0] != "bedplate":
            del sys.modules[name]


class _Lines(io.TextIOBase):
    """What the program prints, line by line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._open = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._open = (self._open + text).split("\n")
        for line in lines:
            self._say(line)
        return len(text)

    def close_line(self) -> None:
        if self._open:
            self._say(self._open)
            self._open = ""
