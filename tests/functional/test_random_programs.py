"""Small programs at random, played by the Pulumi CLI and by the embedded engine: both do the same.

`BEDPLATE_FUZZ_ROUNDS` asks for more of them, `BEDPLATE_FUZZ_SEED` for others.
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
from golden.oracle.comparing import compare, edges, explain
from golden.oracle.generator import EDITS, Step, scenario
from golden.oracle.quick import QuickEngine
from golden.oracle.runs import Engine, checkpoint

CLI = pulumi_cli.find()
ROUNDS = int(os.environ.get("BEDPLATE_FUZZ_ROUNDS", "4"))
SEED = int(os.environ.get("BEDPLATE_FUZZ_SEED", "20000"))
TRIES = 3
"""What is under way while something fails is a race in the real engine: one of so many plays has to agree."""
KINDS = frozenset(EDITS) - {"invalid", "duplicate"}
"""Without what is a race in the real engine from end to end."""

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
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickEngine]:
    assert CLI is not None
    engine = QuickEngine(tmp_path_factory.mktemp("real"), CLI)
    yield engine
    engine.close()


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_both_engines_do_the_same_with_a_program_at_random(seed: int, real: QuickEngine, tmp_path: Path) -> None:
    steps = scenario(seed, kinds=KINDS)
    told = []
    for number in range(TRIES):
        recorded = record(real, steps)
        folder = tmp_path / str(number)
        folder.mkdir()
        unlike = first_difference(recorded, Engine(folder))
        if unlike is None:
            return
        told.append(unlike)
    scenes = "\n".join(json.dumps(step) for step in steps)
    pytest.fail(f"seed {seed}:\n{scenes}\n\n" + "\n\n".join(told))


def record(real: QuickEngine, steps: list[Step]) -> list[dict[str, Any]]:
    """What the real engine does, as the recordings have it."""
    real.begin()
    found = []
    for step in steps:
        played = asdict(real.play(step))
        found.append({"step": step, "provider_calls": played.pop("calls"), **played, "world": {}})
        found[-1]["world"] = copy.deepcopy(real.world.things)
    return found


def first_difference(recorded: list[dict[str, Any]], engine: Engine) -> str | None:
    for number, each in enumerate(recorded):
        before = edges(checkpoint(engine.store))
        played = engine.play(each["step"])
        where = f"step {number} ({each['step']['op']})"
        try:
            compare(played, each, before, engine.world.things, where)
        except AssertionError as exc:
            return f"{where}: {explain(played, each, engine.world.things) or exc}"
    return None
