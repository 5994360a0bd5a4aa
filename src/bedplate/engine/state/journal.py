"""What a run has changed since the checkpoint was written: one appended line a change, folded into it at the end.

A checkpoint holds every resource, so writing it at each step costs the square of their number; a line costs one
resource. The first line names the checkpoint that the journal continues (by its hash), so a journal that outlived its
checkpoint means nothing. Every line is handed to the operating system before the next step begins, and on the disk
itself before a provider is called; a line that a kill cut short was never acted on.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bedplate.engine.state.snapshot import from_json, to_json, with_new_names

Line = dict[str, Any]


class Journal:
    """Lines appended to one file. `append` keeps their order; `sync` may be waited for by several threads at once."""

    def __init__(self, path: Path, checkpoint: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._appended = 0
        self._synced = 0
        self._syncing = threading.Lock()
        self.append(_dump({"continues": _hash(checkpoint)}))
        sync_directory(path.parent)

    def append(self, line: bytes) -> int:
        """The line's number. One thread at a time."""
        os.write(self._file, line + b"\n")
        self._appended += 1
        return self._appended

    def sync(self, number: int) -> None:
        """Return when the line of this number, and all before it, are on the disk; one wait serves all who ask."""
        with self._syncing:
            if self._synced >= number:
                return
            reached = self._appended
            os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)
            self._synced = reached

    def close(self) -> None:
        os.close(self._file)


def line(
    *,
    moved: Mapping[int, int],
    dropped: list[int],
    ended: list[int],
    renamed: Mapping[str, str],
    secrets: Mapping[str, Any] | None,
) -> Line:
    """One change by the numbers of what it changes, without what is empty; `settled` and `begun` come beside it.

    `moved` says which number goes on under which other, `secrets` is what the checkpoint calls secrets_providers.
    """
    parts = {"moved": moved, "dropped": dropped, "ended": ended, "renamed": renamed, "secrets": secrets}
    return {key: value for key, value in parts.items() if value}


def folded(document: Mapping[str, Any], lines: Iterable[Line]) -> dict[str, Any]:
    """The checkpoint as it would have been written after the last of the lines."""
    deployment = {**document["deployment"]}
    entries = dict(enumerate(deployment.pop("resources", None) or ()))
    pending = dict(enumerate(deployment.pop("pending_operations", None) or ()))
    before = len(entries)
    renamed: dict[str, str] = {}
    for each in lines:
        for now, was in each.get("moved", {}).items():
            entries[int(now)] = entries.pop(was)
        entries |= {int(number): entry for number, entry in each.get("settled", {}).items()}
        for number in each.get("dropped", ()):
            entries.pop(number, None)
        pending |= {int(number): entry for number, entry in each.get("begun", {}).items()}
        for number in each.get("ended", ()):
            pending.pop(number, None)
        renamed |= each.get("renamed", {})
        if "secrets" in each:
            deployment["secrets_providers"] = each["secrets"]
    order = sorted(entries, key=lambda number: (number < before, number))
    deployment["resources"] = [_renamed(entries[number], renamed) for number in order]
    if pending:
        deployment["pending_operations"] = [
            {**operation, "resource": _renamed(operation["resource"], renamed)} for operation in pending.values()
        ]
    return {**document, "deployment": deployment}


def read(path: Path) -> list[Line]:
    """Every whole line of a journal, its first one included; none when there is no journal."""
    try:
        texts = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    found: list[Line] = []
    for text in texts[:-1]:
        try:
            found.append(json.loads(text))
        except ValueError:
            break
    return found


def continues(lines: list[Line], checkpoint: bytes) -> bool:
    """Whether these lines were written after this checkpoint."""
    return bool(lines) and lines[0].get("continues") == _hash(checkpoint)


def sync_directory(directory: Path) -> None:
    """Make sure that a file's new name is on the disk as its content is."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _renamed(entry: dict[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    if not renamed:
        return entry
    resource = from_json(entry)
    now = with_new_names(resource, renamed)
    return entry if now is resource else to_json(now)


def _hash(checkpoint: bytes) -> str:
    return hashlib.sha256(checkpoint).hexdigest()


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
