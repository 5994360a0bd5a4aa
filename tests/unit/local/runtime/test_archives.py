"""Archives are reproducible and cannot be unpacked outside their folder."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from bedplate.local.runtime import archives


def test_archive_does_not_depend_on_time_owner_or_order(tmp_path: Path) -> None:
    archives_written = []
    for folder, names in (("a", ["x", "y/z"]), ("b", ["y/z", "x"])):
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        archives.pack(tmp_path / folder, tmp_path / f"{folder}.tar.gz")
        archives_written.append((tmp_path / f"{folder}.tar.gz").read_bytes())
    assert archives_written[0] == archives_written[1]
    archives.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out/y/z").read_text() == "y/z"


def test_archive_with_a_member_outside_its_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(tmp_path / "evil", "../evil")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        archives.unpack(tmp_path / "evil.tar", tmp_path / "out")
