"""Builds the runtime of a local platform and registers it with the platform's hooks."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Sequence

from bedplate.local.hooks import Hooks, Record, Services
from bedplate.local.runtime.endpoints.async_queue import InvocationQueue
from bedplate.local.runtime.endpoints.endpoint import Endpoint
from bedplate.local.runtime.endpoints.fleet import EndpointTraffic
from bedplate.local.runtime.endpoints.invocation import WAIT_READY_S, Invoker
from bedplate.local.runtime.endpoints.serving_pool import SERVERLESS_IDLE_S, ServingPool, local_container_command
from bedplate.local.runtime.jobs.job_pool import SLOTS, JobPool
from bedplate.local.runtime.jobs.processing import ProcessingRunner
from bedplate.local.runtime.jobs.schedules import ScheduleRunner
from bedplate.local.runtime.jobs.training import TrainingRunner
from bedplate.local.runtime.jobs.tuning import TuningRunner
from bedplate.local.runtime.metering import Meter
from bedplate.local.runtime.outbox import Outbox
from bedplate.local.runtime.tracking import TrackingServers, local_mlflow_command

_DEFAULT_SEED = 20130101


class Runtime:
    """Runs the jobs, endpoints, schedules and tracking servers of one local platform."""

    def __init__(
        self,
        services: Services,
        *,
        container_command: Sequence[str],
        rng: random.Random,
        slots: int,
        background: bool,
        serverless_idle_s: float,
        tracking_command: Sequence[str],
    ) -> None:
        folder = services.state_dir / "runtime"
        shutil.rmtree(folder, ignore_errors=True)  # left by a killed platform, whose processes have ended with it
        folder.mkdir(parents=True)
        self._services = services
        self.outbox = Outbox(services)
        self.meter = Meter(services)
        self.pool = ServingPool(services, self.outbox, container_command, folder / "models", serverless_idle_s)
        self._job_pool = JobPool(slots)
        runner_arguments = (services, self._job_pool, self.outbox, self.meter, container_command, folder / "jobs")
        self.training = TrainingRunner(*runner_arguments)
        self.tuning = TuningRunner(services, self.training)
        self.processing = ProcessingRunner(*runner_arguments)
        self.schedules = ScheduleRunner(services, self.processing, flush=self.outbox.flush, background=background)
        self.invoker = Invoker(services, self.outbox, self._traffic_of, rng)
        self.queue = InvocationQueue(services, self.outbox, self.invoker.dispatch)
        self.tracking = TrackingServers(services, tracking_command, services.state_dir / "tracking")
        self._endpoints: dict[str, Endpoint] = {}
        self._lock = threading.Lock()

    def register(self, hooks: Hooks) -> None:
        """Sets every hook to the method that handles it."""
        hooks.training_started = self.training.start
        hooks.training_stopped = self.training.stop
        hooks.tuning_started = self.tuning.start
        hooks.tuning_stopped = self.tuning.stop
        hooks.processing_started = self.processing.start
        hooks.processing_stopped = self.processing.stop
        hooks.endpoint_created = self.endpoint_created
        hooks.endpoint_updated = self.endpoint_updated
        hooks.endpoint_weights_changed = self.endpoint_weights_changed
        hooks.endpoint_deleted = self.endpoint_deleted
        hooks.schedule_changed = self.schedules.update
        hooks.schedule_deleted = self.schedules.delete
        hooks.invoke = self.invoker.invoke
        hooks.invoke_async = self.queue.enqueue
        hooks.tracking_started = self.tracking.start
        hooks.tracking_deleted = self.tracking.delete
        hooks.flush = self.outbox.flush
        hooks.restore = self.restore
        hooks.shutdown = self.shutdown

    def endpoint_created(self, record: Record) -> None:
        self._add_endpoint(record["EndpointName"]).create(record)

    def endpoint_updated(self, record: Record, request: Record) -> None:
        self._find_endpoint(record["EndpointName"]).update(record, request)

    def endpoint_weights_changed(self, record: Record, desired: Sequence[Record]) -> None:
        self._find_endpoint(record["EndpointName"]).set_weights(record, desired)

    def endpoint_deleted(self, name: str) -> None:
        with self._lock:
            endpoint = self._endpoints.pop(name, None)
        if endpoint is not None:
            endpoint.delete()

    def restore(self) -> None:
        """Resumes what the records of the previous run of the platform say should run."""
        self.training.restore()
        self.processing.restore()
        self.tuning.restore()
        for record in self._services.records("endpoint"):
            if record["EndpointStatus"] == "Creating":
                self._add_endpoint(record["EndpointName"]).create(record)
            elif record["EndpointStatus"] not in ("Failed", "Deleting"):
                self._add_endpoint(record["EndpointName"]).restore(record)
        self.schedules.restore()
        self.tracking.restore()

    def shutdown(self) -> None:
        """Kills every process; running jobs become Failed, endpoints come back at the next start."""
        self.schedules.close()
        self.tuning.close()
        with self._lock:
            endpoints = list(self._endpoints.values())
        for endpoint in endpoints:
            endpoint.close()
        for name in self._job_pool.close():
            job_type, _, job = name.partition("/")
            (self.training if job_type == "training" else self.processing).mark_interrupted(job)
        self.tracking.close()
        self.queue.close()
        self.invoker.close()
        self.pool.close()
        self.meter.close()
        self.outbox.close()

    def _traffic_of(self, name: str) -> EndpointTraffic | None:
        endpoint = self._endpoints.get(name)
        return endpoint.traffic(WAIT_READY_S) if endpoint is not None else None

    def _add_endpoint(self, name: str) -> Endpoint:
        endpoint = Endpoint(self._services, self.pool, self.meter, name)
        with self._lock:
            self._endpoints[name] = endpoint
        return endpoint

    def _find_endpoint(self, name: str) -> Endpoint:
        with self._lock:
            endpoint = self._endpoints.get(name)
        return endpoint if endpoint is not None else self._add_endpoint(name)


def attach(
    hooks: Hooks,
    services: Services,
    *,
    container_command: Sequence[str] | None = None,
    rng: random.Random | None = None,
    slots: int = SLOTS,
    background: bool = True,
    serverless_idle_s: float = SERVERLESS_IDLE_S,
    tracking_command: Sequence[str] | None = None,
) -> Runtime:
    """Builds the runtime and registers it with the hooks. Nothing runs before `restore` or another hook is called.

    `container_command` starts the image's entry points (`python -m bedplate.container`) and `tracking_command` an
    MLflow server. `rng` selects variants and captured requests. At most `slots` jobs run at once. Without `background`
    schedules run only when a test calls `run_due`. A serverless variant sleeps after `serverless_idle_s` seconds
    without a request.
    """
    runtime = Runtime(
        services,
        container_command=container_command or local_container_command(),
        rng=rng or random.Random(_DEFAULT_SEED),
        slots=slots,
        background=background,
        serverless_idle_s=serverless_idle_s,
        tracking_command=tracking_command or local_mlflow_command(),
    )
    runtime.register(hooks)
    return runtime
