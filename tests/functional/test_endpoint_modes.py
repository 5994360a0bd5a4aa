"""Serverless and asynchronous releases through the adapter, on a local platform that serves them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedplate.aws.sagemaker.endpoints import SageMakerEndpoints
from bedplate.aws.session import Session
from bedplate.ports import AsyncOutput, ReleaseDraft, ServerlessVariant, TrafficRouting
from platform_client import ClientFactory


def draft(name: str, release: str, **mode: Any) -> ReleaseDraft:
    environment = {
        "BEDPLATE_RELEASE": release,
        "BEDPLATE_VERSION": "1",
        "BEDPLATE_MODEL": name,
        "BEDPLATE_ENDPOINT": name,
        "BEDPLATE_FALLBACK": "0.25",
    }
    return ReleaseDraft(
        name=release,
        image_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/modes:1",
        artifact_uri=None,
        environment=environment,
        role_arn="arn:aws:iam::123456789012:role/modes",
        variant="live",
        instance_type="ml.m5.large",
        instance_count=1,
        capture_uri="s3://modes/capture",
        capture_pct=0,
        tags={"Model": name},
        **mode,
    )


@pytest.mark.parametrize("mode", ["serverless", "async"])
def test_serverless_and_asynchronous_releases_serve_and_can_be_updated(
    platform: str, client: ClientFactory, mode: str
) -> None:
    client("s3").create_bucket(Bucket=f"modes-{mode}")
    output = AsyncOutput(f"s3://modes-{mode}/output", f"s3://modes-{mode}/failed", 4)
    variant: dict[str, Any] = (
        {"serverless": ServerlessVariant(1024, 5)} if mode == "serverless" else {"async_output": output}
    )
    endpoints = SageMakerEndpoints(Session.local("us-east-1", platform))
    endpoint = f"modes-{mode}"
    first, second = f"{endpoint}-v1-0a1b2c3d", f"{endpoint}-v2-0a1b2c3d"
    endpoints.create_release(draft(endpoint, first, **variant))
    client("sagemaker").create_endpoint(EndpointName=endpoint, EndpointConfigName=first)
    waiter = client("sagemaker").get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=endpoint, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})
    response = endpoints.invoke(endpoint, b'{"a": 1}\n{"a": 2}\n')
    assert [json.loads(line)["prediction"] for line in response.body.splitlines()] == [0.25, 0.25]
    assert response.release == first

    endpoints.create_release(draft(endpoint, second, **variant))
    endpoints.update(endpoint, second, TrafficRouting("ALL_AT_ONCE", 100, 0, ()))
    waiter.wait(EndpointName=endpoint, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})
    assert endpoints.observe(endpoint).config == second
    assert endpoints.invoke(endpoint, b'{"a": 1}\n').release == second
    client("sagemaker").delete_endpoint(EndpointName=endpoint)
