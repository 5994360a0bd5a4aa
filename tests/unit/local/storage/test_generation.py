"""The name of what the platform holds, over stops and kills, and what the engine concludes from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedplate.engine.state.state_epoch import StateEpoch as Seen
from bedplate.local.storage.generation import Generation


def test_the_world_keeps_its_name_over_a_stop_that_saved_everything(tmp_path: Path) -> None:
    first = Generation(tmp_path)
    first.changed()
    first.saved()
    assert Generation(tmp_path).world == first.world


def test_the_world_has_another_name_after_a_kill_that_lost_something(tmp_path: Path) -> None:
    first = Generation(tmp_path)
    first.changed()
    second = Generation(tmp_path)
    assert second.world != first.world
    assert Generation(tmp_path).world == second.world


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_new_stack_is_made_on_the_world_it_finds(state: Path) -> None:
    seen = Seen(state, "local", "a")
    assert not seen.broken()
    seen.begin()
    (state / "local.json").write_text("{}")
    assert not Seen(state, "local", "a").broken(), "a killed command finds the world that it began on"


def test_a_state_of_another_world_is_looked_after_until_a_run_ends_well(state: Path) -> None:
    Seen(state, "local", "a").begin()
    (state / "local.json").write_text("{}")
    seen = Seen(state, "local", "b")
    assert seen.broken()
    seen.begin()
    assert seen.broken(), "beginning is not enough"
    seen.whole()
    assert not Seen(state, "local", "b").broken()


def test_a_state_that_does_not_know_its_world_is_looked_after(state: Path) -> None:
    state.mkdir()
    (state / "local.json").write_text("{}")
    assert Seen(state, "local", "a").broken()


def test_nobody_looks_where_the_world_has_no_name(state: Path) -> None:
    state.mkdir()
    (state / "local.json").write_text("{}")
    assert not Seen(state, "local", None).broken()
