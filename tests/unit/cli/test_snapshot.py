"""Unpacking a project snapshot."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from bedplate.cli.options import project_dir
from bedplate.errors import NotFound, UsageError


def archive(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


def test_a_snapshot_is_unpacked_as_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = archive(tmp_path / "snapshot.tar.gz", "Pulumi.yaml", "models/churn/model.yaml")
    monkeypatch.setenv("BEDPLATE_PROJECT", str(snapshot))
    assert (project_dir() / "models" / "churn" / "model.yaml").is_file()


@pytest.mark.parametrize(("names", "message"), [((), "no Pulumi.yaml"), (None, "does not exist")])
def test_an_archive_that_is_missing_or_not_a_snapshot_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...] | None, message: str
) -> None:
    path = tmp_path / "snapshot.tar.gz"
    if names is not None:
        archive(path, *names)
    monkeypatch.setenv("BEDPLATE_PROJECT", str(path))
    with pytest.raises(NotFound, match=message):
        project_dir()


def test_a_broken_archive_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "snapshot.tar.gz"
    path.write_bytes(b"not a tar")
    monkeypatch.setenv("BEDPLATE_PROJECT", str(path))
    with pytest.raises(UsageError, match="cannot be unpacked"):
        project_dir()
