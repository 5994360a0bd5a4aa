"""Makes steps of what an engine says while it works, the same of either engine's events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from bedplate.engine import property_paths
from bedplate.engine.automation.update import Progress, PropertyChange, StackStep, counted
from bedplate.engine.property_values import mask
from bedplate.engine.state.snapshot import PROVIDER_PREFIX, name_of, type_of

if TYPE_CHECKING:
    from pulumi.automation import EngineEvent

_OUR_PLUGIN = "using pulumi-resource-aws from $PATH"
"""What the CLI warns of when it is told to use our plugin."""


class ProgressListener:
    """Listens to engine events; makes steps of them, of looks at the world only when the run is for looking."""

    def __init__(self, on_progress: Callable[[Progress], None] | None, *, refreshing: bool) -> None:
        self._refreshing = refreshing
        self.errors: list[str] = []
        self.messages: list[str] = []
        self.counts: dict[str, int] = {}
        self._on_progress = on_progress
        self._seen: list[StackStep] = []
        self._done = 0

    def event(self, event: EngineEvent) -> None:
        if not self._refreshing and _is_look(event):
            return
        if event.resource_pre_event is not None:
            metadata = event.resource_pre_event.metadata
            if not _is_default_provider(metadata):
                if _op(metadata) != "refresh":
                    self._seen.append(_step(metadata))
                self._tell("begin", metadata)
        elif event.res_outputs_event is not None:
            metadata = event.res_outputs_event.metadata
            if _op(metadata) == "refresh" and (found := _found(metadata)) is not None:
                self._seen.append(found)
            self._tell("done", metadata)
        elif event.res_op_failed_event is not None:
            self._tell("failed", event.res_op_failed_event.metadata)
        elif event.diagnostic_event is not None:
            self._diagnostic(event.diagnostic_event)
        elif event.summary_event is not None:
            self.counts = counted(event.summary_event.resource_changes)

    def steps(self) -> tuple[StackStep, ...]:
        return tuple(step for step in self.resources() if step.op != "same")

    def resources(self) -> tuple[StackStep, ...]:
        replaced = {step.urn for step in self._seen if step.op == "replace"}
        parts = {"create-replacement", "read-replacement", "import-replacement", "delete-replaced", "discard-replaced"}
        return tuple(step for step in self._seen if not (step.op in parts and step.urn in replaced))

    def _diagnostic(self, event: Any) -> None:
        message = event.message.strip()
        if event.severity == "error":
            if message not in ("update failed", "preview failed") or not self.errors:
                self.errors.append(_about(event.urn, message))
        elif event.severity == "debug" or event.ephemeral or message.startswith(_OUR_PLUGIN):
            return
        elif message:
            self.messages.append(message)

    def _tell(self, state: Literal["begin", "done", "failed"], metadata: Any) -> None:
        if _is_default_provider(metadata):
            return
        op = _op(metadata)
        if state != "begin" and op not in ("replace", "delete-replaced"):
            self._done += 1
        if self._on_progress is not None:
            self._on_progress(Progress(state, op, metadata.type, name_of(metadata.urn), self._done))


def _is_look(event: EngineEvent) -> bool:
    body = event.resource_pre_event or event.res_outputs_event
    return body is not None and _op(body.metadata) == "refresh"


def _op(metadata: Any) -> str:
    return str(getattr(metadata.op, "value", metadata.op))


def _about(urn: str | None, message: str) -> str:
    """An error with the resource that it is about, unless it names it itself."""
    if not urn or name_of(urn) in message:
        return message
    return f"{type_of(urn)} {name_of(urn)}: {message}"


def _step(metadata: Any) -> StackStep:
    op = _op(metadata)
    keys = tuple(metadata.keys or ())
    changes: tuple[PropertyChange, ...] = ()
    if op in ("update", "replace") and metadata.old is not None and metadata.new is not None:
        changes = _changes(mask(metadata.old.inputs or {}), mask(metadata.new.inputs or {}), metadata.diffs or (), keys)
    return StackStep(
        op,
        metadata.urn,
        metadata.type,
        name_of(metadata.urn),
        changes,
        keys,
        parent=(metadata.new or metadata.old).parent or "",
        before=_inputs(metadata.old) if op not in ("create", "import") else None,
        after=_inputs(metadata.new) if op not in ("delete", "delete-replaced", "discard", "discard-replaced") else None,
    )


def _inputs(state: Any) -> Mapping[str, Any] | None:
    if state is None:
        return None
    shown: Mapping[str, Any] = mask(state.inputs or {})
    return shown


def _changes(
    old: Mapping[str, Any], new: Mapping[str, Any], diffs: tuple[str, ...] | list[str], keys: tuple[str, ...]
) -> tuple[PropertyChange, ...]:
    """Every differing leaf below the paths that the provider named; a named path without one is told as it is."""
    named = [property_paths.parse(path) for path in diffs]
    forcing = [property_paths.parse(path) for path in keys if not path.startswith("#")]
    found: list[PropertyChange] = []
    told: set[property_paths.Path] = set()
    for path, before, after in property_paths.differences(dict(old), dict(new)):
        owner = next((n for n in named if property_paths.contains(n, path) or property_paths.contains(path, n)), None)
        if owner is not None:
            told.add(owner)
            replaces = any(property_paths.contains(f, path) or property_paths.contains(path, f) for f in forcing)
            found.append(PropertyChange(property_paths.spell(path), before, after, replaces))
    for path in named:
        if path not in told:
            value = old.get(str(path[0])), new.get(str(path[0]))
            found.append(PropertyChange(property_paths.spell(path), *value, replaces=path in forcing))
    return tuple(found)


def _is_default_provider(metadata: Any) -> bool:
    return metadata.type.startswith(PROVIDER_PREFIX) and name_of(metadata.urn).split("_")[0] == "default"


def _found(metadata: Any) -> StackStep | None:
    """What a refresh found of one resource, None when it is as the state says."""
    if metadata.new is None:
        return StackStep("delete", metadata.urn, metadata.type, name_of(metadata.urn))
    changes = _changes(mask(metadata.old.inputs or {}), mask(metadata.new.inputs or {}), metadata.diffs or (), ())
    if not changes:
        return None
    return StackStep("update", metadata.urn, metadata.type, name_of(metadata.urn), changes)
