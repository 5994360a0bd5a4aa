"""Runs random programs with the Pulumi CLI and with the embedded engine: both do the same.

`BEDPLATE_FUZZ_ROUNDS` sets the number of programs, `BEDPLATE_FUZZ_SEED` the first seed.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine.automation import pulumi_cli
from golden.oracle.comparison import assert_same_result, dependency_pairs, describe_differences
from golden.oracle.embedded_engine import EmbeddedEngine, checkpoint_resources
from golden.oracle.inline_engine import InlineEngine
from golden.oracle.scenario_generator import EDITS, Step, generate_scenario

CLI = pulumi_cli.find_executable()
ROUNDS = int(os.environ.get("BEDPLATE_FUZZ_ROUNDS", "4"))
SEED = int(os.environ.get("BEDPLATE_FUZZ_SEED", "20000"))
TRIES = 3
"""The Pulumi CLI has a race between a failure and the running steps, so one of so many runs must agree."""
KINDS = frozenset(EDITS) - {"invalid", "duplicate"}
"""Without the edits whose results always depend on a race in the Pulumi CLI."""

pytestmark = [
    pytest.mark.skipif(
        CLI is None,
        reason="no Pulumi CLI on PATH, in ~/.pulumi or named by BEDPLATE_PULUMI: no random programs are compared",
    ),
    pytest.mark.filterwarnings("ignore:.*step.json"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the SDK's, of a cancelled program
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture(scope="module")
def pulumi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InlineEngine]:
    assert CLI is not None
    engine = InlineEngine(tmp_path_factory.mktemp("real"), CLI)
    yield engine
    engine.close()


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_both_engines_do_the_same_with_a_random_program(seed: int, pulumi: InlineEngine, tmp_path: Path) -> None:
    steps = generate_scenario(seed, kinds=KINDS)
    differences = []
    for number in range(TRIES):
        recording = record(pulumi, steps)
        folder = tmp_path / str(number)
        folder.mkdir()
        difference = first_difference(recording, EmbeddedEngine(folder))
        if difference is None:
            return
        differences.append(difference)
    steps_text = "\n".join(json.dumps(step) for step in steps)
    pytest.fail(f"seed {seed}:\n{steps_text}\n\n" + "\n\n".join(differences))


def record(pulumi: InlineEngine, steps: list[Step]) -> list[dict[str, Any]]:
    """Returns what the Pulumi CLI does, in the format of the recordings."""
    pulumi.reset()
    recording = []
    for step in steps:
        result = asdict(pulumi.play(step))
        recording.append({"step": step, "provider_calls": result.pop("calls"), **result, "world": {}})
        recording[-1]["world"] = copy.deepcopy(pulumi.cloud.resources)
    return recording


def first_difference(recording: list[dict[str, Any]], engine: EmbeddedEngine) -> str | None:
    for number, recorded_step in enumerate(recording):
        old_pairs = dependency_pairs(checkpoint_resources(engine.store))
        result = engine.play(recorded_step["step"])
        label = f"step {number} ({recorded_step['step']['op']})"
        try:
            assert_same_result(result, recorded_step, old_pairs, engine.cloud.resources, label)
        except AssertionError as exc:
            return f"{label}: {describe_differences(result, recorded_step, engine.cloud.resources) or exc}"
    return None
