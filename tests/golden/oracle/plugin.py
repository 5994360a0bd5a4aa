"""The recordings' provider over a world in a file, for plugin processes that come and go with the real CLI."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bedplate.engine.protocol import CreateResult, Properties, ReadResult
from golden.oracle.world import World, WorldProvider

WORLD_VARIABLE = "ORACLE_WORLD"


def make(_package: str) -> FileWorldProvider:
    return FileWorldProvider(Path(os.environ[WORLD_VARIABLE]))


def load(path: Path) -> World:
    return World(**json.loads(path.read_text())) if path.exists() else World()


def save(path: Path, world: World) -> None:
    kept = ("things", "made", "intents", "calls")
    path.write_text(json.dumps({name: getattr(world, name) for name in kept}))


class FileWorldProvider(WorldProvider):
    """One call at a time, whatever the number of processes."""

    def __init__(self, path: Path) -> None:
        super().__init__(World())
        self._path = path

    def create(self, urn: str, type: str, inputs: Properties, preview: bool, intent: str) -> CreateResult:
        with self._shared():
            return super().create(urn, type, inputs, preview, intent)

    def read(self, urn: str, id: str, type: str, inputs: Properties, state: Properties) -> ReadResult:
        with self._shared():
            return super().read(urn, id, type, inputs, state)

    def update(self, *args: Any, **kwargs: Any) -> Properties:
        with self._shared():
            return super().update(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> None:
        with self._shared():
            super().delete(*args, **kwargs)

    @contextmanager
    def _shared(self) -> Iterator[None]:
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.world = load(self._path)
            try:
                yield
            finally:
                save(self._path, self.world)
