"""Packs settings and models into an archive for jobs on AWS; equal files give equal bytes."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from pathlib import Path

from bedplate.errors import SettingsError

PARTS = ("Pulumi.yaml", "stacks", "models")
MAX_BYTES = 5_000_000
"""Limit of the archive, which becomes a part of Pulumi's state: code and settings, never data."""


def snapshot(project_dir: Path) -> str:
    """Returns a tar.gz of `Pulumi.yaml`, `stacks/` and `models/` as base64. Raises SettingsError above 5 MB."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in _files(project_dir):
            body = path.read_bytes()
            entry = tarfile.TarInfo(path.relative_to(project_dir).as_posix())
            entry.size, entry.mode = len(body), 0o644
            tar.addfile(entry, io.BytesIO(body))
            if raw.tell() > MAX_BYTES:
                raise SettingsError(
                    f"models/ and stacks/ exceed {MAX_BYTES / 1e6:g} MB with {entry.name}: move data out of them",
                    next_step="git status --ignored models",
                )
    return base64.b64encode(gzip.compress(raw.getvalue(), mtime=0)).decode()


def _files(project_dir: Path) -> list[Path]:
    """Returns the files of the archive, without hidden and compiled ones, in the order of their names."""
    paths = [path for part in PARTS for path in (project_dir / part, *(project_dir / part).rglob("*"))]
    files = {path.relative_to(project_dir).as_posix(): path for path in paths if path.is_file()}
    return [
        path
        for name, path in sorted(files.items())
        if path.suffix != ".pyc" and not any(part.startswith(".") or part == "__pycache__" for part in Path(name).parts)
    ]
