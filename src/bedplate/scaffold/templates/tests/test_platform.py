"""The Pulumi program on the local platform, with a temporary state: up, preview without changes, destroy."""

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

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        process = subprocess.run(["bedplate", *arguments], env={**os.environ, **state}, capture_output=True, text=True)
        assert process.returncode == 0, f"bedplate {' '.join(arguments)}: {process.stdout}{process.stderr}"
        return process

    yield run
    run("local", "stop")


def test_the_platform_can_be_created_and_destroyed(bedplate: Bedplate) -> None:
    bedplate("up", "--yes")
    outputs = json.loads(bedplate("outputs", "--json").stdout)
    assert outputs["stack"] == "local"
    preview = json.loads(bedplate("preview", "--json").stdout)
    assert not preview["changed"], preview["steps"]
    bedplate("destroy", "--yes")
