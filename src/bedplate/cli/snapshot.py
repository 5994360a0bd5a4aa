"""A project out of its snapshot: what a job on AWS, that has no checkout, works on."""

from __future__ import annotations

import atexit
import shutil
import tarfile
import tempfile
from pathlib import Path

from bedplate.errors import NotFound, UsageError


def unpacked(archive: Path) -> Path:
    """A folder with the archive's files, which goes when the process ends. Raises NotFound, UsageError."""
    if not archive.is_file():
        raise NotFound(f"BEDPLATE_PROJECT names {archive}, and there is no such file", next_step="bedplate up")
    folder = Path(tempfile.mkdtemp(prefix="bedplate-project-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise UsageError(f"BEDPLATE_PROJECT names {archive}, which cannot be unpacked: {exc}") from exc
    if not (folder / "Pulumi.yaml").exists():
        raise NotFound(f"{archive} holds no Pulumi.yaml: it is no snapshot of a project", next_step="bedplate up")
    return folder
