"""InvokeEndpoint: which variant answers, what the caller gets, and what is captured and counted of it."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from bedplate.domain.money.prices import serverless_type
from bedplate.local.hooks import InvocationResponse, Services, Usage
from bedplate.local.runtime.endpoints.capture import Exchange, captured
from bedplate.local.runtime.endpoints.fleet import EndpointTraffic, VariantTarget
from bedplate.local.runtime.endpoints.serving_process import (
    LOG_GROUP,
    ConnectionRefused,
    ContainerResponse,
    ContainerUnavailable,
)
from bedplate.local.runtime.outbox import Outbox, QueuedMetric

NAMESPACE = "AWS/SageMaker"
WAIT_READY_S = 30.0
"""How long a request waits for a process that is being started again."""
_SHADOW_BACKLOG = 200
_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
_PASSED_ON = ("content-type", "accept", _ATTRIBUTES, "x-amzn-sagemaker-inference-id")


class Invoker:
    """Answers requests. `traffic_of` gives an endpoint's traffic, None while it has none."""

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
        """InvokeEndpoint, which an asynchronous endpoint refuses."""
        traffic = self._traffic_of(endpoint)
        if traffic is not None and any(fleet.queued for fleet, _ in traffic.fleets):
            message = f"Endpoint {endpoint} is asynchronous: it is asked by InvokeEndpointAsync."
            return refusal(400, "ValidationError", message)
        return self.answer(endpoint, body, headers)

    def answer(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> InvocationResponse:
        began = time.perf_counter()
        moment = self._services.now()
        traffic = self._traffic_of(endpoint)
        if traffic is None:
            return refusal(400, "ValidationError", f"Endpoint {endpoint} of account {self._account} not found.")
        wanted = headers.get("x-amzn-sagemaker-target-variant")
        target = traffic.pick(self._rng, wanted)
        if target is None:
            return refusal(400, "ValidationError", f"Variant {wanted} of endpoint {endpoint} not found.")
        passed_on = {name: headers[name] for name in _PASSED_ON if name in headers}
        passed_on.setdefault("content-type", "application/octet-stream")
        reply, model_s = self._ask(target, body, passed_on)
        kept = self._is_kept(target)
        self._shadow(target, body, passed_on, moment, kept)
        self._count(target, reply, model_s, time.perf_counter() - began - model_s, moment)
        if reply is None:
            return self._model_error(
                target, ContainerResponse(0, {}, b"The container did not answer in time, or not at all.")
            )
        if kept:
            self._capture(target, body, passed_on, reply, moment)
        if reply.status >= 400:
            return self._model_error(target, reply)
        answer = {
            "Content-Type": reply.headers.get("content-type", "application/octet-stream"),
            "x-Amzn-Invoked-Production-Variant": target.variant.name,
        }
        if _ATTRIBUTES in reply.headers:
            answer["X-Amzn-SageMaker-Custom-Attributes"] = reply.headers[_ATTRIBUTES]
        return InvocationResponse(200, answer, reply.body)

    @property
    def _account(self) -> str:
        return self._services.account_id

    def _ask(
        self, target: VariantTarget, body: bytes, headers: Mapping[str, str]
    ) -> tuple[ContainerResponse | None, float]:
        """The container's reply, None when there is none, and the seconds that it took."""
        process = target.variant.process
        deadline = time.monotonic() + WAIT_READY_S
        asked = time.perf_counter()
        while process.await_ready(max(0.0, deadline - time.monotonic())):
            asked = time.perf_counter()
            try:
                return process.ask("POST", "/invocations", body, headers), time.perf_counter() - asked
            except ConnectionRefused:
                continue
            except ContainerUnavailable:
                break
        return None, time.perf_counter() - asked

    def _is_kept(self, target: VariantTarget) -> bool:
        """Whether this request is among the sampled ones: decided once, so that a copy is kept when its original is."""
        settings = target.fleet.capture
        return settings is not None and (settings.sampling >= 1.0 or self._rng.random() < settings.sampling)

    def _shadow(self, target: VariantTarget, body: bytes, headers: dict[str, str], moment: float, kept: bool) -> None:
        """Send copies to the shadow variants; what they say is captured and counted, never returned."""
        fleet = target.fleet
        if not fleet.shadows or (fleet.shadow_share < 1.0 and self._rng.random() >= fleet.shadow_share):
            return
        for variant in fleet.shadows:
            if self._backlog.acquire(blocking=False):
                self._shadows.submit(self._send_shadow, VariantTarget(fleet, variant), body, headers, moment, kept)

    def _send_shadow(
        self, target: VariantTarget, body: bytes, headers: dict[str, str], moment: float, kept: bool
    ) -> None:
        try:
            reply, model_s = self._ask(target, body, headers)
            self._count(target, reply, model_s, 0.0, moment)
            if reply is not None and kept:
                self._capture(target, body, headers, reply, moment)
        finally:
            self._backlog.release()

    def _capture(
        self, target: VariantTarget, body: bytes, headers: Mapping[str, str], reply: ContainerResponse, moment: float
    ) -> None:
        settings = target.fleet.capture
        if settings is None or reply.status >= 400:
            return
        exchange = Exchange(
            endpoint=target.fleet.endpoint,
            variant=target.variant.name,
            moment=moment,
            request_type=headers["content-type"],
            request=body,
            answer_type=reply.headers.get("content-type", "application/octet-stream"),
            answer=reply.body,
            inference_id=headers.get("x-amzn-sagemaker-inference-id"),
            attributes=reply.headers.get(_ATTRIBUTES),
            event_id=str(uuid.uuid4()),
        )
        self._outbox.put(captured(settings, exchange))

    def _count(
        self, target: VariantTarget, reply: ContainerResponse | None, model_s: float, overhead_s: float, moment: float
    ) -> None:
        """One value a request of each metric, errors 0 or 1, so that their average is the rate, as on SageMaker."""
        dims = {"EndpointName": target.fleet.endpoint, "VariantName": target.variant.name}
        status = reply.status if reply is not None else 500
        values = (
            ("Invocations", 1.0, "None"),
            ("InvocationsPerInstance", 1.0 / max(1, target.variant.instances), "None"),
            ("Invocation4XXErrors", float(400 <= status < 500), "None"),
            ("Invocation5XXErrors", float(status >= 500), "None"),
            ("ModelLatency", model_s * 1e6, "Microseconds"),
            ("OverheadLatency", max(0.0, overhead_s) * 1e6, "Microseconds"),
        )
        if target.variant.memory_mb and reply is not None:
            self._charge(target, model_s)
        self._outbox.put(*(QueuedMetric(NAMESPACE, name, dims, value, unit, moment) for name, value, unit in values))

    def _charge(self, target: VariantTarget, model_s: float) -> None:
        """Serverless: the time that the answer took, in the memory that it had."""
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

    def _model_error(self, target: VariantTarget, reply: ContainerResponse) -> InvocationResponse:
        side = "client" if 400 <= reply.status < 500 else "server"
        said = reply.body.decode("utf-8", "replace")
        group = f"{LOG_GROUP}/{target.fleet.endpoint}"
        message = (
            f'Received {side} error ({reply.status}) from primary with message "{said}". '
            f"See the log group {group} in account {self._account} for more information."
        )
        arn = f"arn:aws:logs:{self._services.region}:{self._account}:log-group:{group}"
        details = {"OriginalStatusCode": reply.status, "OriginalMessage": said, "LogStreamArn": arn}
        return refusal(424, "ModelError", message, **details)


def refusal(status: int, code: str, message: str, **details: object) -> InvocationResponse:
    """An error of SageMaker's runtime, as botocore reads it."""
    body = json.dumps({"Message": message, "message": message, **details}).encode()
    return InvocationResponse(status, {"Content-Type": "application/json", "x-amzn-errortype": code}, body)
