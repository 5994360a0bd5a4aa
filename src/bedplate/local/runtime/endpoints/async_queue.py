"""Runs InvokeEndpointAsync: queues requests, reads them from S3, writes responses to S3 and notifies SNS topics."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bedplate.local.hooks import InvocationResponse, Services
from bedplate.local.runtime.endpoints.invocation import NAMESPACE, error_response
from bedplate.local.runtime.log_metrics import MetricValue
from bedplate.local.runtime.outbox import Outbox
from bedplate.local.runtime.transfer import DataSourceError, split_uri

WORKERS = 4
_FORWARDED_HEADERS = {
    "x-amzn-sagemaker-content-type": "content-type",  # of the request in S3; the call's own body is empty
    "x-amzn-sagemaker-accept": "accept",
    "x-amzn-sagemaker-custom-attributes": "x-amzn-sagemaker-custom-attributes",
    "x-amzn-sagemaker-inference-id": "x-amzn-sagemaker-inference-id",
}


@dataclass(frozen=True, slots=True)
class QueuedInvocation:
    """An accepted request. `topics` maps SuccessTopic and ErrorTopic to ARNs; `received_at` is in epoch seconds."""

    endpoint: str
    inference_id: str
    input_uri: str
    output_uri: str
    failure_uri: str | None
    topics: Mapping[str, str]
    headers: Mapping[str, str]
    received_at: float


class InvocationQueue:
    """The waiting requests of all endpoints, first in, first out. They are lost when the platform ends."""

    def __init__(
        self, services: Services, outbox: Outbox, invoke: Callable[[str, bytes, Mapping[str, str]], InvocationResponse]
    ) -> None:
        self._services = services
        self._outbox = outbox
        self._invoke = invoke
        self._workers = ThreadPoolExecutor(WORKERS, "async")
        self._lock = threading.Lock()
        self._backlog: dict[str, int] = {}

    def close(self) -> None:
        self._workers.shutdown(wait=False, cancel_futures=True)

    def enqueue(self, endpoint: str, headers: Mapping[str, str]) -> InvocationResponse:
        """Queues a request. Returns 202 with the output location, or 400 for an endpoint that is not asynchronous."""
        config = self._async_config(endpoint)
        input_uri = headers.get("x-amzn-sagemaker-inputlocation", "")
        if config is None:
            return error_response(400, "ValidationError", f"Endpoint {endpoint} is not an asynchronous endpoint.")
        if not input_uri.startswith("s3://"):
            return error_response(400, "ValidationError", f"InputLocation {input_uri!r} is not an S3 URI.")
        output = config["OutputConfig"]
        inference_id = headers.get("x-amzn-sagemaker-inference-id") or str(uuid.uuid4())
        name = uuid.uuid4().hex
        failure = output.get("S3FailurePath")
        invocation = QueuedInvocation(
            endpoint=endpoint,
            inference_id=inference_id,
            input_uri=input_uri,
            output_uri=f"{output['S3OutputPath'].rstrip('/')}/{name}.out",
            failure_uri=f"{failure.rstrip('/')}/{name}-error.out" if failure else None,
            topics=output.get("NotificationConfig") or {},
            headers={name: headers[sent] for sent, name in _FORWARDED_HEADERS.items() if sent in headers},
            received_at=self._services.now(),
        )
        self._change_backlog(endpoint, +1)
        self._workers.submit(self._process, invocation)
        locations = {"X-Amzn-SageMaker-OutputLocation": invocation.output_uri}
        if invocation.failure_uri:
            locations["X-Amzn-SageMaker-FailureLocation"] = invocation.failure_uri
        body = json.dumps({"InferenceId": inference_id}).encode()
        return InvocationResponse(202, {**locations, "Content-Type": "application/json"}, body)

    def _async_config(self, endpoint: str) -> Mapping[str, Any] | None:
        record = self._services.record("endpoint", endpoint) or {}
        config = self._services.record("endpoint-config", record.get("EndpointConfigName", "")) or {}
        async_config: Mapping[str, Any] | None = config.get("AsyncInferenceConfig")
        return async_config

    def _process(self, invocation: QueuedInvocation) -> None:
        try:
            body = self._services.get_object(*split_uri(invocation.input_uri))
            response = self._invoke(invocation.endpoint, body, invocation.headers)
        except (KeyError, DataSourceError) as exc:
            response = error_response(400, "ValidationError", f"The request cannot be read: {exc.args[0]}")
        finally:
            self._change_backlog(invocation.endpoint, -1)
        if response.status < 400:
            content_type = response.headers.get("Content-Type", "application/octet-stream")
            self._services.put_object(*split_uri(invocation.output_uri), response.body, content_type)
            self._notify(invocation, "SuccessTopic", {"outputLocation": invocation.output_uri})
            return
        reason = response.body.decode("utf-8", "replace")[:1000]
        if invocation.failure_uri:
            self._services.put_object(*split_uri(invocation.failure_uri), response.body, "application/json")
        self._notify(invocation, "ErrorTopic", {"failureReason": reason, "failureLocation": invocation.failure_uri})

    def _notify(self, invocation: QueuedInvocation, topic: str, response_parameters: Mapping[str, Any]) -> None:
        """Publishes SageMaker's notification to the topic, if the endpoint configuration names one."""
        arn = invocation.topics.get(topic)
        if not arn:
            return
        message = {
            "awsRegion": self._services.region,
            "eventTime": self._services.now(),
            "receivedTime": invocation.received_at,
            "invocationStatus": "Completed" if topic == "SuccessTopic" else "Failed",
            "requestParameters": {"endpointName": invocation.endpoint, "inputLocation": invocation.input_uri},
            "responseParameters": dict(response_parameters),
            "inferenceId": invocation.inference_id,
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
        }
        self._services.publish(arn, f"Asynchronous inference {message['invocationStatus']}", json.dumps(message))

    def _change_backlog(self, endpoint: str, change: int) -> None:
        with self._lock:
            size = self._backlog[endpoint] = self._backlog.get(endpoint, 0) + change
        now, dims = self._services.now(), {"EndpointName": endpoint}
        for name in ("ApproximateBacklogSize", "ApproximateBacklogSizePerInstance"):
            self._outbox.put(MetricValue(NAMESPACE, name, dims, float(size), "Count", now))
