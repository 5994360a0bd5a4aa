"""Stores a stack's state on disk: a checkpoint, a journal of changes since, and the history of its runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bedplate.engine.atomic_file import write_atomically
from bedplate.engine.protocol import Properties
from bedplate.engine.state.journal import Journal, apply_entries, is_continuation, read_entries, sync_directory
from bedplate.engine.state.secrets import (
    Crypter,
    decrypt_secrets,
    derived_key_file,
    encrypt_secrets,
    read_passphrase,
    with_plaintext_secrets,
)
from bedplate.engine.state.snapshot import (
    ROOT_TYPE,
    Operation,
    Resource,
    Snapshot,
    from_json,
    rename_references,
    to_json,
)
from bedplate.errors import BedplateError, NotFound, UsageError

VERSION = 3
"""The schema version of the checkpoint, which `pulumi stack import` reads."""
IN_PROGRESS = "in-progress"
"""Result of a run in the history that has not ended, or was killed."""
INTENT_KEY = "intent"
"""Bedplate's own key of a pending operation, beside `resource` and `type`; Pulumi ignores it."""


@dataclass(frozen=True, slots=True)
class StateFiles:
    """The state files of one stack."""

    checkpoint: Path
    lock: Path
    passphrase: Path
    derived_key: Path
    history: Path
    journal: Path

    @classmethod
    def of(cls, directory: Path, stack: str) -> StateFiles:
        suffixes = ("json", "lock", "passphrase", "derived-key", "history.jsonl", "journal")
        return cls(*(directory / f"{stack}.{suffix}" for suffix in suffixes))


class StateStore:
    """Reads and writes one stack's state; every file is readable by its owner only.

    `write` replaces the checkpoint atomically. During a run `append` adds the changes to the journal, and
    `merge_journal` writes them into the checkpoint. `before_write` is called with the bytes just before they are
    written. `version` is the version of the engine, which the checkpoint's manifest contains.
    """

    def __init__(
        self,
        directory: Path,
        stack: str,
        *,
        timestamp: Callable[[], str],
        version: str,
        before_write: Callable[[bytes], None] | None = None,
    ) -> None:
        self.stack = stack
        self.paths = StateFiles.of(directory, stack)
        self.crypter = self._build_crypter()
        self._timestamp = timestamp
        self._version = version
        self._before_write = before_write
        self._json_cache: dict[int, tuple[Resource, str]] = {}
        self._journal: Journal | None = None
        self._journaled_salt = ""

    # --- the checkpoint -----------------------------------------------------------------------------------------

    def exists(self) -> bool:
        return self.paths.checkpoint.exists()

    def prefetch_key(self) -> None:
        """Starts deriving the key of the secrets in the background, because key derivation is slow on purpose."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            deployment = json.loads(self.paths.checkpoint.read_bytes())["deployment"]
            self._build_crypter(deployment["secrets_providers"]["state"]["salt"]).derive_key_in_background()

    def passphrase(self) -> str:
        """Returns the passphrase of the stack's secrets; raises the same errors as `read_passphrase`."""
        return read_passphrase(self.paths.passphrase)

    def _build_crypter(self, salt: str = "") -> Crypter:
        return Crypter(self.passphrase, salt, key_file=derived_key_file(self.paths.derived_key))

    def create(self) -> None:
        """Creates an empty stack. Raises UsageError when the stack already exists."""
        if self.exists():
            raise UsageError(f"stack '{self.stack}' already exists", next_step=f"bedplate up --stack {self.stack}")
        self.write(Snapshot())

    def read(self) -> Snapshot:
        """Returns the state. Raises NotFound for a stack without one, BedplateError for an invalid checkpoint."""
        return self._build_snapshot(self._read_deployment())

    def stack_outputs(self) -> Properties:
        """Returns the program's exports without decrypting other resources. Raises the same errors as `read`."""
        deployment = self._read_deployment()
        roots = [r for r in deployment.get("resources") or () if r["type"] == ROOT_TYPE]
        # Only the stack's own resource is decrypted, because that takes time for each resource.
        snapshot = self._build_snapshot({**deployment, "resources": roots, "pending_operations": []})
        return next((root.outputs for root in snapshot.resources()), {})

    def _read_deployment(self) -> dict[str, Any]:
        try:
            return cast(dict[str, Any], read_checkpoint(self.paths)["deployment"])
        except FileNotFoundError as exc:
            next_step = f"bedplate up --stack {self.stack}"
            raise NotFound(f"no stack named '{self.stack}' found", next_step=next_step) from exc

    def _build_snapshot(self, deployment: Mapping[str, Any]) -> Snapshot:
        provider = deployment.get("secrets_providers") or {}
        if provider.get("type", "passphrase") != "passphrase":
            raise UsageError(
                f"The state's secrets provider is {provider['type']!r}; the embedded engine supports 'passphrase' only",
                next_step="pulumi stack change-secrets-provider passphrase",
            )
        salt = (provider.get("state") or {}).get("salt", "")
        if salt:
            self.crypter = self._build_crypter(salt)

        def resource(data: Mapping[str, Any]) -> Resource:
            plain = {**data}
            for key in ("inputs", "outputs"):
                if key in plain:
                    plain[key] = decrypt_secrets(plain[key], self.crypter)
            return from_json(plain)

        pending = [
            Operation(resource(entry["resource"]), entry["type"], entry.get(INTENT_KEY, ""))
            for entry in deployment.get("pending_operations") or ()
        ]
        return Snapshot((resource(data) for data in deployment.get("resources") or ()), pending)

    def write(self, snapshot: Snapshot) -> None:
        """Replaces the checkpoint atomically with the snapshot, and removes the journal."""
        snapshot.take_unsaved_changes()  # the checkpoint contains them, so the journal must not
        resources = [self._resource_json(rename_references(r, snapshot.renames), r) for r in snapshot.resources()]
        pending = [self._operation_json(operation, snapshot) for operation in snapshot.pending]
        magic = hashlib.sha256(self._version.encode()).hexdigest()
        manifest = {"time": self._timestamp(), "magic": magic, "version": self._version}
        members = [f'"manifest":{_dump(manifest)}']
        if self.crypter.has_salt:
            members.append(f'"secrets_providers":{_dump(_secrets_provider(self.crypter))}')
        members.append('"resources":[' + ",\n".join(resources) + "]")
        if pending:
            members.append('"pending_operations":[' + ",\n".join(pending) + "]")
        self._write_checkpoint(f'{{"version":{VERSION},"deployment":{{{",".join(members)}}}}}\n'.encode())
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self.paths.journal.unlink(missing_ok=True)

    def append(self, snapshot: Snapshot) -> Callable[[], None]:
        """Appends the changes of the snapshot since the last call to the journal.

        Returns a function that blocks until they are on the disk. Several threads may call that function at a time,
        but only one may call `append`. The checkpoint must contain the snapshot as it was at the start of the run.
        """
        changes = snapshot.take_unsaved_changes()
        resources = {n: self._resource_json(resource, resource) for n, resource in changes.resources.items()}
        operations = {n: self._operation_json(operation, snapshot) for n, operation in changes.operations.items()}
        fields = {name: getattr(changes, name) for name in ("moved", "removed", "completed", "renames")}
        fields["secrets_providers"] = self._unsaved_secrets_provider()
        line = _format_entry(fields, {"resources": resources, "operations": operations}).encode()
        if self._before_write is not None:
            self._before_write(line)
        if self._journal is None:
            self._journal = Journal(self.paths.journal, self.paths.checkpoint.read_bytes())
        journal = self._journal
        number = journal.append(line)
        return lambda: journal.sync(number)

    def merge_journal(self, snapshot: Snapshot) -> None:
        """Writes the checkpoint at the end of a run and removes the journal; does nothing if there was no change."""
        if self._journal is not None:
            self.write(snapshot)

    def has_journal(self) -> bool:
        """Returns whether a killed run has left a journal."""
        return self.paths.journal.exists()

    def _unsaved_secrets_provider(self) -> dict[str, Any] | None:
        """Returns the secrets provider for the first journal entry after its salt was generated, else None."""
        if not self.crypter.has_salt or self._journaled_salt == self.crypter.salt:
            return None
        self._journaled_salt = self.crypter.salt
        return _secrets_provider(self.crypter)

    def _resource_json(self, resource: Resource, cache_key: Resource) -> str:
        cached = self._json_cache.get(id(cache_key))
        if cached is not None and resource is cache_key:
            return cached[1]
        text = _dump(self._encrypted_json(resource))
        if resource is cache_key:
            self._json_cache[id(cache_key)] = (cache_key, text)
        return text

    def _operation_json(self, operation: Operation, snapshot: Snapshot) -> str:
        resource = rename_references(operation.resource, snapshot.renames)
        entry: dict[str, Any] = {"resource": self._encrypted_json(resource), "type": operation.kind}
        if operation.intent:
            entry[INTENT_KEY] = operation.intent
        return _dump(entry)

    def _encrypted_json(self, resource: Resource) -> dict[str, Any]:
        entry = to_json(resource)
        for key in ("inputs", "outputs"):
            if key in entry:
                entry[key] = encrypt_secrets(entry[key], self.crypter)
        return entry

    def forget_json(self, resource: Resource) -> None:
        """Drops the cached JSON of a resource that was mutated after it was written."""
        self._json_cache.pop(id(resource), None)

    def _write_checkpoint(self, content: bytes) -> None:
        if self._before_write is not None:
            self._before_write(content)
        write_atomically(self.paths.checkpoint, content, mode=0o600, durable=True)
        sync_directory(self.paths.checkpoint.parent)

    # --- export and import ----------------------------------------------------------------------------------------

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Returns the state in the format of `pulumi stack export`; with `show_secrets` in plaintext."""
        exported = read_checkpoint(self.paths)
        for operation in exported["deployment"].get("pending_operations") or ():
            operation.pop(INTENT_KEY, None)
        if not show_secrets:
            return exported
        resources = [with_plaintext_secrets(to_json(resource)) for resource in self.read().resources()]
        exported["deployment"]["resources"] = resources
        return exported

    def import_(self, document: Mapping[str, Any]) -> None:
        """Replaces the state with an exported one; encrypts its plaintext secrets with this stack's passphrase.

        Raises UsageError for another schema version, or for a resource that precedes one that it refers to.
        """
        if document.get("version") != VERSION or "deployment" not in document:
            raise UsageError(
                f"Expected a checkpoint of version {VERSION}, found {document.get('version')!r}",
                next_step="pulumi stack export > state.json",
            )
        deployment = dict(document["deployment"])
        if '"ciphertext":' not in _dump(deployment):  # with plaintext secrets only, the other stack's key is not needed
            deployment.pop("secrets_providers", None)
        snapshot = self._build_snapshot(deployment)
        earlier_urns: set[str] = set()
        for resource in snapshot.resources():
            missing = resource.all_dependencies() - earlier_urns
            if missing:
                raise UsageError(f"{resource.urn} refers to {', '.join(sorted(missing))}, which must precede it")
            earlier_urns.add(resource.urn)
        self._json_cache.clear()
        self.write(snapshot)

    def remove(self) -> None:
        files = self.paths
        for path in (files.checkpoint, files.journal, files.history, files.lock, files.passphrase, files.derived_key):
            path.unlink(missing_ok=True)

    # --- history --------------------------------------------------------------------------------------------------

    def append_history(self, entry: Mapping[str, Any]) -> None:
        """Appends an entry to the history. A run has two with the same `version`, for its start and its end."""
        descriptor = os.open(self.paths.history, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_dump(entry) + "\n")

    def latest_version(self) -> int:
        """Returns the version of the newest run of the history, 0 without one."""
        return max((run["version"] for run in self.history()), default=0)

    def history(self) -> list[dict[str, Any]]:
        """Returns every run, newest first; a run that was killed stays `in-progress`. Ignores truncated lines."""
        try:
            lines = self.paths.history.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        runs: dict[int, dict[str, Any]] = {}
        for line in lines:
            try:
                run = json.loads(line)
            except ValueError:
                continue
            runs[run["version"]] = run
        return [runs[version] for version in sorted(runs, reverse=True)]


def read_checkpoint(paths: StateFiles) -> dict[str, Any]:
    """Returns the checkpoint with the changes that a running or killed run has appended to the journal.

    Raises FileNotFoundError for a stack without a state, BedplateError for an invalid checkpoint.
    """
    entries = read_entries(paths.journal)  # before the checkpoint, into which a run can merge it at any time
    content = paths.checkpoint.read_bytes()
    try:
        checkpoint: dict[str, Any] = json.loads(content)
        if not isinstance(checkpoint["deployment"], dict):
            raise TypeError("its deployment is not an object")
    except (ValueError, KeyError, TypeError) as exc:
        raise BedplateError(
            f"{paths.checkpoint} is not a checkpoint: {exc}",
            next_step="restore an earlier copy with `bedplate state import`",
        ) from exc
    # The first entry identifies the checkpoint that the others continue.
    return apply_entries(checkpoint, entries[1:]) if is_continuation(entries, content) else checkpoint


def _format_entry(fields: Mapping[str, Any], json_by_index: Mapping[str, Mapping[int, str]]) -> str:
    """Returns a journal entry without empty fields; `json_by_index` holds resources and operations as JSON text."""
    parts = [f'"{key}":{_dump(value)}' for key, value in fields.items() if value]
    for key, numbered in json_by_index.items():
        if numbered:
            parts.append(f'"{key}":{{{",".join(f"{_dump(str(n))}:{text}" for n, text in numbered.items())}}}')
    return "{" + ",".join(parts) + "}"


def _secrets_provider(crypter: Crypter) -> dict[str, Any]:
    return {"type": "passphrase", "state": {"salt": crypter.salt}}


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
