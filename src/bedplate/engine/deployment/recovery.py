"""What became of operations that a kill interrupted: asks the world, and puts the state right, unasked.

A create is looked up by the intent that was written down before the call and tagged onto what it made; an update or a
delete by reading the resource.
"""

from __future__ import annotations

from bedplate.engine.deployment.events import Events
from bedplate.engine.deployment.providers import Providers
from bedplate.engine.property_values import mark_keys, mark_secrets, reveal
from bedplate.engine.protocol import Provider
from bedplate.engine.state.snapshot import Operation, Resource, Snapshot


def recover(snapshot: Snapshot, providers: Providers, events: Events) -> Snapshot:
    """The snapshot without pending operations: what they made is in it, what they deleted is not."""
    if not snapshot.pending:
        return snapshot
    resources = list(snapshot.resources())
    for operation in snapshot.pending:
        resource = operation.resource
        live = {r.urn: r for r in resources if not r.delete}
        if not resource.custom or not resource.provider:
            continue
        provider = providers.get(resource.provider, live)
        if operation.kind == "creating":
            _creating(operation, provider, resources, live, events)
        elif operation.kind in ("updating", "deleting"):
            _touched(operation, provider, resources, events)
    return Snapshot(resources)


def _creating(
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
        events.say("info", f"{new.urn}: its creation was interrupted before anything was made")
        return
    found = provider.read(new.urn, id, new.type, inputs, {})
    if found.id is None:
        return
    new.id = found.id
    new.outputs = mark_keys(mark_secrets(found.outputs, new.inputs), new.additional_secret_outputs)
    # As found, not as asked for: what the kill cut off (a key's rotation, a bucket's tags) shows in the next diff.
    new.inputs = mark_secrets(found.inputs, new.inputs)
    old = live.get(new.urn)
    if old is not None and old.pending_replacement:
        resources.remove(old)
    elif old is not None:
        old.delete = True
    resources.append(new)
    events.say("info", f"{new.urn}: its creation was interrupted; found what it made, {found.id}")


def _touched(operation: Operation, provider: Provider, resources: list[Resource], events: Events) -> None:
    urn, id = operation.resource.urn, operation.resource.id
    known = next((r for r in resources if r.urn == urn and r.id == id), None)
    if known is None or known.pending_replacement:
        return
    found = provider.read(urn, id, known.type, reveal(known.inputs), reveal(known.outputs))
    if found.id is None:
        resources.remove(known)
        _drop_references(urn, resources)
        events.say("info", f"{urn}: its deletion was interrupted after it was gone")
        return
    known.inputs = mark_secrets(found.inputs, known.inputs)
    known.outputs = mark_keys(mark_secrets(found.outputs, known.outputs), known.additional_secret_outputs)
    events.say("info", f"{urn}: {operation.kind} was interrupted; read anew")


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
