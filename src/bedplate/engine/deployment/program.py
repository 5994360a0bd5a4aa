"""Runs a project's Python program in this process, as Pulumi's language host does in a process of its own."""

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

from bedplate.engine.deployment.engine_log import EngineLog
from bedplate.engine.deployment.resource_monitor import ResourceMonitor
from bedplate.engine.deployment.workers import Workers
from bedplate.errors import BedplateError

_PROCESS_LOCK = threading.Lock()
"""Allows one program at a time, because working directory, sys.path and standard output belong to the process."""


class ProgramError(Exception):
    """The program raised an exception or exited with an error; the message contains its traceback."""


@dataclass(frozen=True, slots=True)
class Program:
    """The location of a program: `root` contains Pulumi.yaml, and `main` is a folder or file below it."""

    root: Path
    main: str = "."

    @property
    def path(self) -> Path:
        return (self.root / self.main).resolve()

    @property
    def folder(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent


def run_program(
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
    print_line: Callable[[str], None],
) -> None:
    """Runs the program and all its registrations to the end.

    Raises ProgramError when the program fails. Rejected registrations and failed steps are attributes of `monitor`.
    """
    settings = {
        "project": project,
        "stack": stack,
        "monitor": monitor,
        "engine": log,
        "dry_run": preview,
        "organization": "organization",
        "root_directory": str(program.root),
    }
    context = contextvars.copy_context()
    with _PROCESS_LOCK, _program_environment(program, environment, print_line):
        context.run(_run_in_context, program, workers, settings, config, secret_keys)


def _run_in_context(
    program: Program,
    workers: Workers,
    settings: dict[str, Any],
    config: Mapping[str, str],
    secret_keys: frozenset[str],
) -> None:
    import asyncio

    from pulumi.runtime import run_in_stack, set_all_config
    from pulumi.runtime.settings import ROOT, Settings, configure

    ROOT.set(None)
    configure(Settings(**settings))
    set_all_config(dict(config), sorted(secret_keys))
    loop = asyncio.new_event_loop()
    loop.set_default_executor(workers)
    loop.set_exception_handler(lambda _loop, _context: None)
    workers.loop = loop
    try:
        with _without_stack_traces():
            loop.run_until_complete(run_in_stack(lambda: _execute(program)))
    except (Exception, SystemExit) as exc:
        if isinstance(exc, SystemExit) and exc.code in (None, 0):
            return
        raise ProgramError(_format_error(exc, program)) from exc
    finally:
        unfinished = asyncio.all_tasks(loop)
        for task in unfinished:
            task.cancel()
        if unfinished:
            loop.run_until_complete(asyncio.gather(*unfinished, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@contextlib.contextmanager
def _without_stack_traces() -> Iterator[None]:
    """Makes the SDK send empty stack traces with registrations, which saves a tenth of the time of a large program."""
    from pulumi.runtime import resource
    from pulumi.runtime.proto import source_pb2

    get_stack_trace = getattr(resource, "_get_stack_trace", None)
    if get_stack_trace is None:  # another version of the SDK
        yield
        return
    setattr(resource, "_get_stack_trace", source_pb2.StackTrace)  # noqa: B010 - a private name of the SDK
    try:
        yield
    finally:
        setattr(resource, "_get_stack_trace", get_stack_trace)  # noqa: B010


def _execute(program: Program) -> None:
    runpy.run_path(str(program.path), run_name="__main__")


def _format_error(exc: BaseException, program: Program) -> str:
    """Returns the traceback from the program's own first frame; only the message for an error in the user's files."""
    if isinstance(exc, BedplateError):
        return exc.message
    frames = traceback.extract_tb(exc.__traceback__)
    folder = str(program.folder)
    first = next((i for i, frame in enumerate(frames) if frame.filename.startswith(folder)), None)
    shown = frames[first:] if first is not None else frames[-3:]
    text = "".join(["Traceback (most recent call last):\n", *traceback.format_list(shown)])
    text += "".join(traceback.format_exception_only(exc))
    return f"Program failed with an unhandled exception:\n{text}".rstrip()


@contextlib.contextmanager
def _program_environment(
    program: Program, environment: Mapping[str, str], print_line: Callable[[str], None]
) -> Iterator[None]:
    """Sets working directory, sys.path, environment and modules as in a process of the program; restores them later."""
    directory, search_path, modules = Path.cwd(), list(sys.path), set(sys.modules)
    arguments, variables = list(sys.argv), dict(os.environ)
    main = sys.modules.get("__main__")
    output = _LineWriter(print_line)
    os.environ.update(environment)
    os.chdir(program.folder)
    sys.path.insert(0, str(program.folder))
    sys.argv = [str(program.path)]
    _unload_modules(program, set(sys.modules))
    try:
        with contextlib.redirect_stdout(output):
            yield
    finally:
        output.close_line()
        _unload_modules(program, set(sys.modules) - modules)
        sys.argv, sys.path[:] = arguments, search_path
        if main is not None:
            sys.modules["__main__"] = main
        os.chdir(directory)
        for name in set(os.environ) - set(variables):
            del os.environ[name]
        os.environ.update(variables)


def _unload_modules(program: Program, names: set[str]) -> None:
    """Removes the modules of the program's folder from sys.modules, so that the next run imports them again."""
    folder = str(program.folder) + os.sep
    for name in names:
        file: Any = getattr(sys.modules.get(name), "__file__", None)
        is_own = isinstance(file, str) and file.startswith(folder) and "site-packages" not in file
        if is_own and name != "__main__" and name.split(".")[0] != "bedplate":
            del sys.modules[name]


class _LineWriter(io.TextIOBase):
    """A text stream that passes the program's output on line by line."""

    def __init__(self, print_line: Callable[[str], None]) -> None:
        self._print_line = print_line
        self._unfinished_line = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._unfinished_line = (self._unfinished_line + text).split("\n")
        for line in lines:
            self._print_line(line)
        return len(text)

    def close_line(self) -> None:
        if self._unfinished_line:
            self._print_line(self._unfinished_line)
            self._unfinished_line = ""
