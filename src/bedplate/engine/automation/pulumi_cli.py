"""Finds the Pulumi CLI, and runs it on a local stack with our plugin as provider and its files in one directory."""

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

from bedplate.engine.atomic_file import write_atomically
from bedplate.engine.automation.embedded import VERSION, require_loopback
from bedplate.engine.automation.launcher import write_launcher
from bedplate.engine.automation.local_provider import ENDPOINT_VARIABLE
from bedplate.engine.automation.project import Project
from bedplate.engine.state.lock import hold_lock
from bedplate.engine.state.secrets import read_passphrase
from bedplate.engine.state.store import StateFiles
from bedplate.errors import PlatformError, UsageError
from bedplate.settings import read_yaml

if TYPE_CHECKING:
    from pulumi.automation import CommandResult, PulumiCommand

CLI_VARIABLE = "BEDPLATE_PULUMI"
MIN_VERSION = "3.206.0"
"""The first version of the CLI that streams its events to the Automation API."""
LineHandler = Callable[[str], Any]

_PROJECT_VERBS = ("preview", "up", "refresh", "destroy")
_LOCKING_VERBS = ("up", "refresh", "destroy", "stack import", "stack init", "stack rm")


def find_executable() -> Path | None:
    """Returns the path of the CLI: BEDPLATE_PULUMI (the file or its folder), else on PATH, else in ~/.pulumi.

    Returns None without a CLI. Raises UsageError when BEDPLATE_PULUMI is not an executable.
    """
    configured = os.environ.get(CLI_VARIABLE)
    if configured:
        path = Path(configured).expanduser()
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
    versions = sorted(home.glob("versions/*/bin/pulumi"), key=lambda path: -path.stat().st_mtime)
    return next((path for path in (home / "bin" / "pulumi", *versions) if os.access(path, os.X_OK)), None)


def build_command(*, install: bool = False) -> PulumiCommand:
    """Returns the CLI for the Automation API; with `install` downloads the SDK's own version if there is no CLI.

    Raises UsageError without a CLI or for one that is too old for the SDK, PlatformError when the download fails.
    """
    from pulumi import automation

    path = find_executable()
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
            f"--engine pulumi needs `pulumi` on PATH, in ~/.pulumi/bin or in {CLI_VARIABLE}, and it was not found",
            next_step="bedplate up --engine pulumi --install, or for the local stack: bedplate up --engine embedded",
        )
    return _command_at(path)


def _command_at(path: Path) -> PulumiCommand:
    from pulumi.automation import PulumiCommand
    from semver import VersionInfo

    class InstalledCommand(PulumiCommand):
        def __init__(self) -> None:
            self.command = str(path)
            environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
            output = subprocess.check_output([self.command, "version"], env=environment, text=True).strip()
            try:
                self.version = VersionInfo.parse(output.removeprefix("v"))
            except ValueError:  # built from source, without a version
                self.version = VersionInfo.parse(VERSION)

    try:
        command = InstalledCommand()
    except (OSError, subprocess.CalledProcessError) as exc:
        raise UsageError(f"{path} cannot be run: {exc}", next_step=f"{path} version") from exc
    if command.version is not None and command.version < VersionInfo.parse(MIN_VERSION):
        raise UsageError(
            f"{path} is Pulumi {command.version}; at least {MIN_VERSION} is needed",
            next_step="bedplate up --engine pulumi --install, after removing the old version from PATH",
        )
    return command


class LocalCommand:
    """Runs the CLI on one local stack, behind the interface of `PulumiCommand`.

    The CLI writes only below `state_dir`: its backend, its home, and a copy of the stack's file, to which it adds its
    salt, so that the committed file does not change. Both engines use the same lock and the same passphrase.
    """

    def __init__(self, cli: PulumiCommand, *, work_dir: Path, stack: str, state_dir: Path, endpoint_url: str) -> None:
        """Raises UsageError for an endpoint that is not loopback."""
        require_loopback(endpoint_url)
        self.command = cli.command
        self.version = cli.version
        self._cli = cli
        self._work_dir = work_dir
        self._stack = stack
        self._directories = EngineDirectories(state_dir.resolve())
        self._paths = StateFiles.of(state_dir, stack)
        self._endpoint_url = endpoint_url

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: LineHandler | None = None,
        on_error: LineHandler | None = None,
    ) -> CommandResult:
        """Runs one command like `PulumiCommand.run`. Raises Locked when a run of either engine holds the stack."""
        words = [word for word in args if not word.startswith("-")]
        verb = " ".join(words[: 2 if words[0] == "stack" else 1])
        takes_lock = verb in _LOCKING_VERBS and "--preview-only" not in args
        with hold_lock(self._paths.lock, stack=self._stack, verb=verb) if takes_lock else nullcontext():
            if takes_lock:
                self._remove_stale_locks()
            project = self._prepare_project_copy()
            if verb in _PROJECT_VERBS:
                args = [*args, "--config-file", str(project / f"Pulumi.{self._stack}.yaml")]
            elif words[0] == "stack":
                cwd = str(project)
            return self._cli.run(
                args, cwd, {**additional_env, **self._environment(additional_env)}, on_output, on_error
            )

    def add_stack_salt(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Returns an exported state with this stack's salt, if its secrets are in plaintext.

        Without a salt the CLI panics at the first secret; it rejects the salt of another passphrase.
        """
        deployment = document.get("deployment") or {}
        salt = read_yaml(self._prepare_project_copy() / f"Pulumi.{self._stack}.yaml").get("encryptionsalt")
        if salt and '"ciphertext":' not in json.dumps(deployment):
            deployment = {**deployment, "secrets_providers": {"type": "passphrase", "state": {"salt": salt}}}
        return {**document, "deployment": deployment}

    def _environment(self, base: Mapping[str, str]) -> dict[str, str]:
        launcher = write_launcher(self._directories.plugins)
        self._directories.backend.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": os.pathsep.join([str(launcher.parent), base.get("PATH", os.environ.get("PATH", ""))]),
            "PULUMI_BACKEND_URL": self._directories.backend.as_uri(),
            "PULUMI_HOME": str(self._directories.home),
            "PULUMI_CONFIG_PASSPHRASE": read_passphrase(self._paths.passphrase),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            ENDPOINT_VARIABLE: self._endpoint_url,
        }

    def _prepare_project_copy(self) -> Path:
        """Writes a copy of Pulumi.yaml and the stack's file that the CLI may change, and returns its directory."""
        directory = self._directories.root / self._stack
        directory.mkdir(parents=True, exist_ok=True)
        project = Project.load(self._work_dir)
        _write_if_changed(directory / "Pulumi.yaml", f"name: {json.dumps(project.name)}\nruntime: python\n")
        committed, own = project.stack_file(self._stack), directory / f"Pulumi.{self._stack}.yaml"
        text = committed.read_text(encoding="utf-8") if committed.exists() else ""
        salt = read_yaml(own).get("encryptionsalt") if own.exists() else None
        if salt and not (committed.exists() and read_yaml(committed).get("encryptionsalt")):
            text = f"encryptionsalt: {salt}\n{text}"
        _write_if_changed(own, text)
        return directory

    def _remove_stale_locks(self) -> None:
        """Removes the locks of CLI processes that were killed, which otherwise needs `pulumi cancel`."""
        for path in self._directories.backend.glob(f".pulumi/locks/**/{self._stack}/*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                owner = json.loads(path.read_text(encoding="utf-8"))
                if owner["hostname"] == socket.gethostname() and not _is_running(int(owner["pid"])):
                    path.unlink()


@dataclass(frozen=True, slots=True)
class EngineDirectories:
    """The directories of the Pulumi CLI, below the state directory of the embedded engine."""

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


def _write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text.encode())


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except ProcessLookupError:
        return False
    except OSError:  # a process of another user, or a system without /proc
        return True
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")
