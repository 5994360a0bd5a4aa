"""A stack's state on disk: one checkpoint file, written whole after every step, and the history of its runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.engine.secrets import Crypter, passphrase, seal, unseal, unsealed
from bedplate.engine.state import Operation, Resource, Snapshot, from_json, to_json, with_new_names
from bedplate.errors import BedplateError, NotFound, UsageError

VERSION = 3
"""Of the checkpoint's schema; what `pulumi stack import` reads."""
INTENT_KEY = "intent"
"""Ours, beside `resource` and `type` of a pending operation; Pulumi passes over it."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of one stack."""

    checkpoint: Path
    lock: Path
    key: Path
    history: Path

    @classmethod
    def of(cls, directory: Path, stack: str) -> Paths:
        def path(suffix: str) -> Path:
            return directory / f"{stack}.{suffix}"

        return cls(path("json"), path("lock"), path("key"), path("history.jsonl"))


class Store:
    """Reads and writes one stack's checkpoint; `write` is atomic and leaves the file readable by its owner only.

    `before_write` is called with the file's new bytes just before they take its place.
    """

    def __init__(
        self,
        directory: Path,
        stack: str,
        *,
        now: Callable[[], str],
        version: str,
        before_write: Callable[[bytes], None] | None = None,
    ) -> None:
        self.stack = stack
        self.paths = Paths.of(directory, stack)
        self.crypter = Crypter(lambda: passphrase(self.paths.key))
        self._now = now
        self._version = version
        self._before_write = before_write
        self._sealed: dict[int, tuple[Resource, str]] = {}

    # --- the checkpoint -----------------------------------------------------------------------------------------

    def exists(self) -> bool:
        return self.paths.checkpoint.exists()

    def create(self) -> None:
        """Make an empty stack; UsageError when there is one of this name."""
        if self.exists():
            raise UsageError(f"stack '{self.stack}' already exists", next_step=f"bedplate up --stack {self.stack}")
        self.write(Snapshot())

    def read(self) -> Snapshot:
        """Raises NotFound for a stack never made, BedplateError for a file that is no checkpoint."""
        try:
            text = self.paths.checkpoint.read_bytes()
        except FileNotFoundError as exc:
            raise NotFound(
                f"no stack named '{self.stack}' found", next_step=f"bedplate up --stack {self.stack}"
            ) from exc
        try:
            deployment = json.loads(text)["deployment"]
        except (ValueError, KeyError, TypeError) as exc:
            raise BedplateError(
                f"{self.paths.checkpoint} is not a checkpoint: {exc}",
                next_step="put back an earlier copy with `bedplate state import`",
            ) from exc
        return self._snapshot(deployment)

    def _snapshot(self, deployment: Mapping[str, Any]) -> Snapshot:
        provider = deployment.get("secrets_providers") or {}
        if provider.get("type", "passphrase") != "passphrase":
            raise UsageError(
                f"The state's secrets are kept by {provider['type']!r}; the embedded engine opens passphrases only",
                next_step="pulumi stack change-secrets-provider passphrase",
            )
        salt = (provider.get("state") or {}).get("salt", "")
        if salt:
            self.crypter = Crypter(lambda: passphrase(self.paths.key), salt)

        def resource(data: Mapping[str, Any]) -> Resource:
            plain = {**data}
            for key in ("inputs", "outputs"):
                if key in plain:
                    plain[key] = unseal(plain[key], self.crypter)
            return from_json(plain)

        pending = [
            Operation(resource(entry["resource"]), entry["type"], entry.get(INTENT_KEY, ""))
            for entry in deployment.get("pending_operations") or ()
        ]
        return Snapshot((resource(data) for data in deployment.get("resources") or ()), pending)

    def write(self, snapshot: Snapshot) -> None:
        """Put the snapshot in the file's place: all of it or, after a kill, the one before."""
        resources = [self._text(with_new_names(r, snapshot.renamed), r) for r in snapshot.resources()]
        pending = [self._pending_text(operation, snapshot) for operation in snapshot.pending]
        magic = hashlib.sha256(self._version.encode()).hexdigest()
        head = {"time": self._now(), "magic": magic, "version": self._version}
        parts = [f'"manifest":{_dump(head)}']
        if self.crypter.started:
            parts.append(f'"secrets_providers":{_dump(_provider(self.crypter))}')
        parts.append('"resources":[' + ",\n".join(resources) + "]")
        if pending:
            parts.append('"pending_operations":[' + ",\n".join(pending) + "]")
        self._replace(f'{{"version":{VERSION},"deployment":{{{",".join(parts)}}}}}\n'.encode())

    def _text(self, resource: Resource, owner: Resource) -> str:
        known = self._sealed.get(id(owner))
        if known is not None and resource is owner:
            return known[1]
        text = _dump(self._entry(resource))
        if resource is owner:
            self._sealed[id(owner)] = (owner, text)
        return text

    def _pending_text(self, operation: Operation, snapshot: Snapshot) -> str:
        resource = with_new_names(operation.resource, snapshot.renamed)
        entry: dict[str, Any] = {"resource": self._entry(resource), "type": operation.kind}
        if operation.intent:
            entry[INTENT_KEY] = operation.intent
        return _dump(entry)

    def _entry(self, resource: Resource) -> dict[str, Any]:
        entry = to_json(resource)
        for key in ("inputs", "outputs"):
            if key in entry:
                entry[key] = seal(entry[key], self.crypter)
        return entry

    def changed(self, resource: Resource) -> None:
        """To be said of a resource that is mutated after it was written once."""
        self._sealed.pop(id(resource), None)

    def _replace(self, content: bytes) -> None:
        path = self.paths.checkpoint
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._before_write is not None:
            self._before_write(content)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(path)

    # --- export and import ----------------------------------------------------------------------------------------

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """The checkpoint as `pulumi stack export` gives it; with `show_secrets` in plaintext."""
        document: dict[str, Any] = json.loads(self.paths.checkpoint.read_bytes())
        for operation in document["deployment"].get("pending_operations") or ():
            operation.pop(INTENT_KEY, None)
        if not show_secrets:
            return document
        deployment = document["deployment"]
        snapshot = self.read()
        deployment["resources"] = [unsealed(to_json(r)) for r in snapshot.resources()]
        return document

    def import_(self, document: Mapping[str, Any]) -> None:
        """Replace the state with an exported one; secrets that it shows are encrypted with this stack's passphrase.

        Raises UsageError for another schema version, or for references to resources that are not in it.
        """
        if document.get("version") != VERSION or "deployment" not in document:
            raise UsageError(
                f"A checkpoint of version {VERSION} expected, found {document.get('version')!r}",
                next_step="pulumi stack export > state.json",
            )
        deployment = dict(document["deployment"])
        if '"ciphertext":' not in _dump(deployment):
            deployment.pop("secrets_providers", None)
        snapshot = self._snapshot(deployment)
        seen: set[str] = set()
        for resource in snapshot.resources():
            missing = resource.edges() - seen
            if missing:
                raise UsageError(
                    f"{resource.urn} refers to {', '.join(sorted(missing))}, which does not stand before it"
                )
            seen.add(resource.urn)
        self._sealed.clear()
        self.write(snapshot)

    def remove(self) -> None:
        for path in (self.paths.checkpoint, self.paths.history, self.paths.lock, self.paths.key):
            path.unlink(missing_ok=True)

    # --- history --------------------------------------------------------------------------------------------------

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append one run to the history."""
        descriptor = os.open(self.paths.history, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_dump(entry) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """Every run, newest first; a line cut short by a kill is passed over."""
        try:
            lines = self.paths.history.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        runs = []
        for line in lines:
            try:
                runs.append(json.loads(line))
            except ValueError:
                continue
        return runs[::-1]


def _provider(crypter: Crypter) -> dict[str, Any]:
    return {"type": "passphrase", "state": {"salt": crypter.salt}}


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
