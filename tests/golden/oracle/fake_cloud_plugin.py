"""The provider of the recordings over a file, for the plugin processes that the Pulumi CLI starts."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bedplate.engine.protocol import CreateResult, Properties, ReadResult
from golden.oracle.fake_cloud import FakeCloud, FakeCloudProvider

CLOUD_VARIABLE = "ORACLE_CLOUD"


def build_provider(_package: str) -> FileCloudProvider:
    return FileCloudProvider(Path(os.environ[CLOUD_VARIABLE]))


def load_cloud(path: Path) -> FakeCloud:
    return FakeCloud(**json.loads(path.read_text())) if path.exists() else FakeCloud()


def save_cloud(path: Path, cloud: FakeCloud) -> None:
    fields = ("resources", "create_counts", "intents", "calls")
    path.write_text(json.dumps({name: getattr(cloud, name) for name in fields}))


class FileCloudProvider(FakeCloudProvider):
    """Locks the file, so that several processes make one call at a time."""

    def __init__(self, path: Path) -> None:
        super().__init__(FakeCloud())
        self._path = path

    def create(self, urn: str, type: str, inputs: Properties, preview: bool, intent: str) -> CreateResult:
        with self._locked_cloud():
            return super().create(urn, type, inputs, preview, intent)

    def read(self, urn: str, id: str, type: str, inputs: Properties, state: Properties) -> ReadResult:
        with self._locked_cloud():
            return super().read(urn, id, type, inputs, state)

    def update(self, *args: Any, **kwargs: Any) -> Properties:
        with self._locked_cloud():
            return super().update(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> None:
        with self._locked_cloud():
            super().delete(*args, **kwargs)

    @contextmanager
    def _locked_cloud(self) -> Iterator[None]:
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.cloud = load_cloud(self._path)
            try:
                yield
            finally:
                save_cloud(self._path, self.cloud)
