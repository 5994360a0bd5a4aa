"""Serverless and asynchronous endpoints: asleep until asked, and answers that come by way of S3."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.local.runtime.rig import Rig
from unit.local.runtime.world import World

CONTAINER = [sys.executable, str(Path(__file__).with_name("container.py"))]
GROUP = "/aws/sagemaker/Endpoints/shop"
SERVERLESS = {
    "ProductionVariants": [
        {"VariantName": "live", "ModelName": "r1", "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    ]
}
QUEUED = {
    "AsyncInferenceConfig": {
        "OutputConfig": {
            "S3OutputPath": "s3://answers/out",
            "S3FailurePath": "s3://answers/failed",
            "NotificationConfig": {"SuccessTopic": "arn:aws:sns:us-east-1:1:good", "ErrorTopic": "arn:bad"},
        }
    }
}


@pytest.fixture
def sleepy(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(World(tmp_path), CONTAINER, serverless_idle_s=0.2)
    yield made
    made.close()


def test_a_serverless_variant_sleeps_when_nobody_asks_and_wakes_for_who_does(sleepy: Rig) -> None:
    sleepy.up(sleepy.release("r1", weights="42", config=SERVERLESS))
    (process,) = [found for found, _ in sleepy.runtime.pool._processes.values()]
    sleepy.world.until(lambda: any("nobody asked" in line for line in sleepy.world.lines(GROUP)))
    assert process.state == "asleep"
    answer = sleepy.ask()
    assert (answer.status, answer.body) == (200, b"r1 42")
    assert process.state == "ready"


def test_a_serverless_variant_costs_what_its_answers_take(sleepy: Rig) -> None:
    sleepy.up(sleepy.release("r1", config=SERVERLESS))
    sleepy.runtime.meter.tick()
    assert sleepy.world.charges == []
    sleepy.ask()
    (charge,) = sleepy.world.charges
    assert (charge.instance_type, charge.usage_type) == ("serverless.2048", "endpoint")
    assert 0 < charge.seconds < 10


def test_an_asynchronous_endpoint_reads_its_request_from_s3_and_answers_there(rig: Rig) -> None:
    rig.up(rig.release("r1", weights="42", config=QUEUED))
    rig.world.put_object("requests", "one", b"x")
    place = {"x-amzn-sagemaker-inputlocation": "s3://requests/one", "x-amzn-sagemaker-inference-id": "mine"}
    taken = rig.hooks.enqueue("shop", {"x-amzn-sagemaker-content-type": "application/jsonlines", **place})
    assert taken.status == 202
    assert json.loads(taken.body) == {"InferenceId": "mine"}
    output = taken.headers["X-Amzn-SageMaker-OutputLocation"].removeprefix("s3://answers/")
    rig.world.until(lambda: output in rig.world.objects["answers"])
    assert rig.world.objects["answers"][output] == b"r1 42"
    rig.hooks.flush()
    assert rig.world.values("ApproximateBacklogSize") == [1.0, 0.0]


@pytest.mark.parametrize(("body", "said"), [(b"boom", "server error (500)"), (None, "cannot be read")])
def test_a_queued_request_that_fails_is_written_down(rig: Rig, body: bytes | None, said: str) -> None:
    rig.up(rig.release("r1", config=QUEUED))
    if body is not None:
        rig.world.put_object("requests", "one", body)
    taken = rig.hooks.enqueue("shop", {"x-amzn-sagemaker-inputlocation": "s3://requests/one"})
    failure = taken.headers["X-Amzn-SageMaker-FailureLocation"].removeprefix("s3://answers/")
    rig.world.until(lambda: failure in rig.world.objects["answers"])
    assert said in rig.world.objects["answers"][failure].decode()


def test_each_kind_of_endpoint_is_asked_in_its_own_way(rig: Rig) -> None:
    rig.up(rig.release("r1", config=QUEUED))
    assert "InvokeEndpointAsync" in rig.ask().body.decode()
    rig.up(rig.release("r2"), name="plain")
    refused = rig.hooks.enqueue("plain", {"x-amzn-sagemaker-inputlocation": "s3://requests/one"})
    assert (refused.status, "not an asynchronous" in refused.body.decode()) == (400, True)
