"""Finds the Pulumi CLI, and runs it over a local stack with our plugin as provider and its files in one directory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.engine.automation.embedded import VERSION, require_loopback
from bedplate.engine.automation.launcher import write_launcher
from bedplate.engine.automation.plugin import ENDPOINT_VARIABLE
from bedplate.engine.automation.project import Project
from bedplate.engine.state.lock import hold
from bedplate.engine.state.secrets import passphrase
from bedplate.engine.state.store import StateFiles
from bedplate.errors import PlatformError, UsageError
from bedplate.settings import read_yaml

if TYPE_CHECKING:
    from pulumi.automation import CommandResult, PulumiCommand

CLI_VARIABLE = "BEDPLATE_PULUMI"
OLDEST = "3.206.0"
"""The first CLI that hands its events to the Automation API as they happen."""
Line = Callable[[str], Any]

_RUNS_THE_PROJECT = ("preview", "up", "refresh", "destroy")
_CHANGES = ("up", "refresh", "destroy", "stack import", "stack init", "stack rm")


def find() -> Path | None:
    """The CLI: what BEDPLATE_PULUMI names (the file, or its folder), else on PATH, else where its installers put it.

    Raises UsageError when BEDPLATE_PULUMI names something that is not there.
    """
    named = os.environ.get(CLI_VARIABLE)
    if named:
        path = Path(named).expanduser()
        path = path / "pulumi" if path.is_dir() else path
        if not os.access(path, os.X_OK):
            raise UsageError(
                f"{CLI_VARIABLE} names {path}, which cannot be run", next_step=f"export {CLI_VARIABLE}=<the CLI's path>"
            )
        return path.resolve()
    on_path = shutil.which("pulumi")
    if on_path:
        return Path(on_path).resolve()
    home = Path.home() / ".pulumi"
    installed = [home / "bin" / "pulumi", *sorted(home.glob("versions/*/bin/pulumi"), key=_age)]
    return next((path for path in installed if os.access(path, os.X_OK)), None)


def _age(path: Path) -> float:
    return -path.stat().st_mtime


def command(*, install: bool = False) -> PulumiCommand:
    """The CLI as the Automation API takes it; with `install` the SDK's own version is downloaded when there is none.

    Raises UsageError when there is none, or one that is too old for the SDK, PlatformError when the download fails.
    """
    from pulumi import automation

    path = find()
    if path is None and install:
        try:
            return automation.PulumiCommand.install()
        except (OSError, subprocess.CalledProcessError) as exc:
            raise PlatformError(
                f"The Pulumi CLI could not be downloaded: {exc}",
                next_step="bedplate up --engine pulumi, after installing it by hand: https://www.pulumi.com/docs/install",
            ) from exc
    if path is None:
        raise UsageError(
            f"There is no `pulumi` on PATH, in ~/.pulumi/bin or named by {CLI_VARIABLE}; --engine pulumi runs it",
            next_step="bedplate up --engine pulumi --install, or for the local stack: bedplate up --engine embedded",
        )
    return _at(path)


def _at(path: Path) -> PulumiCommand:
    from pulumi.automation import PulumiCommand
    from semver import VersionInfo

    class Found(PulumiCommand):
        def __init__(self) -> None:
            self.command = str(path)
            environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
            said = subprocess.check_output([self.command, "version"], env=environment, text=True).strip()
            try:
                self.version = VersionInfo.parse(said.removeprefix("v"))
            except ValueError:  # built from source, without a version
                self.version = VersionInfo.parse(VERSION)

    try:
        found = Found()
    except (OSError, subprocess.CalledProcessError) as exc:
        raise UsageError(f"{path} cannot be run: {exc}", next_step=f"{path} version") from exc
    if found.version is not None and found.version < VersionInfo.parse(OLDEST):
        raise UsageError(
            f"{path} is Pulumi {found.version}; at least {OLDEST} is needed",
            next_step="bedplate up --engine pulumi --install, with the old one off PATH",
        )
    return found


class LocalCommand:
    """The CLI over one local stack; to the Automation API it is the CLI itself.

    Everything that the CLI writes stays below `state_dir`: its backend, its home, and a copy of the stack's file with
    the salt that the CLI adds, so that the committed file stays as it was written. Both engines take the same lock and
    encrypt with the same passphrase.
    """

    def __init__(self, cli: PulumiCommand, *, work_dir: Path, stack: str, state_dir: Path, endpoint_url: str) -> None:
        """Raises UsageError for an endpoint that is not loopback."""
        require_loopback(endpoint_url)
        self.command = cli.command
        self.version = cli.version
        self._cli = cli
        self._work_dir = work_dir
        self._stack = stack
        self._places = EngineDirectories(state_dir.resolve())
        self._paths = StateFiles.of(state_dir, stack)
        self._endpoint_url = endpoint_url

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Line | None = None,
        on_error: Line | None = None,
    ) -> CommandResult:
        """Run one command. Raises Locked when either engine is at work on the stack, else as `PulumiCommand.run`."""
        words = [word for word in args if not word.startswith("-")]
        verb = " ".join(words[: 2 if words[0] == "stack" else 1])
        changes = verb in _CHANGES and "--preview-only" not in args
        with hold(self._paths.lock, stack=self._stack, verb=verb) if changes else nullcontext():
            if changes:
                self._drop_locks_of_the_dead()
            project = self._own_project()
            if verb in _RUNS_THE_PROJECT:
                args = [*args, "--config-file", str(project / f"Pulumi.{self._stack}.yaml")]
            elif words[0] == "stack":
                cwd = str(project)
            return self._cli.run(
                args, cwd, {**additional_env, **self._environment(additional_env)}, on_output, on_error
            )

    def for_import(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """An exported state with this stack's own salt in it, when its secrets are shown and any salt will do.

        Without one the CLI panics at the first secret; with one of another passphrase it refuses.
        """
        deployment = document.get("deployment") or {}
        salt = read_yaml(self._own_project() / f"Pulumi.{self._stack}.yaml").get("encryptionsalt")
        if salt and '"ciphertext":' not in json.dumps(deployment):
            deployment = {**deployment, "secrets_providers": {"type": "passphrase", "state": {"salt": salt}}}
        return {**document, "deployment": deployment}

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        launcher = write_launcher(self._places.plugins)
        self._places.backend.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": os.pathsep.join([str(launcher.parent), given.get("PATH", os.environ.get("PATH", ""))]),
            "PULUMI_BACKEND_URL": self._places.backend.as_uri(),
            "PULUMI_HOME": str(self._places.home),
            "PULUMI_CONFIG_PASSPHRASE": passphrase(self._paths.key),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            ENDPOINT_VARIABLE: self._endpoint_url,
        }

    def _own_project(self) -> Path:
        """A folder with the project's name and the stack's file, for whatever the CLI wants to add to it."""
        directory = self._places.root / self._stack
        directory.mkdir(parents=True, exist_ok=True)
        project = Project.load(self._work_dir)
        _write(directory / "Pulumi.yaml", f"name: {json.dumps(project.name)}\nruntime: python\n")
        committed, own = project.stack_file(self._stack), directory / f"Pulumi.{self._stack}.yaml"
        text = committed.read_text(encoding="utf-8") if committed.exists() else ""
        salt = read_yaml(own).get("encryptionsalt") if own.exists() else None
        if salt and not (committed.exists() and read_yaml(committed).get("encryptionsalt")):
            text = f"encryptionsalt: {salt}\n{text}"
        _write(own, text)
        return directory

    def _drop_locks_of_the_dead(self) -> None:
        """A CLI that was killed leaves its lock behind, and its own way out is `pulumi cancel` by hand."""
        for path in self._places.backend.glob(f".pulumi/locks/**/{self._stack}/*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                owner = json.loads(path.read_text(encoding="utf-8"))
                if owner["hostname"] == socket.gethostname() and not _alive(int(owner["pid"])):
                    path.unlink()


@dataclass(frozen=True, slots=True)
class EngineDirectories:
    """Where the real engine's things are, below the directory that holds the embedded engine's."""

    state_dir: Path

    @property
    def root(self) -> Path:
        return self.state_dir / "pulumi"

    @property
    def backend(self) -> Path:
        return self.root / "backend"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def plugins(self) -> Path:
        return self.state_dir / "plugins"

    def checkpoint(self, project: str, stack: str) -> Path:
        return self.backend / ".pulumi" / "stacks" / project / f"{stack}.json"


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process, or a system without /proc
        return True
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")
