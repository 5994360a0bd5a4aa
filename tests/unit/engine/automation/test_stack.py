"""The application's view: the committed program through Pulumi's Automation API, on the embedded engine."""

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
from golden.oracle.world import World, WorldProvider

PROGRAM = """
import os
import pulumi
from sizes import SIZE


class Thing(pulumi.CustomResource):
    computed: pulumi.Output[str]

    def __init__(self, name, props, opts=None):
        super().__init__("test:index:Thing", name, {**props, "computed": None}, opts)


config = pulumi.Config()
print("said by the program", os.path.basename(os.getcwd()))
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


def stack(project: Path, world: World, name: str = "s") -> Stack:
    return Stack(
        project, name, endpoint_url="http://127.0.0.1:1", provider_factory=lambda package: WorldProvider(world)
    )


def test_preview_up_up_again_and_destroy(project: Path) -> None:
    world = World()
    s = stack(project, world)
    planned = s.preview()
    assert planned.counts == {"create": 3}
    assert [step.name for step in planned.steps] == ["shop-s", "first", "second"]
    assert planned.messages == ("said by the program infra",)
    assert world.things == {}
    up = s.up()
    assert (up.counts, up.changed) == ({"create": 3}, True)
    assert up.outputs == {"second": "c:second-1", "password": "[secret]"}
    assert world.things["first-1"] == {"size": 1, "kind": "small", "rules": [{"port": 80}]}
    again = s.up()
    assert (again.counts, again.steps, again.changed) == ({"same": 3}, (), False)
    assert s.outputs(show_secrets=True)["password"] == "hush"
    assert s.destroy().counts == {"delete": 3}
    assert world.things == {}
    assert [past.verb for past in s.history()] == ["destroy", "up", "up"]


def test_what_a_run_was_for_is_told_by_the_history(project: Path) -> None:
    s = stack(project, World()).noting("the first one")
    s.up()
    s.refresh()
    s.noting(None).up()
    s.noting("no longer needed").destroy()
    assert [past.message for past in s.history()] == ["no longer needed", "", "the first one", "the first one"]


def test_a_look_at_the_world_first_is_no_step_of_an_update(project: Path) -> None:
    s = stack(project, World())
    s.up()
    looked = s.up(refresh=True)
    assert (looked.steps, looked.counts) == ((), {"same": 3})


def test_steps_tell_the_properties_that_change_and_which_of_them_replace(project: Path) -> None:
    s = stack(project, World())
    s.up()
    configure(project, "kind: large\n  rules: [{port: 443}]")
    # Another length: Python takes a file of the same second and size for the one whose bytecode it kept.
    (project / "infra" / "sizes.py").write_text("SIZE = 1 + 1\n")
    steps = {step.name: step for step in s.preview().steps}
    assert steps["first"].op == "update"
    assert set(steps["first"].changes) == {
        PropertyChange("size", 1, 2, False),
        PropertyChange("kind", "small", "large", False),
        PropertyChange("rules[0].port", 80, 443, False),
    }
    assert (steps["second"].op, steps["second"].replace_keys) == ("replace", ("forceKind",))
    assert PropertyChange("forceKind", "small", "large", True) in steps["second"].changes


def test_progress_is_told_while_it_happens(project: Path) -> None:
    told: list[Progress] = []
    stack(project, World()).up(on_progress=told.append)
    assert [(p.state, p.op, p.name) for p in told if p.name == "first"] == [
        ("begin", "create", "first"),
        ("done", "create", "first"),
    ]
    assert told[-1].done == 3


def test_refresh_tells_what_the_world_has_become(project: Path) -> None:
    world = World()
    s = stack(project, world)
    s.up()
    world.things["first-1"]["kind"] = "changed by hand"
    del world.things["second-1"]
    found = s.refresh()
    assert [(step.op, step.name) for step in found.steps] == [("update", "first"), ("delete", "second")]
    assert found.steps[0].changes == (PropertyChange("kind", "small", "changed by hand", False),)
    assert s.up().counts == {"same": 1, "update": 1, "create": 1}


def test_a_failed_step_is_an_error_that_names_the_resource_and_the_same_command_goes_on(project: Path) -> None:
    world = World()
    s = stack(project, world)
    (project / "infra" / "sizes.py").write_text("SIZE = 1\nimport builtins\n")
    broken = PROGRAM.replace('{"src": first.computed,', '{"fail": ["create"], "src": first.computed,')
    (project / "infra" / "__main__.py").write_text(broken)
    with pytest.raises(PlatformError, match="create of second-1 was refused") as told:
        s.up()
    assert "update failed" not in str(told.value)
    assert told.value.next_step == "bedplate up --stack s"
    (project / "infra" / "__main__.py").write_text(PROGRAM)
    assert s.up().counts == {"same": 2, "create": 1}


def test_a_program_that_raises_is_told_with_its_own_frames_only(project: Path) -> None:
    (project / "infra" / "sizes.py").write_text("SIZE = 1 / 0\n")
    with pytest.raises(PlatformError) as told:
        stack(project, World()).up()
    assert "ZeroDivisionError" in str(told.value)
    assert "sizes.py" in str(told.value)
    assert "runpy" not in str(told.value)


def test_the_process_is_left_as_it_was_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (Path.cwd(), list(sys.path), list(sys.argv), dict(os.environ), "sizes" in sys.modules)
    from pulumi.runtime import resource

    tells = resource._get_stack_trace
    stack(project, World()).up()
    assert (Path.cwd(), list(sys.path), list(sys.argv), dict(os.environ), "sizes" in sys.modules) == before
    assert resource._get_stack_trace is tells
    assert gc.isenabled()


def test_a_stack_that_was_never_brought_up_is_not_found(project: Path) -> None:
    s = stack(project, World(), "other")
    for verb in (s.destroy, s.refresh, s.outputs, s.history, s.preview_destroy):
        with pytest.raises(NotFound):
            verb()


@pytest.mark.parametrize("url", ["https://sagemaker.us-east-1.amazonaws.com", "http://10.0.0.1:1", "http://local", ""])
def test_the_embedded_engine_refuses_whatever_is_not_on_this_machine(url: str, project: Path) -> None:
    with pytest.raises(UsageError, match="this machine only"):
        Stack(project, "s", endpoint_url=url, provider_factory=lambda package: WorldProvider(World()))


@pytest.mark.parametrize("url", ["http://127.0.0.1:4566", "http://localhost:1", "http://[::1]:4566"])
def test_loopback_addresses_are_this_machine(url: str) -> None:
    require_loopback(url)


def test_configuration_is_set_without_touching_the_rest_of_the_file(project: Path) -> None:
    from pulumi.automation import ConfigValue, LocalWorkspace
    from pulumi.automation import Stack as AutomationStack

    command: Any = EmbeddedCommand(
        project / "state", lambda package: WorldProvider(World()), endpoint_url="http://127.0.0.1:1"
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
    kept = auto.get_all_config()["shop:password"]
    assert (kept.value, kept.secret) == ("hush", True)
    found = Project.load(project).configuration("s", lambda: (project / "state" / "s.key").read_text())
    assert found.values["shop:password"] == "hush"
    assert found.secret_keys == {"shop:password"}


def test_a_command_line_that_is_not_served_is_refused_by_name(project: Path) -> None:
    from pulumi.automation.errors import CommandError

    command = EmbeddedCommand(
        project / "state", lambda package: WorldProvider(World()), endpoint_url="http://127.0.0.1:1"
    )
    for args in (["plugin", "install"], ["up", "--exclude", "urn", "--stack", "s"], ["up", "--client=127.0.0.1:1"]):
        with pytest.raises(CommandError, match="does not serve"):
            command.run(args, str(project), {})


def test_a_fault_in_a_file_that_the_program_reads_is_told_without_a_traceback(project: Path) -> None:
    faulty = (
        "from bedplate.errors import SettingsError\nraise SettingsError('models/churn/model.yaml: risk: unknown')\n"
    )
    (project / "infra" / "sizes.py").write_text(faulty)
    with pytest.raises(PlatformError) as refused:
        stack(project, World()).up()
    assert refused.value.message == "models/churn/model.yaml: risk: unknown"


def test_a_limited_run_changes_its_targets_and_what_depends_on_them_if_asked(project: Path) -> None:
    world = World()
    assert stack(project, world).up().counts["create"] == 3
    configure(project, "kind: large\n  rules: [{port: 80}]")
    limited = stack(project, world).limit(targets=["second"])
    assert [(step.op, step.name) for step in limited.preview().steps] == [("replace", "second")]
    both = stack(project, world).limit(targets=["first"], dependents=True)
    assert sorted((step.op, step.name) for step in both.up().steps) == [("replace", "second"), ("update", "first")]
    assert not stack(project, world).up().changed
    anew = stack(project, world).limit(replace=["**::first"])
    assert sorted((step.op, step.name) for step in anew.up().steps) == [("replace", "first"), ("update", "second")]
    with pytest.raises(PlatformError, match="not specified in --target list"):
        stack(project, world).limit(targets=["first"]).destroy()
    assert stack(project, world).limit(targets=["second"]).destroy().counts["delete"] == 1
    assert sorted(world.things) == ["first-2"]
