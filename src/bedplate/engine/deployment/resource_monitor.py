"""The resource monitor and the engine as Pulumi's Python SDK calls them, in its own process and without a socket.

The SDK awaits a resource's inputs before it registers it, and calls `RegisterResource` from a worker thread, so program
order is dependency order. Registrations that are ready together are all planned before the first of them is carried
out: what is wrong with any of them is told before anything changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bedplate.engine.deployment.events import Events
from bedplate.engine.deployment.executor import Executor, StepFailed
from bedplate.engine.deployment.planner import Planner
from bedplate.engine.deployment.provider_checks import RegistrationRejected
from bedplate.engine.deployment.providers import Providers, default_name, package_of, reference
from bedplate.engine.deployment.steps import Alias, Goal, Op, Step
from bedplate.engine.deployment.workers import Workers
from bedplate.engine.property_values import from_struct, reveal, to_struct
from bedplate.engine.protocol import UNKNOWN, Properties, Secret
from bedplate.engine.state.snapshot import PROVIDER_PREFIX, ROOT_TYPE, Resource
from bedplate.engine.timeouts import duration_s
from bedplate.errors import UsageError

_SKIPPED: Any = 2
"""`Result.SKIP` of a registration: to the program what it computes is unknown, and stays so."""


class RunStopped(Exception):  # the reason has been told already
    """The run is over for whoever asks for more."""


class ResourceMonitor:
    """Answers the SDK's calls; `failed` says afterwards whether anything went wrong."""

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
        self.rejected = False
        self.step_failed = False
        self._planner = planner
        self._executor = executor
        self._providers = providers
        self._events = events
        self._workers = workers
        self._config = config
        self._slots = threading.BoundedSemaphore(parallel)
        self._waves: dict[str, int] = {}
        """Custom resources by URN: in which wave each was planned."""
        self._over = False
        """Something was rejected, and what was registered together with it has been carried out."""
        self._planning = threading.RLock()
        self._registered: dict[str, Resource] = {}
        self._goals: dict[str, Goal] = {}
        self._defaults: dict[str, str] = {}
        self._root: Resource | None = None
        self._root_outputs: dict[str, Any] | None = None

    @property
    def failed(self) -> bool:
        return self.rejected or self.step_failed

    # --- registrations ------------------------------------------------------------------------------------------

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        from pulumi.runtime.proto import resource_pb2

        goal = goal_of(request)
        self._await_the_wave(goal)
        with self._telling_late(), self._planning:
            self._refuse_after_failure()
            goal = self._complete(goal)
            steps = self._planned(lambda: self._planner.plan(goal))
            if goal.type == ROOT_TYPE:
                self._root = steps[0].new
            works = self._works(steps)
        resource = self._carry_out(steps, goal, works)
        self._registered[resource.urn] = resource
        return resource_pb2.RegisterResourceResponse(
            urn=resource.urn,
            id=_id(resource),
            object=to_struct(resource.outputs),
            stable=False,
            result=_SKIPPED if steps[-1].skipped else resource_pb2.SUCCESS,
        )

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import resource_pb2

        goal = Goal(
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
        self._await_the_wave(goal)
        with self._telling_late(), self._planning:
            self._refuse_after_failure()
            goal = self._complete(goal)
            steps = self._planned(lambda: self._planner.plan_read(goal))
            works = self._works(steps)
        resource = self._carry_out(steps, goal, works)
        return resource_pb2.ReadResourceResponse(
            urn=resource.urn, id=_id(resource), properties=to_struct(resource.outputs)
        )

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        from google.protobuf import empty_pb2

        outputs = from_struct(request.outputs)
        if self._root is not None and request.urn == self._root.urn:
            self._root_outputs = outputs
        elif request.urn in self._registered:
            self._executor.set_outputs(self._registered[request.urn], outputs)
        return empty_pb2.Empty()

    def finish_stack_outputs(self, *, failed: bool) -> None:
        """Write what the program exported; after a failure an export that is missing keeps its old value."""
        if self._root is None or self._root_outputs is None:
            return
        old = self._planner.olds.get(self._root.urn)
        before = old.outputs if old is not None and failed else {}
        self._executor.set_outputs(self._root, {**before, **self._root_outputs})

    @contextmanager
    def _telling_late(self) -> Iterator[None]:
        """Let the program know of a refusal only when all that it had ready was heard: the rest is carried out."""
        try:
            yield
        except RunStopped:
            self._workers.planned()
            self._workers.settle()
            raise

    def _planned(self, plan: Callable[[], list[Step]]) -> list[Step]:
        try:
            return plan()
        except RegistrationRejected as exc:
            self.rejected = True
            raise RunStopped(str(exc)) from exc
        except Exception as exc:
            self.rejected = True
            self._events.error(str(exc) or type(exc).__name__)
            raise RunStopped(str(exc)) from exc

    def _await_the_wave(self, goal: Goal) -> None:
        """Of what depends on the answer to a registration: let those end that were registered together with that."""
        needs = {goal.parent, goal.provider.rpartition("::")[0], goal.deleted_with}
        needs.update(goal.dependencies, goal.replace_with)
        wave = self._workers.wave()
        if any(self._waves.get(urn) == wave for urn in needs):
            self._workers.let_wave_end(lambda: self.failed)

    def _works(self, steps: list[Step]) -> bool:
        """Whether a provider is called for these; said while the planning lock is held."""
        works = any(step.op not in (Op.SAME, Op.REPLACE) and step.resource.custom for step in steps)
        if works:
            self._workers.begin()
        if steps[-1].resource.custom:
            self._waves[steps[-1].urn] = self._workers.wave()
        return works

    def _carry_out(self, steps: list[Step], goal: Goal, works: bool) -> Resource:
        self._workers.planned()
        if not works:
            return self._do(steps, goal)
        try:
            self._workers.settle()
            if self._planner.duplicated:
                raise RunStopped("a name was registered twice")
            return self._do(steps, goal)
        finally:
            self._over = self.rejected
            self._workers.end()

    def _do(self, steps: list[Step], goal: Goal) -> Resource:
        with self._slot():
            for step in steps:
                self._take(step)
            resource = steps[-1].resource
            if steps[0].op in (Op.IMPORT, Op.IMPORT_REPLACEMENT):
                with self._planning:
                    more = self._planned(lambda: self._planner.plan_after_import(goal, resource))
                for step in more:
                    self._take(step)
                    resource = step.resource
        return resource

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Room to work in. What was ready together is begun together, so only who had to wait asks after failures."""
        if not self._slots.acquire(blocking=False):
            self._slots.acquire()
            if self.step_failed:
                self._slots.release()
                self._refuse_after_step_failure()
        try:
            yield
        finally:
            self._slots.release()

    def _take(self, step: Step) -> None:
        try:
            self._executor.take(step)
        except StepFailed as exc:
            self.step_failed = True
            raise RunStopped(str(exc)) from exc

    def _refuse_after_failure(self) -> None:
        if self._planner.duplicated:
            raise RunStopped("a name was registered twice")
        if self._over:
            raise RunStopped("an earlier registration was rejected")
        self._refuse_after_step_failure()

    def _refuse_after_step_failure(self) -> None:
        if self.step_failed:
            raise RunStopped("an earlier step failed")

    # --- what a registration leaves open ------------------------------------------------------------------------

    def _complete(self, goal: Goal) -> Goal:
        """Fill in the parent, the provider, and what is inherited from the parent."""
        is_provider = goal.type.startswith(PROVIDER_PREFIX)
        if not goal.parent and goal.type != ROOT_TYPE and self._planner.root:
            goal = replace(goal, parent=self._planner.root)
        above = self._goals.get(goal.parent)
        if above is not None:
            goal = replace(
                goal,
                retain_on_delete=goal.retain_on_delete or above.retain_on_delete,
                deleted_with=goal.deleted_with or above.deleted_with,
            )
        if goal.custom and not is_provider and not goal.provider:
            goal = replace(goal, provider=self._default_provider(package_of(goal.type), goal.version))
        self._goals[self._planner.urn_of(goal)] = goal
        return goal

    def _default_provider(self, package: str, version: str) -> str:
        name = default_name(version)
        key = f"{package}\n{name}"
        if key not in self._defaults:
            prefix = f"{package}:"
            inputs = {k.removeprefix(prefix): v for k, v in self._config.items() if k.startswith(prefix)}
            if version:
                inputs["version"] = version
            goal = Goal(type=PROVIDER_PREFIX + package, name=name, custom=True, inputs=inputs)
            steps = self._planned(lambda: self._planner.plan(goal))
            for step in steps:
                self._take(step)
            self._defaults[key] = reference(steps[-1].resource)
        return self._defaults[key]

    # --- functions and formalities ------------------------------------------------------------------------------

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import resource_pb2

        try:
            result = self._invoke(request)
        except RunStopped:
            raise
        except Exception as exc:
            raise _rpc_error(str(exc) or type(exc).__name__) from exc
        return resource_pb2.ResourceInvokeResponse(**{"return": to_struct(result)})

    def _invoke(self, request: Any) -> Properties:
        if request.tok.startswith("pulumi:"):
            raise UsageError(f"the embedded engine does not serve {request.tok}")
        with self._planning:
            ref = request.provider or self._default_provider(package_of(request.tok), request.version)
            provider = self._providers.get(ref, self._planner.olds)
        return provider.invoke(request.tok, reveal(from_struct(request.args)))

    def Call(self, request: Any) -> Any:  # noqa: N802
        raise _rpc_error(f"the embedded engine does not serve calls of methods ({request.tok})")

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

        known = {"secrets", "aliasSpecs", "deletedWith", "replaceWith"}
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in known)

    def SignalAndWaitForShutdown(self, _request: Any) -> Any:  # noqa: N802
        from google.protobuf import empty_pb2

        return empty_pb2.Empty()


class EngineLog:
    """The engine's other service: log lines of the program and the SDK, and the root resource."""

    _SEVERITIES = ("debug", "info", "warning", "error")

    def __init__(self, events: Events) -> None:
        self._events = events
        self._root = ""

    def Log(self, request: Any) -> Any:  # noqa: N802
        from google.protobuf import empty_pb2

        severity = self._SEVERITIES[request.severity]
        if severity == "error":
            self._events.error(request.message, urn=request.urn)
        else:
            self._events.say(severity, request.message, urn=request.urn, ephemeral=request.ephemeral)
        return empty_pb2.Empty()

    def SetRootResource(self, request: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import engine_pb2

        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def GetRootResource(self, _request: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import engine_pb2

        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def RequirePulumiVersion(self, _request: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import engine_pb2

        return engine_pb2.RequirePulumiVersionResponse()


def goal_of(request: Any) -> Goal:
    """A registration off the wire."""
    timeouts = {
        key: duration_s(getattr(request.customTimeouts, key))
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
        aliases=tuple(_alias(a) for a in request.aliases) + tuple(Alias(urn=u) for u in request.aliasURNs),
        import_id=request.importId,
        retain_on_delete=request.retainOnDelete,
        deleted_with=request.deletedWith,
        replace_with=tuple(request.replace_with),
        custom_timeouts=timeouts,
    )


def _alias(alias: Any) -> Alias:
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


def _rpc_error(message: str) -> Exception:
    """An error as the SDK expects it from the other end of a wire: it becomes the program's exception."""
    import grpc

    class Refusal(grpc.RpcError):  # type: ignore[misc]
        def code(self) -> Any:
            return grpc.StatusCode.UNKNOWN

        def details(self) -> str:
            return message

    return Refusal(message)


def _id(resource: Resource) -> str:
    return "" if resource.id == UNKNOWN else resource.id


def secret_config(values: Mapping[str, str], secret_keys: frozenset[str]) -> dict[str, Any]:
    """Configuration as provider inputs: the secret ones marked."""
    return {key: Secret(value) if key in secret_keys else value for key, value in values.items()}
