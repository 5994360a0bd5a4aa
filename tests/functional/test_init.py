"""A new repository, as `bedplate init` writes it: its own tests pass, in a region that is not the usual one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bedplate.scaffold import Wanted, write

BIN = str(Path(sys.executable).parent)


def test_a_new_repository_passes_its_own_tests(tmp_path: Path) -> None:
    made = write(tmp_path / "acme-ml", Wanted("acme-ml", "churn", "platform@acme.example", "eu-west-1"))
    assert "infra/__main__.py" in made.files
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("BEDPLATE_", "PYTEST_", "COVERAGE_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=made.directory,
        env={**environment, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_every_environment_of_a_new_repository_is_sound(task: str, tmp_path: Path) -> None:
    wanted = Wanted("acme-ml", "churn", "platform@acme.example", "eu-west-1", task)  # type: ignore[arg-type]
    made = write(tmp_path / "acme-ml", wanted, git=False)
    for stack in ("local", "dev", "staging", "prod"):
        done = subprocess.run(
            [f"{BIN}/bedplate", "models", "check", "--stack", stack, "--json"],
            env={**os.environ, "BEDPLATE_PROJECT": str(made.directory)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)[0]["ok"]
