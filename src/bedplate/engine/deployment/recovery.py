"""Recovers the pending operations of a killed run: reads the actual resources and corrects the state.

A resource that was being created is found by the intent, which is in the journal before the call and in a tag of the
resource; one that was being updated or deleted is read by its id.
"""

from __future__ import annotations

from bedplate.engine.deployment.events import Events
from bedplate.engine.deployment.providers import Providers
from bedplate.engine.property_values import mark_secret_keys, mark_secrets, reveal
from bedplate.engine.protocol import Provider
from bedplate.engine.state.snapshot import Operation, Resource, Snapshot


def recover(snapshot: Snapshot, providers: Providers, events: Events) -> Snapshot:
    """Returns the snapshot with the results of its pending operations: what they created, without what they deleted."""
    resources = list(snapshot.resources())
    for operation in snapshot.pending:
        resource = operation.resource
        live = {r.urn: r for r in resources if not r.delete}
        if not resource.custom or not resource.provider:
            continue
        provider = providers.get(resource.provider, live)
        if operation.kind == "creating":
            _recover_create(operation, provider, resources, live, events)
        elif operation.kind in ("updating", "deleting"):
            _recover_change(operation, provider, resources, events)
    return Snapshot(resources)


def _recover_create(
    operation: Operation,
    provider: Provider,
    resources: list[Resource],
    live: dict[str, Resource],
    events: Events,
) -> None:
    new = operation.resource
    inputs = reveal(new.inputs)
    id = provider.find_by_intent(new.type, operation.intent, inputs) if operation.intent else None
    if id is None:
        events.emit_diagnostic("info", f"{new.urn}: its creation was interrupted before the resource existed")
        return
    result = provider.read(new.urn, id, new.type, inputs, {})
    if result.id is None:
        return
    new.id = result.id
    new.outputs = mark_secret_keys(mark_secrets(result.outputs, new.inputs), new.additional_secret_outputs)
    # The actual inputs, so that the next diff includes what the kill prevented (a key's rotation, a bucket's tags).
    new.inputs = mark_secrets(result.inputs, new.inputs)
    old = live.get(new.urn)
    if old is not None and old.pending_replacement:
        resources.remove(old)
    elif old is not None:
        old.delete = True
    resources.append(new)
    events.emit_diagnostic("info", f"{new.urn}: its creation was interrupted; found the resource, {result.id}")


def _recover_change(operation: Operation, provider: Provider, resources: list[Resource], events: Events) -> None:
    urn, id = operation.resource.urn, operation.resource.id
    resource = next((r for r in resources if r.urn == urn and r.id == id), None)
    if resource is None or resource.pending_replacement:
        return
    result = provider.read(urn, id, resource.type, reveal(resource.inputs), reveal(resource.outputs))
    if result.id is None:
        resources.remove(resource)
        _drop_references(urn, resources)
        events.emit_diagnostic("info", f"{urn}: its deletion was interrupted after the resource was deleted")
        return
    resource.inputs = mark_secrets(result.inputs, resource.inputs)
    outputs = mark_secrets(result.outputs, resource.outputs)
    resource.outputs = mark_secret_keys(outputs, resource.additional_secret_outputs)
    events.emit_diagnostic("info", f"{urn}: {operation.kind} was interrupted; read the resource again")


def _drop_references(urn: str, resources: list[Resource]) -> None:
    if any(r.urn == urn for r in resources):
        return
    for resource in resources:
        resource.dependencies = [u for u in resource.dependencies if u != urn]
        resource.property_dependencies = {
            k: [u for u in urns if u != urn] for k, urns in resource.property_dependencies.items()
        }
        resource.deleted_with = "" if resource.deleted_with == urn else resource.deleted_with
        resource.replace_with = [u for u in resource.replace_with if u != urn]
