"""Keeps what a training leaves in its checkpoint folder in S3 while it runs, and puts it back when it starts again."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from bedplate.local.hooks import Record, Services
from bedplate.local.runtime import transfer
from bedplate.local.runtime.directories import local_path

LOOK_S = 0.1
DEFAULT_PATH = "/opt/ml/checkpoints"


class Checkpoints:
    """One run of a training: `with` it files go to S3 as they change, the last ones at the end."""

    def __init__(
        self, services: Services, record: Record, folder: Path, uri: str, interrupt: Callable[[], None]
    ) -> None:
        self._services = services
        self._name: str = record["TrainingJobName"]
        self._spot = bool(record.get("EnableManagedSpotTraining"))
        self._folder = folder
        self._uri = uri.rstrip("/") + "/"
        self._interrupt = interrupt
        self._seen: dict[Path, tuple[int, int]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"checkpoints-{self._name}", daemon=True)

    def restore(self) -> None:
        """Make the folder, with what an earlier run left in S3."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with suppress(transfer.MissingData):  # the first run finds nothing
            transfer.download(self._services, self._uri, self._folder)
        self._seen = self._files()

    def __enter__(self) -> Checkpoints:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._keep()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            try:
                if self._keep() and self._spot and self._services.spot_reclaimed(self._name):
                    self._interrupt()
                    return
            except Exception:  # a checkpoint that could not be kept must not end the training
                traceback.print_exc()

    def _keep(self) -> int:
        """Put to S3 what is new or has changed; the number of files."""
        now = self._files()
        fresh = [path for path, stamp in now.items() if self._seen.get(path) != stamp]
        bucket, prefix = transfer.split_uri(self._uri)
        for path in fresh:
            with suppress(FileNotFoundError):  # scripts write beside and rename
                key = prefix + path.relative_to(self._folder).as_posix()
                self._services.put_object(bucket, key, path, transfer.content_type(path))
        self._seen = now
        return len(fresh)

    def _files(self) -> dict[Path, tuple[int, int]]:
        found = {}
        for path in self._folder.rglob("*"):
            with suppress(FileNotFoundError):
                told = path.stat()
                if path.is_file():
                    found[path] = (told.st_mtime_ns, told.st_size)
        return found


def of(services: Services, record: Record, root: Path, interrupt: Callable[[], None]) -> Checkpoints | None:
    """What a job asks for; None without a CheckpointConfig."""
    config = record.get("CheckpointConfig") or {}
    if not config.get("S3Uri"):
        return None
    folder = local_path(root, str(config.get("LocalPath") or DEFAULT_PATH).rstrip("/"))
    return Checkpoints(services, record, folder, config["S3Uri"], interrupt)
