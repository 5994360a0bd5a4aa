"""One row of the tables: how a Pulumi resource type is created, read, updated and deleted through AWS's API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bedplate.engine.protocol import Properties
from bedplate.engine.provider.clients import AwsClients, Params

ALL_PROPERTIES = "*"
"""In `ResourceType.replaces`: every property except the tags."""


@dataclass(frozen=True, slots=True)
class FollowUpCall:
    """An API call made when one of `properties` is set (after a create) or has changed (in an update)."""

    operation: str
    properties: tuple[str, ...] = ()
    condition: Callable[[Properties], bool] = lambda _: True


def toggle_calls(property: str, enable: str, disable: str) -> tuple[FollowUpCall, FollowUpCall]:
    """Returns the two calls of a property that one operation sets and another removes."""
    return (
        FollowUpCall(enable, (property,), condition=lambda new: bool(new.get(property))),
        FollowUpCall(disable, (property,), condition=lambda new: not new.get(property)),
    )


@dataclass(frozen=True, slots=True)
class TagOperations:
    """How a service tags a resource.

    `target` holds the parameters that identify the resource; each operation gets those that it has a member for. Texts
    in them are formats over the resource's outputs. `ec2_resource_type` is set for EC2 only, whose create operations
    take tags as `TagSpecifications` of a resource type.
    """

    target: Mapping[str, Any]
    add: str = "TagResource"
    remove: str = "UntagResource"
    list: str = "ListTagsForResource"
    tags_member: str = "Tags"
    keys_member: str = "TagKeys"
    on_create: bool = True
    ec2_resource_type: str = ""


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One resource type.

    Formats such as `{name}` are filled from the inputs, the outputs, `account`, `region` and, after the create, `id`.
    """

    type: str
    """Pulumi's type token."""
    service: str
    """botocore's name of the service."""
    operations: tuple[str, str, str]
    """The API operations that create, read and delete the resource."""
    id_format: str
    """Format of the physical id."""
    key_properties: tuple[str, ...]
    """Inputs that identify the resource; they go into every request whose operation has a member for them."""
    parse_id: Callable[[str], Properties] | None = None
    """Returns the key properties of an id, for an import; None where the id is the only key property."""
    name_property: str | None = None
    """The input that holds the physical name; generated from the logical name where the program leaves it out."""
    max_name_length: int = 63

    member_paths: Mapping[str, str] = field(default_factory=dict)
    """Property -> member path (`Budget.BudgetName`, `Targets[0].Id`) where names differ; `|` separates alternatives."""
    payload_path: str = ""
    """Path of the member that takes every property except the key properties."""
    fixed_params: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of every request whose operation has a member for them; formats."""
    provider_only: tuple[str, ...] = ()
    """Properties that only the provider uses; never sent as they are."""
    read_path: str = ""
    """Path of the resource in the response of the read operation."""
    is_alive: Callable[[Mapping[str, Any]], bool] = lambda _: True
    """Whether a resource that the read operation returned exists, and is not, say, scheduled for deletion."""
    missing_codes: tuple[str, ...] = ()
    """Error codes, or parts of error messages, that mean that the resource does not exist."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Computed outputs: formats, or `=path in the create's response|path in the read's resource`."""
    create_follow_ups: tuple[FollowUpCall, ...] = ()
    """Calls that set what the create operation has no member for."""
    update_calls: tuple[FollowUpCall, ...] = ()
    replaces: tuple[str, ...] = ()
    """Properties (dotted paths) that cannot change in place."""
    tags: TagOperations | None = None
    has_generated_id: bool = False
    """AWS assigns the id, so that equal resources can coexist and only the intent tag identifies one after a kill."""
    # Hooks, for what fields cannot express.
    adjust_params: Callable[[AwsClients, str, Properties, Params], Params | None] | None = None
    """(clients, operation, properties, params so far) -> params; None skips the call."""
    read_inputs: Callable[[AwsClients, Properties, Mapping[str, Any]], Properties] | None = None
    """(clients, declared inputs, resource at AWS) -> inputs that cannot be read by the shapes alone."""
    before_create: Callable[[AwsClients, Properties], None] | None = None
    after_create: Callable[[AwsClients, Properties], None] | None = None
    on_update: Callable[[AwsClients, Properties, Properties], None] | None = None
    """(clients, old inputs, outputs so far): updates `on_update_properties`."""
    on_update_properties: tuple[str, ...] = ()
    before_delete: Callable[[AwsClients, Properties, Properties], None] | None = None
    after_delete: Callable[[AwsClients, Properties], None] | None = None
    find_id: Callable[[AwsClients, str, Properties], str | None] | None = None
    """(clients, intent, inputs) -> id of the resource that a killed create made, where AWS assigns ids."""

    @property
    def create(self) -> str:
        return self.operations[0]

    @property
    def read(self) -> str:
        return self.operations[1]

    @property
    def delete(self) -> str:
        return self.operations[2]

    @property
    def computed_outputs(self) -> tuple[str, ...]:
        return ("id", *self.outputs, *(("tagsAll",) if self.tags else ()))

    def keys_of_id(self, id: str) -> Properties:
        """Returns the key properties that an id contains."""
        if self.parse_id:
            return self.parse_id(id)
        return {} if self.has_generated_id else {self.key_properties[0]: id}

    def needs_replacement(self, path: str) -> bool:
        """Returns whether a change at a property path (`a.b[0].c`) cannot be made in place."""
        segments = [segment.split("[")[0] for segment in path.split(".")]
        if segments[0] == "tags":
            return False
        if ALL_PROPERTIES in self.replaces:
            return segments[0] not in self.provider_only
        names = ".".join(segments)
        return any(f"{names}.".startswith(f"{other}.") or other.startswith(f"{names}.") for other in self.replaces)


def named_type(
    type: str, service: str, operations: tuple[str, str, str], name: str = "name", **fields: Any
) -> ResourceType:
    """Builds a resource type that AWS identifies by a name: the input `name` is its key, and its id unless `fields`
    says otherwise."""
    fields = {"id_format": f"{{{name}}}", "replaces": (name,), **fields}
    return ResourceType(type, service, operations, key_properties=(name,), name_property=name, **fields)


def default_param(
    operation: str, name: str, default: Any
) -> Callable[[AwsClients, str, Properties, Params], Params | None]:
    """Returns an `adjust_params` hook that sets a parameter of one operation if no property did.

    Some settings have no delete operation: the provider deletes them by putting this default.
    """

    def adjust_params(_aws: AwsClients, current: str, _properties: Properties, params: Params) -> Params:
        return {name: default, **params} if current == operation else params

    return adjust_params
