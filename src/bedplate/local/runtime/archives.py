"""Packs a folder into a reproducible tar.gz archive, as SageMaker packs a model, and unpacks archives."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path


def pack(folder: Path, archive: Path) -> int:
    """Writes the folder's content as a gzipped tar and returns the archive's size in bytes.

    The same content gives the same bytes, because the order, owners, modes and times are fixed.
    """
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT, dereference=True) as tar,
    ):
        for path in sorted(p for p in folder.rglob("*") if p.is_file() or p.is_dir()):
            info = tar.gettarinfo(str(path), str(path.relative_to(folder)))
            info.uid = info.gid = info.mtime = 0
            info.uname = info.gname = ""
            info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
            if info.isdir():
                tar.addfile(info)
                continue
            info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.stat().st_size
            with path.open("rb") as content:
                tar.addfile(info, content)
    return archive.stat().st_size


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a tar archive, gzipped or not, into `folder`.

    Raises ValueError for a file that is not an archive and for members outside the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise ValueError(f"it cannot be unpacked: {exc}") from exc
