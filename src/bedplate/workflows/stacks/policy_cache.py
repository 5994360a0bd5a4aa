"""Remembers which program passed the policies, so that `up` need not run it twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from bedplate.domain import policy


class PolicyCache:
    """The hash of a stack's program, stored beside its state after the policies passed.

    It only saves the check before an update; what was applied is always checked afterwards.
    """

    def __init__(self, project_dir: Path, stack: str, state_dir: Path) -> None:
        self._file = state_dir / f"{stack}.policies"
        self._hash = hash_program(project_dir, stack)

    def has_passed(self) -> bool:
        """Returns whether the current program passed."""
        try:
            return self._file.read_text(encoding="utf-8") == self._hash
        except FileNotFoundError:
            return False

    def store(self) -> None:
        """Remembers that the current program passed."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(self._hash, encoding="utf-8")


def hash_program(project_dir: Path, stack: str) -> str:
    """Returns the SHA-256 of the program, the stack's file, every model.yaml and the policies."""
    digest = hashlib.sha256()
    for path in _list_sources(project_dir, stack):
        digest.update(f"{path.name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _list_sources(project_dir: Path, stack: str) -> Iterator[Path]:
    yield from sorted((project_dir / "infra").rglob("*.py"))
    yield from sorted((project_dir / "models").glob("*/model.yaml"))
    yield from (p for p in (project_dir / "stacks" / f"Pulumi.{stack}.yaml", project_dir / "Pulumi.yaml") if p.exists())
    yield from sorted(Path(policy.__file__).parents[1].rglob("*.py"))
