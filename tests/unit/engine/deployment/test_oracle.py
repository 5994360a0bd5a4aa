"""The embedded engine does what the real one was recorded doing, scenario by scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden.oracle.comparing import compare, edges
from golden.oracle.runs import RECORDINGS, Engine, checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*step.json")
"""The recordings' program, kept as it was, does not close the file that it reads."""


@pytest.mark.parametrize("name", sorted(RECORDINGS))
def test_the_embedded_engine_does_what_the_real_one_was_recorded_doing(name: str, tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    for number, recorded in enumerate(RECORDINGS[name]):
        before = edges(checkpoint(engine.store))
        played = engine.play(recorded["step"])
        compare(played, recorded, before, engine.world.things, f"{name}, step {number} ({recorded['step']['op']})")
