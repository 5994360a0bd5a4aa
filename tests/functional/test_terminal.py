"""What a person sees: the same commands on a pseudo-terminal as in a pipe."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bedplate.local import lifecycle
from repository import ROOT

BEDPLATE = str(Path(sys.executable).parent / "bedplate")


def on_a_terminal(*arguments: str, project: Path, timeout_s: float = 60) -> str:
    """Everything that a terminal was sent, without colours and cursor movements."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "BEDPLATE_PROJECT": str(project), "TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen(
        [BEDPLATE, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        sent = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux says EIO when the other side is closed
                break
            if not piece:
                break
            sent += piece
        process.wait(timeout_s)
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent.decode())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    here = tmp_path_factory.mktemp("terminal")
    for name in ("infra", "stacks", "models"):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "Pulumi.yaml", here / "Pulumi.yaml")
    yield here
    lifecycle.stop(here)


def test_a_plan_and_its_summary_stay_on_the_screen_after_the_progress_is_gone(project: Path) -> None:
    screen = on_a_terminal("preview", project=project)
    assert screen.startswith("LOCAL http://127.0.0.1:")
    assert "+ create  aws sagemaker Endpoint" in screen
    assert re.search(r"\d+ to create, in", screen)


def test_destroy_asks_for_the_stacks_name_on_a_terminal_and_does_nothing_without_it(project: Path) -> None:
    done = subprocess.run(
        [BEDPLATE, "destroy"], input="", capture_output=True, text=True, check=False,
        env={**os.environ, "BEDPLATE_PROJECT": str(project)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert "Traceback" not in done.stderr
