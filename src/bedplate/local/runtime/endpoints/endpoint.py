"""Runs an endpoint: creation, blue/green updates with auto-rollback, weight changes, deletion and restore."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from bedplate.local.hooks import PENDING_UPDATE, Record, Services
from bedplate.local.runtime.endpoints.fleet import (
    EndpointTraffic,
    Fleet,
    await_ready,
    pending_variant_summaries,
    release_fleet,
    start_fleet,
    variant_summaries,
)
from bedplate.local.runtime.endpoints.model_source import ModelSourceError
from bedplate.local.runtime.endpoints.serving_pool import ServingPool
from bedplate.local.runtime.endpoints.traffic_shift import TrafficShift, parse_traffic_shift
from bedplate.local.runtime.metering import Meter

_REASON_CHARS = 1024  # SageMaker's limit of a FailureReason
_ALARM_POLL_S = 0.2


class _EndpointStopped(Exception):
    """The endpoint was deleted or the platform is ending during an operation."""


class _DeploymentRolledBack(Exception):
    """The deployment must be rolled back; the message becomes the endpoint's FailureReason."""


class Endpoint:
    """One endpoint: its traffic, and its operations, one at a time and each in its own thread."""

    def __init__(self, services: Services, pool: ServingPool, meter: Meter, name: str) -> None:
        self._services = services
        self._pool = pool
        self._meter = meter
        self._name = name
        self._changed = threading.Condition()
        self._deleted = False
        self._closing = False
        self._operation_lock = threading.Lock()
        self._live_fleet: Fleet | None = None
        self._restoring = False
        self._traffic: EndpointTraffic | None = None

    def traffic(self, timeout_s: float) -> EndpointTraffic | None:
        """Returns the fleets that get requests; None when the endpoint does not serve.

        Waits up to `timeout_s` while the endpoint is being restored.
        """
        if self._traffic is None and self._restoring:
            with self._changed:
                self._changed.wait_for(lambda: self._traffic is not None or not self._restoring, timeout_s)
        return self._traffic

    def create(self, record: Record) -> None:
        self._start_operation(lambda: self._create(record))

    def update(self, record: Record, request: Record) -> None:
        self._start_operation(lambda: self._update(record, request))

    def set_weights(self, record: Record, desired: Sequence[Record]) -> None:
        self._start_operation(lambda: self._set_weights(record, desired))

    def restore(self, record: Record) -> None:
        self._restoring = True
        self._start_operation(lambda: self._restore(record))

    def delete(self) -> None:
        self._traffic = None
        self._interrupt(deleted=True)
        self._start_operation(self._delete)

    def close(self) -> None:
        """Stops operations and leaves the record unchanged, so that the next start of the platform resumes them."""
        self._interrupt(deleted=False)

    # --- operations, each in its own thread ------------------------------------------------------------------------

    def _create(self, record: Record) -> None:
        try:
            fleet = self._start_ready_fleet(record["EndpointConfigName"])
        except ModelSourceError as exc:
            self._report(EndpointStatus="Failed", FailureReason=str(exc)[:_REASON_CHARS])
            return
        self._go_live(fleet)
        self._report_in_service(fleet)

    def _restore(self, record: Record) -> None:
        """Starts the fleet that served when the platform ended, and repeats an interrupted deployment from its start.

        The deployment cannot continue, because its green fleet ended with the platform.
        """
        in_service = record["EndpointStatus"] == "InService"
        fleet: Fleet | None = None
        try:
            fleet = self._start_fleet(record["EndpointConfigName"]).with_capacities(_desired_capacities(record))
            if in_service:
                self._go_live(fleet)  # requests that arrive before the fleet is ready wait for it
            self._await_ready(fleet)
        except ModelSourceError as exc:
            self._live_fleet = None
            self._route(None)
            if fleet is not None:
                self._release_fleet(fleet, keep_warm=False)
            self._report(EndpointStatus="Failed", FailureReason=str(exc)[:_REASON_CHARS], PendingDeploymentSummary=None)
            return
        if in_service:
            return
        self._go_live(fleet)
        if record["EndpointStatus"] == "Updating" and PENDING_UPDATE in record:
            self._update(record, record[PENDING_UPDATE])
            return
        self._report_in_service(fleet)

    def _update(self, record: Record, request: Record) -> None:
        """Replaces the live (blue) fleet by one of the requested configuration (green); rolls back on any error."""
        blue = self._live_fleet
        green: Fleet | None = None
        deployment = request.get("DeploymentConfig")
        try:
            green = self._provision(record, request)
            self._shift(blue, green, parse_traffic_shift(deployment, green.instances))
        except (ModelSourceError, _DeploymentRolledBack) as exc:
            self._roll_back(blue, green, str(exc))
            return
        except _EndpointStopped:
            if green is not None:
                self._release_fleet(green, keep_warm=False)
            raise
        except Exception as exc:  # an error of the runtime itself must not leave the traffic split over two fleets
            traceback.print_exc()
            self._roll_back(blue, green, f"InternalServerError: {type(exc).__name__}: {exc}")
            return
        self._finish_update(green, deployment)
        if blue is not None:
            self._release_fleet(blue)

    def _provision(self, record: Record, request: Record) -> Fleet:
        """Starts the green fleet and returns it, without traffic, when it passes the health check."""
        started_at = self._services.now()
        green = self._start_fleet(request["EndpointConfigName"])
        try:
            if request.get("RetainAllVariantProperties"):
                green = green.with_capacities(_retained_capacities(record, request, green))
            self._report_pending(green, 0.0, "Creating", started_at)
            self._await_ready(green)
        except BaseException:
            release_fleet(self._pool, green, keep_warm=False)
            raise
        self._meter_fleet(green)
        return green

    def _shift(self, blue: Fleet | None, green: Fleet, shift: TrafficShift) -> None:
        """Shifts traffic to the green fleet in steps. Raises _DeploymentRolledBack when an alarm fires meanwhile."""
        started_at = self._services.now()
        self._watch_alarms(0.0, shift.alarms, started_at)  # an alarm that is in ALARM already prevents the shift
        for share in shift.shares:
            fleets = ((blue, 1.0 - share), (green, share)) if blue is not None else ((green, 1.0),)
            self._route(EndpointTraffic(tuple(fleets)))
            if blue is not None:
                self._report(ProductionVariants=variant_summaries(blue.variants, 1.0 - share, blue.started_at))
            self._report_pending(green, share, "Baking" if shift.wait_s else "ActivatingTraffic", started_at)
            self._watch_alarms(shift.wait_s, shift.alarms, started_at)
        self._watch_alarms(shift.termination_wait_s, shift.alarms, started_at)

    def _finish_update(self, fleet: Fleet, deployment: Record | None) -> None:
        self._route(EndpointTraffic(((fleet, 1.0),)))
        self._live_fleet = fleet
        config = self._services.record("endpoint-config", fleet.config) or {}
        capture = config.get("DataCaptureConfig")
        self._report_in_service(
            fleet,
            EndpointConfigName=fleet.config,
            DataCaptureConfig=_capture_summary(capture) if capture else None,
            FailureReason=None,
            **({"LastDeploymentConfig": deployment} if deployment else {}),
        )

    def _roll_back(self, blue: Fleet | None, green: Fleet | None, reason: str) -> None:
        """Sends all traffic to the blue fleet, then reports the rollback; without a blue fleet the endpoint failed."""
        if blue is None:
            self._report(EndpointStatus="Failed", FailureReason=reason[:_REASON_CHARS], PendingDeploymentSummary=None)
        else:
            self._route(EndpointTraffic(((blue, 1.0),)))
            live = variant_summaries(blue.variants, 1.0, blue.started_at)
            self._report(EndpointStatus="RollingBack", ProductionVariants=live, FailureReason=reason[:_REASON_CHARS])
        if green is not None:
            self._release_fleet(green, keep_warm=False)
        if blue is not None:
            self._report(EndpointStatus="InService", PendingDeploymentSummary=None)

    def _set_weights(self, record: Record, desired: Sequence[Record]) -> None:
        if self._live_fleet is None:
            self._report(EndpointStatus="Failed", FailureReason="The endpoint has no running fleet.")
            return
        self._live_fleet = self._live_fleet.with_capacities(_requested_capacities(self._live_fleet, desired))
        self._route(EndpointTraffic(((self._live_fleet, 1.0),)))
        self._meter_fleet(self._live_fleet)
        variants = variant_summaries(self._live_fleet.variants, 1.0, self._live_fleet.started_at)
        self._report(EndpointStatus="InService", ProductionVariants=variants)

    def _delete(self) -> None:
        if self._live_fleet is not None:
            self._release_fleet(self._live_fleet, keep_warm=False)
            self._live_fleet = None
        self._pool.drop_idle(self._name)

    # --- fleets ----------------------------------------------------------------------------------------------------

    def _start_ready_fleet(self, config: str) -> Fleet:
        fleet = self._start_fleet(config)
        try:
            self._await_ready(fleet)
        except BaseException:
            release_fleet(self._pool, fleet, keep_warm=False)
            raise
        return fleet

    def _start_fleet(self, config: str) -> Fleet:
        return start_fleet(self._services, self._pool, self._name, config)

    def _await_ready(self, fleet: Fleet) -> None:
        """Waits until the fleet passes its health check.

        Raises ModelSourceError when it does not, _EndpointStopped when the endpoint or the platform ends meanwhile.
        """
        if not await_ready(fleet, lambda: self._deleted or self._closing):
            raise _EndpointStopped

    def _go_live(self, fleet: Fleet) -> None:
        self._live_fleet = fleet
        self._route(EndpointTraffic(((fleet, 1.0),)))
        self._meter_fleet(fleet)

    def _route(self, traffic: EndpointTraffic | None) -> None:
        """Makes `traffic` the endpoint's traffic, and wakes up the requests that wait for a restore."""
        with self._changed:
            self._traffic = traffic if not self._deleted else None
            self._restoring = False
            self._changed.notify_all()

    def _meter_fleet(self, fleet: Fleet) -> None:
        """Starts to charge the fleet's variants, or restarts it with their present instance counts."""
        record = self._services.record("endpoint", self._name)
        if record is None:
            return
        for variant in fleet.all_variants:
            if variant.memory_mb:
                continue  # the invoker charges serverless variants per request
            key = (self._name, fleet.serial, variant.name)
            self._meter.stop(key)
            self._meter.start(key, record["EndpointArn"], "endpoint", variant.instance_type, variant.instances)

    def _release_fleet(self, fleet: Fleet, *, keep_warm: bool = True) -> None:
        for variant in fleet.all_variants:
            self._meter.stop((self._name, fleet.serial, variant.name))
        release_fleet(self._pool, fleet, keep_warm=keep_warm)

    # --- reporting and waiting -------------------------------------------------------------------------------------

    def _report_in_service(self, fleet: Fleet, **changes: Any) -> None:
        self._report(
            EndpointStatus="InService",
            ProductionVariants=variant_summaries(fleet.variants, 1.0, fleet.started_at),
            ShadowProductionVariants=variant_summaries(fleet.shadows, 1.0, fleet.started_at) or None,
            PendingDeploymentSummary=None,
            **changes,
        )

    def _report_pending(self, green: Fleet, share: float, phase: str, started_at: float) -> None:
        self._report(
            PendingDeploymentSummary={
                "EndpointConfigName": green.config,
                "ProductionVariants": pending_variant_summaries(green, share, phase, self._services.now()),
                "StartTime": started_at,
            }
        )

    def _report(self, **changes: Any) -> None:
        """Writes `changes` into the endpoint's record. Raises _EndpointStopped if an operation must end."""
        if self._deleted or self._closing:
            raise _EndpointStopped
        if changes.get("EndpointStatus") in ("InService", "Failed"):
            changes[PENDING_UPDATE] = None
        self._services.update("endpoint", self._name, **changes)

    def _watch_alarms(self, duration_s: float, alarms: Sequence[str], started_at: float) -> None:
        """Polls the alarms for `duration_s` seconds.

        Raises _DeploymentRolledBack when one has fired since `started_at` (epoch seconds).
        """
        deadline = time.monotonic() + duration_s
        while True:
            raised = [name for name in alarms if self._services.has_alarm_fired(name, started_at)]
            if raised:
                raise _DeploymentRolledBack(
                    f"The deployment was rolled back because the following alarm(s) are in ALARM state: "
                    f"{', '.join(raised)}. The endpoint serves its previous configuration."
                )
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                return
            with self._changed:
                if self._changed.wait_for(lambda: self._deleted or self._closing, min(remaining_s, _ALARM_POLL_S)):
                    raise _EndpointStopped

    def _interrupt(self, *, deleted: bool) -> None:
        """Ends the running operation, because the endpoint was deleted or (otherwise) the platform is closing."""
        with self._changed:
            self._deleted, self._closing = self._deleted or deleted, self._closing or not deleted
            self._restoring = False
            self._changed.notify_all()

    def _start_operation(self, operation: Callable[[], None]) -> None:
        name = f"endpoint-{self._name}"
        threading.Thread(target=self._run_operation, args=(operation,), name=name, daemon=True).start()

    def _run_operation(self, operation: Callable[[], None]) -> None:
        with self._operation_lock:
            try:
                operation()
            except _EndpointStopped:
                return
            except Exception as exc:  # an endpoint must not stay Creating or Updating for ever
                traceback.print_exc()
                if self._live_fleet is None:
                    self._route(None)
                changes = {
                    "EndpointStatus": "InService" if self._live_fleet is not None else "Failed",
                    "FailureReason": f"InternalServerError: {type(exc).__name__}: {exc}"[:_REASON_CHARS],
                    "PendingDeploymentSummary": None,
                }
                if not (self._deleted or self._closing):
                    self._services.update("endpoint", self._name, **changes)


def _desired_capacities(record: Record) -> dict[str, tuple[float, int]]:
    """Returns (weight, instance count) as desired for each variant of an endpoint's record."""
    return {
        v["VariantName"]: (float(v["DesiredWeight"]), int(v["DesiredInstanceCount"]))
        for v in record.get("ProductionVariants") or ()
        if v.get("DesiredWeight") is not None and v.get("DesiredInstanceCount") is not None
    }


def _retained_capacities(record: Record, request: Record, green: Fleet) -> dict[str, tuple[float, int]]:
    """Returns (weight, instance count) of the green fleet's variants with RetainAllVariantProperties.

    Variants keep the live values, except the kinds in ExcludeRetainedVariantProperties, which are those of `green`.
    """
    excluded = {e["VariantPropertyType"] for e in request.get("ExcludeRetainedVariantProperties") or ()}
    live = _desired_capacities(record)
    return {
        v.name: (
            v.weight if "DesiredWeight" in excluded else live[v.name][0],
            v.instances if "DesiredInstanceCount" in excluded else live[v.name][1],
        )
        for v in green.variants
        if v.name in live
    }


def _requested_capacities(fleet: Fleet, desired: Sequence[Record]) -> dict[str, tuple[float, int]]:
    """Returns (weight, instance count) of each variant in an UpdateEndpointWeightsAndCapacities request."""
    requests = {d["VariantName"]: {key: value for key, value in d.items() if value is not None} for d in desired}
    return {
        v.name: (
            float(requests[v.name].get("DesiredWeight", v.weight)),
            int(requests[v.name].get("DesiredInstanceCount", v.instances)),
        )
        for v in fleet.variants
        if v.name in requests
    }


def _capture_summary(capture: Record) -> Record:
    """Returns DescribeEndpoint's DataCaptureConfigSummary for a DataCaptureConfig."""
    enabled = bool(capture.get("EnableCapture", True))
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": capture.get("InitialSamplingPercentage", 100),
        "DestinationS3Uri": capture["DestinationS3Uri"],
        **({"KmsKeyId": capture["KmsKeyId"]} if capture.get("KmsKeyId") else {}),
    }
