"""Endpoints: coming up, blue/green updates with auto-rollback, changes of weight, going away, coming back."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from bedplate.local.hooks import UNDER_WAY, Record, Services
from bedplate.local.runtime.endpoints.fleet import (
    EndpointTraffic,
    Fleet,
    assemble,
    await_ready,
    pending_summaries,
    release,
    summaries,
)
from bedplate.local.runtime.endpoints.model_source import ModelSourceError
from bedplate.local.runtime.endpoints.serving_process import ServingPool
from bedplate.local.runtime.endpoints.traffic_shift import TrafficShift, rollout_of
from bedplate.local.runtime.metering import Meter

_REASON = 1024
_ALARM_POLL_S = 0.2


class _EndpointStopped(Exception):
    """The endpoint was deleted, or the platform ends, in the middle of an operation."""


class _DeploymentRolledBack(Exception):
    """The deployment has to go back; the message is the endpoint's FailureReason."""


class Endpoint:
    """One endpoint: its traffic, and at most one operation at a time in a thread of its own."""

    def __init__(self, services: Services, pool: ServingPool, meter: Meter, name: str) -> None:
        self._services = services
        self._pool = pool
        self._meter = meter
        self._name = name
        self._wake = threading.Condition()
        self._deleted = False
        self._closing = False
        self._busy = threading.Lock()
        self._live: Fleet | None = None
        self._coming_back = False
        self._traffic: EndpointTraffic | None = None

    def traffic(self, timeout_s: float) -> EndpointTraffic | None:
        """Where requests go; None when it serves nothing. Waits while it comes back after a start of the platform."""
        if self._traffic is None and self._coming_back:
            with self._wake:
                self._wake.wait_for(lambda: self._traffic is not None or not self._coming_back, timeout_s)
        return self._traffic

    def create(self, record: Record) -> None:
        self._spawn(lambda: self._create(record))

    def update(self, record: Record, request: Record) -> None:
        self._spawn(lambda: self._update(record, request))

    def reweigh(self, record: Record, desired: Sequence[Record]) -> None:
        self._spawn(lambda: self._reweigh(record, desired))

    def restore(self, record: Record) -> None:
        self._coming_back = True
        self._spawn(lambda: self._restore(record))

    def delete(self) -> None:
        self._traffic = None
        self._interrupt(deleted=True)
        self._spawn(self._delete)

    def close(self) -> None:
        """The platform ends: leave records as they are, so that the next start knows what was under way."""
        self._interrupt(deleted=False)

    # --- operations, each in a thread of its own -------------------------------------------------------------------

    def _create(self, record: Record) -> None:
        try:
            fleet = self._start(record["EndpointConfigName"])
        except ModelSourceError as exc:
            self._report(EndpointStatus="Failed", FailureReason=str(exc)[:_REASON])
            return
        self._go_live(fleet)
        self._report(
            EndpointStatus="InService",
            ProductionVariants=summaries(fleet.variants, 1.0, fleet.started_at),
            ShadowProductionVariants=summaries(fleet.shadows, 1.0, fleet.started_at) or None,
        )

    def _restore(self, record: Record) -> None:
        """As it was; a deployment that was under way begins anew, as half of its fleet went down with the platform."""
        in_service = record["EndpointStatus"] == "InService"
        fleet: Fleet | None = None
        try:
            fleet = self._assemble(record["EndpointConfigName"]).weighed(_desired(record))
            if in_service:
                self._go_live(fleet)  # requests wait for it, as nothing but the laptop was shut
            self._await(fleet)
        except ModelSourceError as exc:
            self._live = None
            self._route(None)
            if fleet is not None:
                self._let_go(fleet, keep_warm=False)
            self._report(EndpointStatus="Failed", FailureReason=str(exc)[:_REASON], PendingDeploymentSummary=None)
            return
        if in_service:
            return
        self._go_live(fleet)
        if record["EndpointStatus"] == "Updating" and UNDER_WAY in record:
            self._update(record, record[UNDER_WAY])
            return
        self._report(
            EndpointStatus="InService",
            ProductionVariants=summaries(fleet.variants, 1.0, fleet.started_at),
            ShadowProductionVariants=summaries(fleet.shadows, 1.0, fleet.started_at) or None,
            PendingDeploymentSummary=None,
        )

    def _update(self, record: Record, request: Record) -> None:
        blue = self._live
        green: Fleet | None = None
        deployment = request.get("DeploymentConfig")
        try:
            green = self._provision(record, request)
            self._shift(blue, green, rollout_of(deployment, green.instances))
        except (ModelSourceError, _DeploymentRolledBack) as exc:
            self._roll_back(blue, green, str(exc))
            return
        except _EndpointStopped:
            if green is not None:
                self._let_go(green, keep_warm=False)
            raise
        except Exception as exc:  # a fault of the runtime's own must not leave traffic between two fleets
            traceback.print_exc()
            self._roll_back(blue, green, f"InternalServerError: {type(exc).__name__}: {exc}")
            return
        self._report_live(green, request, deployment)
        if blue is not None:
            self._let_go(blue)

    def _provision(self, record: Record, request: Record) -> Fleet:
        """The green fleet, answering to pings but without traffic."""
        begun = self._services.now()
        green = self._assemble(request["EndpointConfigName"])
        try:
            if request.get("RetainAllVariantProperties"):
                green = green.weighed(_retained(record, request, green))
            self._tell_pending(green, 0.0, "Creating", begun)
            self._await(green)
        except BaseException:
            release(self._pool, green, keep_warm=False)
            raise
        self._charge(green)
        return green

    def _shift(self, blue: Fleet | None, green: Fleet, plan: TrafficShift) -> None:
        """Step by step to the green fleet. Raises _RolledBack when an alarm goes off on the way."""
        begun = self._services.now()
        self._watch(0.0, plan.alarms, begun)
        for share in plan.shares:
            parts = ((blue, 1.0 - share), (green, share)) if blue is not None else ((green, 1.0),)
            self._route(EndpointTraffic(tuple(parts)))
            if blue is not None:
                self._report(ProductionVariants=summaries(blue.variants, 1.0 - share, blue.started_at))
            self._tell_pending(green, share, "Baking" if plan.wait_s else "ActivatingTraffic", begun)
            self._watch(plan.wait_s, plan.alarms, begun)
        self._watch(plan.termination_wait_s, plan.alarms, begun)

    def _report_live(self, fleet: Fleet, request: Record, deployment: Record | None) -> None:
        self._route(EndpointTraffic(((fleet, 1.0),)))
        self._live = fleet
        config = self._services.record("endpoint-config", fleet.config) or {}
        capture = config.get("DataCaptureConfig")
        self._report(
            EndpointStatus="InService",
            EndpointConfigName=fleet.config,
            ProductionVariants=summaries(fleet.variants, 1.0, fleet.started_at),
            ShadowProductionVariants=summaries(fleet.shadows, 1.0, fleet.started_at) or None,
            DataCaptureConfig=_capture_view(capture) if capture else None,
            PendingDeploymentSummary=None,
            FailureReason=None,
            **({"LastDeploymentConfig": deployment} if deployment else {}),
        )

    def _roll_back(self, blue: Fleet | None, green: Fleet | None, reason: str) -> None:
        """All traffic to the old fleet first; then say so."""
        if blue is None:
            self._report(EndpointStatus="Failed", FailureReason=reason[:_REASON], PendingDeploymentSummary=None)
        else:
            self._route(EndpointTraffic(((blue, 1.0),)))
            live = summaries(blue.variants, 1.0, blue.started_at)
            self._report(EndpointStatus="RollingBack", ProductionVariants=live, FailureReason=reason[:_REASON])
        if green is not None:
            self._let_go(green, keep_warm=False)
        if blue is not None:
            self._report(EndpointStatus="InService", PendingDeploymentSummary=None)

    def _reweigh(self, record: Record, desired: Sequence[Record]) -> None:
        if self._live is None:
            self._report(EndpointStatus="Failed", FailureReason="The endpoint has no running fleet.")
            return
        self._live = self._live.weighed(_wished(self._live, desired))
        self._route(EndpointTraffic(((self._live, 1.0),)))
        self._charge(self._live)
        self._report(
            EndpointStatus="InService",
            ProductionVariants=summaries(self._live.variants, 1.0, self._live.started_at),
        )

    def _delete(self) -> None:
        if self._live is not None:
            self._let_go(self._live, keep_warm=False)
            self._live = None
        self._pool.discard(self._name)

    # --- fleets ----------------------------------------------------------------------------------------------------

    def _start(self, config: str) -> Fleet:
        fleet = self._assemble(config)
        try:
            self._await(fleet)
        except BaseException:
            release(self._pool, fleet, keep_warm=False)
            raise
        return fleet

    def _assemble(self, config: str) -> Fleet:
        return assemble(self._services, self._pool, self._name, config)

    def _await(self, fleet: Fleet) -> None:
        """Raises CannotServe when it does not come up, _Ended when nobody waits for it any more."""
        if not await_ready(fleet, lambda: self._deleted or self._closing):
            raise _EndpointStopped

    def _go_live(self, fleet: Fleet) -> None:
        self._live = fleet
        self._route(EndpointTraffic(((fleet, 1.0),)))
        self._charge(fleet)

    def _route(self, traffic: EndpointTraffic | None) -> None:
        with self._wake:
            self._traffic = traffic if not self._deleted else None
            self._coming_back = False
            self._wake.notify_all()

    def _charge(self, fleet: Fleet) -> None:
        record = self._services.record("endpoint", self._name)
        if record is None:
            return
        for variant in (*fleet.variants, *fleet.shadows):
            if variant.memory_mb:
                continue  # serverless: paid for by the request, see the invoker
            key = (self._name, fleet.serial, variant.name)
            self._meter.stop(key)
            self._meter.start(key, record["EndpointArn"], "endpoint", variant.instance_type, variant.instances)

    def _let_go(self, fleet: Fleet, *, keep_warm: bool = True) -> None:
        for variant in (*fleet.variants, *fleet.shadows):
            self._meter.stop((self._name, fleet.serial, variant.name))
        release(self._pool, fleet, keep_warm=keep_warm)

    # --- telling and waiting ---------------------------------------------------------------------------------------

    def _tell_pending(self, green: Fleet, share: float, phase: str, begun: float) -> None:
        self._report(
            PendingDeploymentSummary={
                "EndpointConfigName": green.config,
                "ProductionVariants": pending_summaries(green, share, phase, self._services.now()),
                "StartTime": begun,
            }
        )

    def _report(self, **changes: Any) -> None:
        if self._deleted or self._closing:
            raise _EndpointStopped
        if changes.get("EndpointStatus") in ("InService", "Failed"):
            changes[UNDER_WAY] = None
        self._services.update("endpoint", self._name, **changes)

    def _watch(self, seconds: float, alarms: Sequence[str], begun: float) -> None:
        """Wait, looking at the alarms all the while. Raises _RolledBack when one is in ALARM, or was since it begun."""
        deadline = time.monotonic() + seconds
        while True:
            raised = [name for name in alarms if self._services.alarm_raised(name, begun)]
            if raised:
                raise _DeploymentRolledBack(
                    f"The deployment was rolled back because the following alarm(s) are in ALARM state: "
                    f"{', '.join(raised)}. The endpoint serves its previous configuration."
                )
            left = deadline - time.monotonic()
            if left <= 0:
                return
            with self._wake:
                if self._wake.wait_for(lambda: self._deleted or self._closing, min(left, _ALARM_POLL_S)):
                    raise _EndpointStopped

    def _interrupt(self, *, deleted: bool) -> None:
        with self._wake:
            self._deleted, self._closing = self._deleted or deleted, self._closing or not deleted
            self._coming_back = False
            self._wake.notify_all()

    def _spawn(self, work: Callable[[], None]) -> None:
        threading.Thread(target=self._guarded, args=(work,), name=f"endpoint-{self._name}", daemon=True).start()

    def _guarded(self, work: Callable[[], None]) -> None:
        with self._busy:
            try:
                work()
            except _EndpointStopped:
                return
            except Exception as exc:  # an endpoint must not stay Creating or Updating for ever
                traceback.print_exc()
                if self._live is None:
                    self._route(None)
                status = "InService" if self._live is not None else "Failed"
                reason = f"InternalServerError: {type(exc).__name__}: {exc}"[:_REASON]
                if not (self._deleted or self._closing):
                    self._services.update(
                        "endpoint",
                        self._name,
                        EndpointStatus=status,
                        FailureReason=reason,
                        PendingDeploymentSummary=None,
                    )


def _desired(record: Record) -> dict[str, tuple[float, int]]:
    """Weight and instances that a record's variants are to have."""
    return {
        v["VariantName"]: (float(v["DesiredWeight"]), int(v["DesiredInstanceCount"]))
        for v in record.get("ProductionVariants") or ()
        if v.get("DesiredWeight") is not None and v.get("DesiredInstanceCount") is not None
    }


def _retained(record: Record, request: Record, green: Fleet) -> dict[str, tuple[float, int]]:
    """What RetainAllVariantProperties keeps of the live variants, but for what the request excludes."""
    excluded = {e["VariantPropertyType"] for e in request.get("ExcludeRetainedVariantProperties") or ()}
    live = _desired(record)
    return {
        v.name: (
            v.weight if "DesiredWeight" in excluded else live[v.name][0],
            v.instances if "DesiredInstanceCount" in excluded else live[v.name][1],
        )
        for v in green.variants
        if v.name in live
    }


def _wished(fleet: Fleet, desired: Sequence[Record]) -> dict[str, tuple[float, int]]:
    wishes = {d["VariantName"]: d for d in desired}
    return {
        v.name: (
            float(_given(wishes[v.name].get("DesiredWeight"), v.weight)),
            int(_given(wishes[v.name].get("DesiredInstanceCount"), v.instances)),
        )
        for v in fleet.variants
        if v.name in wishes
    }


def _given(value: Any, otherwise: float) -> float:
    return otherwise if value is None else value


def _capture_view(capture: Record) -> Record:
    enabled = bool(capture.get("EnableCapture", True))
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": capture.get("InitialSamplingPercentage", 100),
        "DestinationS3Uri": capture["DestinationS3Uri"],
        **({"KmsKeyId": capture["KmsKeyId"]} if capture.get("KmsKeyId") else {}),
    }
