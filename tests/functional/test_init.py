"""The repository that `bedplate init` writes passes its own tests, in a region that is not the default."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bedplate.scaffold import ScaffoldRequest, write_repository

BIN = str(Path(sys.executable).parent)


def test_a_new_repository_passes_its_own_tests(tmp_path: Path) -> None:
    request = ScaffoldRequest("acme-ml", "churn", "platform@acme.example", "eu-west-1")
    result = write_repository(tmp_path / "acme-ml", request)
    assert "infra/__main__.py" in result.files
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("BEDPLATE_", "PYTEST_", "COVERAGE_"))}
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=result.directory,
        env={**environment, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_every_environment_of_a_new_repository_passes_models_check(task: str, tmp_path: Path) -> None:
    request = ScaffoldRequest("acme-ml", "churn", "platform@acme.example", "eu-west-1", task)  # type: ignore[arg-type]
    result = write_repository(tmp_path / "acme-ml", request, git=False)
    for stack in ("local", "dev", "staging", "prod"):
        process = subprocess.run(
            [f"{BIN}/bedplate", "models", "check", "--stack", stack, "--json"],
            env={**os.environ, "BEDPLATE_PROJECT": str(result.directory)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        assert json.loads(process.stdout)[0]["ok"]
