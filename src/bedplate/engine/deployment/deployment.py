"""Runs a deployment of the embedded engine: recovers, refreshes, runs the program, deletes, and records the history."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from bedplate import __version__
from bedplate.engine.deployment.engine_log import EngineLog
from bedplate.engine.deployment.events import Event, Events
from bedplate.engine.deployment.executor import Executor, StepFailed
from bedplate.engine.deployment.planner import Planner
from bedplate.engine.deployment.program import Program, ProgramError, run_program
from bedplate.engine.deployment.provider_checks import RegistrationRejected
from bedplate.engine.deployment.providers import ProviderFactory, Providers
from bedplate.engine.deployment.recovery import recover
from bedplate.engine.deployment.refresh import refresh
from bedplate.engine.deployment.resource_monitor import ResourceMonitor
from bedplate.engine.deployment.steps import Op, Step
from bedplate.engine.deployment.targets import EVERYTHING, Selection
from bedplate.engine.deployment.workers import Workers
from bedplate.engine.property_values import MASK
from bedplate.engine.protocol import Properties, Secret
from bedplate.engine.state.lock import hold_lock, user_at_host
from bedplate.engine.state.snapshot import Snapshot
from bedplate.engine.state.store import IN_PROGRESS, StateStore

Verb = Literal["preview", "up", "refresh", "destroy"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """The stack's configuration by full key (`aws:region`); structured values are JSON text."""

    values: Mapping[str, str] = field(default_factory=dict)
    secret_keys: frozenset[str] = frozenset()

    def masked_values(self) -> dict[str, str]:
        """Returns the values with `[secret]` in place of secrets."""
        return {key: MASK if key in self.secret_keys else value for key, value in self.values.items()}

    def provider_inputs(self) -> Properties:
        """Returns the values with secrets marked as such."""
        return {key: Secret(value) if key in self.secret_keys else value for key, value in self.values.items()}


@dataclass(frozen=True, slots=True)
class DeploymentResult:
    """The result of a run."""

    ok: bool
    errors: tuple[str, ...]
    counts: Mapping[str, int]
    duration_s: float


@dataclass(frozen=True, slots=True)
class IdsAndClock:
    """The random ids and the times of a run, which tests replace."""

    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    clock: Callable[[], float] = time.time

    def timestamp(self) -> str:
        """Returns the current time in ISO 8601 with microseconds, in UTC."""
        return datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Deployment:
    """Runs verbs on one stack, one at a time."""

    def __init__(
        self,
        store: StateStore,
        *,
        project: str,
        program: Program,
        configuration: Configuration,
        provider_factory: ProviderFactory,
        parallel: int = 8,
        ids_and_clock: IdsAndClock | None = None,
    ) -> None:
        self._store = store
        self._project = project
        self._program = program
        self._configuration = configuration
        self._provider_factory = provider_factory
        self._parallel = parallel
        self._ids_and_clock = ids_and_clock or IdsAndClock()

    def run(
        self,
        verb: Verb,
        *,
        preview_of: Verb = "up",
        refresh_first: bool = False,
        environment: Mapping[str, str] | None = None,
        message: str = "",
        selection: Selection = EVERYTHING,
        send: Callable[[Event], None] | None = None,
        write: Callable[[str], None] | None = None,
        write_error: Callable[[str], None] | None = None,
    ) -> DeploymentResult:
        """Runs a verb and returns the result; `preview` shows what `preview_of` would do and changes nothing.

        Raises Locked when another run holds the stack, NotFound when the stack does not exist.
        """
        planning = verb == "preview"
        goal = preview_of if planning else verb
        events = Events(
            planning=planning,
            refreshing=goal == "refresh",
            send=send,
            write=write,
            write_error=write_error,
            clock=self._ids_and_clock.clock,
        )
        if planning:
            return self._run(goal, events, refresh_first, environment or {}, None, selection)
        with hold_lock(self._store.paths.lock, stack=self._store.stack, verb=verb, clock=self._ids_and_clock.clock):
            entry = self._history_entry(verb, message)
            self._store.append_history(entry)
            result = None
            try:
                result = self._run(goal, events, refresh_first, environment or {}, self._store, selection)
            finally:
                self._store.append_history(self._completed_entry(entry, result))
        return result

    def _run(
        self,
        verb: Verb,
        events: Events,
        refresh_first: bool,
        environment: Mapping[str, str],
        store: StateStore | None,
        selection: Selection,
    ) -> DeploymentResult:
        started = time.perf_counter()
        events.emit_prelude(self._configuration.masked_values())
        snapshot = self._store.read()
        providers = Providers(self._provider_factory)
        ok = True
        try:
            snapshot = self._recover(snapshot, providers, events, store)
            if verb == "refresh" or refresh_first:
                snapshot, ok = refresh(snapshot, providers, events, parallel=self._parallel)
                if store is not None:
                    store.write(snapshot)
            if ok and verb in ("up", "destroy"):
                try:
                    ok = self._change_resources(verb, snapshot, providers, events, environment, store, selection)
                finally:
                    if store is not None:
                        store.merge_journal(snapshot)
            elif not ok:
                events.emit_run_failure()
        except Exception as exc:
            events.emit_error(str(exc) or type(exc).__name__)
            raise
        finally:
            duration_s = time.perf_counter() - started
            events.emit_summary(duration_s)
        return DeploymentResult(ok, tuple(events.errors), dict(events.counts), duration_s)

    @staticmethod
    def _recover(snapshot: Snapshot, providers: Providers, events: Events, store: StateStore | None) -> Snapshot:
        recovered = recover(snapshot, providers, events) if snapshot.pending else snapshot
        if store is not None and (snapshot.pending or store.has_journal()):
            store.write(recovered)
        return recovered

    def _change_resources(
        self,
        verb: Verb,
        snapshot: Snapshot,
        providers: Providers,
        events: Events,
        environment: Mapping[str, str],
        store: StateStore | None,
        selection: Selection,
    ) -> bool:
        planner = Planner(
            self._store.stack,
            self._project,
            snapshot,
            providers,
            events,
            preview=store is None,
            selection=replace(selection, reached=set()),
        )
        new_id, timestamp = self._ids_and_clock.new_id, self._ids_and_clock.timestamp
        executor = Executor(planner, snapshot, providers, events, store, new_id=new_id, timestamp=timestamp)
        if verb == "up" and not self._run_program(planner, executor, providers, events, environment, store is None):
            return False
        try:
            failed = self._delete_unregistered(planner, executor)
        except RegistrationRejected:
            return False
        if failed or planner.has_errors:
            events.emit_run_failure()
            return False
        return True

    def _run_program(
        self,
        planner: Planner,
        executor: Executor,
        providers: Providers,
        events: Events,
        environment: Mapping[str, str],
        preview: bool,
    ) -> bool:
        """Runs the program; returns False when the program or a registration failed, after which nothing is deleted."""
        configuration = self._configuration
        with Workers() as workers:
            monitor = ResourceMonitor(
                planner,
                executor,
                providers,
                events,
                workers,
                config=configuration.provider_inputs(),
                parallel=self._parallel,
            )
            program_error = ""
            try:
                run_program(
                    self._program,
                    monitor,
                    EngineLog(events),
                    workers,
                    project=self._project,
                    stack=self._store.stack,
                    config=configuration.values,
                    secret_keys=configuration.secret_keys,
                    preview=preview,
                    environment=environment,
                    print_line=lambda line: events.emit_diagnostic("info", line),
                )
            except ProgramError as exc:
                program_error = str(exc)
        failed = monitor.has_failed or bool(program_error)
        monitor.finish_stack_outputs(failed=failed)
        if monitor.has_failed_step:
            events.emit_run_failure()
        elif program_error and not monitor.has_rejection:
            events.emit_error(program_error)
        return not failed

    def _delete_unregistered(self, planner: Planner, executor: Executor) -> bool:
        """Executes the deletions layer by layer; returns True when a resource could not be deleted.

        A protected resource is reported and skipped with all its dependencies; after any other failure the deletions
        end with the current layer.
        """
        still_needed: set[int] = set()
        failed = False
        layers = planner.plan_deletions()
        for resource in planner.untargeted:
            executor.execute(Step(Op.SAME, resource, resource, skipped=True))
        for layer in layers:
            steps = [step for step in layer if id(step.resource) not in still_needed]
            steps.sort(key=lambda step: step.op == Op.DELETE and step.resource.protect)
            with ThreadPoolExecutor(max_workers=self._parallel, thread_name_prefix="delete") as pool:
                errors = list(pool.map(lambda step: _try_step(executor, step), steps))
            for step, error in zip(steps, errors, strict=True):
                if error is not None:
                    failed = True
                    still_needed |= planner.transitive_dependencies(step.resource)
            if any(error is not None and not error.is_protected for error in errors):
                break
        return failed

    def _history_entry(self, verb: str, message: str) -> dict[str, Any]:
        """Returns the history entry of a running run, in Pulumi's format."""
        return {
            "kind": "update" if verb == "up" else verb,
            "startTime": self._time_ms(),
            "message": message,
            "environment": {
                "exec.kind": "auto.local",
                "engine": "embedded",
                "engine.version": __version__,
                "user": user_at_host(),
            },
            "config": {
                key: {"value": value, "secret": key in self._configuration.secret_keys}
                for key, value in self._configuration.masked_values().items()
            },
            "result": IN_PROGRESS,
            "version": self._store.latest_version() + 1,
        }

    def _completed_entry(self, entry: dict[str, Any], result: DeploymentResult | None) -> dict[str, Any]:
        return {
            **entry,
            "result": "succeeded" if result is not None and result.ok else "failed",
            "endTime": self._time_ms(),
            "resourceChanges": dict(result.counts) if result else {},
        }

    def _time_ms(self) -> str:
        """Returns the current time in ISO 8601 with milliseconds, as in Pulumi's history."""
        return self._ids_and_clock.timestamp()[:-4] + "Z"


def _try_step(executor: Executor, step: Step) -> StepFailed | None:
    try:
        executor.execute(step)
    except StepFailed as exc:
        return exc
    return None
