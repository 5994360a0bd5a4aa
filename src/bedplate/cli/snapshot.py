"""Unpacks a project snapshot, which jobs on AWS use instead of a checkout."""

from __future__ import annotations

import atexit
import shutil
import tarfile
import tempfile
from pathlib import Path

from bedplate.errors import NotFound, UsageError


def unpack(archive: Path) -> Path:
    """Unpacks `archive` into a temporary folder that is deleted when the process ends. Raises NotFound, UsageError."""
    if not archive.is_file():
        raise NotFound(f"BEDPLATE_PROJECT names {archive}, which does not exist", next_step="bedplate up")
    folder = Path(tempfile.mkdtemp(prefix="bedplate-project-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise UsageError(f"BEDPLATE_PROJECT names {archive}, which cannot be unpacked: {exc}") from exc
    if not (folder / "Pulumi.yaml").exists():
        raise NotFound(f"{archive} contains no Pulumi.yaml: it is not a project snapshot", next_step="bedplate up")
    return folder
