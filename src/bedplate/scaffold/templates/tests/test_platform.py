"""The platform program on the local platform, in a state of the test's own: up, again without a change, destroyed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Bedplate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def bedplate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bedplate]:
    state = {"BEDPLATE_PROJECT": str(ROOT), "BEDPLATE_STATE_DIR": str(tmp_path_factory.mktemp("state"))}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(["bedplate", *words], env={**os.environ, **state}, capture_output=True, text=True)
        assert done.returncode == 0, f"bedplate {' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    yield run
    run("local", "stop")


def test_the_platform_comes_up_stays_as_it_is_and_goes(bedplate: Bedplate) -> None:
    bedplate("up", "--yes")
    outputs = json.loads(bedplate("outputs", "--json").stdout)
    assert outputs["stack"] == "local"
    again = json.loads(bedplate("preview", "--json").stdout)
    assert not again["changed"], again["steps"]
    bedplate("destroy", "--yes")
