"""Stack runs a program through Pulumi's Automation API on the embedded engine."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine.automation.embedded import EmbeddedCommand, require_loopback
from bedplate.engine.automation.project import Project
from bedplate.engine.automation.stack import Stack
from bedplate.engine.automation.update import Progress, PropertyChange
from bedplate.errors import NotFound, PlatformError, UsageError
from golden.oracle.fake_cloud import FakeCloud, FakeCloudProvider

PROGRAM = """
import os
import pulumi
from sizes import SIZE


class Thing(pulumi.CustomResource):
    computed: pulumi.Output[str]

    def __init__(self, name, props, opts=None):
        super().__init__("test:index:Thing", name, {**props, "computed": None}, opts)


config = pulumi.Config()
print("output of the program", os.path.basename(os.getcwd()))
first = Thing("first", {"size": SIZE, "kind": config.require("kind"), "rules": config.require_object("rules")})
second = Thing("second", {"src": first.computed, "forceKind": config.require("kind")})
if config.get_bool("hidden"):
    Thing("third", {"password": config.require_secret("password")})
pulumi.export("second", second.computed)
pulumi.export("password", pulumi.Output.secret("hush"))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "infra").mkdir()
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nmain: infra\nstackConfigDir: stacks\nruntime: python\n")
    (tmp_path / "infra" / "__main__.py").write_text(PROGRAM)
    (tmp_path / "infra" / "sizes.py").write_text("SIZE = 1\n")
    configure(tmp_path, "kind: small\n  rules: [{port: 80}]")
    return tmp_path


def configure(project: Path, lines: str) -> None:
    (project / "stacks" / "Pulumi.s.yaml").write_text(f"# kept\nconfig:\n  {lines}\n")


def build_stack(project: Path, cloud: FakeCloud, name: str = "s") -> Stack:
    return Stack(
        project, name, endpoint_url="http://127.0.0.1:1", provider_factory=lambda package: FakeCloudProvider(cloud)
    )


def test_preview_up_a_second_up_and_destroy(project: Path) -> None:
    cloud = FakeCloud()
    stack = build_stack(project, cloud)
    planned = stack.preview()
    assert planned.counts == {"create": 3}
    assert [step.name for step in planned.steps] == ["shop-s", "first", "second"]
    assert planned.messages == ("output of the program infra",)
    assert cloud.resources == {}
    up = stack.up()
    assert (up.counts, up.has_changes) == ({"create": 3}, True)
    assert up.outputs == {"second": "c:second-1", "password": "[secret]"}
    assert cloud.resources["first-1"] == {"size": 1, "kind": "small", "rules": [{"port": 80}]}
    repeated = stack.up()
    assert (repeated.counts, repeated.steps, repeated.has_changes) == ({"same": 3}, (), False)
    assert stack.outputs(show_secrets=True)["password"] == "hush"
    assert stack.destroy().counts == {"delete": 3}
    assert cloud.resources == {}
    assert [past.verb for past in stack.history()] == ["destroy", "up", "up"]


def test_the_history_contains_the_message_of_a_run(project: Path) -> None:
    stack = build_stack(project, FakeCloud()).set_message("the first one")
    stack.up()
    stack.refresh()
    stack.set_message(None).up()
    stack.set_message("no longer needed").destroy()
    assert [past.message for past in stack.history()] == ["no longer needed", "", "the first one", "the first one"]


def test_a_refresh_before_an_update_is_not_a_step(project: Path) -> None:
    stack = build_stack(project, FakeCloud())
    stack.up()
    update = stack.up(refresh=True)
    assert (update.steps, update.counts) == ((), {"same": 3})


def test_steps_contain_the_changed_properties_and_which_of_them_replace(project: Path) -> None:
    stack = build_stack(project, FakeCloud())
    stack.up()
    configure(project, "kind: large\n  rules: [{port: 443}]")
    # Of another length: Python reuses the bytecode of a file with the same size and modification second.
    (project / "infra" / "sizes.py").write_text("SIZE = 1 + 1\n")
    steps = {step.name: step for step in stack.preview().steps}
    assert steps["first"].op == "update"
    assert set(steps["first"].changes) == {
        PropertyChange("size", 1, 2, False),
        PropertyChange("kind", "small", "large", False),
        PropertyChange("rules[0].port", 80, 443, False),
    }
    assert (steps["second"].op, steps["second"].replace_keys) == ("replace", ("forceKind",))
    assert PropertyChange("forceKind", "small", "large", True) in steps["second"].changes


def test_progress_is_reported_during_a_run(project: Path) -> None:
    reports: list[Progress] = []
    build_stack(project, FakeCloud()).up(on_progress=reports.append)
    assert [(p.state, p.op, p.name) for p in reports if p.name == "first"] == [
        ("begin", "create", "first"),
        ("done", "create", "first"),
    ]
    assert reports[-1].completed_count == 3


def test_a_refresh_finds_changed_and_deleted_resources(project: Path) -> None:
    cloud = FakeCloud()
    stack = build_stack(project, cloud)
    stack.up()
    cloud.resources["first-1"]["kind"] = "changed by hand"
    del cloud.resources["second-1"]
    update = stack.refresh()
    assert [(step.op, step.name) for step in update.steps] == [("update", "first"), ("delete", "second")]
    assert update.steps[0].changes == (PropertyChange("kind", "small", "changed by hand", False),)
    assert stack.up().counts == {"same": 1, "update": 1, "create": 1}


def test_a_failed_step_is_an_error_with_the_resource_name_and_a_second_up_continues(project: Path) -> None:
    cloud = FakeCloud()
    stack = build_stack(project, cloud)
    (project / "infra" / "sizes.py").write_text("SIZE = 1\nimport builtins\n")
    broken = PROGRAM.replace('{"src": first.computed,', '{"fail": ["create"], "src": first.computed,')
    (project / "infra" / "__main__.py").write_text(broken)
    with pytest.raises(PlatformError, match="create of second-1 was refused") as error:
        stack.up()
    assert "update failed" not in str(error.value)
    assert error.value.next_step == "bedplate up --stack s"
    (project / "infra" / "__main__.py").write_text(PROGRAM)
    assert stack.up().counts == {"same": 2, "create": 1}


def test_an_exception_of_the_program_is_reported_with_the_programs_own_frames(project: Path) -> None:
    (project / "infra" / "sizes.py").write_text("SIZE = 1 / 0\n")
    with pytest.raises(PlatformError) as error:
        build_stack(project, FakeCloud()).up()
    assert "ZeroDivisionError" in str(error.value)
    assert "sizes.py" in str(error.value)
    assert "runpy" not in str(error.value)


def test_a_run_restores_the_state_of_the_process(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (Path.cwd(), list(sys.path), list(sys.argv), dict(os.environ), "sizes" in sys.modules)
    from pulumi.runtime import resource

    get_stack_trace = resource._get_stack_trace
    build_stack(project, FakeCloud()).up()
    assert (Path.cwd(), list(sys.path), list(sys.argv), dict(os.environ), "sizes" in sys.modules) == before
    assert resource._get_stack_trace is get_stack_trace
    assert gc.isenabled()


def test_a_stack_without_a_state_is_not_found(project: Path) -> None:
    stack = build_stack(project, FakeCloud(), "other")
    for verb in (stack.destroy, stack.refresh, stack.outputs, stack.history, stack.preview_destroy):
        with pytest.raises(NotFound):
            verb()


@pytest.mark.parametrize("url", ["https://sagemaker.us-east-1.amazonaws.com", "http://10.0.0.1:1", "http://local", ""])
def test_the_embedded_engine_rejects_endpoints_of_other_machines(url: str, project: Path) -> None:
    with pytest.raises(UsageError, match="this machine only"):
        Stack(project, "s", endpoint_url=url, provider_factory=lambda package: FakeCloudProvider(FakeCloud()))


@pytest.mark.parametrize("url", ["http://127.0.0.1:4566", "http://localhost:1", "http://[::1]:4566"])
def test_loopback_addresses_are_on_this_machine(url: str) -> None:
    require_loopback(url)


def test_setting_a_value_keeps_the_rest_of_the_stack_file(project: Path) -> None:
    from pulumi.automation import ConfigValue, LocalWorkspace
    from pulumi.automation import Stack as AutomationStack

    command: Any = EmbeddedCommand(
        project / "state", lambda package: FakeCloudProvider(FakeCloud()), endpoint_url="http://127.0.0.1:1"
    )
    workspace = LocalWorkspace(work_dir=str(project), pulumi_command=command)
    auto = AutomationStack.create_or_select("s", workspace)
    auto.set_config("kind", ConfigValue("huge"))
    auto.set_config("password", ConfigValue("hush", secret=True))
    text = (project / "stacks" / "Pulumi.s.yaml").read_text()
    assert "# kept" in text
    assert "rules: [{port: 80}]" in text
    assert "hush" not in text
    assert auto.get_config("kind").value == "huge"
    secret = auto.get_all_config()["shop:password"]
    assert (secret.value, secret.secret) == ("hush", True)
    configuration = Project.load(project).configuration("s", lambda: (project / "state" / "s.passphrase").read_text())
    assert configuration.values["shop:password"] == "hush"
    assert configuration.secret_keys == {"shop:password"}


def test_an_unsupported_command_line_is_rejected(project: Path) -> None:
    from pulumi.automation.errors import CommandError

    command = EmbeddedCommand(
        project / "state", lambda package: FakeCloudProvider(FakeCloud()), endpoint_url="http://127.0.0.1:1"
    )
    for args in (["plugin", "install"], ["up", "--exclude", "urn", "--stack", "s"], ["up", "--client=127.0.0.1:1"]):
        with pytest.raises(CommandError, match="does not support"):
            command.run(args, str(project), {})


def test_an_error_in_a_file_of_the_user_is_reported_without_a_traceback(project: Path) -> None:
    faulty = (
        "from bedplate.errors import SettingsError\nraise SettingsError('models/churn/model.yaml: risk: unknown')\n"
    )
    (project / "infra" / "sizes.py").write_text(faulty)
    with pytest.raises(PlatformError) as error:
        build_stack(project, FakeCloud()).up()
    assert error.value.message == "models/churn/model.yaml: risk: unknown"


def test_a_limited_run_changes_its_targets_and_optionally_their_dependents(project: Path) -> None:
    cloud = FakeCloud()
    assert build_stack(project, cloud).up().counts["create"] == 3
    configure(project, "kind: large\n  rules: [{port: 80}]")
    target = build_stack(project, cloud).limit(targets=["second"])
    assert [(step.op, step.name) for step in target.preview().steps] == [("replace", "second")]
    dependents = build_stack(project, cloud).limit(targets=["first"], target_dependents=True)
    assert sorted((step.op, step.name) for step in dependents.up().steps) == [
        ("replace", "second"),
        ("update", "first"),
    ]
    assert not build_stack(project, cloud).up().has_changes
    replacement = build_stack(project, cloud).limit(replace=["**::first"])
    assert sorted((step.op, step.name) for step in replacement.up().steps) == [
        ("replace", "first"),
        ("update", "second"),
    ]
    with pytest.raises(PlatformError, match="not specified in --target list"):
        build_stack(project, cloud).limit(targets=["first"]).destroy()
    assert build_stack(project, cloud).limit(targets=["second"]).destroy().counts["delete"] == 1
    assert sorted(cloud.resources) == ["first-2"]
