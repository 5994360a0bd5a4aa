"""Compares the Pulumi CLI with the embedded engine: both run the same program with the same provider and platform."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
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
from golden.oracle.cli_engine import CliEngine
from golden.oracle.comparison import assert_same_result, dependency_pairs
from golden.oracle.embedded_engine import RECORDINGS
from program_copy import copy_program, write_local_stack_file

CLI = pulumi_cli.find_executable()
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
"""The most important recordings, without `check-fails`, in which the CLI has a race, and without
`refresh-sees-drift-and-loss`, in which it reads all resources in parallel."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_cli_does_with_our_plugin_what_the_recording_contains(name: str, tmp_path: Path) -> None:
    assert CLI is not None
    engine = CliEngine(tmp_path, CLI)
    for number, recording in enumerate(RECORDINGS[name]):
        old_pairs = dependency_pairs(engine.checkpoint())
        result = engine.play(recording["step"])
        label = f"{name}, step {number} ({recording['step']['op']})"
        assert_same_result(result, recording, old_pairs, engine.cloud.resources, label)


# --- the platform program -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Project:
    """A copy of this repository's program in a folder with its own local platform."""

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


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("project")
    copy_program(folder)
    (folder / ".venv").symlink_to(sys.prefix)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "BEDPLATE_STATE", "PULUMI_"))]:
            patch.delenv(name)
        yield Project(folder, str(lifecycle.start(folder, port=0).url))
        lifecycle.stop(folder)


@dataclass(frozen=True)
class EngineRuns:
    """The results of one engine, from the first preview to the destroy."""

    preview: Update
    created: Update
    repeated: Update
    preview_of_change: Update
    changed: Update
    destroyed: Update
    exported: dict[str, Any]
    history: list[PastUpdate]


def run_all(project: Project, engine: Engine, state: str) -> EngineRuns:
    write_local_stack_file(project.folder)
    stack = project.stack(engine, state)
    preview, created, repeated = stack.preview(), stack.up(), stack.up()
    exported = stack.export(show_secrets=True)
    write_local_stack_file(project.folder, changed=True)
    preview_of_change, changed = stack.preview(), stack.set_message("a larger budget").up()
    destroyed = stack.set_message(None).destroy()
    return EngineRuns(preview, created, repeated, preview_of_change, changed, destroyed, exported, stack.history())


@pytest.fixture(scope="module")
def pulumi(project: Project) -> EngineRuns:
    return run_all(project, "pulumi", "real")


@pytest.fixture(scope="module")
def embedded_runs(project: Project) -> EngineRuns:
    return run_all(project, "embedded", "embedded")


VERBS = ("preview", "created", "repeated", "preview_of_change", "changed", "destroyed")


@pytest.mark.parametrize("verb", VERBS)
def test_both_engines_take_the_same_steps(verb: str, pulumi: EngineRuns, embedded_runs: EngineRuns) -> None:
    by_pulumi, by_embedded = getattr(pulumi, verb), getattr(embedded_runs, verb)
    assert summarize_steps(by_embedded) == summarize_steps(by_pulumi)
    assert by_embedded.counts == by_pulumi.counts


@pytest.mark.parametrize("verb", ["created", "repeated", "changed"])
def test_both_engines_export_the_same(verb: str, pulumi: EngineRuns, embedded_runs: EngineRuns) -> None:
    by_pulumi, by_embedded = getattr(pulumi, verb), getattr(embedded_runs, verb)
    assert without_uuids(by_embedded.outputs) == without_uuids(by_pulumi.outputs)
    assert by_embedded.outputs["fallback_releases"] == by_pulumi.outputs["fallback_releases"]


def test_both_engines_keep_the_same_history(pulumi: EngineRuns, embedded_runs: EngineRuns) -> None:
    def entries(runs: EngineRuns) -> list[tuple[Any, ...]]:
        return [(run.verb, run.result, dict(run.counts), run.message) for run in runs.history]

    assert entries(embedded_runs) == entries(pulumi)
    assert [run.verb for run in pulumi.history] == ["destroy", "up", "up", "up"]
    assert [run.message for run in pulumi.history] == ["", "a larger budget", "", ""]
    assert [run.version for run in embedded_runs.history] == [4, 3, 2, 1]
    assert {run.version for run in pulumi.history} == {None}, "the CLI's backend on disk has no versions"
    for runs, engine in ((pulumi, "pulumi"), (embedded_runs, "embedded")):
        assert {run.engine.split()[0] for run in runs.history} == {engine}
        assert all(run.ended_at and run.ended_at >= run.started_at for run in runs.history)


def test_the_history_can_be_limited_to_the_newest_run(pulumi: EngineRuns, project: Project) -> None:
    newest = project.stack("pulumi", "real").history(1)
    assert newest == pulumi.history[:1]


def test_the_runs_have_the_intended_operations(pulumi: EngineRuns) -> None:
    """Two engines that both do nothing, or both do the same wrong thing, would agree."""
    assert pulumi.preview.counts == pulumi.created.counts
    assert pulumi.created.counts["create"] > 50
    assert not pulumi.repeated.has_changes
    assert {"create", "update", "replace", "delete"} <= set(pulumi.changed.counts)
    assert pulumi.destroyed.counts == {"delete": pulumi.created.counts["create"]}


def test_neither_engine_writes_into_the_committed_stack_file(
    project: Project, pulumi: EngineRuns, embedded_runs: EngineRuns
) -> None:
    assert "encryptionsalt" not in (project.folder / "stacks" / "Pulumi.local.yaml").read_text()


def test_each_engine_imports_the_export_of_the_other_without_changes(project: Project) -> None:
    write_local_stack_file(project.folder)
    first = project.stack("embedded", "from")
    created = first.up()
    imported = project.stack("pulumi", "imported-by-pulumi")
    imported.import_(first.export(show_secrets=True))
    assert summarize_steps(imported.preview()) == summarize_steps(imported.up()) == []
    imported_back = project.stack("embedded", "imported-by-embedded")
    imported_back.import_(imported.export(show_secrets=True))
    repeated = imported_back.up()
    assert summarize_steps(repeated) == []
    assert repeated.outputs == created.outputs
    assert summarize_steps(imported_back.refresh()) == []
    assert imported_back.destroy().counts == {"delete": created.counts["create"]}


def test_the_state_migrates_between_the_engines(project: Project) -> None:
    write_local_stack_file(project.folder)
    embedded, real = project.stack("embedded", "shared"), project.stack("pulumi", "shared")
    created = real.up()
    assert not embedded.up().has_changes
    assert embedded.outputs() == real.outputs() == created.outputs
    write_local_stack_file(project.folder, changed=True)
    changed = embedded.up()
    assert changed.has_changes
    assert not real.up().has_changes
    assert real.destroy().counts["delete"] == created.counts["create"]
    assert embedded.preview().counts == created.counts


def test_the_embedded_engine_finds_the_resource_that_a_killed_cli_was_creating(project: Project) -> None:
    write_local_stack_file(project.folder)
    embedded, real = project.stack("embedded", "killed"), project.stack("pulumi", "killed")
    created = real.up()
    checkpoint = EngineDirectories((project.folder / "killed").resolve()).checkpoint("bedplate", "local")
    simulate_kill_during_create("platform-outputs", checkpoint)
    with pytest.raises(PlatformError, match="interrupted during its work on platform-outputs") as error:
        real.up()
    assert "--engine embedded" in (error.value.next_step or "")
    repeated = embedded.up()
    assert not repeated.has_changes
    assert "found the resource" in " ".join(repeated.messages)
    assert not real.up().has_changes
    assert embedded.destroy().counts == {"delete": created.counts["create"]}


def simulate_kill_during_create(name: str, checkpoint: Path) -> None:
    document = json.loads(checkpoint.read_text())
    latest = document["checkpoint"]["latest"]
    (resource,) = [item for item in latest["resources"] if item["urn"].endswith(f"::{name}")]
    latest["resources"].remove(resource)
    pending = {key: value for key, value in resource.items() if key not in ("id", "outputs")}
    latest["pending_operations"] = [{"type": "creating", "resource": pending}]
    checkpoint.write_text(json.dumps(document))


def summarize_steps(update: Update) -> list[tuple[Any, ...]]:
    """Returns the steps with all changed properties, sorted because independent steps have no order."""
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
    """Removes ids that a service generates, such as that of a key."""
    return json.loads(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", json.dumps(value)))
