"""Reads every actual resource and updates the state from it (refresh)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bedplate.engine.deployment.events import Events
from bedplate.engine.deployment.providers import Providers
from bedplate.engine.deployment.steps import Op, Step
from bedplate.engine.property_paths import apply_ignore_changes
from bedplate.engine.property_values import mark_secret_keys, mark_secrets, reveal
from bedplate.engine.protocol import DiffChanges
from bedplate.engine.state.snapshot import Resource, Snapshot


def refresh(snapshot: Snapshot, providers: Providers, events: Events, *, parallel: int) -> tuple[Snapshot, bool]:
    """Returns the refreshed snapshot, and whether every resource could be read.

    Components, providers and resources with a pending replacement do not change. References to resources that no
    longer exist are removed.
    """
    resources = list(snapshot.resources())
    live = {r.urn: r for r in resources if not r.delete}
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="refresh") as pool:
        steps = list(pool.map(lambda resource: _refresh_resource(resource, live, providers, events), resources))
    remaining = [step.new for step in steps if step.new is not None]
    return Snapshot(_drop_dangling_references(remaining)), all(step.refresh_op is not None for step in steps)


def _refresh_resource(old: Resource, live: dict[str, Resource], providers: Providers, events: Events) -> Step:
    step = Step(Op.REFRESH, old, old)
    events.emit_pre(step)
    if not old.custom or old.is_provider or old.pending_replacement:
        step.refresh_op = Op.SAME
        events.emit_outputs(step)
        return step
    try:
        provider = providers.get(old.provider, live)
        result = provider.read(old.urn, old.id, old.type, reveal(old.inputs), reveal(old.outputs))
        if result.id is None:
            step.new, step.refresh_op = None, Op.DELETE
        else:
            outputs = mark_secret_keys(mark_secrets(result.outputs, old.outputs), old.additional_secret_outputs)
            inputs = mark_secrets(result.inputs, old.inputs)
            new = old.copy(id=result.id, inputs=inputs, outputs=outputs, init_errors=[])
            step.new, step.refresh_op = new, Op.SAME
            if old.external:
                step.refresh_op = Op.SAME if reveal(old.outputs) == reveal(new.outputs) else Op.UPDATE
            else:
                actual, ignore = reveal(new.inputs), tuple(old.ignore_changes)
                outputs = reveal(new.outputs)
                diff = provider.diff(old.urn, result.id, old.type, actual, outputs, reveal(old.inputs), ignore)
                differs = actual != reveal(apply_ignore_changes(old.inputs, new.inputs, ignore))
                if diff.changes == DiffChanges.SOME or (diff.changes == DiffChanges.UNKNOWN and differs):
                    step.refresh_op, step.diffs = Op.UPDATE, diff.diffs
                    step.detailed_diff = {path: (new, old) for path, (old, new) in diff.detailed_diff.items()}
    except Exception as exc:
        events.emit_failure(step, str(exc) or type(exc).__name__)
        return step
    events.emit_outputs(step)
    return step


def _drop_dangling_references(resources: list[Resource]) -> list[Resource]:
    """Returns the resources with references only to earlier ones, as Pulumi does after a refresh."""
    earlier: set[str] = set()
    result = []
    for resource in resources:
        dependencies = {
            key: [urn for urn in urns if urn in earlier] for key, urns in resource.property_dependencies.items()
        }
        result.append(
            resource.copy(
                dependencies=[urn for urn in resource.dependencies if urn in earlier],
                property_dependencies={key: urns for key, urns in dependencies.items() if urns},
                deleted_with=resource.deleted_with if resource.deleted_with in earlier else "",
                replace_with=[urn for urn in resource.replace_with if urn in earlier],
                parent=resource.parent if resource.parent in earlier else "",
            )
        )
        earlier.add(resource.urn)
    return result
