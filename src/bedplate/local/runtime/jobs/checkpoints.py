"""Uploads a training job's checkpoint folder to S3 while it runs and restores it when the job starts again."""

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

POLL_S = 0.1
DEFAULT_PATH = "/opt/ml/checkpoints"


class CheckpointSync:
    """Context manager that uploads changed checkpoint files during one run, and the last ones when it ends."""

    def __init__(
        self, services: Services, record: Record, folder: Path, uri: str, interrupt: Callable[[], None]
    ) -> None:
        self._services = services
        self._name: str = record["TrainingJobName"]
        self._spot = bool(record.get("EnableManagedSpotTraining"))
        self._folder = folder
        self._uri = uri.rstrip("/") + "/"
        self._interrupt = interrupt
        self._uploaded: dict[Path, tuple[int, int]] = {}
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._upload_regularly, name=f"checkpoints-{self._name}", daemon=True)

    def restore(self) -> None:
        """Creates the folder and downloads the checkpoints of earlier runs."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with suppress(transfer.DataSourceError):  # there are none before the first run
            transfer.download(self._services, self._uri, self._folder)
        self._uploaded = self._file_stamps()

    def __enter__(self) -> CheckpointSync:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._finished.set()
        self._thread.join()
        self._upload_changes()

    def _upload_regularly(self) -> None:
        while not self._finished.wait(POLL_S):
            try:
                if self._upload_changes() and self._spot and self._services.is_spot_reclaimed(self._name):
                    self._interrupt()
                    return
            except Exception:  # a failed upload must not end the training
                traceback.print_exc()

    def _upload_changes(self) -> int:
        """Uploads new and changed files; returns their number."""
        stamps = self._file_stamps()
        changed = [path for path, stamp in stamps.items() if self._uploaded.get(path) != stamp]
        bucket, prefix = transfer.split_uri(self._uri)
        for path in changed:
            with suppress(FileNotFoundError):  # scripts write to a temporary file and rename it
                key = prefix + path.relative_to(self._folder).as_posix()
                self._services.put_object(bucket, key, path, transfer.content_type(path))
        self._uploaded = stamps
        return len(changed)

    def _file_stamps(self) -> dict[Path, tuple[int, int]]:
        stamps = {}
        for path in self._folder.rglob("*"):
            with suppress(FileNotFoundError):
                stat = path.stat()
                if path.is_file():
                    stamps[path] = (stat.st_mtime_ns, stat.st_size)
        return stamps


def build_checkpoint_sync(
    services: Services, record: Record, root: Path, interrupt: Callable[[], None]
) -> CheckpointSync | None:
    """Returns the sync of a job's CheckpointConfig; None without one."""
    config = record.get("CheckpointConfig") or {}
    if not config.get("S3Uri"):
        return None
    folder = local_path(root, str(config.get("LocalPath") or DEFAULT_PATH).rstrip("/"))
    return CheckpointSync(services, record, folder, config["S3Uri"], interrupt)
