"""S3 data sources are downloaded into their folder only."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedplate.local.runtime import transfer
from in_memory_services import InMemoryServices


def test_manifest_selects_objects_and_keys_outside_the_folder_are_rejected(tmp_path: Path) -> None:
    services = InMemoryServices(tmp_path / "state")
    services.put_object("b", "in/a.csv", b"a")
    services.put_object("b", "in/c.csv", b"c")
    services.put_object("b", "manifest", b'[{"prefix": "s3://b/in/"}, "c.csv"]')
    assert transfer.download(services, "s3://b/manifest", tmp_path / "got", data_type="ManifestFile") == 1
    assert [p.name for p in (tmp_path / "got").iterdir()] == ["c.csv"]
    services.put_object("b", "in2/../../out", b"x")
    with pytest.raises(transfer.DataSourceError, match="outside its folder"):
        transfer.download(services, "s3://b/in2/", tmp_path / "got2")
