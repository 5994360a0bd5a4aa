"""Appends each change of a run to a journal file, and merges the journal into the checkpoint at the end of the run.

A checkpoint contains every resource: writing it after each of n steps costs O(n²), appending one resource per step
costs O(n). The first entry holds the hash of the checkpoint that the journal continues; a journal of another checkpoint
is ignored. Every entry is written before the next step begins and synced to the disk before a provider is called, so
nothing was done yet for an entry that a kill truncated.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bedplate.engine.state.snapshot import from_json, rename_references, to_json

Entry = dict[str, Any]


class Journal:
    """The journal file of one run, one JSON entry a line; `sync` is safe in several threads at once."""

    def __init__(self, path: Path, checkpoint: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._appended = 0
        self._synced = 0
        self._syncing = threading.Lock()
        self.append(_dump({"checkpoint_sha256": _hash(checkpoint)}))
        sync_directory(path.parent)

    def append(self, line: bytes) -> int:
        """Appends a line and returns its number, from 1. Not thread-safe."""
        os.write(self._file, line + b"\n")
        self._appended += 1
        return self._appended

    def sync(self, number: int) -> None:
        """Blocks until line `number` and all before it are on the disk; concurrent calls share one fdatasync."""
        with self._syncing:
            if self._synced >= number:
                return
            appended = self._appended
            os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)
            self._synced = appended

    def close(self) -> None:
        os.close(self._file)


def apply_entries(document: Mapping[str, Any], entries: Iterable[Entry]) -> dict[str, Any]:
    """Returns the checkpoint `document` with all entries applied, in order.

    Entries have the fields of `snapshot.UnsavedChanges`, and `secrets_providers` in the checkpoint's format.
    """
    deployment = {**document["deployment"]}
    resources = dict(enumerate(deployment.pop("resources", None) or ()))
    pending = dict(enumerate(deployment.pop("pending_operations", None) or ()))
    old_count = len(resources)
    renames: dict[str, str] = {}
    for entry in entries:
        for new_number, old_number in entry.get("moved", {}).items():
            resources[int(new_number)] = resources.pop(old_number)
        resources |= {int(number): resource for number, resource in entry.get("resources", {}).items()}
        for number in entry.get("removed", ()):
            resources.pop(number, None)
        pending |= {int(number): operation for number, operation in entry.get("operations", {}).items()}
        for number in entry.get("completed", ()):
            pending.pop(number, None)
        renames |= entry.get("renames", {})
        if "secrets_providers" in entry:
            deployment["secrets_providers"] = entry["secrets_providers"]
    order = sorted(resources, key=lambda number: (number < old_count, number))
    deployment["resources"] = [_rename_references(resources[number], renames) for number in order]
    if pending:
        deployment["pending_operations"] = [
            {**operation, "resource": _rename_references(operation["resource"], renames)}
            for operation in pending.values()
        ]
    return {**document, "deployment": deployment}


def read_entries(path: Path) -> list[Entry]:
    """Returns the entries of a journal up to a truncated line, the first entry included; empty without a journal."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    entries: list[Entry] = []
    for line in lines[:-1]:
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    return entries


def is_continuation(entries: list[Entry], checkpoint: bytes) -> bool:
    """Returns whether these entries were written after this checkpoint."""
    return bool(entries) and entries[0].get("checkpoint_sha256") == _hash(checkpoint)


def sync_directory(directory: Path) -> None:
    """Syncs a directory, so that the new names of its files are on the disk too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename_references(data: dict[str, Any], renames: Mapping[str, str]) -> dict[str, Any]:
    if not renames:
        return data
    resource = from_json(data)
    renamed = rename_references(resource, renames)
    return data if renamed is resource else to_json(renamed)


def _hash(checkpoint: bytes) -> str:
    return hashlib.sha256(checkpoint).hexdigest()


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
