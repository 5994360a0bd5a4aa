"""The id of the platform's state over stops and kills, and when the engine refreshes because of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedplate.engine.state.state_epoch import StateEpoch
from bedplate.local.storage.generation import Generation


def test_the_id_stays_the_same_when_everything_was_saved(tmp_path: Path) -> None:
    first = Generation(tmp_path)
    first.mark_unsaved()
    first.mark_saved()
    assert Generation(tmp_path).id == first.id


def test_the_id_changes_after_a_kill_with_unsaved_changes(tmp_path: Path) -> None:
    first = Generation(tmp_path)
    first.mark_unsaved()
    second = Generation(tmp_path)
    assert second.id != first.id
    assert Generation(tmp_path).id == second.id


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_new_stack_needs_no_refresh(state: Path) -> None:
    epoch = StateEpoch(state, "local", "a")
    assert not epoch.needs_refresh()
    epoch.start_run()
    (state / "local.json").write_text("{}")
    assert not StateEpoch(state, "local", "a").needs_refresh(), "nor after the command was killed"


def test_a_state_of_another_generation_needs_a_refresh_until_a_run_finishes(state: Path) -> None:
    StateEpoch(state, "local", "a").start_run()
    (state / "local.json").write_text("{}")
    epoch = StateEpoch(state, "local", "b")
    assert epoch.needs_refresh()
    epoch.start_run()
    assert epoch.needs_refresh(), "starting a run is not enough"
    epoch.finish_run()
    assert not StateEpoch(state, "local", "b").needs_refresh()


def test_a_state_without_a_generation_needs_a_refresh(state: Path) -> None:
    state.mkdir()
    (state / "local.json").write_text("{}")
    assert StateEpoch(state, "local", "a").needs_refresh()


def test_a_platform_without_a_generation_needs_no_refresh(state: Path) -> None:
    state.mkdir()
    (state / "local.json").write_text("{}")
    assert not StateEpoch(state, "local", None).needs_refresh()
