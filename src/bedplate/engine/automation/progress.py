"""Converts the engine events of a run to steps, counts, messages and progress, for the Pulumi CLI and our engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from bedplate.engine import property_paths
from bedplate.engine.automation.update import Progress, PropertyChange, StackStep, count_operations
from bedplate.engine.property_values import mask
from bedplate.engine.state.snapshot import PROVIDER_PREFIX, name_of, type_of

if TYPE_CHECKING:
    from pulumi.automation import EngineEvent

_PLUGIN_WARNING = "using pulumi-resource-aws from $PATH"
"""Start of the Pulumi CLI's warning that it takes the AWS plugin from PATH, where Bedplate puts its own plugin."""


class ProgressListener:
    """Collects steps, errors, messages and counts from engine events, and reports the progress of each resource.

    `includes_refreshes` also collects the refreshes of single resources, which are the steps of `pulumi refresh`.
    """

    def __init__(self, on_progress: Callable[[Progress], None] | None, *, includes_refreshes: bool) -> None:
        self._includes_refreshes = includes_refreshes
        self.errors: list[str] = []
        self.messages: list[str] = []
        self.counts: dict[str, int] = {}
        self._on_progress = on_progress
        self._steps: list[StackStep] = []
        self._completed_count = 0

    def handle(self, event: EngineEvent) -> None:
        """Processes one engine event."""
        if not self._includes_refreshes and _is_refresh(event):
            return
        if event.resource_pre_event is not None:
            metadata = event.resource_pre_event.metadata
            if not _is_default_provider(metadata):
                if _op(metadata) != "refresh":
                    self._steps.append(_build_step(metadata))
                self._report_progress("begin", metadata)
        elif event.res_outputs_event is not None:
            metadata = event.res_outputs_event.metadata
            if _op(metadata) == "refresh" and (step := _build_refresh_step(metadata)) is not None:
                self._steps.append(step)
            self._report_progress("done", metadata)
        elif event.res_op_failed_event is not None:
            self._report_progress("failed", event.res_op_failed_event.metadata)
        elif event.diagnostic_event is not None:
            self._add_diagnostic(event.diagnostic_event)
        elif event.summary_event is not None:
            self.counts = count_operations(event.summary_event.resource_changes)

    def steps(self) -> tuple[StackStep, ...]:
        """Returns all steps in order except those with the operation `same`, without the parts of a replacement."""
        return tuple(step for step in self.resources() if step.op != "same")

    def resources(self) -> tuple[StackStep, ...]:
        """Returns all steps in order; a replacement is the one step `replace`, without its creation and deletion."""
        replaced = {step.urn for step in self._steps if step.op == "replace"}
        parts = {"create-replacement", "read-replacement", "import-replacement", "delete-replaced", "discard-replaced"}
        return tuple(step for step in self._steps if not (step.op in parts and step.urn in replaced))

    def _add_diagnostic(self, event: Any) -> None:
        message = event.message.strip()
        if event.severity == "error":  # the general message only counts where no resource reported an error
            if message not in ("update failed", "preview failed") or not self.errors:
                self.errors.append(_add_resource_name(event.urn, message))
        elif event.severity == "debug" or event.ephemeral or message.startswith(_PLUGIN_WARNING):
            return
        elif message:
            self.messages.append(message)

    def _report_progress(self, state: Literal["begin", "done", "failed"], metadata: Any) -> None:
        if _is_default_provider(metadata):
            return
        op = _op(metadata)
        if state != "begin" and op not in ("replace", "delete-replaced"):  # create-replacement counts a replacement
            self._completed_count += 1
        if self._on_progress is not None:
            self._on_progress(Progress(state, op, metadata.type, name_of(metadata.urn), self._completed_count))


def _is_refresh(event: EngineEvent) -> bool:
    resource_event = event.resource_pre_event or event.res_outputs_event
    return resource_event is not None and _op(resource_event.metadata) == "refresh"


def _op(metadata: Any) -> str:
    """Returns the operation of an event's metadata; the Automation API gives it as an enum or as text."""
    return str(getattr(metadata.op, "value", metadata.op))


def _add_resource_name(urn: str | None, message: str) -> str:
    """Returns an error message that names its resource."""
    if not urn or name_of(urn) in message:
        return message
    return f"{type_of(urn)} {name_of(urn)}: {message}"


def _build_step(metadata: Any) -> StackStep:
    op = _op(metadata)
    replace_keys = tuple(metadata.keys or ())
    changes: tuple[PropertyChange, ...] = ()
    if op in ("update", "replace") and metadata.old is not None and metadata.new is not None:
        changes = _property_changes(metadata, replace_keys)
    return StackStep(
        op,
        metadata.urn,
        metadata.type,
        name_of(metadata.urn),
        changes,
        replace_keys,
        parent=(metadata.new or metadata.old).parent or "",
        before=_masked_inputs(metadata.old) if op not in ("create", "import") else None,
        after=None if op.startswith(("delete", "discard")) else _masked_inputs(metadata.new),
    )


def _masked_inputs(state: Any) -> dict[str, Any] | None:
    return None if state is None else dict(mask(state.inputs or {}))


def _property_changes(metadata: Any, replace_keys: tuple[str, ...]) -> tuple[PropertyChange, ...]:
    """Returns the differences of the inputs that the provider reports.

    These are the differences at or below the paths of the provider's diff (`metadata.diffs`), and each path of the
    diff without one, such as a computed value. `replace_keys` are the properties that force a replacement; Pulumi's own
    markers among them, such as `#initerror`, start with `#`.
    """
    old, new = (dict(mask(state.inputs or {})) for state in (metadata.old, metadata.new))
    diff_paths = [property_paths.parse_path(path) for path in metadata.diffs or ()]
    replace_paths = [property_paths.parse_path(path) for path in replace_keys if not path.startswith("#")]
    changes: list[PropertyChange] = []
    paths_with_difference: set[property_paths.Path] = set()
    for path, before, after in property_paths.differences(old, new):
        changed_path = next((diff_path for diff_path in diff_paths if _overlap(diff_path, path)), None)
        if changed_path is not None:
            paths_with_difference.add(changed_path)
            replaces = any(_overlap(replace_path, path) for replace_path in replace_paths)
            changes.append(PropertyChange(property_paths.format_path(path), before, after, replaces))
    for path in diff_paths:
        if path not in paths_with_difference:
            values = old.get(str(path[0])), new.get(str(path[0]))
            changes.append(PropertyChange(property_paths.format_path(path), *values, replaces=path in replace_paths))
    return tuple(changes)


def _overlap(first: property_paths.Path, second: property_paths.Path) -> bool:
    """Returns whether the paths are equal or one is nested in the other."""
    return property_paths.contains(first, second) or property_paths.contains(second, first)


def _is_default_provider(metadata: Any) -> bool:
    """Returns whether the resource is a provider that Pulumi adds by itself, such as `default_6_83_0`."""
    return metadata.type.startswith(PROVIDER_PREFIX) and name_of(metadata.urn).split("_")[0] == "default"


def _build_refresh_step(metadata: Any) -> StackStep | None:
    """Returns the step of a refreshed resource: `delete` when it no longer exists; None when it equals the state."""
    if metadata.new is None:
        return StackStep("delete", metadata.urn, metadata.type, name_of(metadata.urn))
    changes = _property_changes(metadata, ())
    if not changes:
        return None
    return StackStep("update", metadata.urn, metadata.type, name_of(metadata.urn), changes)
