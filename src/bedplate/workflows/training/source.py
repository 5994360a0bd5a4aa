"""Reads a model's folder, its git commit and its lock file."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from bedplate.domain.ledger import sha256
from bedplate.domain.versions.package import CONTRACT_FILE, CodeSource, Dirty, code_sha256
from bedplate.errors import UsageError
from bedplate.settings import LOCK_FILES, ModelSpec

MAX_FOLDER_MB = 50
_EXCLUDED_SUFFIXES = (".pyc", ".parquet", ".csv", ".jsonl")
"""Compiled code and data; data is passed with --data, where it is checked and hashed."""


def read_model_files(project_dir: Path, spec: ModelSpec) -> dict[str, bytes]:
    """Returns the folder's files by relative name, with the resolved model.yaml, without hidden files, caches and data.

    Raises UsageError when the entry point is missing or the folder exceeds MAX_FOLDER_MB.
    """
    folder = project_dir / "models" / spec.name
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if _is_code(p, folder)}
    if spec.training.entry_point not in files:
        raise UsageError(
            f"models/{spec.name}/{spec.training.entry_point} does not exist (model.yaml: training.entry_point)",
            next_step=f"bedplate models check {spec.name}",
        )
    megabytes = sum(map(len, files.values())) / 1e6
    if megabytes > MAX_FOLDER_MB:
        largest = max(files, key=lambda name: len(files[name]))
        raise UsageError(
            f"models/{spec.name} has {megabytes:.0f} MB; the limit for code is {MAX_FOLDER_MB} MB; "
            f"the largest file is {largest}"
        )
    return {**files, CONTRACT_FILE: spec.model_dump_json().encode()}


def read_source(project_dir: Path, model: str, files: Mapping[str, bytes]) -> CodeSource:
    """Returns the hashes of code and lock file, the git commit, and whether either has uncommitted changes."""
    lock = find_lock_file(project_dir)
    commit = _run_git(project_dir, "rev-parse", "HEAD")
    changes = _run_git(project_dir, "status", "--porcelain", "--", f"models/{model}", *LOCK_FILES)
    dirty: Dirty = "unknown" if commit is None or changes is None else "true" if changes else "false"
    return CodeSource(
        code_sha256=code_sha256({name: body for name, body in files.items() if name != CONTRACT_FILE}),
        lock_sha256=sha256(lock.read_bytes()) if lock else "none",
        commit=commit or "none",
        dirty=dirty,
    )


def find_lock_file(project_dir: Path) -> Path | None:
    """Returns the lock file that pins every dependency; None in a project without one."""
    return next((project_dir / name for name in LOCK_FILES if (project_dir / name).is_file()), None)


def _is_code(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    is_hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
    return path.is_file() and not is_hidden and not path.name.endswith(_EXCLUDED_SUFFIXES)


def _run_git(folder: Path, *args: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *args], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
