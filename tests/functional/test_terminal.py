"""Commands on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bedplate.local import lifecycle
from program_copy import copy_program

BEDPLATE = str(Path(sys.executable).parent / "bedplate")


def run_on_terminal(*arguments: str, project: Path, timeout_s: float = 60) -> str:
    """Runs a command on a pseudo-terminal; returns its output without colours and cursor movements."""
    parent_end, child_end = pty.openpty()
    environment = {**os.environ, "BEDPLATE_PROJECT": str(project), "TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen(
        [BEDPLATE, *arguments], stdin=child_end, stdout=child_end, stderr=child_end, env=environment
    ) as process:
        os.close(child_end)
        output = b""
        while True:
            try:
                chunk = os.read(parent_end, 65536)
            except OSError:  # Linux raises EIO when the other end is closed
                break
            if not chunk:
                break
            output += chunk
        process.wait(timeout_s)
    os.close(parent_end)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    project = tmp_path_factory.mktemp("terminal")
    copy_program(project)
    yield project
    lifecycle.stop(project)


def test_a_plan_and_its_summary_stay_on_the_screen_after_the_progress(project: Path) -> None:
    screen = run_on_terminal("preview", project=project)
    assert screen.startswith("LOCAL http://127.0.0.1:")
    assert "+ create  aws sagemaker Endpoint" in screen
    assert re.search(r"\d+ to create, in", screen)


def test_destroy_without_a_terminal_requires_yes(project: Path) -> None:
    result = subprocess.run(
        [BEDPLATE, "destroy"], input="", capture_output=True, text=True, check=False,
        env={**os.environ, "BEDPLATE_PROJECT": str(project)},
    )  # fmt: skip
    assert result.returncode == 2
    assert "--yes" in result.stderr
    assert "Traceback" not in result.stderr
