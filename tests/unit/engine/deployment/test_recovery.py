"""After a kill at any point the next run ends in the state of an uninterrupted run: nothing is lost or duplicated."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from golden.oracle.embedded_engine import EmbeddedEngine, checkpoint_resources
from golden.oracle.fake_cloud import FakeCloud
from repository import TESTS

pytestmark = pytest.mark.filterwarnings("ignore:.*step.json")

Step = dict[str, Any]


def up(*resources: Step) -> Step:
    return {"op": "up", "resources": list(resources), "exports": {}}


def thing(name: str, opts: Step | None = None, **props: Any) -> Step:
    return {"name": name, "props": props, "opts": opts or {}}


def chain(x: int) -> Step:
    return up(
        thing("a", x=x), thing("b", src={"$ref": "a.computed"}), thing("c", src={"$ref": "b.computed"}), thing("d", y=x)
    )


def replacing(x: int, **more: Any) -> Step:
    return up(
        thing("a", forceX=x, **more),
        thing("b", forceSrc={"$ref": "a.computed"}),
        thing("c", src={"$ref": "a.computed"}),
        thing("d", {"dependsOn": ["a"]}, x=1),
    )


SCENARIOS: dict[str, tuple[Step | None, Step]] = {
    "create": (None, chain(1)),
    "update": (chain(1), chain(2)),
    "replace": (replacing(1), replacing(2)),
    "delete before replace": (replacing(1), replacing(2, dbr=True)),
    "delete": (chain(1), up(thing("a", x=1))),
    "destroy": (chain(1), {"op": "destroy", "resources": []}),
}


class Killed(Exception):
    pass


class Kill:
    """A fault that raises Killed at point number `at` and at every later one: writes and calls no longer happen."""

    def __init__(self, at: int) -> None:
        self.remaining = at
        self.is_armed = False

    def __call__(self, point: str) -> None:
        if not self.is_armed:
            return
        self.remaining -= 1
        if self.remaining < 0:
            raise Killed(point)

    @property
    def has_happened(self) -> bool:
        return self.remaining < 0


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_after_a_kill_at_any_point_the_next_run_ends_like_an_uninterrupted_one(scenario: str, tmp_path: Path) -> None:
    before, step = SCENARIOS[scenario]
    expected = run_uninterrupted(tmp_path / "uninterrupted", before, step)
    points = 0
    while True:
        kill = Kill(points)
        folder = tmp_path / str(points)
        folder.mkdir()
        cloud = FakeCloud()
        if before is not None:
            assert EmbeddedEngine(folder, cloud).run(before).ok
        killed = EmbeddedEngine(folder, cloud, fault=kill, prefix="killed")
        kill.is_armed = True
        with contextlib.suppress(Killed):
            killed.run(step)
        if not kill.has_happened:
            break
        result = EmbeddedEngine(folder, cloud, prefix="after").run(step)
        assert result.ok, (points, result.errors)
        assert state(EmbeddedEngine(folder, cloud), cloud) == expected, f"{scenario}, killed at point {points}"
        points += 1
    assert points > 5


def run_uninterrupted(folder: Path, before: Step | None, step: Step) -> Any:
    folder.mkdir()
    engine = EmbeddedEngine(folder)
    if before is not None:
        assert engine.run(before).ok
    assert engine.run(step).ok
    return state(engine, engine.cloud)


def state(engine: EmbeddedEngine, cloud: FakeCloud) -> Any:
    def without_dependencies(resource: Step) -> Step:
        return {k: v for k, v in resource.items() if k not in ("propertyDependencies", "dependencies")}

    snapshot = engine.store.read()
    assert not snapshot.pending
    names = {id.rpartition("-")[0] for id in cloud.resources}
    assert len(names) == len(cloud.resources), "a resource exists twice"
    resources = map(without_dependencies, checkpoint_resources(engine.store))
    return (
        {name_of(id): without_counts(inputs) for id, inputs in cloud.resources.items()},
        sorted((resource["urn"], str(without_counts(resource.get("inputs")))) for resource in resources),
    )


def name_of(id: str) -> str:
    return id.rpartition("-")[0]


def without_counts(value: Any) -> Any:
    """Removes the creation counts from references: an interrupted replacement may have created one resource more."""
    if isinstance(value, dict):
        return {k: without_counts(v) for k, v in value.items()}
    return name_of(value) if isinstance(value, str) and value.startswith("c:") else value


def test_a_created_resource_that_is_not_in_the_journal_is_found_by_its_intent(tmp_path: Path) -> None:
    kill = Kill(0)
    cloud = FakeCloud()

    def fault(point: str) -> None:
        if point.startswith("after create a"):
            kill.is_armed = True
        kill(point)

    engine = EmbeddedEngine(tmp_path, cloud, fault=fault)
    with contextlib.suppress(Killed):
        engine.run(chain(1))
    assert "a-1" in cloud.resources
    assert [op.kind for op in engine.store.read().pending if op.resource.urn.endswith("::a")] == ["creating"]
    assert EmbeddedEngine(tmp_path, cloud, prefix="after").run(chain(1)).ok
    assert sorted(cloud.resources) == ["a-1", "b-1", "c-1", "d-1"]


def test_a_rejected_create_leaves_no_pending_operation(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    result = engine.run(up(thing("a", fail=["create"])))
    assert not result.ok
    assert engine.store.read().pending == []


CHILD = """
import json, sys, threading
from pathlib import Path
sys.path.insert(0, {tests!r})
from golden.oracle.embedded_engine import EmbeddedEngine
from golden.oracle.fake_cloud import FakeCloud
folder, cloud = Path({folder!r}), FakeCloud()
def fault(point):
    if point == "after create slow":
        print(json.dumps([cloud.resources, cloud.create_counts, cloud.intents]), file=sys.__stdout__, flush=True)
        threading.Event().wait()
EmbeddedEngine(folder, cloud, fault=fault, prefix="child").run({step!r})
"""


def test_a_run_recovers_by_itself_from_kill_9_during_a_create(tmp_path: Path) -> None:
    step = up(thing("a", x=1), thing("slow", src={"$ref": "a.computed"}))
    code = CHILD.format(tests=str(TESTS), folder=str(tmp_path), step=step)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        resources, create_counts, intents = json.loads(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
    cloud = FakeCloud(resources, create_counts, intents)
    engine = EmbeddedEngine(tmp_path, cloud, prefix="after")
    assert [op.kind for op in engine.store.read().pending] == ["creating"]
    assert engine.run(step).ok
    assert sorted(cloud.resources) == ["a-1", "slow-1"]
    assert engine.store.read().pending == []
