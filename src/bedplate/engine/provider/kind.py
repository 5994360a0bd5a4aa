"""What a row of the tables says: how one resource type is made, found, changed and deleted at AWS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bedplate.engine.provider.cloud import Cloud

Props = dict[str, Any]
EVERYTHING = "*"
"""In `replaces`: every property but the tags."""


@dataclass(frozen=True, slots=True)
class FollowUpCall:
    """One more operation, made when one of the properties `for_` is set (after a create) or has changed (an update)."""

    operation: str
    for_: tuple[str, ...] = ()
    when: Callable[[Props], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Tags:
    """How a service tags. `target` are the parameters that name the resource, as far as an operation has them; texts
    in them are formats over its outputs. `specification` is EC2's resource type, whose creates take tags by it."""

    add: str
    remove: str
    list: str
    target: Mapping[str, Any]
    member: str = "Tags"
    keys: str = "TagKeys"
    on_create: bool = True
    specification: str = ""


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One resource type.

    Formats (`{name}`) are over inputs, outputs, `account`, `region` and, once known, `id`.
    """

    type: str
    service: str
    create: str
    read: str
    delete: str
    id: str
    """Format of the physical id."""
    keys: tuple[str, ...]
    """Inputs that say which resource is meant; they go into every request whose operation knows them."""
    from_id: Callable[[str], Props] | None = None
    """The keys out of an id, for an import; None where the id is the one key."""
    named: str | None = None
    """The input that holds the physical name; filled in from the logical name where the program leaves it out."""
    max_name: int = 63
    rename: Mapping[str, str] = field(default_factory=dict)
    """Property -> member path (`Budget.BudgetName`, `Targets[0].Id`) where names differ."""
    payload: str = ""
    """The member path below which every property that is no key goes."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of every request whose operation knows them; formats."""
    local: tuple[str, ...] = ()
    """Properties for the provider itself; never sent."""
    found: str = ""
    """Path of the resource in the answer to `read`."""
    alive: Callable[[Mapping[str, Any]], bool] = lambda _: True
    """Whether what was found is a living resource."""
    gone: tuple[str, ...] = ()
    """Error codes, or words of messages, that say that there is none."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Computed outputs: formats, or `=path` in the answer to the create (or else the read)."""
    extras: tuple[FollowUpCall, ...] = ()
    """What the create's operation cannot take along."""
    updates: tuple[FollowUpCall, ...] = ()
    replaces: tuple[str, ...] = ()
    """Properties (dotted) that cannot change in place."""
    tags: Tags | None = None
    server_named: bool = False
    """AWS assigns the id: two may exist side by side, and after a kill only the intent tag tells them apart."""
    # Code where a table is not enough.
    to_params: Callable[[Cloud, str, Props, Props], Props | None] | None = None
    """(cloud, operation, inputs, params so far) -> params, None to send none."""
    to_inputs: Callable[[Cloud, Props, Mapping[str, Any]], Props] | None = None
    """(cloud, template inputs, what was found) -> inputs that the shapes alone do not lift."""
    before_create: Callable[[Cloud, Props], None] | None = None
    after_create: Callable[[Cloud, Props], None] | None = None
    on_update: Callable[[Cloud, Props, Props], None] | None = None
    """(cloud, old inputs, outputs so far): changes the properties `by_hand`."""
    by_hand: tuple[str, ...] = ()
    before_delete: Callable[[Cloud, Props, Props], None] | None = None
    after_delete: Callable[[Cloud, Props], None] | None = None
    find: Callable[[Cloud, str, Props], str | None] | None = None
    """(cloud, intent, inputs) -> id, where the service assigns ids."""
