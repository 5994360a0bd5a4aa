"""A stack's state on disk: a checkpoint, a journal of what a run has changed since, and the history of its runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.engine.protocol import Properties
from bedplate.engine.state import journal
from bedplate.engine.state.journal import Journal
from bedplate.engine.state.secrets import Crypter, keepable, passphrase, prepare, seal, unseal, unsealed
from bedplate.engine.state.snapshot import ROOT_TYPE, Operation, Resource, Snapshot, from_json, to_json, with_new_names
from bedplate.errors import BedplateError, NotFound, UsageError

VERSION = 3
"""Of the checkpoint's schema; what `pulumi stack import` reads."""
IN_PROGRESS = "in-progress"
INTENT_KEY = "intent"
"""Ours, beside `resource` and `type` of a pending operation; Pulumi passes over it."""


@dataclass(frozen=True, slots=True)
class StateFiles:
    """The files of one stack."""

    checkpoint: Path
    lock: Path
    key: Path
    derived: Path
    history: Path
    journal: Path

    @classmethod
    def of(cls, directory: Path, stack: str) -> StateFiles:
        def path(suffix: str) -> Path:
            return directory / f"{stack}.{suffix}"

        return cls(path("json"), path("lock"), path("key"), path("derived"), path("history.jsonl"), path("journal"))


class StateStore:
    """Reads and writes one stack's state; every file is readable by its owner only.

    `write` puts a whole snapshot in the checkpoint's place, at once or not at all. While a run is at work, `append`
    says what has changed, and `fold` ends the journal. `before_write` is called with the bytes just before they are
    written.
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
        self.paths = StateFiles.of(directory, stack)
        self.crypter = self._crypter()
        self._now = now
        self._version = version
        self._before_write = before_write
        self._sealed: dict[int, tuple[Resource, str]] = {}
        self._journal: Journal | None = None
        self._salt_told = ""

    # --- the checkpoint -----------------------------------------------------------------------------------------

    def exists(self) -> bool:
        return self.paths.checkpoint.exists()

    def prepare(self) -> None:
        """Begin with what takes long and can be done beside something else: deriving the key of the secrets."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            deployment = json.loads(self.paths.checkpoint.read_bytes())["deployment"]
            salt = deployment["secrets_providers"]["state"]["salt"]
            prepare(salt, lambda: passphrase(self.paths.key), keepable(self.paths.derived))

    def _crypter(self, salt: str = "") -> Crypter:
        return Crypter(lambda: passphrase(self.paths.key), salt, kept=keepable(self.paths.derived))

    def create(self) -> None:
        """Make an empty stack; UsageError when there is one of this name."""
        if self.exists():
            raise UsageError(f"stack '{self.stack}' already exists", next_step=f"bedplate up --stack {self.stack}")
        self.write(Snapshot())

    def read(self) -> Snapshot:
        """Raises NotFound for a stack never made, BedplateError for a file that is no checkpoint."""
        return self._snapshot(self._deployment())

    def exports(self) -> Properties:
        """What the program exports: of all the state only the stack itself is opened. Raises as `read`."""
        deployment = self._deployment()
        roots = [r for r in deployment.get("resources") or () if r["type"] == ROOT_TYPE]
        found = next(self._snapshot({**deployment, "resources": roots, "pending_operations": []}).resources(), None)
        return found.outputs if found is not None else {}

    def _deployment(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = document(self.paths)["deployment"]
        except FileNotFoundError as exc:
            raise NotFound(
                f"no stack named '{self.stack}' found", next_step=f"bedplate up --stack {self.stack}"
            ) from exc
        return found

    def _snapshot(self, deployment: Mapping[str, Any]) -> Snapshot:
        provider = deployment.get("secrets_providers") or {}
        if provider.get("type", "passphrase") != "passphrase":
            raise UsageError(
                f"The state's secrets are kept by {provider['type']!r}; the embedded engine opens passphrases only",
                next_step="pulumi stack change-secrets-provider passphrase",
            )
        salt = (provider.get("state") or {}).get("salt", "")
        if salt:
            self.crypter = self._crypter(salt)

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
        """Put the snapshot in the file's place: all of it or, after a kill, the one before. Ends a journal."""
        snapshot.unwritten()
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
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self.paths.journal.unlink(missing_ok=True)

    def append(self, snapshot: Snapshot) -> Callable[[], None]:
        """Write down what has changed in the snapshot since the last time; the answer waits until it is on the disk.

        The checkpoint must hold the snapshot as it was when the run began. One thread at a time; the waiting may be
        done by several.
        """
        changes = snapshot.unwritten()
        settled = {n: self._text(resource, resource) for n, resource in changes.settled.items()}
        begun = {n: self._pending_text(operation, snapshot) for n, operation in changes.begun.items()}
        head = journal.line(
            moved=changes.moved,
            dropped=changes.dropped,
            ended=changes.ended,
            renamed=changes.renamed,
            secrets=self._new_secrets(),
        )
        line = _spliced(head, {"settled": settled, "begun": begun}).encode()
        if self._before_write is not None:
            self._before_write(line)
        if self._journal is None:
            self._journal = Journal(self.paths.journal, self.paths.checkpoint.read_bytes())
        opened = self._journal
        number = opened.append(line)
        return lambda: opened.sync(number)

    def fold(self, snapshot: Snapshot) -> None:
        """End a run: what the journal says goes into the checkpoint. Nothing is written when nothing was appended."""
        if self._journal is not None:
            self.write(snapshot)

    def left_behind(self) -> bool:
        """Whether a run that was killed left a journal."""
        return self.paths.journal.exists()

    def _new_secrets(self) -> dict[str, Any] | None:
        """The salt, in the first line after it came to be."""
        if not self.crypter.started or self._salt_told == self.crypter.salt:
            return None
        self._salt_told = self.crypter.salt
        return _provider(self.crypter)

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
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        journal.sync_directory(path.parent)

    # --- export and import ----------------------------------------------------------------------------------------

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """The checkpoint as `pulumi stack export` gives it; with `show_secrets` in plaintext."""
        exported = document(self.paths)
        for operation in exported["deployment"].get("pending_operations") or ():
            operation.pop(INTENT_KEY, None)
        if not show_secrets:
            return exported
        deployment = exported["deployment"]
        snapshot = self.read()
        deployment["resources"] = [unsealed(to_json(r)) for r in snapshot.resources()]
        return exported

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
        files = self.paths
        for path in (files.checkpoint, files.journal, files.history, files.lock, files.key, files.derived):
            path.unlink(missing_ok=True)

    # --- history --------------------------------------------------------------------------------------------------

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append one run to the history: when it begins and, under the same `version`, when it has ended."""
        descriptor = os.open(self.paths.history, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_dump(entry) + "\n")

    def runs(self) -> int:
        """How many runs the history knows."""
        return max((run["version"] for run in self.history()), default=0)

    def history(self) -> list[dict[str, Any]]:
        """Every run, newest first; one that never ended stays `in-progress`. A line cut short is passed over."""
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
            version = run.setdefault("version", max(runs, default=0) + 1)  # an earlier Bedplate did not number them
            runs[version] = run
        return [runs[version] for version in sorted(runs, reverse=True)]


def document(paths: StateFiles) -> dict[str, Any]:
    """The checkpoint as it stands, with what a run that is at work, or was killed, has written down since.

    Raises FileNotFoundError for a stack never made, BedplateError for a file that is no checkpoint.
    """
    lines = journal.read(paths.journal)  # first: once it is folded, the checkpoint holds what it said
    text = paths.checkpoint.read_bytes()
    try:
        found: dict[str, Any] = json.loads(text)
        if not isinstance(found["deployment"], dict):
            raise TypeError("its deployment is no object")
    except (ValueError, KeyError, TypeError) as exc:
        raise BedplateError(
            f"{paths.checkpoint} is not a checkpoint: {exc}",
            next_step="put back an earlier copy with `bedplate state import`",
        ) from exc
    return journal.folded(found, lines[1:]) if journal.continues(lines, text) else found


def _spliced(head: Mapping[str, Any], texts: Mapping[str, Mapping[int, str]]) -> str:
    """A line of the journal; resources are text already."""
    parts = [_dump(head)[1:-1]] if head else []
    for key, numbered in texts.items():
        if numbered:
            parts.append(f'"{key}":{{{",".join(f"{_dump(str(n))}:{text}" for n, text in numbered.items())}}}')
    return "{" + ",".join(parts) + "}"


def _provider(crypter: Crypter) -> dict[str, Any]:
    return {"type": "passphrase", "state": {"salt": crypter.salt}}


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
