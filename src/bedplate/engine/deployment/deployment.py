"""One run of the embedded engine: recover, refresh, run the program, delete what is left over, record."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from bedplate import __version__
from bedplate.engine.deployment import program as programs
from bedplate.engine.deployment.events import Event, Events
from bedplate.engine.deployment.executor import Executor, StepFailed
from bedplate.engine.deployment.planner import Planner
from bedplate.engine.deployment.provider_checks import RegistrationRejected
from bedplate.engine.deployment.providers import Factory, Providers
from bedplate.engine.deployment.recovery import recover
from bedplate.engine.deployment.refresh import refresh
from bedplate.engine.deployment.resource_monitor import EngineLog, ResourceMonitor, secret_config
from bedplate.engine.deployment.steps import Op, Step
from bedplate.engine.deployment.targets import EVERYTHING, Selection
from bedplate.engine.deployment.workers import Workers
from bedplate.engine.state.lock import hold, whoami
from bedplate.engine.state.snapshot import Snapshot
from bedplate.engine.state.store import IN_PROGRESS, StateStore

Verb = Literal["preview", "up", "refresh", "destroy"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """The stack's configuration by full key (`aws:region`); structured values are JSON text."""

    values: Mapping[str, str] = field(default_factory=dict)
    secret_keys: frozenset[str] = frozenset()

    def shown(self) -> dict[str, str]:
        return {k: "[secret]" if k in self.secret_keys else v for k, v in self.values.items()}


@dataclass(frozen=True, slots=True)
class DeploymentResult:
    """How a run ended."""

    ok: bool
    errors: tuple[str, ...]
    counts: Mapping[str, int]
    duration_s: float


@dataclass(frozen=True, slots=True)
class IdsAndClock:
    """Everything that a run takes from outside of what it is given: ids and times."""

    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    clock: Callable[[], float] = time.time

    def now(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Deployment:
    """Runs verbs over one stack. Not reusable while a run is under way."""

    def __init__(
        self,
        store: StateStore,
        *,
        project: str,
        program: programs.Program,
        configuration: Configuration,
        factory: Factory,
        parallel: int = 8,
        chance: IdsAndClock | None = None,
    ) -> None:
        self._store = store
        self._project = project
        self._program = program
        self._configuration = configuration
        self._factory = factory
        self._parallel = parallel
        self._chance = chance or IdsAndClock()

    def run(
        self,
        verb: Verb,
        *,
        of: Verb = "up",
        refresh_first: bool = False,
        environment: Mapping[str, str] | None = None,
        message: str = "",
        selection: Selection = EVERYTHING,
        send: Callable[[Event], None] | None = None,
        write: Callable[[str], None] | None = None,
        write_error: Callable[[str], None] | None = None,
    ) -> DeploymentResult:
        """Carry out a verb; `preview` shows what `of` would do and changes nothing.

        Raises Locked when another run is at work on the stack, NotFound when there is no such stack.
        """
        planning = verb == "preview"
        goal = of if planning else verb
        events = Events(
            planning=planning,
            refreshing=goal == "refresh",
            send=send,
            write=write,
            write_error=write_error,
            clock=self._chance.clock,
        )
        if planning:
            return self._run(goal, events, refresh_first, environment or {}, None, selection)
        with hold(self._store.paths.lock, stack=self._store.stack, verb=verb, clock=self._chance.clock):
            entry = self._begun(verb, message)
            self._store.record(entry)
            outcome = None
            try:
                outcome = self._run(goal, events, refresh_first, environment or {}, self._store, selection)
            finally:
                self._store.record(self._ended(entry, outcome))
        return outcome

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
        events.prelude(self._configuration.shown())
        snapshot = self._store.read()
        providers = Providers(self._factory)
        ok = True
        try:
            snapshot = self._recovered(snapshot, providers, events, store)
            if verb == "refresh" or refresh_first:
                snapshot, ok = refresh(snapshot, providers, events, parallel=self._parallel)
                if store is not None:
                    store.write(snapshot)
            if ok and verb in ("up", "destroy"):
                try:
                    ok = self._change(verb, snapshot, providers, events, environment, store, selection)
                finally:
                    if store is not None:
                        store.fold(snapshot)
            elif not ok:
                events.error(f"{'preview' if store is None else 'update'} failed")
        except Exception as exc:
            events.error(str(exc) or type(exc).__name__)
            raise
        finally:
            duration_s = time.perf_counter() - started
            events.summary(duration_s)
        return DeploymentResult(ok, tuple(events.errors), dict(events.counts), duration_s)

    @staticmethod
    def _recovered(snapshot: Snapshot, providers: Providers, events: Events, store: StateStore | None) -> Snapshot:
        recovered = recover(snapshot, providers, events) if snapshot.pending else snapshot
        if store is not None and (snapshot.pending or store.left_behind()):
            store.write(recovered)
        return recovered

    def _change(
        self,
        verb: Verb,
        snapshot: Snapshot,
        providers: Providers,
        events: Events,
        environment: Mapping[str, str],
        store: StateStore | None,
        selection: Selection,
    ) -> bool:
        chance = self._chance
        planner = Planner(
            self._store.stack,
            self._project,
            snapshot,
            providers,
            events,
            preview=store is None,
            selection=replace(selection, implied=set()),
        )
        executor = Executor(planner, snapshot, providers, events, store, new_id=chance.new_id, now=chance.now)
        if verb == "up" and not self._register(planner, executor, providers, events, environment, store is None):
            return False
        try:
            failed = self._delete_rest(planner, executor)
        except RegistrationRejected:
            return False
        if failed or planner.errored:
            events.error(f"{'preview' if store is None else 'update'} failed")
            return False
        return True

    def _register(
        self,
        planner: Planner,
        executor: Executor,
        providers: Providers,
        events: Events,
        environment: Mapping[str, str],
        preview: bool,
    ) -> bool:
        """Run the program; False when it, or anything it registered, failed (nothing is deleted then)."""
        values, secret_keys = self._configuration.values, self._configuration.secret_keys
        with Workers() as workers:
            monitor = ResourceMonitor(
                planner,
                executor,
                providers,
                events,
                workers,
                config=secret_config(values, secret_keys),
                parallel=self._parallel,
            )
            problem = ""
            try:
                programs.run(
                    self._program,
                    monitor,
                    EngineLog(events),
                    workers,
                    project=self._project,
                    stack=self._store.stack,
                    config=values,
                    secret_keys=secret_keys,
                    preview=preview,
                    environment=environment,
                    say=lambda line: events.say("info", line),
                )
            except programs.ProgramError as exc:
                problem = str(exc)
        failed = monitor.failed or bool(problem)
        monitor.finish_stack_outputs(failed=failed)
        if monitor.step_failed:
            events.error(f"{'preview' if preview else 'update'} failed")
        elif problem and not monitor.rejected:
            events.error(problem)
        return not failed

    def _delete_rest(self, planner: Planner, executor: Executor) -> bool:
        """Delete layer by layer; True when something could not be deleted.

        What is protected is told and passed over, with everything it needs; another failure ends the deletions after
        the layer in which it happened.
        """
        needed: set[int] = set()
        failed = False
        layers = planner.deletions()
        for resource in planner.staying:
            executor.take(Step(Op.SAME, resource, resource, skipped=True))
        for layer in layers:
            steps = [step for step in layer if id(step.resource) not in needed]
            steps.sort(key=lambda step: step.op == Op.DELETE and step.resource.protect)
            with ThreadPoolExecutor(max_workers=self._parallel, thread_name_prefix="delete") as pool:
                problems = list(pool.map(lambda step: _attempt(executor, step), steps))
            for step, problem in zip(steps, problems, strict=True):
                if problem is not None:
                    failed = True
                    needed |= planner.needs_all(step.resource)
            if any(problem is not None and not problem.protected for problem in problems):
                break
        return failed

    def _begun(self, verb: str, message: str) -> dict[str, Any]:
        """An entry of the history under Pulumi's keys, as long as the run is at work."""
        return {
            "kind": "update" if verb == "up" else verb,
            "startTime": self._time(),
            "message": message,
            "environment": {
                "exec.kind": "auto.local",
                "engine": "embedded",
                "engine.version": __version__,
                "user": whoami(),
            },
            "config": {
                key: {"value": value, "secret": key in self._configuration.secret_keys}
                for key, value in self._configuration.shown().items()
            },
            "result": IN_PROGRESS,
            "version": self._store.runs() + 1,
        }

    def _ended(self, entry: dict[str, Any], outcome: DeploymentResult | None) -> dict[str, Any]:
        return {
            **entry,
            "result": "succeeded" if outcome is not None and outcome.ok else "failed",
            "endTime": self._time(),
            "resourceChanges": dict(outcome.counts) if outcome else {},
        }

    def _time(self) -> str:
        return datetime.fromtimestamp(self._chance.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _attempt(executor: Executor, step: Step) -> StepFailed | None:
    try:
        executor.take(step)
    except StepFailed as exc:
        return exc
    return None
