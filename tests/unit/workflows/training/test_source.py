"""The code, commit and lock file of a model folder."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bedplate.domain.ledger import sha256
from bedplate.errors import UsageError
from bedplate.workflows.training.source import read_model_files, read_source
from builders import a_spec


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "churn"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text("# SM_MODEL_DIR")
    (tmp_path / "README.md").write_text("hello")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.email=ada@example.com", "-c", "user.name=Ada", "commit", "-qm", "first")
    return tmp_path


def git(folder: Path, *args: str) -> None:
    subprocess.run(["git", "-C", str(folder), *args], check=True, capture_output=True)


def dirty_state(project: Path) -> str:
    return read_source(project, "churn", read_model_files(project, a_spec())).dirty


def test_a_committed_folder_is_clean_and_names_its_commit(project: Path) -> None:
    source = read_source(project, "churn", read_model_files(project, a_spec()))
    assert source.dirty == "false"
    assert len(source.commit) == 40


def test_a_changed_script_is_dirty(project: Path) -> None:
    (project / "models" / "churn" / "train.py").write_text("# SM_MODEL_DIR, changed")
    assert dirty_state(project) == "true"


def test_a_new_file_in_the_folder_is_dirty(project: Path) -> None:
    (project / "models" / "churn" / "extra.py").write_text("")
    assert dirty_state(project) == "true"


def test_a_changed_file_outside_the_model_folder_is_not_dirty(project: Path) -> None:
    (project / "README.md").write_text("changed")
    assert dirty_state(project) == "false"


def test_a_new_lock_file_changes_the_hash_and_is_dirty(project: Path) -> None:
    before = read_source(project, "churn", {}).lock_sha256
    (project / "requirements").mkdir()
    (project / "requirements" / "bedplate.lock").write_text("numpy==2")
    assert read_source(project, "churn", {}).lock_sha256 != before
    assert dirty_state(project) == "true"


def test_the_lock_file_of_a_new_repository_is_hashed(tmp_path: Path) -> None:
    assert read_source(tmp_path, "churn", {}).lock_sha256 == "none"
    (tmp_path / "requirements.lock").write_text("numpy==2")
    assert read_source(tmp_path, "churn", {}).lock_sha256 == sha256(b"numpy==2")


def test_the_resolved_contract_is_packed_with_the_code(project: Path) -> None:
    files = read_model_files(project, a_spec(fallback=0.4))
    assert json.loads(files["contract.json"])["fallback"] == 0.4


def test_a_missing_entry_point_is_named(project: Path) -> None:
    with pytest.raises(UsageError, match=r"fit\.py"):
        read_model_files(project, a_spec(training={"entry_point": "fit.py"}))


def test_a_folder_too_large_for_code_names_its_largest_file(project: Path) -> None:
    with (project / "models" / "churn" / "weights.bin").open("wb") as file:
        file.truncate(60_000_000)
    with pytest.raises(UsageError, match=r"weights\.bin"):
        read_model_files(project, a_spec())
