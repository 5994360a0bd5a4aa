"""Runs Pulumi CLI commands on the embedded engine, so that the Automation API can use it in place of the CLI."""

from __future__ import annotations

import argparse
import ipaddress
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from bedplate.engine.automation.project import Project
from bedplate.engine.deployment.deployment import Deployment, IdsAndClock, Verb
from bedplate.engine.deployment.events import Event
from bedplate.engine.deployment.providers import ProviderFactory
from bedplate.engine.deployment.targets import Selection
from bedplate.engine.property_values import mask, reveal
from bedplate.engine.state.store import StateStore
from bedplate.errors import NotFound, UsageError

if TYPE_CHECKING:
    from pulumi.automation import CommandResult

VERSION = "3.272.0"
"""The Pulumi version whose protocol the engine implements: that of the pinned SDK."""
LineHandler = Callable[[str], Any]


def require_loopback(url: str) -> None:
    """Raises UsageError for a URL of another machine: the embedded engine never changes a real account.

    >>> require_loopback("http://127.0.0.1:4566")
    """
    host = urlsplit(url).hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local:
        raise UsageError(
            f"The embedded engine applies to this machine only, and {url} is not on it",
            next_step="bedplate up --engine pulumi",
        )


class EmbeddedCommand:
    """Implements the interface of `PulumiCommand` (`.command`, `.version`, `.run(...)`) without a process.

    Raises UsageError for an endpoint that is not loopback.
    """

    command = "embedded"

    def __init__(
        self,
        state_dir: Path,
        provider_factory: ProviderFactory,
        *,
        endpoint_url: str,
        parallel: int = 8,
        ids_and_clock: IdsAndClock | None = None,
    ) -> None:
        from semver import VersionInfo

        require_loopback(endpoint_url)
        self.version = VersionInfo.parse(VERSION)
        self._state_dir = state_dir
        self._provider_factory = provider_factory
        self._parallel = parallel
        self._ids_and_clock = ids_and_clock or IdsAndClock()

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: LineHandler | None = None,
        on_error: LineHandler | None = None,
    ) -> CommandResult:
        """Runs one command and returns its output.

        Raises the Automation API's CommandError when the command fails, Locked when another run holds the stack.
        """
        from pulumi.automation import CommandResult
        from pulumi.automation.errors import create_command_error

        command_run = _CommandRun(self, Path(cwd), additional_env, on_output, on_error)
        try:
            exit_code = command_run.run(args)
        except (UsageError, NotFound) as exc:
            command_run.write_error(f"error: {exc.message}")
            exit_code = 255
        result = CommandResult("\n".join(command_run.stdout), "\n".join(command_run.stderr), exit_code)
        if exit_code != 0:
            raise create_command_error(result)
        return result

    def open_store(self, stack: str) -> StateStore:
        return StateStore(self._state_dir, stack, timestamp=self._ids_and_clock.timestamp, version=VERSION)


class _CommandRun:
    """One command, its options and its output."""

    def __init__(
        self,
        command: EmbeddedCommand,
        root: Path,
        environment: Mapping[str, str],
        on_output: LineHandler | None,
        on_error: LineHandler | None,
    ) -> None:
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._command = command
        self._root = root
        self._environment = environment
        self._on_output = on_output
        self._on_error = on_error

    def write_line(self, text: str) -> None:
        self.stdout.append(text)
        if self._on_output:
            self._on_output(text)

    def write_error(self, text: str) -> None:
        self.stderr.append(text)
        if self._on_error:
            self._on_error(text)

    def run(self, args: list[str]) -> int:
        """Runs the command and returns its exit code; raises UsageError for a command that is not supported."""
        options = _parse_options([a for a in args if a != "--non-interactive"])
        handlers: dict[str, Callable[[argparse.Namespace], None]] = {
            "stack select": self._select,
            "stack init": self._init,
            "stack output": self._output,
            "stack history": self._history,
            "stack ls": self._list,
            "stack export": self._export,
            "stack import": self._import,
            "stack rm": self._remove,
            "config set": self._config_set,
            "config get": self._config_get,
            "config": self._config_all,
            "whoami": self._whoami,
        }
        if options.verb in ("up", "preview", "refresh", "destroy"):
            return self._deploy(options)
        if options.verb not in handlers:
            raise UsageError(f"the embedded engine does not support `pulumi {' '.join(args)}`")
        handlers[options.verb](options)
        return 0

    # --- runs -----------------------------------------------------------------------------------------------------

    def _deploy(self, options: argparse.Namespace) -> int:
        verb: Verb = options.verb
        preview_of: Verb = "up"
        if options.preview_only:
            verb, preview_of = "preview", options.verb
        store = self._open_store(options)
        project = Project.load(self._root)
        deployment = Deployment(
            store,
            project=project.name,
            program=project.program,
            configuration=project.configuration(store.stack, store.passphrase),
            provider_factory=self._command._provider_factory,
            parallel=options.parallel or self._command._parallel,
            ids_and_clock=self._command._ids_and_clock,
        )
        with _open_event_log(options.event_log) as send:
            result = deployment.run(
                verb,
                preview_of=preview_of,
                refresh_first=options.refresh,
                environment=self._environment,
                message=options.message or "",
                selection=Selection(tuple(options.target), options.target_dependents, tuple(options.replace)),
                send=send,
                write=self.write_line,
                write_error=self.write_error,
            )
        if result.ok and options.expect_no_changes and set(result.counts) - {"same"}:
            self.write_error("error: no changes were expected but changes occurred")
            return 255
        if result.ok and options.remove:
            store.remove()
        return 0 if result.ok else 255

    # --- stacks ---------------------------------------------------------------------------------------------------

    def _select(self, options: argparse.Namespace) -> None:
        self._open_store(options)

    def _init(self, options: argparse.Namespace) -> None:
        self._command.open_store(options.names[0] if options.names else options.stack).create()

    def _output(self, options: argparse.Namespace) -> None:
        outputs = self._open_store(options).stack_outputs()
        self.write_line(json.dumps(reveal(outputs) if options.show_secrets else mask(outputs), indent=2))

    def _history(self, options: argparse.Namespace) -> None:
        runs = self._open_store(options).history()
        if options.page_size:
            start = options.page_size * ((options.page or 1) - 1)
            runs = runs[start : start + options.page_size]
        self.write_line(json.dumps(runs, indent=2))

    def _list(self, _options: argparse.Namespace) -> None:
        names = sorted(p.name.removesuffix(".json") for p in self._command._state_dir.glob("*.json"))
        self.write_line(json.dumps([{"name": name, "current": False} for name in names]))

    def _export(self, options: argparse.Namespace) -> None:
        self.write_line(json.dumps(self._open_store(options).export(show_secrets=options.show_secrets), indent=2))

    def _import(self, options: argparse.Namespace) -> None:
        from bedplate.engine.state.lock import hold_lock

        store = self._open_store(options)
        with hold_lock(store.paths.lock, stack=store.stack, verb="state import"):
            store.import_(json.loads(Path(options.file).read_text(encoding="utf-8")))

    def _remove(self, options: argparse.Namespace) -> None:
        store = self._open_store(options, options.names[0] if options.names else None)
        if list(store.read().resources()) and not options.force:
            raise UsageError(
                f"stack '{store.stack}' still has resources", next_step=f"bedplate destroy -s {store.stack}"
            )
        store.remove()

    # --- configuration --------------------------------------------------------------------------------------------

    def _config_set(self, options: argparse.Namespace) -> None:
        key, value = options.names[0], options.names[1]
        store = self._open_store(options)
        Project.load(self._root).set_value(store.stack, key, value, secret=options.secret, passphrase=store.passphrase)

    def _config_get(self, options: argparse.Namespace) -> None:
        entries = self._config(options, show_secrets=True)
        key = Project.load(self._root).full_key(options.names[0])
        if key not in entries:
            raise UsageError(f"configuration key '{key}' not found for stack '{options.stack}'")
        self.write_line(json.dumps(entries[key]))

    def _config_all(self, options: argparse.Namespace) -> None:
        self.write_line(json.dumps(self._config(options, show_secrets=options.show_secrets)))

    def _config(self, options: argparse.Namespace, *, show_secrets: bool) -> dict[str, Any]:
        store = self._open_store(options)
        configuration = Project.load(self._root).configuration(store.stack, store.passphrase)
        values = configuration.values if show_secrets else configuration.masked_values()
        return {key: {"value": value, "secret": key in configuration.secret_keys} for key, value in values.items()}

    def _whoami(self, options: argparse.Namespace) -> None:
        self.write_line(json.dumps({"user": "local"}) if options.json else "local")

    def _open_store(self, options: argparse.Namespace, name: str | None = None) -> StateStore:
        stack = name or options.stack
        if not stack:
            raise UsageError("no stack selected: expected --stack")
        store = self._command.open_store(stack)
        if not store.exists():
            raise NotFound(f"no stack named '{stack}' found")
        return store


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"the embedded engine does not support this command line: {message}")


def _parse_options(args: list[str]) -> argparse.Namespace:
    parser = _Parser(add_help=False, allow_abbrev=False)
    for option in (
        *("json", "show-secrets", "yes", "skip-preview", "preview-only", "refresh", "plaintext", "secret", "remove"),
        *("expect-no-changes", "force", "diff", "suppress-outputs", "all", "suppress-progress", "debug", "no-select"),
        "target-dependents",
    ):
        parser.add_argument(f"--{option}", action="store_true")
    for option in ("stack", "exec-kind", "event-log", "message", "color", "file", "secrets-provider"):
        parser.add_argument(f"--{option}")
    for option in ("target", "replace"):
        parser.add_argument(f"--{option}", action="append", default=[])
    for option in ("page", "page-size", "parallel"):
        parser.add_argument(f"--{option}", type=int)
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args(args)
    verb = options.names.pop(0) if options.names else ""
    if verb in ("stack", "config") and options.names and (verb == "stack" or options.names[0] in ("set", "get")):
        verb = f"{verb} {options.names.pop(0)}"
    options.verb = verb
    return options


@contextmanager
def _open_event_log(target: str | None) -> Iterator[Callable[[Event], None] | None]:
    """Yields a function that sends events to `target`: the gRPC service `tcp://host:port`, or a file of JSON lines."""
    if target is None:
        yield None
    elif target.startswith("tcp://"):
        with _stream_events(target.removeprefix("tcp://")) as send:
            yield send
    else:
        with Path(target).open("a", encoding="utf-8") as file:

            def write(event: Event) -> None:
                file.write(json.dumps(event) + "\n")
                file.flush()

            yield write


@contextmanager
def _stream_events(address: str) -> Iterator[Callable[[Event], None]]:
    import grpc
    from pulumi.runtime.proto import events_pb2, events_pb2_grpc

    pending: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    def requests() -> Iterator[Any]:
        while (event := pending.get()) is not None:
            yield events_pb2.EventRequest(event=json.dumps(event))

    with grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
        stub = events_pb2_grpc.EventsStub(channel)
        sender = threading.Thread(target=lambda: stub.StreamEvents(requests()), name="events", daemon=True)
        sender.start()
        try:
            yield pending.put
        finally:
            pending.put(None)
            sender.join(timeout=10)
