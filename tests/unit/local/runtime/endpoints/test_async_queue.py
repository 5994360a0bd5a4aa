"""Asynchronous endpoints read requests from S3 and write responses to S3."""

from __future__ import annotations

import json

import pytest

from runtime_driver import RuntimeDriver

ASYNCHRONOUS = {
    "AsyncInferenceConfig": {
        "OutputConfig": {
            "S3OutputPath": "s3://answers/out",
            "S3FailurePath": "s3://answers/failed",
            "NotificationConfig": {"SuccessTopic": "arn:aws:sns:us-east-1:1:good", "ErrorTopic": "arn:bad"},
        }
    }
}


def test_asynchronous_endpoint_reads_requests_from_s3_and_writes_responses_to_s3(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1", weights="42", config=ASYNCHRONOUS))
    driver.services.put_object("requests", "one", b"x")
    headers = {"x-amzn-sagemaker-inputlocation": "s3://requests/one", "x-amzn-sagemaker-inference-id": "mine"}
    response = driver.hooks.invoke_async("shop", {"x-amzn-sagemaker-content-type": "application/jsonlines", **headers})
    assert response.status == 202
    assert json.loads(response.body) == {"InferenceId": "mine"}
    output = response.headers["X-Amzn-SageMaker-OutputLocation"].removeprefix("s3://answers/")
    driver.services.wait_until(lambda: output in driver.services.objects["answers"])
    assert driver.services.objects["answers"][output] == b"r1 42"
    driver.hooks.flush()
    assert driver.services.metric_values("ApproximateBacklogSize") == [1.0, 0.0]


@pytest.mark.parametrize(("body", "message"), [(b"boom", "server error (500)"), (None, "cannot be read")])
def test_failed_asynchronous_request_is_written_to_the_failure_path(
    driver: RuntimeDriver, body: bytes | None, message: str
) -> None:
    driver.create_endpoint(driver.add_release("r1", config=ASYNCHRONOUS))
    if body is not None:
        driver.services.put_object("requests", "one", body)
    response = driver.hooks.invoke_async("shop", {"x-amzn-sagemaker-inputlocation": "s3://requests/one"})
    failure = response.headers["X-Amzn-SageMaker-FailureLocation"].removeprefix("s3://answers/")
    driver.services.wait_until(lambda: failure in driver.services.objects["answers"])
    assert message in driver.services.objects["answers"][failure].decode()


def test_endpoint_accepts_only_its_own_kind_of_invocation(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1", config=ASYNCHRONOUS))
    assert "InvokeEndpointAsync" in driver.invoke().body.decode()
    driver.create_endpoint(driver.add_release("r2"), name="plain")
    response = driver.hooks.invoke_async("plain", {"x-amzn-sagemaker-inputlocation": "s3://requests/one"})
    assert (response.status, "not an asynchronous" in response.body.decode()) == (400, True)
