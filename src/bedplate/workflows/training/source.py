"""Reads a model's folder, and what git and the lock file say about it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from bedplate.domain.ledger import sha256
from bedplate.domain.versions.package import CONTRACT_FILE, Dirty, Source, code_sha256
from bedplate.errors import UsageError
from bedplate.settings import LOCK_FILES, ModelSpec

MAX_FOLDER_MB = 50
"""In Bedplate's own repository, and in one that `bedplate init` wrote."""
_LEFT_OUT_SUFFIXES = (".pyc", ".parquet", ".csv", ".jsonl")
"""Compiled code, and data: data goes through --data, where it is checked and hashed."""


def model_files(project_dir: Path, spec: ModelSpec) -> dict[str, bytes]:
    """The folder's files by relative name, and the resolved contract; hidden files, caches and data are left out.

    Raises UsageError when the entry point is missing or the folder is too large to be code.
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
            f"models/{spec.name} holds {megabytes:.0f} MB, more than the {MAX_FOLDER_MB} that code may be; "
            f"the largest file is {largest}"
        )
    return {**files, CONTRACT_FILE: spec.model_dump_json().encode()}


def source_of(project_dir: Path, model: str, files: Mapping[str, bytes]) -> Source:
    """Hashes of code and lock, and git's word on both (the rest of the tree does not matter here)."""
    lock = lock_file(project_dir)
    commit = _git(project_dir, "rev-parse", "HEAD")
    changes = _git(project_dir, "status", "--porcelain", "--", f"models/{model}", *LOCK_FILES)
    dirty: Dirty = "unknown" if commit is None or changes is None else "true" if changes else "false"
    return Source(
        code_sha256=code_sha256({name: body for name, body in files.items() if name != CONTRACT_FILE}),
        lock_sha256=sha256(lock.read_bytes()) if lock else "none",
        commit=commit or "none",
        dirty=dirty,
    )


def lock_file(project_dir: Path) -> Path | None:
    """The file that pins the versions of everything; None in a project without one."""
    return next((project_dir / name for name in LOCK_FILES if (project_dir / name).is_file()), None)


def _is_code(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
    return path.is_file() and not hidden and not path.name.endswith(_LEFT_OUT_SUFFIXES)


def _git(folder: Path, *args: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *args], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
