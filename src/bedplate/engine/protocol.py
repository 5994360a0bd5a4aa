"""Defines the provider protocol of the embedded engine: how a deployment calls a provider, and its result types.

Values are plain JSON-like Python: dict with str keys, list, str, int, float, bool, None. They may also contain:

- `UNKNOWN`, a string (Pulumi's own sentinel), for a computed value that is not known yet. It occurs in `check`,
  `diff`, and in `create` and `update` with `preview=True`; never in a real create or update.
- `Secret(value)`, only in what a provider *returns* (outputs of create, read, update, invoke): the value must not be
  shown or stored in plaintext. A provider receives plaintext: the deployment records which inputs are secret and marks
  the outputs of the same name.

Assets and archives have Pulumi's wire format: a dict with the signature key, and `text`, `path` or `uri`.

The type of an exception decides what happens to the pending operation in the journal:

- `OperationRejected`: nothing was created or changed. The pending operation is removed.
- `PartialFailure`: the resource exists (or changed) but its initialization did not finish; id and outputs are recorded.
- any other exception: the outcome is unknown. The pending operation stays, and the next run calls `find_by_intent`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands for a value that is known only after the resource that computes it was created or updated."""

INTENT_TAG = "bedplate:intent"
"""The tag key under which a provider stores `intent` on what it creates, wherever the AWS operation accepts tags."""

Properties = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is encrypted at rest and masked on screens.

    >>> Secret("hush")
    Secret(***)
    """

    value: Any

    def __repr__(self) -> str:
        return "Secret(***)"


class OperationRejected(Exception):
    """The provider, or the service behind it, rejected the operation: nothing was created, changed or deleted."""


class PartialFailure(Exception):
    """The resource exists, but its create or update did not finish."""

    def __init__(self, message: str, *, id: str, outputs: Properties, inputs: Properties | None = None) -> None:
        super().__init__(message)
        self.id = id
        self.outputs = outputs
        self.inputs = inputs


@dataclass(frozen=True, slots=True)
class CheckFailure:
    """Why an input is invalid; `property` is the top-level input name (camelCase, as the program sends it)."""

    property: str
    reason: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`inputs` are the program's, with defaults and names filled in; a resource with `failures` is not changed."""

    inputs: Properties
    failures: tuple[CheckFailure, ...] = ()


class DiffChanges(StrEnum):
    NONE = "none"
    SOME = "some"
    UNKNOWN = "unknown"
    """The provider cannot compare them: the deployment compares the inputs itself."""


@dataclass(frozen=True, slots=True)
class DiffResult:
    """What would change. `diffs` and `replaces` are property paths (`a.b[0].c`); `replaces` is a subset of `diffs`.

    `detailed_diff` maps a path to (old, new), for display; it may be empty.
    """

    changes: DiffChanges
    diffs: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    delete_before_replace: bool = False
    detailed_diff: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


def compare_inputs(olds: Properties, news: Properties) -> DiffResult:
    """Compares the top-level inputs of a resource; a change of them replaces nothing.

    >>> compare_inputs({"a": 1, "b": 2}, {"a": 1, "c": 3}).diffs
    ('b', 'c')
    """
    changed = tuple(sorted(key for key in {*olds, *news} if olds.get(key) != news.get(key)))
    return DiffResult(DiffChanges.SOME if changed else DiffChanges.NONE, changed)


def derive_seed(urn: str, replaced_id: str = "") -> bytes:
    """Returns the 32-byte seed of generated names: the same in preview and up, different for each replacement."""
    return hashlib.sha256(f"{urn}\n{replaced_id}".encode()).digest()


@dataclass(frozen=True, slots=True)
class CreateResult:
    """`id` is "" in a preview, where outputs are the inputs plus `UNKNOWN` for what is computed."""

    id: str
    outputs: Properties


@dataclass(frozen=True, slots=True)
class ReadResult:
    """`id` is None when the resource no longer exists. `inputs` are those with which a program would create it."""

    id: str | None
    inputs: Properties
    outputs: Properties


class Provider(Protocol):
    """One configured provider, as the deployment calls it.

    Calls for one resource are sequential; for independent resources several threads may call `create`, `update`,
    `read` and `delete` at once. The inputs of a provider resource itself (`pulumi:providers:aws`) are checked and
    compared only if the provider also has `check_config` and `diff_config`; without them they are used unchanged, and
    a change of them replaces nothing.
    """

    def configure(self, config: Properties) -> None:
        """Sets region, endpoints and so on; called once for every provider resource before any other method."""

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, random_seed: bytes) -> CheckResult:
        """Validates the program's inputs and fills in defaults.

        `olds` are the last checked inputs (None for a new or replacing resource), from which a generated name is kept.
        A new name is derived from `random_seed`: 32 bytes that are the same in preview and up, so that both agree.
        """

    def diff(
        self,
        urn: str,
        id: str,
        type: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        ignore_changes: Sequence[str],
    ) -> DiffResult:
        """Compares checked inputs. The deployment has already restored the old values at the paths `ignore_changes`."""

    def create(self, urn: str, type: str, inputs: Properties, preview: bool, intent: str) -> CreateResult:
        """Creates the resource. `intent` is unique to this attempt and stored as tag `INTENT_TAG` where possible.

        Raises OperationRejected, PartialFailure, or any other exception when the outcome is unknown.
        """

    def read(self, urn: str, id: str, type: str, inputs: Properties, state: Properties) -> ReadResult:
        """Reads the actual resource. With empty `inputs` and `state` it is an import: `id` alone identifies it."""

    def update(
        self,
        urn: str,
        id: str,
        type: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        preview: bool,
    ) -> Properties:
        """Updates the resource in place and returns the new outputs. Must be safe to repeat after a kill."""

    def delete(self, urn: str, id: str, type: str, inputs: Properties, outputs: Properties) -> None:
        """Deletes the resource; succeeds when it no longer exists."""

    def invoke(self, token: str, args: Properties) -> Properties:
        """Calls a function such as `aws:index/getCallerIdentity:getCallerIdentity` and returns its result."""

    def find_by_intent(self, type: str, intent: str, inputs: Properties) -> str | None:
        """Returns the id of the resource that an interrupted `create` with this intent created, or None.

        `inputs` are those of that create: services without tags are searched by the physical name.
        """
