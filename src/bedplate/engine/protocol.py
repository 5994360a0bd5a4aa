"""The verbs at which deployment and provider, the two halves of the embedded engine, meet: Pulumi's provider protocol.

Values are plain JSON-like Python: dict with str keys, list, str, int, float, bool, None. Two more things stand in them:

- `UNKNOWN`, a string (Pulumi's own sentinel), where a value is computed and not known yet. It occurs in `check`,
  `diff`, and in `create` and `update` with `preview=True`; never in a real create or update.
- `Secret(value)`, only on the way *out* of a provider (outputs of create, read, update, invoke), to say that a value
  must not be shown or stored in plaintext. On the way in a provider gets plaintext: the deployment remembers which
  inputs were secret and marks the outputs of the same name.

Assets and archives arrive as Pulumi puts them on the wire: a dict with the signature key, and `text`, `path` or `uri`.

What a failure means is said by its type, for the write-ahead entry depends on it:

- `OperationRejected`: a definite no. Nothing was made or changed. The pending entry is dropped.
- `PartialFailure`: the resource exists (or changed) but its initialisation did not finish; id and outputs are kept.
- any other exception: nobody knows. The pending entry stays, and the next run asks `find_by_intent`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""A value that will be known only after the resource it comes from was created or updated."""

INTENT_TAG = "bedplate:intent"
"""The tag key under which a provider stores `intent` on what it creates, wherever AWS lets a create carry tags."""

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
    """The provider, or the service behind it, said no: nothing was made, changed or deleted."""


class PartialFailure(Exception):
    """The resource exists, but its create or update did not run to the end."""

    def __init__(self, message: str, *, id: str, outputs: Properties, inputs: Properties | None = None) -> None:
        super().__init__(message)
        self.id = id
        self.outputs = outputs
        self.inputs = inputs


@dataclass(frozen=True, slots=True)
class CheckFailure:
    """Why an input is not accepted; `property` is the top-level input name (camelCase, as the program sends it)."""

    property: str
    reason: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`inputs` are the program's, with defaults and names filled in; with `failures` the resource is not touched."""

    inputs: Properties
    failures: tuple[CheckFailure, ...] = ()


class DiffChanges(StrEnum):
    NONE = "none"
    SOME = "some"
    UNKNOWN = "unknown"
    """The provider cannot tell: the deployment compares inputs itself."""


@dataclass(frozen=True, slots=True)
class DiffResult:
    """What would change. `diffs` and `replaces` are property paths (`a.b[0].c`); `replaces` is a subset of `diffs`.

    `detailed` maps a path to (old, new), for screens; it may stay empty.
    """

    changes: DiffChanges
    diffs: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    delete_before_replace: bool = False
    detailed: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreateResult:
    """`id` is "" in a preview, where outputs are the inputs plus `UNKNOWN` for what is computed."""

    id: str
    outputs: Properties


@dataclass(frozen=True, slots=True)
class ReadResult:
    """`id` is None when the resource is gone. `inputs` is what a program would have to say to get it."""

    id: str | None
    inputs: Properties
    outputs: Properties


class Provider(Protocol):
    """One configured provider, as the deployment calls it.

    For one resource one call at a time; for resources that do not depend on each other several threads may call
    `create`, `update`, `read` and `delete` at once. A provider resource itself (`pulumi:providers:aws`) is checked and
    diffed with the same two verbs only if the provider also has `check_config` and `diff_config`; without them its
    inputs are taken as they are, and a change of them replaces nothing.
    """

    def configure(self, config: Properties) -> None:
        """Take region, endpoints and the like; called once for every provider resource before any other verb."""

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, random_seed: bytes) -> CheckResult:
        """Validate and complete the program's inputs.

        `olds` are the last checked inputs (None for a new or replacing resource): a generated name is kept from there.
        For a new one the name comes from `random_seed` (32 bytes, the same in preview and up of a generation), so that
        both agree.
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
        """Compare checked inputs. The deployment has already put old values where `ignore_changes` says so."""

    def create(self, urn: str, type: str, inputs: Properties, preview: bool, intent: str) -> CreateResult:
        """Make it. `intent` is unique to this attempt and stored as tag `INTENT_TAG` where the service takes tags.

        Raises: Refused, PartlyDone, or anything else for "nobody knows".
        """

    def read(self, urn: str, id: str, type: str, inputs: Properties, state: Properties) -> ReadResult:
        """Look at the world. With empty `inputs` and `state` it is an import: everything comes from `id`."""

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
        """Change it in place and return the new outputs. Must be safe to run again after a kill."""

    def delete(self, urn: str, id: str, type: str, inputs: Properties, outputs: Properties) -> None:
        """Delete it; what is already gone is a success."""

    def invoke(self, token: str, args: Properties) -> Properties:
        """Answer a function such as `aws:index/getCallerIdentity:getCallerIdentity`."""

    def find_by_intent(self, type: str, intent: str, inputs: Properties) -> str | None:
        """The id of what an interrupted `create` with this intent made, or None.

        `inputs` are those of that create, for services without tags where the physical name has to do.
        """
