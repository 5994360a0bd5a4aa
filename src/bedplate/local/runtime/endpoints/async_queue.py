"""InvokeEndpointAsync: requests that wait in a queue, read from S3, answered to S3, and told to topics."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bedplate.local.hooks import InvocationResponse, Services
from bedplate.local.runtime.endpoints.invocation import refusal
from bedplate.local.runtime.outbox import Outbox, QueuedMetric

NAMESPACE = "AWS/SageMaker"
WORKERS = 4
_PASSED_ON = {
    "x-amzn-sagemaker-content-type": "content-type",  # of the request in S3; the call's own body is empty
    "x-amzn-sagemaker-accept": "accept",
    "x-amzn-sagemaker-custom-attributes": "x-amzn-sagemaker-custom-attributes",
    "x-amzn-sagemaker-inference-id": "x-amzn-sagemaker-inference-id",
}


@dataclass(frozen=True, slots=True)
class QueuedInvocation:
    endpoint: str
    inference_id: str
    source: str
    output: str
    failure: str | None
    topics: Mapping[str, str]
    headers: Mapping[str, str]
    since: float


class InvocationQueue:
    """Every endpoint's requests, in the order in which they came. What waits is lost when the platform ends."""

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
        """Take a request; 202 with the place of the answer. 400 for an endpoint that is not asynchronous."""
        config = self._config(endpoint)
        source = headers.get("x-amzn-sagemaker-inputlocation", "")
        if config is None:
            return refusal(400, "ValidationError", f"Endpoint {endpoint} is not an asynchronous endpoint.")
        if not source.startswith("s3://"):
            return refusal(400, "ValidationError", f"InputLocation {source!r} is no S3 URI.")
        output = config["OutputConfig"]
        inference_id = headers.get("x-amzn-sagemaker-inference-id") or str(uuid.uuid4())
        name = uuid.uuid4().hex
        failure = output.get("S3FailurePath")
        waiting = QueuedInvocation(
            endpoint=endpoint,
            inference_id=inference_id,
            source=source,
            output=f"{output['S3OutputPath'].rstrip('/')}/{name}.out",
            failure=f"{failure.rstrip('/')}/{name}-error.out" if failure else None,
            topics=output.get("NotificationConfig") or {},
            headers={name: headers[sent] for sent, name in _PASSED_ON.items() if sent in headers},
            since=self._services.now(),
        )
        self._count(endpoint, +1)
        self._workers.submit(self._answer, waiting)
        told = {"X-Amzn-SageMaker-OutputLocation": waiting.output, "Content-Type": "application/json"}
        if waiting.failure:
            told["X-Amzn-SageMaker-FailureLocation"] = waiting.failure
        return InvocationResponse(202, told, json.dumps({"InferenceId": inference_id}).encode())

    def _config(self, endpoint: str) -> Mapping[str, Any] | None:
        record = self._services.record("endpoint", endpoint) or {}
        config = self._services.record("endpoint-config", record.get("EndpointConfigName", "")) or {}
        found: Mapping[str, Any] | None = config.get("AsyncInferenceConfig")
        return found

    def _answer(self, waiting: QueuedInvocation) -> None:
        try:
            answer = self._invoke(waiting.endpoint, self._read(waiting.source), waiting.headers)
        except KeyError as exc:
            answer = refusal(400, "ValidationError", f"The request cannot be read: {exc.args[0]}")
        finally:
            self._count(waiting.endpoint, -1)
        if answer.status < 400:
            self._write(waiting.output, answer.body, answer.headers.get("Content-Type", "application/octet-stream"))
            self._tell(waiting, "SuccessTopic", {"outputLocation": waiting.output})
            return
        said = answer.body.decode("utf-8", "replace")
        if waiting.failure:
            self._write(waiting.failure, answer.body, "application/json")
        self._tell(waiting, "ErrorTopic", {"failureReason": said[:1000], "failureLocation": waiting.failure})

    def _read(self, uri: str) -> bytes:
        place = urlsplit(uri)
        return self._services.get_object(place.netloc, place.path.lstrip("/"))

    def _write(self, uri: str, body: bytes, content_type: str) -> None:
        place = urlsplit(uri)
        self._services.put_object(place.netloc, place.path.lstrip("/"), body, content_type)

    def _tell(self, waiting: QueuedInvocation, topic: str, parts: Mapping[str, Any]) -> None:
        """In the words of SageMaker's own notification."""
        arn = waiting.topics.get(topic)
        if not arn:
            return
        done = topic == "SuccessTopic"
        message = {
            "awsRegion": self._services.region,
            "eventTime": self._services.now(),
            "receivedTime": waiting.since,
            "invocationStatus": "Completed" if done else "Failed",
            "requestParameters": {"endpointName": waiting.endpoint, "inputLocation": waiting.source},
            "responseParameters": dict(parts),
            "inferenceId": waiting.inference_id,
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
        }
        self._services.publish(arn, f"Asynchronous inference {message['invocationStatus']}", json.dumps(message))

    def _count(self, endpoint: str, change: int) -> None:
        with self._lock:
            waiting = self._backlog[endpoint] = self._backlog.get(endpoint, 0) + change
        now, dims = self._services.now(), {"EndpointName": endpoint}
        self._outbox.put(
            QueuedMetric(NAMESPACE, "ApproximateBacklogSize", dims, float(waiting), "Count", now),
            QueuedMetric(NAMESPACE, "ApproximateBacklogSizePerInstance", dims, float(waiting), "Count", now),
        )
