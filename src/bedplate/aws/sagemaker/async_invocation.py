"""Invokes asynchronous endpoints: writes the request to S3 and reads the prediction from S3."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from bedplate.aws.errors import is_missing, map_client_errors
from bedplate.aws.session import Session
from bedplate.aws.storage.objects import split_uri
from bedplate.errors import PlatformError
from bedplate.ports import AsyncOutput, Prediction

TIMEOUT_S = 900.0
"""How long a command waits for a prediction; SageMaker itself allows an asynchronous request an hour."""


def async_inference_config(async_output: AsyncOutput, kms_key_arn: str | None) -> dict[str, Any]:
    """Returns the AsyncInferenceConfig of an EndpointConfig."""
    topics = {"SuccessTopic": async_output.success_topic_arn, "ErrorTopic": async_output.error_topic_arn}
    topics = {key: arn for key, arn in topics.items() if arn}
    output: dict[str, Any] = {"S3OutputPath": async_output.output_uri, "S3FailurePath": async_output.failure_uri}
    if kms_key_arn:
        output["KmsKeyId"] = kms_key_arn
    if topics:
        output["NotificationConfig"] = topics
    return {
        "OutputConfig": output,
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": async_output.max_concurrent_per_instance},
    }


def invoke_async(
    session: Session,
    endpoint: str,
    output_uri: str,
    body: bytes,
    *,
    content_type: str,
    release: str | None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Prediction:
    """Writes the request to S3 beside the predictions, invokes the endpoint with its URI and waits for the prediction.

    A prediction in S3 does not name its release, so `release` is that of the endpoint's live configuration.
    Raises PlatformError when the model fails, or after 15 minutes.
    """
    input_uri = f"{output_uri.rstrip('/').rpartition('/')[0]}/input/{uuid.uuid4()}"
    bucket, key = split_uri(input_uri)
    s3 = session.client("s3")
    with map_client_errors(f"Cannot invoke endpoint {endpoint}", next_step="bedplate up"):
        s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
        response = session.client("sagemaker-runtime").invoke_endpoint_async(
            EndpointName=endpoint, InputLocation=input_uri, ContentType=content_type, Accept=content_type
        )
        deadline, pause_s = clock() + TIMEOUT_S, 0.05
        while clock() < deadline:
            prediction = _read_object(s3, response["OutputLocation"])
            if prediction is not None:
                return Prediction(prediction, content_type, None, release, {"release": release} if release else {})
            failure = _read_object(s3, response.get("FailureLocation"))
            if failure is not None:
                message = failure.decode("utf-8", "replace")[:500]
                raise PlatformError(f"The model behind {endpoint} failed: {message}", next_step="bedplate local logs")
            sleep(pause_s)
            pause_s = min(2.0, pause_s * 1.5)
    raise PlatformError(
        f"Endpoint {endpoint} has not responded within {TIMEOUT_S / 60:.0f} minutes; "
        f"it will write the prediction to {response['OutputLocation']}"
    )


def _read_object(s3: Any, uri: str | None) -> bytes | None:
    """Returns the object's bytes; None while it does not exist."""
    from botocore.exceptions import ClientError

    if not uri:
        return None
    bucket, key = split_uri(uri)
    try:
        return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as exc:
        if is_missing(exc):
            return None
        raise
