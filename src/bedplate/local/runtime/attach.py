"""Tying the runtime to the platform's hooks."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Mapping, Sequence

from bedplate.local.hooks import Hooks, InvocationResponse, Record, Services
from bedplate.local.runtime.endpoints.async_queue import InvocationQueue
from bedplate.local.runtime.endpoints.endpoint import Endpoint
from bedplate.local.runtime.endpoints.fleet import EndpointTraffic
from bedplate.local.runtime.endpoints.invocation import WAIT_READY_S, Invoker
from bedplate.local.runtime.endpoints.serving_process import SERVERLESS_IDLE_S, ServingPool, serve_here
from bedplate.local.runtime.jobs.job_pool import SLOTS, JobPool
from bedplate.local.runtime.jobs.processing import ProcessingRunner
from bedplate.local.runtime.jobs.schedules import ScheduleRunner
from bedplate.local.runtime.jobs.training import TrainingRunner
from bedplate.local.runtime.jobs.tuning import TuningRunner
from bedplate.local.runtime.metering import Meter
from bedplate.local.runtime.outbox import Outbox
from bedplate.local.runtime.tracking import TrackingServers, mlflow_here

_SEED = 20130101


class Runtime:
    """Everything that runs on one platform."""

    def __init__(
        self,
        services: Services,
        *,
        container: Sequence[str],
        rng: random.Random,
        slots: int,
        background: bool,
        serverless_idle_s: float,
        tracking: Sequence[str],
    ) -> None:
        folder = services.state_dir / "runtime"
        shutil.rmtree(folder, ignore_errors=True)  # of a platform that was killed; its processes died with it
        folder.mkdir(parents=True)
        self._services = services
        self.outbox = Outbox(services)
        self.meter = Meter(services)
        self.pool = ServingPool(
            services, self.outbox, container, folder / "models", serverless_idle_s=serverless_idle_s
        )
        jobs = (services, JobPool(slots), self.outbox, self.meter, container, folder / "jobs")
        self._bench = jobs[1]
        self.training = TrainingRunner(*jobs)
        self.tunings = TuningRunner(services, self.training)
        self.processing = ProcessingRunner(*jobs)
        self.schedules = ScheduleRunner(services, self.processing, flush=self.outbox.flush, background=background)
        self.invoker = Invoker(services, self.outbox, self._traffic_of, rng)
        self.queue = InvocationQueue(services, self.outbox, self.invoker.answer)
        self.tracking = TrackingServers(services, tracking, services.state_dir / "tracking")
        self._endpoints: dict[str, Endpoint] = {}
        self._lock = threading.Lock()

    def hook(self, hooks: Hooks) -> None:
        hooks.training_started = self.training.started
        hooks.training_stopped = self.training.stopped
        hooks.tuning_started = self.tunings.started
        hooks.tuning_stopped = self.tunings.stopped
        hooks.processing_started = self.processing.started
        hooks.processing_stopped = self.processing.stopped
        hooks.endpoint_created = self.endpoint_created
        hooks.endpoint_updated = self.endpoint_updated
        hooks.endpoint_weights_changed = self.endpoint_weights_changed
        hooks.endpoint_deleted = self.endpoint_deleted
        hooks.schedule_changed = self.schedules.changed
        hooks.schedule_deleted = self.schedules.deleted
        hooks.invoke = self.invoke
        hooks.enqueue = self.queue.enqueue
        hooks.tracking_wanted = self.tracking.wanted
        hooks.tracking_deleted = self.tracking.deleted
        hooks.flush = self.outbox.flush
        hooks.restore = self.restore
        hooks.shutdown = self.shutdown

    def endpoint_created(self, record: Record) -> None:
        self._make(record["EndpointName"]).create(record)

    def endpoint_updated(self, record: Record, request: Record) -> None:
        self._get(record["EndpointName"]).update(record, request)

    def endpoint_weights_changed(self, record: Record, desired: Sequence[Record]) -> None:
        self._get(record["EndpointName"]).reweigh(record, desired)

    def endpoint_deleted(self, name: str) -> None:
        with self._lock:
            endpoint = self._endpoints.pop(name, None)
        if endpoint is not None:
            endpoint.delete()

    def invoke(self, name: str, body: bytes, headers: Mapping[str, str]) -> InvocationResponse:
        return self.invoker.invoke(name, body, headers)

    def restore(self) -> None:
        self.training.restore()
        self.processing.restore()
        self.tunings.restore()
        for record in self._services.records("endpoint"):
            if record["EndpointStatus"] == "Creating":
                self._make(record["EndpointName"]).create(record)
            elif record["EndpointStatus"] not in ("Failed", "Deleting"):
                self._make(record["EndpointName"]).restore(record)
        self.schedules.restore()
        self.tracking.restore()

    def shutdown(self) -> None:
        """Kill every process; what was running is Failed, what was serving comes back at the next start."""
        self.schedules.close()
        self.tunings.close()
        with self._lock:
            endpoints = list(self._endpoints.values())
        for endpoint in endpoints:
            endpoint.close()
        for name in self._bench.close():
            kind, _, job = name.partition("/")
            (self.training if kind == "training" else self.processing).interrupted(job)
        self.tracking.close()
        self.queue.close()
        self.invoker.close()
        self.pool.close()
        self.meter.close()
        self.outbox.close()

    def _traffic_of(self, name: str) -> EndpointTraffic | None:
        endpoint = self._endpoints.get(name)
        return endpoint.traffic(WAIT_READY_S) if endpoint is not None else None

    def _make(self, name: str) -> Endpoint:
        endpoint = Endpoint(self._services, self.pool, self.meter, name)
        with self._lock:
            self._endpoints[name] = endpoint
        return endpoint

    def _get(self, name: str) -> Endpoint:
        with self._lock:
            found = self._endpoints.get(name)
        return found if found is not None else self._make(name)


def attach(
    hooks: Hooks,
    services: Services,
    *,
    container: Sequence[str] | None = None,
    rng: random.Random | None = None,
    slots: int = SLOTS,
    background: bool = True,
    serverless_idle_s: float = SERVERLESS_IDLE_S,
    tracking: Sequence[str] | None = None,
) -> Runtime:
    """Make the runtime and hook it up. Nothing runs before `restore` or another hook is called.

    `container` is the command of the image's entry points (`python -m bedplate.container`), `rng` chooses variants and
    samples, `slots` is how many jobs run at once; without `background` schedules run only when asked to. A serverless
    variant sleeps after `serverless_idle_s` without a request. `tracking` is the command of an MLflow server.
    """
    runtime = Runtime(
        services,
        container=container or serve_here(),
        rng=rng or random.Random(_SEED),
        slots=slots,
        background=background,
        serverless_idle_s=serverless_idle_s,
        tracking=tracking or mlflow_here(),
    )
    runtime.hook(hooks)
    return runtime
