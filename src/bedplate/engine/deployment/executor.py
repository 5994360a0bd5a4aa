"""Takes a step: announces it on disk, calls the provider, writes what came of it.

Between announcement and conclusion a kill leaves a pending operation; `bedplate.engine.deployment.recovery` finds out
what became of it at the beginning of the next run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from bedplate.engine.deployment.events import Events
from bedplate.engine.deployment.planner import Planner
from bedplate.engine.deployment.providers import Providers
from bedplate.engine.deployment.steps import Op, Step
from bedplate.engine.property_values import mark_keys, mark_secrets, reveal
from bedplate.engine.protocol import UNKNOWN, OperationRejected, PartialFailure, Properties, Provider, Secret
from bedplate.engine.state.snapshot import Operation, Resource, Snapshot, to_json
from bedplate.engine.state.store import StateStore
from bedplate.engine.timeouts import limited


class StepFailed(Exception):
    """A step could not be taken; the reason has been told."""

    def __init__(self, message: str, *, protected: bool = False) -> None:
        super().__init__(message)
        self.protected = protected


class Executor:
    """Takes steps, several at a time if they do not depend on each other; the snapshot is changed under one lock."""

    def __init__(
        self,
        planner: Planner,
        snapshot: Snapshot,
        providers: Providers,
        events: Events,
        store: StateStore | None,
        *,
        new_id: Callable[[], str],
        now: Callable[[], str],
    ) -> None:
        self._planner = planner
        self._snapshot = snapshot
        self._providers = providers
        self._events = events
        self._store = store
        """None in a preview."""
        self._new_id = new_id
        self._now = now
        self._lock = threading.RLock()

    @property
    def preview(self) -> bool:
        return self._store is None

    def take(self, step: Step) -> None:
        """Raises Failed when it could not be taken."""
        self._events.before(step)
        try:
            self._apply(step)
        except StepFailed as exc:
            self._events.failed(step, str(exc))
            raise
        except (OperationRejected, PartialFailure) as exc:
            self._events.failed(step, str(exc))
            raise StepFailed(str(exc)) from exc
        except Exception as exc:
            message = str(exc) or type(exc).__name__
            self._events.failed(step, message)
            raise StepFailed(message) from exc
        self._events.after(step)

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
                self._settle(None, step.old)
            case Op.REPLACE | Op.REFRESH:
                pass

    # --- the operations -----------------------------------------------------------------------------------------

    def _same(self, step: Step) -> None:
        if step.skipped:
            return
        old, new = _both(step)
        new.id, new.init_errors = old.id, old.init_errors
        new.outputs = _secret_like_inputs(old.outputs, new)
        if new.is_provider:
            new.inputs = old.inputs
            self._providers.configure(new)
        worth_writing = _settled_form(old) != _settled_form(new)
        with self._lock:
            self._snapshot.settle(new, old, same=not worth_writing)
            if worth_writing:
                self._write()

    def _create(self, step: Step) -> None:
        new, operation = _new(step), None
        if new.is_provider:
            new.id = UNKNOWN if self.preview else self._new_id()
            new.outputs = new.inputs
            self._providers.configure(new)
        elif new.custom:
            operation = self._call_create(step, new)
        new.created = new.modified = self._now()
        self._settle_create(step, new, operation)

    def _call_create(self, step: Step, new: Resource) -> Operation:
        provider, inputs = self._provider(new), reveal(new.inputs)
        operation = Operation(new, "creating", "" if self.preview else self._new_id())
        try:
            with self._announced(operation), limited(new.custom_timeouts.get("create")):
                result = provider.create(new.urn, new.type, inputs, self.preview, operation.intent)
        except PartialFailure as exc:
            new.id, new.init_errors = exc.id, [str(exc)]
            new.outputs = _outputs(exc.outputs, new)
            new.created = new.modified = self._now()
            self._settle_create(step, new, operation)
            raise
        if not result.id and not self.preview:
            raise StepFailed(f"the provider gave no id for the new {new.type} {new.urn}")
        new.id = result.id
        new.outputs = _outputs(result.outputs, new)
        return operation

    def _settle_create(self, step: Step, new: Resource, operation: Operation | None = None) -> None:
        with self._lock:
            old = step.old
            if old is not None and step.keep_old:
                old.delete = True
                self._changed(old)
            self._settle(new, old if old is not None and old.pending_replacement else None, operation)

    def _update(self, step: Step) -> None:
        old, new = _both(step)
        operation: Operation | None = None
        new.id, new.created, new.modified = old.id, old.created, self._now()
        if new.is_provider:
            new.outputs = new.inputs
            self._providers.configure(new)
        elif new.custom:
            provider, news = self._provider(new), reveal(new.inputs)
            olds, outputs = reveal(old.inputs), reveal(old.outputs)
            operation = Operation(new, "updating")
            try:
                with self._announced(operation), limited(new.custom_timeouts.get("update")):
                    result = provider.update(new.urn, new.id, new.type, olds, outputs, news, self.preview)
            except PartialFailure as exc:
                new.outputs, new.init_errors = _outputs(exc.outputs, new), [str(exc)]
                self._settle(new, old, operation)
                raise
            new.outputs = _outputs(result, new)
        else:
            new.outputs = old.outputs
        self._settle(new, old, operation)

    def _delete(self, step: Step) -> None:
        old, operation = step.resource, None
        if step.op == Op.DELETE and old.protect:
            raise StepFailed(
                f'resource "{old.urn}" cannot be deleted\nbecause it is protected. To unprotect the resource, either '
                "remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`, or use the "
                f"command:\n`pulumi state unprotect '{old.urn}'`",
                protected=True,
            )
        kept = old.external or old.retain_on_delete or old.deleted_with in self._planner.deleting
        if old.custom and not old.is_provider and not kept and not self.preview:
            provider = self._provider(old)
            operation = Operation(old, "deleting")
            with self._announced(operation), limited(old.custom_timeouts.get("delete")):
                provider.delete(old.urn, old.id, old.type, reveal(old.inputs), reveal(old.outputs))
        if step.recreate:
            with self._lock:
                old.pending_replacement = True
                self._changed(old)
                self._settle(None, None, operation)
        else:
            self._settle(None, old, operation)

    def _read(self, step: Step) -> None:
        new = _new(step)
        if new.id == UNKNOWN or self._is_new_provider(new):
            new.outputs = dict.fromkeys(new.inputs, UNKNOWN)
        else:
            result = self._provider(new).read(new.urn, new.id, new.type, reveal(new.inputs), {})
            if result.id is None:
                raise StepFailed(f"resource '{new.id}' does not exist")
            new.id, new.outputs = result.id, mark_keys(result.outputs, new.additional_secret_outputs)
        with self._lock:
            old = step.old
            if old is not None and step.keep_old:
                old.delete = True
                self._changed(old)
                old = None
            self._settle(new, old)

    def _import(self, step: Step) -> None:
        new = _new(step)
        result = self._provider(new).read(new.urn, new.import_id, new.type, {}, {})
        if result.id is None:
            raise StepFailed(f"resource '{new.import_id}' does not exist")
        new.id, new.inputs = result.id, result.inputs
        new.outputs = mark_keys(result.outputs, new.additional_secret_outputs)
        new.created = new.modified = self._now()
        self._settle_create(step, new)

    # --- outputs of components, and of the stack ----------------------------------------------------------------

    def set_outputs(self, resource: Resource, outputs: Properties) -> None:
        with self._lock:
            if resource.outputs != outputs:
                resource.outputs = outputs
                self._changed(resource)
                self._write()

    # --- the disk -----------------------------------------------------------------------------------------------

    @contextmanager
    def _announced(self, operation: Operation) -> Iterator[None]:
        """Write that a call is about to be made, and make it when that is on the disk.

        `_settle` takes the announcement back together with what came of the call; a definite refusal takes it back at
        once; any other failure leaves it for the next run to look into.
        """
        if self._store is None:
            yield
            return
        with self._lock:
            self._snapshot.begin(operation)
            on_disk = self._store.append(self._snapshot)
        on_disk()
        try:
            yield
        except OperationRejected:
            with self._lock:
                self._snapshot.end(operation)
                self._write()
            raise

    def _settle(self, new: Resource | None, old: Resource | None, operation: Operation | None = None) -> None:
        with self._lock:
            if operation is not None and not self.preview:
                self._snapshot.end(operation)
            self._snapshot.settle(new, old)
            self._write()

    def _write(self) -> None:
        if self._store is not None:
            self._store.append(self._snapshot)

    def _changed(self, resource: Resource) -> None:
        self._snapshot.touch(resource)
        if self._store is not None:
            self._store.changed(resource)

    def _provider(self, resource: Resource) -> Provider:
        return self._providers.get(resource.provider, self._planner.olds)

    def _is_new_provider(self, resource: Resource) -> bool:
        return self.preview and resource.provider.endswith(f"::{UNKNOWN}")


def _settled_form(resource: Resource) -> Mapping[str, object]:
    """What the checkpoint says of it; the SDK tells the dependencies of a property in another order each time."""
    told = to_json(resource)
    by_property = {key: sorted(urns) for key, urns in resource.property_dependencies.items()}
    return {**told, "dependencies": sorted(resource.dependencies), "propertyDependencies": by_property}


def _outputs(outputs: Mapping[str, object], new: Resource) -> Properties:
    """Outputs as they are kept: secret where the input of the same name was, or where the program asked for it."""
    return mark_keys(mark_secrets(dict(outputs), new.inputs), new.additional_secret_outputs)


def _secret_like_inputs(outputs: Properties, new: Resource) -> Properties:
    """Outputs that stay as they are, with what has become secret: whole properties, as in Pulumi."""
    secret = {key for key, value in new.inputs.items() if isinstance(value, Secret)}
    return mark_keys(outputs, {*secret, *new.additional_secret_outputs})


def _new(step: Step) -> Resource:
    assert step.new is not None
    return step.new


def _both(step: Step) -> tuple[Resource, Resource]:
    assert step.old is not None
    return step.old, _new(step)
