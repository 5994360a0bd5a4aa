"""The embedded engine does in every scenario what the recordings of the Pulumi CLI contain."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden.oracle.comparison import assert_same_result, dependency_pairs
from golden.oracle.embedded_engine import RECORDINGS, EmbeddedEngine, checkpoint_resources

pytestmark = pytest.mark.filterwarnings("ignore:.*step.json")
"""The program of the recordings, which must not change, does not close the file that it reads."""


@pytest.mark.parametrize("name", sorted(RECORDINGS))
def test_the_embedded_engine_does_what_the_recording_contains(name: str, tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    for number, recording in enumerate(RECORDINGS[name]):
        old_pairs = dependency_pairs(checkpoint_resources(engine.store))
        result = engine.play(recording["step"])
        label = f"{name}, step {number} ({recording['step']['op']})"
        assert_same_result(result, recording, old_pairs, engine.cloud.resources, label)
