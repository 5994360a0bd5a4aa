"""Parses RegisterResource and ReadResource requests of Pulumi's SDK into goals, the states that a program declares."""

from __future__ import annotations

from typing import Any

from bedplate.engine.deployment.steps import Alias, Goal
from bedplate.engine.property_values import from_struct
from bedplate.engine.timeouts import parse_duration_s


def parse_goal(request: Any) -> Goal:
    """Returns the goal of a RegisterResource request. Raises UsageError for an invalid duration in customTimeouts."""
    timeouts_s = {
        key: parse_duration_s(getattr(request.customTimeouts, key))
        for key in ("create", "update", "delete")
        if getattr(request.customTimeouts, key)
    }
    return Goal(
        type=request.type,
        name=request.name,
        custom=request.custom,
        inputs=from_struct(request.object),
        parent=request.parent,
        provider=request.provider,
        version=request.version,
        protect=request.protect,
        dependencies=tuple(request.dependencies),
        property_dependencies={k: list(v.urns) for k, v in request.propertyDependencies.items()},
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        # Older SDKs send aliases as URNs only.
        aliases=tuple(_parse_alias(a) for a in request.aliases) + tuple(Alias(urn=u) for u in request.aliasURNs),
        import_id=request.importId,
        retain_on_delete=request.retainOnDelete,
        deleted_with=request.deletedWith,
        replace_with=tuple(request.replace_with),
        custom_timeouts=timeouts_s,
    )


def parse_read_goal(request: Any) -> Goal:
    """Returns the goal of a ReadResource request, whose `import_id` is the physical id to read."""
    return Goal(
        type=request.type,
        name=request.name,
        custom=True,
        inputs=from_struct(request.properties),
        parent=request.parent,
        provider=request.provider,
        version=request.version,
        dependencies=tuple(request.dependencies),
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        import_id=request.id,
    )


def _parse_alias(alias: Any) -> Alias:
    if alias.WhichOneof("alias") == "urn":
        return Alias(urn=alias.urn)
    spec = alias.spec
    return Alias(
        name=spec.name,
        type=spec.type,
        stack=spec.stack,
        project=spec.project,
        parent=spec.parentUrn,
        no_parent=spec.noParent,
    )
