"""Executes steps: writes a pending operation to the journal, calls the provider, and writes the result.

A kill in between leaves the pending operation, which `bedplate.engine.deployment.recovery` recovers at the start of the
next run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from bedplate.engine.deployment.events import Events
from bedplate.engine.deployment.planner import Planner
from bedplate.engine.deployment.providers import Providers
from bedplate.engine.deployment.steps import Op, Step
from bedplate.engine.property_values import mark_secret_keys, mark_secrets, reveal
from bedplate.engine.protocol import UNKNOWN, OperationRejected, PartialFailure, Properties, Provider, Secret
from bedplate.engine.state.snapshot import Operation, Resource, Snapshot, to_json
from bedplate.engine.state.store import StateStore
from bedplate.engine.timeouts import operation_timeout


class StepFailed(Exception):
    """A step failed. The reason is already reported as an error."""

    def __init__(self, message: str, *, is_protected: bool = False) -> None:
        super().__init__(message)
        self.is_protected = is_protected


class Executor:
    """Executes steps; independent steps may be executed in several threads. One lock protects the snapshot."""

    def __init__(
        self,
        planner: Planner,
        snapshot: Snapshot,
        providers: Providers,
        events: Events,
        store: StateStore | None,
        *,
        new_id: Callable[[], str],
        timestamp: Callable[[], str],
    ) -> None:
        self._planner = planner
        self._snapshot = snapshot
        self._providers = providers
        self._events = events
        self._store = store
        """None in a preview."""
        self._new_id = new_id
        self._timestamp = timestamp
        self._lock = threading.RLock()

    @property
    def is_preview(self) -> bool:
        return self._store is None

    def execute(self, step: Step) -> None:
        """Executes a step and emits its events. Raises StepFailed when the step fails."""
        self._events.emit_pre(step)
        try:
            self._apply(step)
        except StepFailed as exc:
            self._events.emit_failure(step, str(exc))
            raise
        except (OperationRejected, PartialFailure) as exc:
            self._events.emit_failure(step, str(exc))
            raise StepFailed(str(exc)) from exc
        except Exception as exc:
            message = str(exc) or type(exc).__name__
            self._events.emit_failure(step, message)
            raise StepFailed(message) from exc
        self._events.emit_outputs(step)

    def _apply(self, step: Step) -> None:
        match step.op:
            case Op.SAME:
                self._same(step)
            case Op.CREATE | Op.CREATE_REPLACEMENT:
                self._create(step)
            case Op.UPDATE:
                self._update(step)
            case Op.DELETE | Op.DELETE_REPLACED | Op.DISCARD | Op.DISCARD_REPLACED:
                self._delete(step)
            case Op.READ | Op.READ_REPLACEMENT:
                self._read(step)
            case Op.IMPORT | Op.IMPORT_REPLACEMENT:
                self._import(step)
            case Op.REMOVE_PENDING_REPLACE:
                self._record(None, step.old)
            case Op.REPLACE | Op.REFRESH:
                pass

    # --- the operations -----------------------------------------------------------------------------------------

    def _same(self, step: Step) -> None:
        if step.skipped:
            return
        old, new = _old_and_new(step)
        new.id, new.init_errors = old.id, old.init_errors
        new.outputs = _mark_like_inputs(old.outputs, new)
        if new.is_provider:
            new.inputs = old.inputs
            self._providers.configure(new)
        is_changed = _comparable_form(old) != _comparable_form(new)
        with self._lock:
            self._snapshot.record(new, old, unchanged=not is_changed)
            if is_changed:
                self._append_to_journal()

    def _create(self, step: Step) -> None:
        new, operation = _new_resource(step), None
        if new.is_provider:
            new.id = UNKNOWN if self.is_preview else self._new_id()
            new.outputs = new.inputs
            self._providers.configure(new)
        elif new.custom:
            operation = self._call_create(step, new)
        new.created = new.modified = self._timestamp()
        self._record_create(step, new, operation)

    def _call_create(self, step: Step, new: Resource) -> Operation:
        provider, inputs = self._provider_of(new), reveal(new.inputs)
        operation = Operation(new, "creating", "" if self.is_preview else self._new_id())
        try:
            with self._pending_operation(operation), operation_timeout(new.custom_timeouts.get("create")):
                result = provider.create(new.urn, new.type, inputs, self.is_preview, operation.intent)
        except PartialFailure as exc:
            new.id, new.init_errors = exc.id, [str(exc)]
            new.outputs = _mark_outputs(exc.outputs, new)
            new.created = new.modified = self._timestamp()
            self._record_create(step, new, operation)
            raise
        if not result.id and not self.is_preview:
            raise StepFailed(f"the provider returned no id for the new {new.type} {new.urn}")
        new.id = result.id
        new.outputs = _mark_outputs(result.outputs, new)
        return operation

    def _record_create(self, step: Step, new: Resource, operation: Operation | None = None) -> None:
        with self._lock:
            old = step.old
            if old is not None and step.keep_old:
                old.delete = True
                self._mark_changed(old)
            self._record(new, old if old is not None and old.pending_replacement else None, operation)

    def _update(self, step: Step) -> None:
        old, new = _old_and_new(step)
        operation: Operation | None = None
        new.id, new.created, new.modified = old.id, old.created, self._timestamp()
        if new.is_provider:
            new.outputs = new.inputs
            self._providers.configure(new)
        elif new.custom:
            provider, news = self._provider_of(new), reveal(new.inputs)
            olds, outputs = reveal(old.inputs), reveal(old.outputs)
            operation = Operation(new, "updating")
            try:
                with self._pending_operation(operation), operation_timeout(new.custom_timeouts.get("update")):
                    result = provider.update(new.urn, new.id, new.type, olds, outputs, news, self.is_preview)
            except PartialFailure as exc:
                new.outputs, new.init_errors = _mark_outputs(exc.outputs, new), [str(exc)]
                self._record(new, old, operation)
                raise
            new.outputs = _mark_outputs(result, new)
        else:
            new.outputs = old.outputs
        self._record(new, old, operation)

    def _delete(self, step: Step) -> None:
        old, operation = step.resource, None
        if step.op == Op.DELETE and old.protect:
            raise StepFailed(
                f'resource "{old.urn}" cannot be deleted\nbecause it is protected. To unprotect the resource, either '
                "remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`, or use the "
                f"command:\n`pulumi state unprotect '{old.urn}'`",
                is_protected=True,
            )
        keeps_cloud_resource = old.external or old.retain_on_delete or old.deleted_with in self._planner.deleting_urns
        if old.custom and not old.is_provider and not keeps_cloud_resource and not self.is_preview:
            provider = self._provider_of(old)
            operation = Operation(old, "deleting")
            with self._pending_operation(operation), operation_timeout(old.custom_timeouts.get("delete")):
                provider.delete(old.urn, old.id, old.type, reveal(old.inputs), reveal(old.outputs))
        if step.recreate:
            with self._lock:
                old.pending_replacement = True
                self._mark_changed(old)
                self._record(None, None, operation)
        else:
            self._record(None, old, operation)

    def _read(self, step: Step) -> None:
        new = _new_resource(step)
        if new.id == UNKNOWN or self._is_new_provider(new):
            new.outputs = dict.fromkeys(new.inputs, UNKNOWN)
        else:
            result = self._provider_of(new).read(new.urn, new.id, new.type, reveal(new.inputs), {})
            if result.id is None:
                raise StepFailed(f"resource '{new.id}' does not exist")
            new.id, new.outputs = result.id, mark_secret_keys(result.outputs, new.additional_secret_outputs)
        with self._lock:
            old = step.old
            if old is not None and step.keep_old:
                old.delete = True
                self._mark_changed(old)
                old = None
            self._record(new, old)

    def _import(self, step: Step) -> None:
        new = _new_resource(step)
        result = self._provider_of(new).read(new.urn, new.import_id, new.type, {}, {})
        if result.id is None:
            raise StepFailed(f"resource '{new.import_id}' does not exist")
        new.id, new.inputs = result.id, result.inputs
        new.outputs = mark_secret_keys(result.outputs, new.additional_secret_outputs)
        new.created = new.modified = self._timestamp()
        self._record_create(step, new)

    # --- outputs of components, and of the stack ----------------------------------------------------------------

    def set_outputs(self, resource: Resource, outputs: Properties) -> None:
        """Sets the outputs of a component or of the stack, and writes them if they have changed."""
        with self._lock:
            if resource.outputs != outputs:
                resource.outputs = outputs
                self._mark_changed(resource)
                self._append_to_journal()

    # --- the state ----------------------------------------------------------------------------------------------

    @contextmanager
    def _pending_operation(self, operation: Operation) -> Iterator[None]:
        """Writes a pending operation to the disk and then runs the body, which calls the provider.

        `_record` removes the pending operation together with writing the result, and a rejection removes it here;
        after any other failure it stays for the recovery of the next run.
        """
        if self._store is None:
            yield
            return
        with self._lock:
            self._snapshot.add_pending(operation)
            wait_for_disk = self._store.append(self._snapshot)
        wait_for_disk()
        try:
            yield
        except OperationRejected:
            with self._lock:
                self._snapshot.remove_pending(operation)
                self._append_to_journal()
            raise

    def _record(self, new: Resource | None, old: Resource | None, operation: Operation | None = None) -> None:
        with self._lock:
            if operation is not None and not self.is_preview:
                self._snapshot.remove_pending(operation)
            self._snapshot.record(new, old)
            self._append_to_journal()

    def _append_to_journal(self) -> None:
        if self._store is not None:
            self._store.append(self._snapshot)

    def _mark_changed(self, resource: Resource) -> None:
        self._snapshot.mark_changed(resource)
        if self._store is not None:
            self._store.forget_json(resource)

    def _provider_of(self, resource: Resource) -> Provider:
        return self._providers.get(resource.provider, self._planner.olds)

    def _is_new_provider(self, resource: Resource) -> bool:
        return self.is_preview and resource.provider.endswith(f"::{UNKNOWN}")


def _comparable_form(resource: Resource) -> Mapping[str, object]:
    """Returns the checkpoint's data with sorted dependencies, because the SDK sends them in random order."""
    state = to_json(resource)
    by_property = {key: sorted(urns) for key, urns in resource.property_dependencies.items()}
    return {**state, "dependencies": sorted(resource.dependencies), "propertyDependencies": by_property}


def _mark_outputs(outputs: Mapping[str, object], new: Resource) -> Properties:
    """Returns outputs with secrets marked: those with a secret input of the same name, and those that `new` names."""
    return mark_secret_keys(mark_secrets(dict(outputs), new.inputs), new.additional_secret_outputs)


def _mark_like_inputs(outputs: Properties, new: Resource) -> Properties:
    """Returns unchanged outputs with those marked that are secret now: whole properties, as in Pulumi."""
    secret = {key for key, value in new.inputs.items() if isinstance(value, Secret)}
    return mark_secret_keys(outputs, {*secret, *new.additional_secret_outputs})


def _new_resource(step: Step) -> Resource:
    assert step.new is not None
    return step.new


def _old_and_new(step: Step) -> tuple[Resource, Resource]:
    assert step.old is not None
    return step.old, _new_resource(step)
