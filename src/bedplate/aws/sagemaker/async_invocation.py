"""Asks an asynchronous endpoint: the request goes to S3, the answer comes from S3."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from bedplate.aws.errors import is_missing, translated
from bedplate.aws.session import Session
from bedplate.errors import PlatformError
from bedplate.ports import AsyncOutput, Prediction

PATIENCE_S = 900.0
"""SageMaker gives a queued request up to an hour; who waits at a terminal gives it this."""


def queued_config(queued: AsyncOutput, kms_key_arn: str | None) -> dict[str, Any]:
    """AsyncInferenceConfig of an EndpointConfig."""
    topics = {"SuccessTopic": queued.success_topic_arn, "ErrorTopic": queued.error_topic_arn}
    told = {key: arn for key, arn in topics.items() if arn}
    output: dict[str, Any] = {"S3OutputPath": queued.output_uri, "S3FailurePath": queued.failure_uri}
    if kms_key_arn:
        output["KmsKeyId"] = kms_key_arn
    if told:
        output["NotificationConfig"] = told
    return {
        "OutputConfig": output,
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": queued.max_concurrent_per_instance},
    }


def ask(
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
    """Put the request beside where answers go, send its place, wait for the answer.

    An answer in S3 does not say which release gave it, so `release` is what the endpoint's live configuration says.
    Raises PlatformError when the model fails, or after 15 minutes.
    """
    place = f"{output_uri.rstrip('/').rpartition('/')[0]}/input/{uuid.uuid4()}"
    bucket, key = _split(place)
    s3 = session.client("s3")
    with translated(f"Endpoint {endpoint} cannot be asked", next_step="bedplate up"):
        s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
        told = session.client("sagemaker-runtime").invoke_endpoint_async(
            EndpointName=endpoint, InputLocation=place, ContentType=content_type, Accept=content_type
        )
        deadline, pause_s = clock() + PATIENCE_S, 0.05
        while clock() < deadline:
            answer = _fetched(s3, told["OutputLocation"])
            if answer is not None:
                return Prediction(answer, content_type, None, release, {"release": release} if release else {})
            failure = _fetched(s3, told.get("FailureLocation"))
            if failure is not None:
                said = failure.decode("utf-8", "replace")[:500]
                raise PlatformError(f"The model behind {endpoint} failed: {said}", next_step="bedplate local logs")
            sleep(pause_s)
            pause_s = min(2.0, pause_s * 1.5)
    raise PlatformError(
        f"{endpoint} has not answered within {PATIENCE_S / 60:.0f} minutes; the answer will be {told['OutputLocation']}"
    )


def _fetched(s3: Any, uri: str | None) -> bytes | None:
    """The object's bytes; None as long as there is none."""
    from botocore.exceptions import ClientError

    if not uri:
        return None
    bucket, key = _split(uri)
    try:
        return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as exc:
        if is_missing(exc):
            return None
        raise


def _split(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")
