"""Looks at every resource and takes over into the state what the world has become."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bedplate.engine import property_paths
from bedplate.engine.deployment.events import Events
from bedplate.engine.deployment.providers import Providers
from bedplate.engine.deployment.steps import Op, Step
from bedplate.engine.property_values import mark_keys, mark_secrets, reveal
from bedplate.engine.protocol import DiffChanges
from bedplate.engine.state.snapshot import Resource, Snapshot


def refresh(snapshot: Snapshot, providers: Providers, events: Events, *, parallel: int) -> tuple[Snapshot, bool]:
    """The snapshot as the world is now, and whether every resource could be read.

    Components, providers and resources between deletion and replacement stay as they are. References to what is gone
    are dropped from those that had them.
    """
    before = list(snapshot.resources())
    live = {r.urn: r for r in before if not r.delete}
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="refresh") as pool:
        steps = list(pool.map(lambda resource: _look(resource, live, providers, events), before))
    kept = [step.new for step in steps if step.new is not None]
    return Snapshot(_repaired(kept)), all(step.found is not None for step in steps)


def _look(old: Resource, live: dict[str, Resource], providers: Providers, events: Events) -> Step:
    step = Step(Op.REFRESH, old, old)
    events.before(step)
    if not old.custom or old.is_provider or old.pending_replacement:
        step.found = Op.SAME
        events.after(step)
        return step
    try:
        provider = providers.get(old.provider, live)
        found = provider.read(old.urn, old.id, old.type, reveal(old.inputs), reveal(old.outputs))
        if found.id is None:
            step.new, step.found = None, Op.DELETE
        else:
            outputs = mark_keys(mark_secrets(found.outputs, old.outputs), old.additional_secret_outputs)
            new = old.copy(id=found.id, inputs=mark_secrets(found.inputs, old.inputs), outputs=outputs, init_errors=[])
            step.new, step.found = new, Op.SAME
            if old.external:
                step.found = Op.SAME if reveal(old.outputs) == reveal(new.outputs) else Op.UPDATE
            else:
                wanted, now = reveal(old.inputs), reveal(new.inputs)
                ignore = tuple(old.ignore_changes)
                diff = provider.diff(old.urn, found.id, old.type, now, reveal(new.outputs), wanted, ignore)
                unlike = now != reveal(property_paths.restore(old.inputs, new.inputs, old.ignore_changes))
                changed = diff.changes == DiffChanges.SOME or (diff.changes == DiffChanges.UNKNOWN and unlike)
                if changed:
                    step.found, step.diffs = Op.UPDATE, diff.diffs
                    step.detailed = {path: (new, old) for path, (old, new) in diff.detailed.items()}
    except Exception as exc:
        events.failed(step, str(exc) or type(exc).__name__)
        return step
    events.after(step)
    return step


def _repaired(resources: list[Resource]) -> list[Resource]:
    """References only to what stands before, as in Pulumi after a refresh."""
    known: set[str] = set()
    result = []
    for each in resources:
        properties = {k: kept for k, urns in each.property_dependencies.items() if (kept := _only(urns, known))}
        resource = each.copy(
            dependencies=_only(each.dependencies, known),
            property_dependencies=properties,
            deleted_with=each.deleted_with if each.deleted_with in known else "",
            replace_with=_only(each.replace_with, known),
            parent=each.parent if each.parent in known else "",
        )
        known.add(each.urn)
        result.append(resource)
    return result


def _only(urns: list[str], known: set[str]) -> list[str]:
    return [urn for urn in urns if urn in known]
