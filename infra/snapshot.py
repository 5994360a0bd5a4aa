"""The project as a job on AWS gets it: its settings and its models, one archive, the same bytes for the same files."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from pathlib import Path

from bedplate.errors import SettingsError

PARTS = ("Pulumi.yaml", "stacks", "models")
LEFT_OUT = ("__pycache__",)
MAX_BYTES = 5_000_000
"""It travels through the program's state: code and settings, never data."""


def snapshot(project_dir: Path) -> str:
    """A tar.gz of `Pulumi.yaml`, `stacks/` and `models/`, as base64. Raises SettingsError above 5 MB."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in _files(project_dir):
            body = path.read_bytes()
            entry = tarfile.TarInfo(path.relative_to(project_dir).as_posix())
            entry.size, entry.mode = len(body), 0o644
            tar.addfile(entry, io.BytesIO(body))
            if raw.tell() > MAX_BYTES:
                raise SettingsError(
                    f"models/ and stacks/ are more than {MAX_BYTES / 1e6:g} MB with {entry.name}: no data there",
                    next_step="git status --ignored models",
                )
    return base64.b64encode(gzip.compress(raw.getvalue(), mtime=0)).decode()


def _files(project_dir: Path) -> list[Path]:
    found = [path for part in PARTS for path in _below(project_dir / part)]
    return sorted(found, key=lambda path: path.relative_to(project_dir).as_posix())


def _below(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [
        inner
        for inner in path.rglob("*")
        if inner.is_file()
        and not any(p in LEFT_OUT or p.startswith(".") for p in inner.relative_to(path).parts)
        and inner.suffix != ".pyc"
    ]
