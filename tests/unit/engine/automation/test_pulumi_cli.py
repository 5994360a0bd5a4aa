"""The CLI is found where it should be, and over a local stack keeps to the state directory and to this machine."""

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
from bedplate.engine.automation.plugin import intent_of
from bedplate.engine.automation.pulumi_cli import EngineDirectories, LocalCommand
from bedplate.engine.state.lock import hold
from bedplate.engine.state.store import StateFiles
from bedplate.errors import Locked, PlatformError, UsageError
from repository import TESTS

URL = "http://127.0.0.1:4566"


def executable(path: Path, says: str = "v3.260.0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a CLI, and none on PATH."""
    monkeypatch.delenv("BEDPLATE_PULUMI", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/bin")
    return tmp_path


def test_the_named_cli_comes_before_path_and_path_before_home(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pulumi_cli.find() is None
    installed = executable(nowhere / ".pulumi/versions/3.272.0/bin/pulumi")
    assert pulumi_cli.find() == installed
    home = executable(nowhere / ".pulumi/bin/pulumi")
    assert pulumi_cli.find() == home
    on_path = executable(nowhere / "tools/pulumi")
    monkeypatch.setenv("PATH", f"/bin:{on_path.parent}")
    assert pulumi_cli.find() == on_path
    named = executable(nowhere / "mine/pulumi")
    for name in (named, named.parent):
        monkeypatch.setenv("BEDPLATE_PULUMI", str(name))
        assert pulumi_cli.find() == named


def test_a_named_cli_that_is_not_there_is_told(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDPLATE_PULUMI", str(nowhere / "missing"))
    with pytest.raises(UsageError, match="cannot be run"):
        pulumi_cli.find()


def test_without_a_cli_the_error_says_how_to_get_one(nowhere: Path) -> None:
    with pytest.raises(UsageError) as missing:
        pulumi_cli.command()
    assert "--install" in (missing.value.next_step or "")


def test_a_download_happens_only_when_asked_for(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pulumi.automation import PulumiCommand

    asked: list[bool] = []
    monkeypatch.setattr(PulumiCommand, "install", classmethod(lambda cls: asked.append(True)))
    pulumi_cli.command(install=True)
    assert asked == [True]
    executable(nowhere / ".pulumi/bin/pulumi")
    pulumi_cli.command(install=True)
    assert asked == [True]


def test_a_download_that_fails_says_what_to_do_by_hand(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pulumi.automation import PulumiCommand

    def no_network(cls: type) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(PulumiCommand, "install", classmethod(no_network))
    with pytest.raises(PlatformError, match="no route to host") as failed:
        pulumi_cli.command(install=True)
    assert failed.value.next_step


def test_a_cli_that_is_too_old_is_refused_and_one_without_a_version_is_not(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = executable(nowhere / "pulumi", "v3.100.0")
    monkeypatch.setenv("BEDPLATE_PULUMI", str(path))
    with pytest.raises(UsageError, match=r"Pulumi 3\.100\.0; at least"):
        pulumi_cli.command()
    executable(path, "v3.260.0")
    assert pulumi_cli.command().version == VersionInfo(3, 260, 0)
    executable(path, "")
    assert pulumi_cli.command().version is not None


# --- over a local stack -------------------------------------------------------------------------------------------


class FakeCli:
    """Stands in for the CLI; keeps what it was run with, and adds a salt to a stack's file, as `stack init` does."""

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


def test_the_committed_stack_file_is_never_written_and_the_salt_is_kept_beside_it(
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


def test_a_salt_of_the_committed_file_is_the_one_that_counts(local: LocalCommand, cli: FakeCli, project: Path) -> None:
    local.run(["stack", "init", "local"], str(project), {})
    committed = project / "stacks" / "Pulumi.local.yaml"
    committed.write_text("encryptionsalt: v1:ours\n")
    local.run(["preview", "--stack", "local"], str(project), {})
    assert Path(cli.args[-1]).read_text() == "encryptionsalt: v1:ours\n"


def test_the_cli_is_given_our_plugin_our_platform_and_a_backend_of_the_project(
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
    assert cli.environment["PULUMI_CONFIG_PASSPHRASE"] == StateFiles.of(state, "local").key.read_text().strip()


def test_an_endpoint_off_this_machine_is_refused(project: Path, cli: FakeCli) -> None:
    fake: Any = cli
    with pytest.raises(UsageError, match="this machine only"):
        LocalCommand(fake, work_dir=project, stack="local", state_dir=project, endpoint_url="https://aws.example")


def test_the_engines_keep_each_other_out_and_a_preview_disturbs_nobody(
    local: LocalCommand, cli: FakeCli, project: Path
) -> None:
    with hold(StateFiles.of(project / "state", "local").lock, stack="local", verb="up"):
        with pytest.raises(Locked, match="runs `up`"):
            local.run(["--non-interactive", "destroy", "--yes"], str(project), {})
        local.run(["preview"], str(project), {})
        local.run(["destroy", "--preview-only"], str(project), {})
        assert cli.args[0] == "destroy"


def test_the_lock_of_a_killed_cli_is_dropped_and_that_of_a_living_one_respected(
    local: LocalCommand, project: Path
) -> None:
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


def test_an_imported_state_that_shows_its_secrets_gets_this_stacks_salt_and_another_keeps_its_own(
    local: LocalCommand, project: Path
) -> None:
    local.run(["stack", "init", "local"], str(project), {})
    theirs = {"type": "passphrase", "state": {"salt": "v1:theirs"}}
    ours = {"type": "passphrase", "state": {"salt": "v1:abc"}}

    def taken(**secret: str) -> Any:
        deployment = {"secrets_providers": theirs, "resources": [{"inputs": {"key": secret}}]}
        return local.for_import({"version": 3, "deployment": deployment})["deployment"]["secrets_providers"]

    assert taken(plaintext='"x"') == ours
    assert taken(ciphertext="v1:x") == theirs


def test_a_killed_cli_that_nobody_has_buried_is_dead_all_the_same() -> None:
    child = subprocess.Popen([sys.executable, "-c", "print(1)"], stdout=subprocess.DEVNULL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not pulumi_cli._alive(child.pid)
    child.wait()
    assert not pulumi_cli._alive(child.pid)
    assert pulumi_cli._alive(os.getpid())


# --- who keeps the state ------------------------------------------------------------------------------------------


def test_the_state_is_taken_over_only_from_an_engine_that_keeps_one(tmp_path: Path) -> None:
    handover = EngineMigration(tmp_path, "shop", "local")
    assert handover.keeper() == "embedded"
    assert handover.due("pulumi") is None
    (tmp_path / "local.json").write_text('{"version": 3, "deployment": {"resources": [{"urn": "a"}]}}')
    assert handover.due("embedded") is None
    assert handover.due("pulumi") == {"version": 3, "deployment": {"resources": [{"urn": "a"}]}}
    handover.taken("pulumi")
    assert handover.due("pulumi") is None
    theirs = EngineDirectories(tmp_path.resolve()).checkpoint("shop", "local")
    theirs.parent.mkdir(parents=True)
    theirs.write_text('{"version": 3, "checkpoint": {"stack": "s", "latest": {"resources": [{"urn": "b"}]}}}')
    assert handover.due("embedded") == {"version": 3, "deployment": {"resources": [{"urn": "b"}]}}
    handover.taken("embedded")
    assert handover.keeper() == "embedded"


def test_what_the_cli_was_interrupted_in_is_handed_over_with_the_intents_of_our_plugin(tmp_path: Path) -> None:
    handover = EngineMigration(tmp_path, "shop", "local")
    handover.taken("pulumi")
    assert handover.interrupted() == ()
    urns = [f"urn:pulumi:local::shop::aws:kms/key:Key::{name}" for name in ("new", "replaced")]
    resources = [{"urn": urns[1], "id": "gone", "delete": True}, {"urn": urns[1], "id": "k-1"}]
    pending = [{"type": "creating", "resource": {"urn": urn}} for urn in urns]
    theirs = EngineDirectories(tmp_path.resolve()).checkpoint("shop", "local")
    theirs.parent.mkdir(parents=True)
    latest = {"resources": resources, "pending_operations": pending}
    theirs.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))
    assert handover.interrupted() == tuple(urns)
    document = handover.due("embedded")
    assert document is not None
    intents = [operation["intent"] for operation in document["deployment"]["pending_operations"]]
    assert intents == [intent_of(urns[0], ""), intent_of(urns[1], "k-1")]
    handover.taken("embedded")
    assert handover.interrupted() == ()


def test_the_launcher_is_written_once_and_again_when_it_has_to_say_something_else(tmp_path: Path) -> None:
    path = write_launcher(tmp_path / "plugins")
    assert path.name == "pulumi-resource-aws"
    assert sys.executable in path.read_text()
    before = path.stat().st_mtime_ns
    assert write_launcher(tmp_path / "plugins").stat().st_mtime_ns == before
    write_launcher(tmp_path / "plugins", provider="other:make")
    assert "other:make" in path.read_text()


def test_the_launcher_can_be_written_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launcher.main([str(tmp_path / "plugins")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "plugins" / "pulumi-resource-aws")


def test_a_launched_plugin_says_its_port_and_ends_when_told_to(tmp_path: Path) -> None:
    path = write_launcher(tmp_path, "test", provider="golden.oracle.plugin:make", version="1.0.0")
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "ORACLE_WORLD": str(tmp_path / "world")}
    with subprocess.Popen([path, "127.0.0.1:9"], stdout=subprocess.PIPE, env=environment, text=True) as plugin:
        assert plugin.stdout is not None
        assert int(plugin.stdout.readline()) > 0
        plugin.terminate()
        assert plugin.wait(timeout=10) == 0


def test_an_aws_plugin_without_a_platform_ends_with_the_next_command(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "AWS_ENDPOINT_URL"}
    done = subprocess.run(
        [write_launcher(tmp_path)], capture_output=True, env=environment, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "bedplate local status" in done.stderr
