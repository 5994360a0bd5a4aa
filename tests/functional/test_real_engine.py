"""The real Pulumi engine and the embedded one, held against each other: one program, provider half and platform."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from bedplate.engine.automation import pulumi_cli
from bedplate.engine.automation.engine_migration import Engine
from bedplate.engine.automation.pulumi_cli import EngineDirectories
from bedplate.engine.automation.stack import Stack
from bedplate.engine.automation.update import PastUpdate, Update
from bedplate.engine.provider import provider_factory
from bedplate.errors import PlatformError
from bedplate.local import lifecycle
from golden.oracle.comparing import compare, edges
from golden.oracle.real import RealEngine
from golden.oracle.runs import RECORDINGS
from repository import ROOT

CLI = pulumi_cli.find()
pytestmark = [
    pytest.mark.skipif(
        CLI is None,
        reason="no Pulumi CLI on PATH, in ~/.pulumi or named by BEDPLATE_PULUMI: the engines are not compared",
    ),
    pytest.mark.filterwarnings("ignore:.*has been deprecated in favor of:DeprecationWarning"),  # pulumi_aws of itself
]
REGION = "us-east-1"
SCENARIOS = (
    "create-fails-then-recovers",
    "create-noop-destroy",
    "delete-before-replace-with-dependents",
    "deleted-with",
    "import-then-adopt",
    "preview-of-unknown-chain",
    "protect-refuses-delete",
    "rename-with-alias",
)
"""Of the recordings those that say most. `check-fails` is not among them, for there the real engine races with itself,
nor `refresh-sees-drift-and-loss`, for it looks at everything at once, in no order."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_real_engine_does_over_our_plugin_what_it_was_recorded_doing(name: str, tmp_path: Path) -> None:
    assert CLI is not None
    engine = RealEngine(tmp_path, CLI)
    for number, recorded in enumerate(RECORDINGS[name]):
        before = edges(engine.checkpoint())
        played = engine.play(recorded["step"])
        compare(played, recorded, before, engine.world.things, f"{name}, step {number} ({recorded['step']['op']})")


# --- the platform program -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Project:
    """This repository's program in a folder of its own, with a local platform of its own."""

    folder: Path
    url: str

    def stack(self, engine: Engine, state: str) -> Stack:
        return Stack(
            self.folder,
            "local",
            engine=engine,
            endpoint_url=self.url,
            provider_factory=provider_factory(self.url, REGION),
            state_dir=self.folder / state,
        )

    @property
    def stack_file(self) -> Path:
        return self.folder / "stacks" / "Pulumi.local.yaml"

    def write(self, changes: Mapping[str, str] = MappingProxyType({})) -> None:
        """The committed stack file, with some of its text replaced."""
        text = (ROOT / "stacks" / "Pulumi.local.yaml").read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        self.stack_file.write_text(text)

    def change(self) -> None:
        """A larger budget, another address, another instance type: updates, a create, a delete and a replacement."""
        override = "      rollout: {bake_s: 6, min_answers: 200}\n"
        self.write(
            {
                "monthly_usd: 20\n": "monthly_usd: 21\n",
                "finance@": "treasury@",
                override: override + "      serving: {instance_type: ml.m5.xlarge}\n",
            }
        )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "Pulumi.yaml", folder)
    for name in ("infra", "models", "stacks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".venv").symlink_to(sys.prefix)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "BEDPLATE_STATE", "PULUMI_"))]:
            patch.delenv(name)
        yield Project(folder, str(lifecycle.start(folder, port=0).url))
        lifecycle.stop(folder)


@dataclass(frozen=True)
class Life:
    """What one engine did, from nothing to nothing."""

    preview: Update
    created: Update
    again: Update
    preview_of_change: Update
    changed: Update
    destroyed: Update
    exported: dict[str, Any]
    history: list[PastUpdate]


def live(project: Project, engine: Engine, state: str) -> Life:
    project.write()
    stack = project.stack(engine, state)
    preview, created, again = stack.preview(), stack.up(), stack.up()
    exported = stack.export(show_secrets=True)
    project.change()
    preview_of_change, changed = stack.preview(), stack.noting("a larger budget").up()
    destroyed = stack.noting(None).destroy()
    return Life(preview, created, again, preview_of_change, changed, destroyed, exported, stack.history())


@pytest.fixture(scope="module")
def real(project: Project) -> Life:
    return live(project, "pulumi", "real")


@pytest.fixture(scope="module")
def embedded(project: Project) -> Life:
    return live(project, "embedded", "embedded")


VERBS = ("preview", "created", "again", "preview_of_change", "changed", "destroyed")


@pytest.mark.parametrize("verb", VERBS)
def test_both_engines_take_the_same_steps(verb: str, real: Life, embedded: Life) -> None:
    theirs, ours = getattr(real, verb), getattr(embedded, verb)
    assert brief(ours) == brief(theirs)
    assert ours.counts == theirs.counts


@pytest.mark.parametrize("verb", ["created", "again", "changed"])
def test_both_engines_export_the_same(verb: str, real: Life, embedded: Life) -> None:
    theirs, ours = getattr(real, verb), getattr(embedded, verb)
    assert without_uuids(ours.outputs) == without_uuids(theirs.outputs)
    assert ours.outputs["fallback_releases"] == theirs.outputs["fallback_releases"]


def test_both_engines_keep_the_same_history(real: Life, embedded: Life) -> None:
    def told(life: Life) -> list[tuple[Any, ...]]:
        return [(run.verb, run.result, dict(run.counts), run.message) for run in life.history]

    assert told(embedded) == told(real)
    assert [run.verb for run in real.history] == ["destroy", "up", "up", "up"]
    assert [run.message for run in real.history] == ["", "a larger budget", "", ""]
    assert [run.version for run in embedded.history] == [4, 3, 2, 1]
    assert {run.version for run in real.history} == {None}, "its backend on disk does not number"
    for life, engine in ((real, "pulumi"), (embedded, "embedded")):
        assert {run.engine.split()[0] for run in life.history} == {engine}
        assert all(run.ended_at and run.ended_at >= run.started_at for run in life.history)


def test_the_newest_of_a_history_can_be_asked_for_alone(real: Life, project: Project) -> None:
    newest = project.stack("pulumi", "real").history(1)
    assert newest == real.history[:1]


def test_what_happens_is_what_was_meant_to_happen(real: Life) -> None:
    """So that two engines that do nothing, or all of it wrongly, do not agree unseen."""
    assert real.preview.counts == real.created.counts
    assert real.created.counts["create"] > 50
    assert not real.again.changed
    assert {"create", "update", "replace", "delete"} <= set(real.changed.counts)
    assert real.destroyed.counts == {"delete": real.created.counts["create"]}


def test_neither_engine_writes_into_the_committed_stack_file(project: Project, real: Life, embedded: Life) -> None:
    assert "encryptionsalt" not in project.stack_file.read_text()


def test_each_engine_imports_the_others_export_and_then_changes_nothing(project: Project) -> None:
    project.write()
    first = project.stack("embedded", "from")
    made = first.up()
    taken = project.stack("pulumi", "imported-by-pulumi")
    taken.import_(first.export(show_secrets=True))
    assert brief(taken.preview()) == brief(taken.up()) == []
    back = project.stack("embedded", "imported-by-embedded")
    back.import_(taken.export(show_secrets=True))
    again = back.up()
    assert brief(again) == []
    assert again.outputs == made.outputs
    assert brief(back.refresh()) == []
    assert back.destroy().counts == {"delete": made.counts["create"]}


def test_the_state_goes_along_from_engine_to_engine(project: Project) -> None:
    project.write()
    embedded, real = project.stack("embedded", "shared"), project.stack("pulumi", "shared")
    made = real.up()
    assert not embedded.up().changed
    assert embedded.outputs() == real.outputs() == made.outputs
    project.change()
    changed = embedded.up()
    assert changed.changed
    assert not real.up().changed
    assert real.destroy().counts["delete"] == made.counts["create"]
    assert embedded.preview().counts == made.counts


def test_what_a_killed_cli_was_making_is_found_by_the_embedded_engine_and_not_made_again(project: Project) -> None:
    project.write()
    embedded, real = project.stack("embedded", "killed"), project.stack("pulumi", "killed")
    made = real.up()
    checkpoint = EngineDirectories((project.folder / "killed").resolve()).checkpoint("bedplate", "local")
    leave_as_if_killed_in_the_create_of("platform-outputs", checkpoint)
    with pytest.raises(PlatformError, match="interrupted while at work on platform-outputs") as refused:
        real.up()
    assert "--engine embedded" in (refused.value.next_step or "")
    again = embedded.up()
    assert not again.changed
    assert "found what it made" in " ".join(again.messages)
    assert not real.up().changed
    assert embedded.destroy().counts == {"delete": made.counts["create"]}


def leave_as_if_killed_in_the_create_of(name: str, checkpoint: Path) -> None:
    document = json.loads(checkpoint.read_text())
    latest = document["checkpoint"]["latest"]
    (cut,) = [resource for resource in latest["resources"] if resource["urn"].endswith(f"::{name}")]
    latest["resources"].remove(cut)
    announced = {key: value for key, value in cut.items() if key not in ("id", "outputs")}
    latest["pending_operations"] = [{"type": "creating", "resource": announced}]
    checkpoint.write_text(json.dumps(document))


def brief(update: Update) -> list[tuple[Any, ...]]:
    """Steps without their order (independent ones have none), and with every property that changes."""
    return sorted(
        (
            step.op,
            step.urn,
            tuple(sorted(repr((c.path, *map(without_uuids, (c.old, c.new)), c.replaces)) for c in step.changes)),
            tuple(sorted(step.replace_keys)),
        )
        for step in update.steps
    )


def without_uuids(value: Any) -> Any:
    """What the service assigns anew (a key's id) is another one every time."""
    return json.loads(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", json.dumps(value)))
