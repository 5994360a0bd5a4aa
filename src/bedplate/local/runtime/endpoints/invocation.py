"""Runs InvokeEndpoint: picks a variant, calls its container, captures the request and records metrics."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from bedplate.domain.money.prices import serverless_type
from bedplate.local.hooks import InvocationResponse, Services, Usage
from bedplate.local.runtime.endpoints.capture import Exchange, build_capture
from bedplate.local.runtime.endpoints.fleet import EndpointTraffic, RequestTarget
from bedplate.local.runtime.endpoints.serving_process import (
    LOG_GROUP,
    ContainerNotListening,
    ContainerResponse,
    ContainerUnavailable,
)
from bedplate.local.runtime.log_metrics import MetricValue
from bedplate.local.runtime.outbox import Outbox

NAMESPACE = "AWS/SageMaker"
WAIT_READY_S = 30.0
"""A request waits this long for a container that is starting."""
_SHADOW_BACKLOG = 200
_ATTRIBUTES_HEADER = "x-amzn-sagemaker-custom-attributes"
_FORWARDED_HEADERS = ("content-type", "accept", _ATTRIBUTES_HEADER, "x-amzn-sagemaker-inference-id")


class _Invocation(NamedTuple):
    """A request as the container gets it. With `is_sampled` it is captured. `timestamp` is in epoch seconds."""

    body: bytes
    headers: dict[str, str]
    timestamp: float
    is_sampled: bool


class Invoker:
    """Invokes endpoints. `traffic_of` returns an endpoint's traffic, None while it has none."""

    def __init__(
        self,
        services: Services,
        outbox: Outbox,
        traffic_of: Callable[[str], EndpointTraffic | None],
        rng: random.Random,
    ) -> None:
        self._services = services
        self._outbox = outbox
        self._traffic_of = traffic_of
        self._rng = rng
        self._shadows = ThreadPoolExecutor(2, "shadow")
        self._backlog = threading.BoundedSemaphore(_SHADOW_BACKLOG)

    def close(self) -> None:
        self._shadows.shutdown(wait=False, cancel_futures=True)

    def invoke(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> InvocationResponse:
        """Runs InvokeEndpoint, which asynchronous endpoints reject."""
        traffic = self._traffic_of(endpoint)
        if traffic is not None and any(fleet.asynchronous for fleet, _ in traffic.fleets):
            message = f"Endpoint {endpoint} is asynchronous: use InvokeEndpointAsync."
            return error_response(400, "ValidationError", message)
        return self.dispatch(endpoint, body, headers)

    def dispatch(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> InvocationResponse:
        """Sends a request to a variant of a synchronous or asynchronous endpoint and returns the response."""
        started_at = time.perf_counter()
        timestamp = self._services.now()
        traffic = self._traffic_of(endpoint)
        if traffic is None:
            return error_response(400, "ValidationError", f"Endpoint {endpoint} of account {self._account} not found.")
        target_variant = headers.get("x-amzn-sagemaker-target-variant")
        target = traffic.pick(self._rng, target_variant)
        if target is None:
            return error_response(400, "ValidationError", f"Variant {target_variant} of endpoint {endpoint} not found.")
        forwarded = {name: headers[name] for name in _FORWARDED_HEADERS if name in headers}
        forwarded.setdefault("content-type", "application/octet-stream")
        invocation = _Invocation(body, forwarded, timestamp, self._is_sampled(target))
        response, model_s = self._request(target, invocation)
        self._send_shadows(target, invocation)
        self._record_metrics(target, response, model_s, time.perf_counter() - started_at - model_s, timestamp)
        if response is None:
            return self._model_error(target, ContainerResponse(0, {}, b"The container did not respond in time."))
        self._capture(target, invocation, response)
        if response.status >= 400:
            return self._model_error(target, response)
        response_headers = {
            "Content-Type": response.headers.get("content-type", "application/octet-stream"),
            "x-Amzn-Invoked-Production-Variant": target.variant.name,
        }
        if _ATTRIBUTES_HEADER in response.headers:
            response_headers["X-Amzn-SageMaker-Custom-Attributes"] = response.headers[_ATTRIBUTES_HEADER]
        return InvocationResponse(200, response_headers, response.body)

    @property
    def _account(self) -> str:
        return self._services.account_id

    def _request(self, target: RequestTarget, invocation: _Invocation) -> tuple[ContainerResponse | None, float]:
        """Returns the container's response, None without one, and its duration in seconds."""
        process = target.variant.process
        deadline = time.monotonic() + WAIT_READY_S
        sent_at = time.perf_counter()
        while process.await_ready(max(0.0, deadline - time.monotonic())):
            sent_at = time.perf_counter()
            try:
                response = process.request("POST", "/invocations", invocation.body, invocation.headers)
                return response, time.perf_counter() - sent_at
            except ContainerNotListening:
                continue
            except ContainerUnavailable:
                break
        return None, time.perf_counter() - sent_at

    def _is_sampled(self, target: RequestTarget) -> bool:
        """Decides once per request whether it is captured, so that its shadow copies are captured as well or not."""
        settings = target.fleet.capture
        return settings is not None and (settings.sampling >= 1.0 or self._rng.random() < settings.sampling)

    def _send_shadows(self, target: RequestTarget, invocation: _Invocation) -> None:
        """Sends copies to the shadow variants, whose responses are captured and measured, but never returned."""
        fleet = target.fleet
        if not fleet.shadows or (fleet.shadow_share < 1.0 and self._rng.random() >= fleet.shadow_share):
            return
        for variant in fleet.shadows:
            if self._backlog.acquire(blocking=False):
                self._shadows.submit(self._send_shadow, RequestTarget(fleet, variant), invocation)

    def _send_shadow(self, target: RequestTarget, invocation: _Invocation) -> None:
        try:
            response, model_s = self._request(target, invocation)
            self._record_metrics(target, response, model_s, 0.0, invocation.timestamp)
            if response is not None:
                self._capture(target, invocation, response)
        finally:
            self._backlog.release()

    def _capture(self, target: RequestTarget, invocation: _Invocation, response: ContainerResponse) -> None:
        settings = target.fleet.capture
        if settings is None or not invocation.is_sampled or response.status >= 400:
            return
        exchange = Exchange(
            endpoint=target.fleet.endpoint,
            variant=target.variant.name,
            timestamp=invocation.timestamp,
            request_type=invocation.headers["content-type"],
            request=invocation.body,
            response_type=response.headers.get("content-type", "application/octet-stream"),
            response=response.body,
            inference_id=invocation.headers.get("x-amzn-sagemaker-inference-id"),
            custom_attributes=response.headers.get(_ATTRIBUTES_HEADER),
            event_id=str(uuid.uuid4()),
        )
        self._outbox.put(build_capture(settings, exchange))

    def _record_metrics(
        self,
        target: RequestTarget,
        response: ContainerResponse | None,
        model_s: float,
        overhead_s: float,
        timestamp: float,
    ) -> None:
        """Records one value per request and metric; errors are 0 or 1, so that their average is the rate."""
        dims = {"EndpointName": target.fleet.endpoint, "VariantName": target.variant.name}
        status = response.status if response is not None else 500
        values = (
            ("Invocations", 1.0, "None"),
            ("InvocationsPerInstance", 1.0 / max(1, target.variant.instances), "None"),
            ("Invocation4XXErrors", float(400 <= status < 500), "None"),
            ("Invocation5XXErrors", float(status >= 500), "None"),
            ("ModelLatency", model_s * 1e6, "Microseconds"),
            ("OverheadLatency", max(0.0, overhead_s) * 1e6, "Microseconds"),
        )
        if target.variant.memory_mb and response is not None:
            self._charge_serverless(target, model_s)
        self._outbox.put(*(MetricValue(NAMESPACE, name, dims, value, unit, timestamp) for name, value, unit in values))

    def _charge_serverless(self, target: RequestTarget, model_s: float) -> None:
        """Charges a serverless variant for the response time at the price of its memory size."""
        services = self._services
        arn = f"arn:aws:sagemaker:{services.region}:{services.account_id}:endpoint/{target.fleet.endpoint}"
        services.charge(
            Usage(
                resource_arn=arn,
                usage_type="endpoint",
                started_at=services.now(),
                instance_type=serverless_type(target.variant.memory_mb),
                seconds=model_s,
                tags=services.tags(arn),
            )
        )

    def _model_error(self, target: RequestTarget, response: ContainerResponse) -> InvocationResponse:
        error_source = "client" if 400 <= response.status < 500 else "server"
        message = response.body.decode("utf-8", "replace")
        group = f"{LOG_GROUP}/{target.fleet.endpoint}"
        summary = (
            f'Received {error_source} error ({response.status}) from primary with message "{message}". '
            f"See the log group {group} in account {self._account} for more information."
        )
        arn = f"arn:aws:logs:{self._services.region}:{self._account}:log-group:{group}"
        details = {"OriginalStatusCode": response.status, "OriginalMessage": message, "LogStreamArn": arn}
        return error_response(424, "ModelError", summary, **details)


def error_response(status: int, code: str, message: str, **details: object) -> InvocationResponse:
    """Returns an error of SageMaker's runtime API in the format that botocore parses."""
    body = json.dumps({"Message": message, "message": message, **details}).encode()
    return InvocationResponse(status, {"Content-Type": "application/json", "x-amzn-errortype": code}, body)
