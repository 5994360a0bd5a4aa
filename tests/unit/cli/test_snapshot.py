"""A project out of its snapshot."""

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


def test_a_snapshot_is_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archive(tmp_path / "snapshot.tar.gz", "Pulumi.yaml", "models/churn/model.yaml")
    monkeypatch.setenv("BEDPLATE_PROJECT", str(made))
    assert (project_dir() / "models" / "churn" / "model.yaml").is_file()


@pytest.mark.parametrize(("names", "said"), [((), "no Pulumi.yaml"), (None, "no such file")])
def test_what_is_no_snapshot_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...] | None, said: str
) -> None:
    path = tmp_path / "snapshot.tar.gz"
    if names is not None:
        archive(path, *names)
    monkeypatch.setenv("BEDPLATE_PROJECT", str(path))
    with pytest.raises(NotFound, match=said):
        project_dir()


def test_an_archive_that_is_broken_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "snapshot.tar.gz"
    path.write_bytes(b"not a tar")
    monkeypatch.setenv("BEDPLATE_PROJECT", str(path))
    with pytest.raises(UsageError, match="cannot be unpacked"):
        project_dir()
