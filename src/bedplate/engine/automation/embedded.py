"""Stands in for the Pulumi CLI behind the Automation API: serves the commands that it runs, in this process."""

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
from bedplate.engine.deployment.providers import Factory
from bedplate.engine.deployment.targets import Selection
from bedplate.engine.property_values import mask, reveal
from bedplate.engine.state.secrets import passphrase
from bedplate.engine.state.store import StateStore
from bedplate.errors import NotFound, UsageError

if TYPE_CHECKING:
    from pulumi.automation import CommandResult

VERSION = "3.272.0"
"""Of the protocol spoken: the pinned SDK's."""
Line = Callable[[str], Any]


def require_loopback(url: str) -> None:
    """Raises UsageError for a URL that leads off this machine: the embedded engine never touches a real account.

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
    """A `PulumiCommand` in all but the process: `.command`, `.version`, `.run(...)`.

    Raises UsageError for an endpoint that is not loopback.
    """

    command = "embedded"

    def __init__(
        self,
        state_dir: Path,
        factory: Factory,
        *,
        endpoint_url: str,
        parallel: int = 8,
        chance: IdsAndClock | None = None,
    ) -> None:
        from semver import VersionInfo

        require_loopback(endpoint_url)
        self.version = VersionInfo.parse(VERSION)
        self._state_dir = state_dir
        self._factory = factory
        self._parallel = parallel
        self._chance = chance or IdsAndClock()

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Line | None = None,
        on_error: Line | None = None,
    ) -> CommandResult:
        """Serve one command; what fails raises the Automation API's CommandError, as the CLI's exit would.

        Raises Locked when another run is at work on the stack.
        """
        from pulumi.automation import CommandResult
        from pulumi.automation.errors import create_command_error

        call = _Call(self, Path(cwd), additional_env, on_output, on_error)
        try:
            code = call.serve(args)
        except (UsageError, NotFound) as exc:
            call.err(f"error: {exc.message}")
            code = 255
        result = CommandResult("\n".join(call.stdout), "\n".join(call.stderr), code)
        if code != 0:
            raise create_command_error(result)
        return result

    def store(self, stack: str) -> StateStore:
        return StateStore(self._state_dir, stack, now=self._chance.now, version=VERSION)


class _Call:
    """One command under way."""

    def __init__(
        self,
        command: EmbeddedCommand,
        root: Path,
        environment: Mapping[str, str],
        on_output: Line | None,
        on_error: Line | None,
    ) -> None:
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._command = command
        self._root = root
        self._environment = environment
        self._on_output = on_output
        self._on_error = on_error

    def out(self, text: str) -> None:
        self.stdout.append(text)
        if self._on_output:
            self._on_output(text)

    def err(self, text: str) -> None:
        self.stderr.append(text)
        if self._on_error:
            self._on_error(text)

    def serve(self, args: list[str]) -> int:
        options = _parse([a for a in args if a != "--non-interactive"])
        served: dict[str, Callable[[argparse.Namespace], int]] = {
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
        if options.verb not in served:
            raise UsageError(f"the embedded engine does not serve `pulumi {' '.join(args)}`")
        return served[options.verb](options)

    # --- runs -----------------------------------------------------------------------------------------------------

    def _deploy(self, options: argparse.Namespace) -> int:
        verb: Verb = options.verb
        of: Verb = "up"
        if options.preview_only:
            verb, of = "preview", options.verb
        store = self._store(options)
        project = Project.load(self._root)
        deployment = Deployment(
            store,
            project=project.name,
            program=project.program,
            configuration=project.configuration(store.stack, lambda: passphrase(store.paths.key)),
            factory=self._command._factory,
            parallel=options.parallel or self._command._parallel,
            chance=self._command._chance,
        )
        with _event_log(options.event_log) as send:
            outcome = deployment.run(
                verb,
                of=of,
                refresh_first=options.refresh,
                environment=self._environment,
                message=options.message or "",
                selection=Selection(
                    tuple(options.target or ()), options.target_dependents, tuple(options.replace or ())
                ),
                send=send,
                write=self.out,
                write_error=self.err,
            )
        if outcome.ok and options.expect_no_changes and set(outcome.counts) - {"same"}:
            self.err("error: no changes were expected but changes occurred")
            return 255
        if outcome.ok and options.remove:
            store.remove()
        return 0 if outcome.ok else 255

    # --- stacks ---------------------------------------------------------------------------------------------------

    def _select(self, options: argparse.Namespace) -> int:
        self._store(options)
        return 0

    def _init(self, options: argparse.Namespace) -> int:
        self._command.store(options.names[0] if options.names else options.stack).create()
        return 0

    def _output(self, options: argparse.Namespace) -> int:
        outputs = self._store(options).exports()
        self.out(json.dumps(reveal(outputs) if options.show_secrets else mask(outputs), indent=2))
        return 0

    def _history(self, options: argparse.Namespace) -> int:
        runs = self._store(options).history()
        if options.page_size:
            start = options.page_size * ((options.page or 1) - 1)
            runs = runs[start : start + options.page_size]
        self.out(json.dumps(runs, indent=2))
        return 0

    def _list(self, _options: argparse.Namespace) -> int:
        names = sorted(p.name.removesuffix(".json") for p in self._command._state_dir.glob("*.json"))
        self.out(json.dumps([{"name": name, "current": False} for name in names]))
        return 0

    def _export(self, options: argparse.Namespace) -> int:
        self.out(json.dumps(self._store(options).export(show_secrets=options.show_secrets), indent=2))
        return 0

    def _import(self, options: argparse.Namespace) -> int:
        from bedplate.engine.state.lock import hold

        store = self._store(options)
        with hold(store.paths.lock, stack=store.stack, verb="state import"):
            store.import_(json.loads(Path(options.file).read_text(encoding="utf-8")))
        return 0

    def _remove(self, options: argparse.Namespace) -> int:
        store = self._store(options, options.names[0] if options.names else None)
        if list(store.read().resources()) and not options.force:
            raise UsageError(
                f"stack '{store.stack}' still has resources", next_step=f"bedplate destroy -s {store.stack}"
            )
        store.remove()
        return 0

    # --- configuration --------------------------------------------------------------------------------------------

    def _config_set(self, options: argparse.Namespace) -> int:
        key, value = options.names[0], options.names[1]
        store = self._store(options)
        Project.load(self._root).set(
            store.stack, key, value, secret=options.secret, passphrase=lambda: passphrase(store.paths.key)
        )
        return 0

    def _config_get(self, options: argparse.Namespace) -> int:
        shown = self._config(options, show_secrets=True)
        key = Project.load(self._root).full_key(options.names[0])
        if key not in shown:
            raise UsageError(f"configuration key '{key}' not found for stack '{options.stack}'")
        self.out(json.dumps(shown[key]))
        return 0

    def _config_all(self, options: argparse.Namespace) -> int:
        self.out(json.dumps(self._config(options, show_secrets=options.show_secrets)))
        return 0

    def _config(self, options: argparse.Namespace, *, show_secrets: bool) -> dict[str, Any]:
        store = self._store(options)
        found = Project.load(self._root).configuration(store.stack, lambda: passphrase(store.paths.key))
        shown = found.values if show_secrets else found.shown()
        return {key: {"value": value, "secret": key in found.secret_keys} for key, value in shown.items()}

    def _whoami(self, options: argparse.Namespace) -> int:
        self.out(json.dumps({"user": "local"}) if options.json else "local")
        return 0

    def _store(self, options: argparse.Namespace, name: str | None = None) -> StateStore:
        stack = name or options.stack
        if not stack:
            raise UsageError("no stack selected: --stack expected")
        store = self._command.store(stack)
        if not store.exists():
            raise NotFound(f"no stack named '{stack}' found")
        return store


def _selection(options: argparse.Namespace) -> Selection:
    return Selection(tuple(options.target or ()), options.target_dependents, tuple(options.replace or ()))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"the embedded engine does not serve this command line: {message}")


def _parse(args: list[str]) -> argparse.Namespace:
    parser = _Parser(add_help=False, allow_abbrev=False)
    for flag in ("--json", "--show-secrets", "--yes", "--skip-preview", "--preview-only", "--refresh", "--plaintext"):
        parser.add_argument(flag, action="store_true")
    for flag in ("--secret", "--expect-no-changes", "--remove", "--force", "--diff", "--suppress-outputs", "--all"):
        parser.add_argument(flag, action="store_true")
    for flag in ("--suppress-progress", "--debug", "--no-select"):
        parser.add_argument(flag, action="store_true")
    for flag in ("--stack", "--exec-kind", "--event-log", "--message", "--color", "--file", "--secrets-provider"):
        parser.add_argument(flag)
    parser.add_argument("--target-dependents", action="store_true")
    for flag in ("--target", "--replace"):
        parser.add_argument(flag, action="append")
    for flag in ("--page", "--page-size", "--parallel"):
        parser.add_argument(flag, type=int)
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args(args)
    verb = options.names.pop(0) if options.names else ""
    if verb in ("stack", "config") and options.names and (verb == "stack" or options.names[0] in ("set", "get")):
        verb = f"{verb} {options.names.pop(0)}"
    options.verb = verb
    return options


@contextmanager
def _event_log(target: str | None) -> Iterator[Callable[[Event], None] | None]:
    """Where the Automation API listens: `tcp://host:port` (its gRPC service), or a file of JSON lines."""
    if target is None:
        yield None
    elif target.startswith("tcp://"):
        with _stream(target.removeprefix("tcp://")) as send:
            yield send
    else:
        with Path(target).open("a", encoding="utf-8") as file:

            def write(event: Event) -> None:
                file.write(json.dumps(event) + "\n")
                file.flush()

            yield write


@contextmanager
def _stream(address: str) -> Iterator[Callable[[Event], None]]:
    import grpc
    from pulumi.runtime.proto import events_pb2, events_pb2_grpc

    waiting: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    def requests() -> Iterator[Any]:
        while (event := waiting.get()) is not None:
            yield events_pb2.EventRequest(event=json.dumps(event))

    with grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
        stub = events_pb2_grpc.EventsStub(channel)
        sender = threading.Thread(target=lambda: stub.StreamEvents(requests()), name="events", daemon=True)
        sender.start()
        try:
            yield waiting.put
        finally:
            waiting.put(None)
            sender.join(timeout=10)
