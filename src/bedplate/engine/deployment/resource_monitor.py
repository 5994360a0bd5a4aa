"""Implements the resource monitor service of Pulumi's Python SDK, in the process of the program and without a socket.

The SDK awaits the inputs of a resource before it registers it, and calls `RegisterResource` in a worker thread, so that
registrations arrive in dependency order. All registrations of a wave (see `workers`) are planned before the first of
them is executed: an invalid one is reported before anything changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bedplate.engine.deployment.events import Events
from bedplate.engine.deployment.executor import Executor, StepFailed
from bedplate.engine.deployment.goals import parse_goal, parse_read_goal
from bedplate.engine.deployment.planner import Planner
from bedplate.engine.deployment.provider_checks import RegistrationRejected
from bedplate.engine.deployment.providers import Providers, default_provider_name, package_of, provider_reference
from bedplate.engine.deployment.steps import Goal, Op, Step
from bedplate.engine.deployment.workers import Workers
from bedplate.engine.property_values import from_struct, reveal, to_struct
from bedplate.engine.protocol import UNKNOWN, Properties
from bedplate.engine.state.snapshot import PROVIDER_PREFIX, ROOT_TYPE, Resource
from bedplate.errors import UsageError

_RESULT_SKIP: Any = 2
"""`Result.SKIP` of a registration: the outputs of the resource stay unknown to the program."""


class RunStopped(Exception):
    """The run accepts no more registrations. The reason is already reported as an error."""


class ResourceMonitor:
    """Handles the calls of the SDK; `has_failed` is whether a registration was rejected or a step failed."""

    def __init__(
        self,
        planner: Planner,
        executor: Executor,
        providers: Providers,
        events: Events,
        workers: Workers,
        *,
        config: Mapping[str, Any],
        parallel: int,
    ) -> None:
        self.has_rejection = False
        self.has_failed_step = False
        self._planner = planner
        self._executor = executor
        self._providers = providers
        self._events = events
        self._workers = workers
        self._config = config
        self._slots = threading.BoundedSemaphore(parallel)
        self._waves: dict[str, int] = {}
        """URN of a custom resource to the number of the wave in which it was planned."""
        self._is_stopped = False
        """Whether a registration was rejected and the other steps of its wave have been executed."""
        self._planning_lock = threading.RLock()
        self._registered: dict[str, Resource] = {}
        self._goals: dict[str, Goal] = {}
        self._default_providers: dict[str, str] = {}
        self._root: Resource | None = None
        self._root_outputs: dict[str, Any] | None = None

    @property
    def has_failed(self) -> bool:
        return self.has_rejection or self.has_failed_step

    # --- registrations ------------------------------------------------------------------------------------------

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the SDK's name, here and below
        from pulumi.runtime.proto import resource_pb2

        steps, resource = self._register(parse_goal(request), self._planner.plan)
        self._registered[resource.urn] = resource
        return resource_pb2.RegisterResourceResponse(
            urn=resource.urn,
            id=_id_or_empty(resource),
            object=to_struct(resource.outputs),
            stable=False,
            result=_RESULT_SKIP if steps[-1].skipped else resource_pb2.SUCCESS,
        )

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import resource_pb2

        _, resource = self._register(parse_read_goal(request), self._planner.plan_read)
        return resource_pb2.ReadResourceResponse(
            urn=resource.urn, id=_id_or_empty(resource), properties=to_struct(resource.outputs)
        )

    def _register(self, goal: Goal, plan: Callable[[Goal], list[Step]]) -> tuple[list[Step], Resource]:
        """Plans and executes the steps of a goal; returns them and the resource. Raises RunStopped after a failure."""
        self._wait_for_wave(goal)
        with self._delay_rejection(), self._planning_lock:
            self._raise_if_stopped()
            goal = self._complete_goal(goal)
            steps = self._plan(lambda: plan(goal))
            if goal.type == ROOT_TYPE:
                self._root = steps[0].new
            calls_provider = self._begin_steps(steps)
        return steps, self._execute_when_planned(steps, goal, calls_provider)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        from google.protobuf import empty_pb2

        outputs = from_struct(request.outputs)
        if self._root is not None and request.urn == self._root.urn:
            self._root_outputs = outputs
        elif request.urn in self._registered:
            self._executor.set_outputs(self._registered[request.urn], outputs)
        return empty_pb2.Empty()

    def finish_stack_outputs(self, *, failed: bool) -> None:
        """Writes the program's exports; after a failure a missing export keeps its old value."""
        if self._root is None or self._root_outputs is None:
            return
        old = self._planner.olds.get(self._root.urn)
        before = old.outputs if old is not None and failed else {}
        self._executor.set_outputs(self._root, {**before, **self._root_outputs})

    @contextmanager
    def _delay_rejection(self) -> Iterator[None]:
        """Raises RunStopped into the program only after the rest of the wave was registered, so that it is executed."""
        try:
            yield
        except RunStopped:
            self._workers.mark_planned()
            self._workers.wait_until_idle()
            raise

    def _plan(self, plan: Callable[[], list[Step]]) -> list[Step]:
        try:
            return plan()
        except RegistrationRejected as exc:
            self.has_rejection = True
            raise RunStopped(str(exc)) from exc
        except Exception as exc:
            self.has_rejection = True
            self._events.emit_error(str(exc) or type(exc).__name__)
            raise RunStopped(str(exc)) from exc

    def _wait_for_wave(self, goal: Goal) -> None:
        """Waits for the other steps of the running wave if the goal depends on a resource of that wave."""
        dependencies = {goal.parent, goal.provider.rpartition("::")[0], goal.deleted_with}
        dependencies.update(goal.dependencies, goal.replace_with)
        wave = self._workers.current_wave()
        if any(self._waves.get(urn) == wave for urn in dependencies):
            self._workers.wait_for_wave(lambda: self.has_failed)

    def _begin_steps(self, steps: list[Step]) -> bool:
        """Counts steps that call a provider as running; returns whether there is one. Needs the planning lock."""
        calls_provider = any(step.op not in (Op.SAME, Op.REPLACE) and step.resource.custom for step in steps)
        if calls_provider:
            self._workers.begin_steps()
        if steps[-1].resource.custom:
            self._waves[steps[-1].urn] = self._workers.current_wave()
        return calls_provider

    def _execute_when_planned(self, steps: list[Step], goal: Goal, calls_provider: bool) -> Resource:
        self._workers.mark_planned()
        if not calls_provider:
            return self._execute_steps(steps, goal)
        try:
            self._workers.wait_until_idle()
            if self._planner.has_duplicates:
                raise RunStopped("a name was registered twice")
            return self._execute_steps(steps, goal)
        finally:
            self._is_stopped = self.has_rejection
            self._workers.end_steps()

    def _execute_steps(self, steps: list[Step], goal: Goal) -> Resource:
        with self._slot():
            for step in steps:
                self._execute_step(step)
            resource = steps[-1].resource
            if steps[0].op in (Op.IMPORT, Op.IMPORT_REPLACEMENT):
                with self._planning_lock:
                    more = self._plan(lambda: self._planner.plan_after_import(goal, resource))
                for step in more:
                    self._execute_step(step)
                    resource = step.resource
        return resource

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Limits the parallel executions. Raises RunStopped if a step has failed while this one waited for a slot."""
        if not self._slots.acquire(blocking=False):
            self._slots.acquire()
            if self.has_failed_step:
                self._slots.release()
                self._raise_if_step_failed()
        try:
            yield
        finally:
            self._slots.release()

    def _execute_step(self, step: Step) -> None:
        try:
            self._executor.execute(step)
        except StepFailed as exc:
            self.has_failed_step = True
            raise RunStopped(str(exc)) from exc

    def _raise_if_stopped(self) -> None:
        if self._planner.has_duplicates:
            raise RunStopped("a name was registered twice")
        if self._is_stopped:
            raise RunStopped("an earlier registration was rejected")
        self._raise_if_step_failed()

    def _raise_if_step_failed(self) -> None:
        if self.has_failed_step:
            raise RunStopped("an earlier step failed")

    # --- defaults of a registration -----------------------------------------------------------------------------

    def _complete_goal(self, goal: Goal) -> Goal:
        """Returns the goal with its parent, its provider, and the options that it inherits from the parent."""
        is_provider = goal.type.startswith(PROVIDER_PREFIX)
        if not goal.parent and goal.type != ROOT_TYPE and self._planner.root_urn:
            goal = replace(goal, parent=self._planner.root_urn)
        parent_goal = self._goals.get(goal.parent)
        if parent_goal is not None:
            goal = replace(
                goal,
                retain_on_delete=goal.retain_on_delete or parent_goal.retain_on_delete,
                deleted_with=goal.deleted_with or parent_goal.deleted_with,
            )
        if goal.custom and not is_provider and not goal.provider:
            goal = replace(goal, provider=self._default_provider(package_of(goal.type), goal.version))
        self._goals[self._planner.urn_of(goal)] = goal
        return goal

    def _default_provider(self, package: str, version: str) -> str:
        name = default_provider_name(version)
        key = f"{package}\n{name}"
        if key not in self._default_providers:
            prefix = f"{package}:"
            inputs = {k.removeprefix(prefix): v for k, v in self._config.items() if k.startswith(prefix)}
            if version:
                inputs["version"] = version
            goal = Goal(type=PROVIDER_PREFIX + package, name=name, custom=True, inputs=inputs)
            steps = self._plan(lambda: self._planner.plan(goal))
            for step in steps:
                self._execute_step(step)
            self._default_providers[key] = provider_reference(steps[-1].resource)
        return self._default_providers[key]

    # --- functions, and the rest of the service -----------------------------------------------------------------

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import resource_pb2

        try:
            result = self._invoke(request)
        except RunStopped:
            raise
        except Exception as exc:
            raise _build_rpc_error(str(exc) or type(exc).__name__) from exc
        return resource_pb2.ResourceInvokeResponse(**{"return": to_struct(result)})

    def _invoke(self, request: Any) -> Properties:
        if request.tok.startswith("pulumi:"):
            raise UsageError(f"the embedded engine does not support {request.tok}")
        with self._planning_lock:
            reference = request.provider or self._default_provider(package_of(request.tok), request.version)
            provider = self._providers.get(reference, self._planner.olds)
        return provider.invoke(request.tok, reveal(from_struct(request.args)))

    def Call(self, request: Any) -> Any:  # noqa: N802
        raise _build_rpc_error(f"the embedded engine does not support calls of methods ({request.tok})")

    def GetDeploymentInfo(self, _request: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import resource_pb2

        features = ("SECRETS", "ALIAS_SPECS", "DELETED_WITH", "REPLACE_WITH")
        return resource_pb2.DeploymentInfo(
            project=self._planner.project,
            stack=self._planner.stack,
            supportedFeatures=[getattr(resource_pb2, f"RESOURCE_MONITOR_FEATURE_{name}") for name in features],
        )

    def SupportsFeature(self, request: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import resource_pb2

        features = {"secrets", "aliasSpecs", "deletedWith", "replaceWith"}
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in features)

    def SignalAndWaitForShutdown(self, _request: Any) -> Any:  # noqa: N802
        from google.protobuf import empty_pb2

        return empty_pb2.Empty()


def _build_rpc_error(message: str) -> Exception:
    """Returns the error with which the SDK raises an exception in the program."""
    import grpc

    class InvokeError(grpc.RpcError):  # type: ignore[misc]
        def code(self) -> Any:
            return grpc.StatusCode.UNKNOWN

        def details(self) -> str:
            return message

    return InvokeError(message)


def _id_or_empty(resource: Resource) -> str:
    return "" if resource.id == UNKNOWN else resource.id
