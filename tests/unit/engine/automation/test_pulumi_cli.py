"""The Pulumi CLI is found in the right order, and on a local stack uses only the state directory and this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from semver import VersionInfo

from bedplate.engine.automation import launcher, pulumi_cli
from bedplate.engine.automation.engine_migration import EngineMigration
from bedplate.engine.automation.launcher import write_launcher
from bedplate.engine.automation.plugin import derive_intent
from bedplate.engine.automation.pulumi_cli import EngineDirectories, LocalCommand
from bedplate.engine.state.lock import hold_lock
from bedplate.engine.state.store import StateFiles
from bedplate.errors import Locked, PlatformError, UsageError
from repository import TESTS

URL = "http://127.0.0.1:4566"


def executable(path: Path, version: str = "v3.260.0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sets a home and a PATH without a CLI; returns the home."""
    monkeypatch.delenv("BEDPLATE_PULUMI", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/bin")
    return tmp_path


def test_the_cli_is_taken_from_the_variable_then_path_then_home(no_cli: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pulumi_cli.find_executable() is None
    installed = executable(no_cli / ".pulumi/versions/3.272.0/bin/pulumi")
    assert pulumi_cli.find_executable() == installed
    home = executable(no_cli / ".pulumi/bin/pulumi")
    assert pulumi_cli.find_executable() == home
    on_path = executable(no_cli / "tools/pulumi")
    monkeypatch.setenv("PATH", f"/bin:{on_path.parent}")
    assert pulumi_cli.find_executable() == on_path
    named = executable(no_cli / "mine/pulumi")
    for name in (named, named.parent):
        monkeypatch.setenv("BEDPLATE_PULUMI", str(name))
        assert pulumi_cli.find_executable() == named


def test_a_variable_that_names_no_executable_is_an_error(no_cli: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDPLATE_PULUMI", str(no_cli / "missing"))
    with pytest.raises(UsageError, match="cannot be run"):
        pulumi_cli.find_executable()


def test_the_error_without_a_cli_names_the_install_option(no_cli: Path) -> None:
    with pytest.raises(UsageError) as missing:
        pulumi_cli.build_command()
    assert "--install" in (missing.value.next_step or "")


def test_the_cli_is_downloaded_only_if_there_is_none(no_cli: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pulumi.automation import PulumiCommand

    downloads: list[bool] = []
    monkeypatch.setattr(PulumiCommand, "install", classmethod(lambda cls: downloads.append(True)))
    pulumi_cli.build_command(install=True)
    assert downloads == [True]
    executable(no_cli / ".pulumi/bin/pulumi")
    pulumi_cli.build_command(install=True)
    assert downloads == [True]


def test_a_failed_download_has_a_next_step(no_cli: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pulumi.automation import PulumiCommand

    def no_network(cls: type) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(PulumiCommand, "install", classmethod(no_network))
    with pytest.raises(PlatformError, match="no route to host") as failed:
        pulumi_cli.build_command(install=True)
    assert failed.value.next_step


def test_a_cli_that_is_too_old_is_rejected_and_one_without_a_version_accepted(
    no_cli: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = executable(no_cli / "pulumi", "v3.100.0")
    monkeypatch.setenv("BEDPLATE_PULUMI", str(path))
    with pytest.raises(UsageError, match=r"Pulumi 3\.100\.0; at least"):
        pulumi_cli.build_command()
    executable(path, "v3.260.0")
    assert pulumi_cli.build_command().version == VersionInfo(3, 260, 0)
    executable(path, "")
    assert pulumi_cli.build_command().version is not None


# --- over a local stack -------------------------------------------------------------------------------------------


class FakeCli:
    """Replaces the CLI; records its arguments, and adds a salt to the stack's file in `stack init`."""

    command = "/opt/pulumi/bin/pulumi"
    version = VersionInfo(3, 260, 0)

    def __init__(self) -> None:
        self.args: list[str] = []
        self.cwd = Path()
        self.environment: dict[str, str] = {}

    def run(self, args: list[str], cwd: str, environment: dict[str, str], *_: Any) -> Any:
        self.args, self.cwd, self.environment = list(args), Path(cwd), dict(environment)
        if args[:2] == ["stack", "init"]:
            file = self.cwd / "Pulumi.local.yaml"
            file.write_text("encryptionsalt: v1:abc\n" + file.read_text())
        return args


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\nstackConfigDir: stacks\n")
    (tmp_path / "stacks" / "Pulumi.local.yaml").write_text("# ours\nconfig:\n  shop:x: 1\n")
    return tmp_path


@pytest.fixture
def cli() -> FakeCli:
    return FakeCli()


@pytest.fixture
def local(project: Path, cli: FakeCli) -> LocalCommand:
    fake: Any = cli
    return LocalCommand(fake, work_dir=project, stack="local", state_dir=project / "state", endpoint_url=URL)


def test_the_salt_is_written_into_a_copy_of_the_committed_stack_file(
    local: LocalCommand, cli: FakeCli, project: Path
) -> None:
    committed = project / "stacks" / "Pulumi.local.yaml"
    before = committed.read_text()
    local.run(["stack", "init", "local"], str(project), {})
    committed.write_text(before.replace("1", "2"))
    local.run(["up", "--yes", "--stack", "local"], str(project), {})
    file = Path(cli.args[cli.args.index("--config-file") + 1])
    assert file.read_text() == "encryptionsalt: v1:abc\n# ours\nconfig:\n  shop:x: 2\n"
    assert committed.read_text() == before.replace("1", "2")
    assert cli.cwd == project


def test_the_salt_of_the_committed_file_has_precedence(local: LocalCommand, cli: FakeCli, project: Path) -> None:
    local.run(["stack", "init", "local"], str(project), {})
    committed = project / "stacks" / "Pulumi.local.yaml"
    committed.write_text("encryptionsalt: v1:ours\n")
    local.run(["preview", "--stack", "local"], str(project), {})
    assert Path(cli.args[-1]).read_text() == "encryptionsalt: v1:ours\n"


def test_the_cli_runs_with_our_plugin_the_local_platform_and_a_backend_of_the_project(
    local: LocalCommand, cli: FakeCli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    local.run(["preview"], str(project), {"AWS_ENDPOINT_URL": "https://aws.example", "MINE": "1"})
    state = project / "state"
    first = Path(cli.environment["PATH"].split(os.pathsep)[0])
    assert os.access(first / "pulumi-resource-aws", os.X_OK)
    assert cli.environment["AWS_ENDPOINT_URL"] == URL
    assert cli.environment["MINE"] == "1"
    assert cli.environment["PULUMI_BACKEND_URL"] == (state / "pulumi" / "backend").as_uri()
    assert cli.environment["PULUMI_HOME"].startswith(str(state))
    assert cli.environment["PULUMI_CONFIG_PASSPHRASE"] == StateFiles.of(state, "local").passphrase.read_text().strip()


def test_an_endpoint_of_another_machine_is_rejected(project: Path, cli: FakeCli) -> None:
    fake: Any = cli
    with pytest.raises(UsageError, match="this machine only"):
        LocalCommand(fake, work_dir=project, stack="local", state_dir=project, endpoint_url="https://aws.example")


def test_the_engines_share_a_lock_which_a_preview_does_not_need(
    local: LocalCommand, cli: FakeCli, project: Path
) -> None:
    with hold_lock(StateFiles.of(project / "state", "local").lock, stack="local", verb="up"):
        with pytest.raises(Locked, match="has been running `up`"):
            local.run(["--non-interactive", "destroy", "--yes"], str(project), {})
        local.run(["preview"], str(project), {})
        local.run(["destroy", "--preview-only"], str(project), {})
        assert cli.args[0] == "destroy"


def test_the_lock_of_a_killed_cli_is_removed_and_that_of_a_running_one_kept(local: LocalCommand, project: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    locks = EngineDirectories((project / "state").resolve()).backend / ".pulumi/locks/organization/shop/local"
    locks.mkdir(parents=True)
    for name, pid, host in (
        ("dead", int(dead.stdout), socket.gethostname()),
        ("living", os.getpid(), socket.gethostname()),
        ("elsewhere", int(dead.stdout), "another.example"),
    ):
        (locks / f"{name}.json").write_text(json.dumps({"pid": pid, "hostname": host}))
    local.run(["up"], str(project), {})
    assert sorted(path.stem for path in locks.iterdir()) == ["elsewhere", "living"]


def test_an_imported_state_gets_this_stacks_salt_only_if_its_secrets_are_in_plaintext(
    local: LocalCommand, project: Path
) -> None:
    local.run(["stack", "init", "local"], str(project), {})
    other = {"type": "passphrase", "state": {"salt": "v1:other"}}
    own = {"type": "passphrase", "state": {"salt": "v1:abc"}}

    def secrets_provider(**secret: str) -> Any:
        deployment = {"secrets_providers": other, "resources": [{"inputs": {"key": secret}}]}
        return local.add_stack_salt({"version": 3, "deployment": deployment})["deployment"]["secrets_providers"]

    assert secrets_provider(plaintext='"x"') == own
    assert secrets_provider(ciphertext="v1:x") == other


def test_a_zombie_process_is_not_running() -> None:
    child = subprocess.Popen([sys.executable, "-c", "print(1)"], stdout=subprocess.DEVNULL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not pulumi_cli._is_running(child.pid)
    child.wait()
    assert not pulumi_cli._is_running(child.pid)
    assert pulumi_cli._is_running(os.getpid())


# --- migration between the engines --------------------------------------------------------------------------------


def test_the_state_is_migrated_only_from_an_active_engine_that_has_one(tmp_path: Path) -> None:
    migration = EngineMigration(tmp_path, "shop", "local")
    assert migration.active_engine() == "embedded"
    assert migration.state_to_migrate("pulumi") is None
    (tmp_path / "local.json").write_text('{"version": 3, "deployment": {"resources": [{"urn": "a"}]}}')
    assert migration.state_to_migrate("embedded") is None
    assert migration.state_to_migrate("pulumi") == {"version": 3, "deployment": {"resources": [{"urn": "a"}]}}
    migration.set_active_engine("pulumi")
    assert migration.state_to_migrate("pulumi") is None
    pulumi_checkpoint = EngineDirectories(tmp_path.resolve()).checkpoint("shop", "local")
    pulumi_checkpoint.parent.mkdir(parents=True)
    pulumi_checkpoint.write_text(
        '{"version": 3, "checkpoint": {"stack": "s", "latest": {"resources": [{"urn": "b"}]}}}'
    )
    assert migration.state_to_migrate("embedded") == {"version": 3, "deployment": {"resources": [{"urn": "b"}]}}
    migration.set_active_engine("embedded")
    assert migration.active_engine() == "embedded"


def test_pending_operations_of_the_cli_are_migrated_with_the_intents_of_our_plugin(tmp_path: Path) -> None:
    migration = EngineMigration(tmp_path, "shop", "local")
    migration.set_active_engine("pulumi")
    assert migration.interrupted_urns() == ()
    urns = [f"urn:pulumi:local::shop::aws:kms/key:Key::{name}" for name in ("new", "replaced")]
    resources = [{"urn": urns[1], "id": "gone", "delete": True}, {"urn": urns[1], "id": "k-1"}]
    pending = [{"type": "creating", "resource": {"urn": urn}} for urn in urns]
    pulumi_checkpoint = EngineDirectories(tmp_path.resolve()).checkpoint("shop", "local")
    pulumi_checkpoint.parent.mkdir(parents=True)
    latest = {"resources": resources, "pending_operations": pending}
    pulumi_checkpoint.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))
    assert migration.interrupted_urns() == tuple(urns)
    document = migration.state_to_migrate("embedded")
    assert document is not None
    intents = [operation["intent"] for operation in document["deployment"]["pending_operations"]]
    assert intents == [derive_intent(urns[0], ""), derive_intent(urns[1], "k-1")]
    migration.set_active_engine("embedded")
    assert migration.interrupted_urns() == ()


def test_the_launcher_is_rewritten_only_if_its_content_changes(tmp_path: Path) -> None:
    path = write_launcher(tmp_path / "plugins")
    assert path.name == "pulumi-resource-aws"
    assert sys.executable in path.read_text()
    before = path.stat().st_mtime_ns
    assert write_launcher(tmp_path / "plugins").stat().st_mtime_ns == before
    write_launcher(tmp_path / "plugins", provider="other:make")
    assert "other:make" in path.read_text()


def test_the_launcher_module_prints_the_path_that_it_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launcher.main([str(tmp_path / "plugins")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "plugins" / "pulumi-resource-aws")


def test_a_launched_plugin_prints_its_port_and_ends_on_sigterm(tmp_path: Path) -> None:
    path = write_launcher(tmp_path, "test", provider="golden.oracle.fake_cloud_plugin:build_provider", version="1.0.0")
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "ORACLE_CLOUD": str(tmp_path / "cloud.json")}
    with subprocess.Popen([path, "127.0.0.1:9"], stdout=subprocess.PIPE, env=environment, text=True) as plugin:
        assert plugin.stdout is not None
        assert int(plugin.stdout.readline()) > 0
        plugin.terminate()
        assert plugin.wait(timeout=10) == 0


def test_an_aws_plugin_without_a_platform_prints_the_next_command(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "AWS_ENDPOINT_URL"}
    process = subprocess.run(
        [write_launcher(tmp_path)], capture_output=True, env=environment, text=True, check=False, timeout=60
    )
    assert process.returncode == 2
    assert "bedplate local status" in process.stderr
