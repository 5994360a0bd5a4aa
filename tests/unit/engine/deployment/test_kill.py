"""Killed at any point, the same command again ends where an undisturbed run ends: nothing lost, nothing twice."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from golden.oracle.runs import Engine, checkpoint
from golden.oracle.world import World
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


STORIES: dict[str, tuple[Step | None, Step]] = {
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
    """Dead from the nth point on: no write and no call goes through any more."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.armed = False

    def __call__(self, point: str) -> None:
        if not self.armed:
            return
        self.left -= 1
        if self.left < 0:
            raise Killed(point)

    @property
    def struck(self) -> bool:
        return self.left < 0


@pytest.mark.parametrize("story", sorted(STORIES))
def test_killed_at_any_point_the_next_run_ends_as_if_nothing_had_happened(story: str, tmp_path: Path) -> None:
    before, step = STORIES[story]
    expected = undisturbed(tmp_path / "undisturbed", before, step)
    points = 0
    while True:
        kill = Kill(points)
        folder = tmp_path / str(points)
        folder.mkdir()
        world = World()
        if before is not None:
            assert Engine(folder, world).run(before).ok
        dying = Engine(folder, world, fault=kill, prefix="dying")
        kill.armed = True
        with contextlib.suppress(Killed):
            dying.run(step)
        if not kill.struck:
            break
        outcome = Engine(folder, world, prefix="after").run(step)
        assert outcome.ok, (points, outcome.errors)
        assert state(Engine(folder, world), world) == expected, f"{story}, killed at point {points}"
        points += 1
    assert points > 5


def undisturbed(folder: Path, before: Step | None, step: Step) -> Any:
    folder.mkdir()
    engine = Engine(folder)
    if before is not None:
        assert engine.run(before).ok
    assert engine.run(step).ok
    return state(engine, engine.world)


def state(engine: Engine, world: World) -> Any:
    def known(resource: Step) -> Step:
        return {k: v for k, v in resource.items() if k not in ("propertyDependencies", "dependencies")}

    snapshot = engine.store.read()
    assert not snapshot.pending
    names = {id.rpartition("-")[0] for id in world.things}
    assert len(names) == len(world.things), "something exists twice"
    return (
        {name_of(id): numbers_off(thing) for id, thing in world.things.items()},
        sorted((r["urn"], str(numbers_off(r.get("inputs")))) for r in map(known, checkpoint(engine.store))),
    )


def name_of(id: str) -> str:
    return id.rpartition("-")[0]


def numbers_off(value: Any) -> Any:
    """References without the count of creations: a resource whose replacement was cut short may be one further."""
    if isinstance(value, dict):
        return {k: numbers_off(v) for k, v in value.items()}
    return name_of(value) if isinstance(value, str) and value.startswith("c:") else value


def test_a_create_that_was_made_but_not_written_down_is_found_by_its_intent(tmp_path: Path) -> None:
    kill = Kill(0)
    world = World()

    def fault(point: str) -> None:
        if point.startswith("after create a"):
            kill.armed = True
        kill(point)

    engine = Engine(tmp_path, world, fault=fault)
    with contextlib.suppress(Killed):
        engine.run(chain(1))
    assert "a-1" in world.things
    assert [op.kind for op in engine.store.read().pending if op.resource.urn.endswith("::a")] == ["creating"]
    assert Engine(tmp_path, world, prefix="after").run(chain(1)).ok
    assert sorted(world.things) == ["a-1", "b-1", "c-1", "d-1"]


def test_a_refused_create_leaves_no_announcement_behind(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    outcome = engine.run(up(thing("a", fail=["create"])))
    assert not outcome.ok
    assert engine.store.read().pending == []


CHILD = """
import json, sys, threading
from pathlib import Path
sys.path.insert(0, {tests!r})
from golden.oracle.runs import Engine
from golden.oracle.world import World
folder, world = Path({folder!r}), World()
def fault(point):
    if point == "after create slow":
        print(json.dumps([world.things, world.made, world.intents]), file=sys.__stdout__, flush=True)
        threading.Event().wait()
Engine(folder, world, fault=fault, prefix="child").run({step!r})
"""


def test_kill_minus_nine_in_a_create_needs_no_word_from_anybody(tmp_path: Path) -> None:
    step = up(thing("a", x=1), thing("slow", src={"$ref": "a.computed"}))
    code = CHILD.format(tests=str(TESTS), folder=str(tmp_path), step=step)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        things, made, intents = json.loads(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
    world = World(things, made, intents)
    engine = Engine(tmp_path, world, prefix="after")
    assert [op.kind for op in engine.store.read().pending] == ["creating"]
    assert engine.run(step).ok
    assert sorted(world.things) == ["a-1", "slow-1"]
    assert engine.store.read().pending == []
