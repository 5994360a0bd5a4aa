"""Serverless variants sleep while idle and are charged per request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from in_memory_services import InMemoryServices
from runtime_driver import RuntimeDriver

GROUP = "/aws/sagemaker/Endpoints/shop"

SERVERLESS = {
    "ProductionVariants": [
        {"VariantName": "live", "ModelName": "r1", "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    ]
}


@pytest.fixture
def serverless_driver(tmp_path: Path) -> Iterator[RuntimeDriver]:
    driver = RuntimeDriver(InMemoryServices(tmp_path), serverless_idle_s=0.2)
    yield driver
    driver.close()


def test_idle_serverless_variant_sleeps_until_the_next_request(serverless_driver: RuntimeDriver) -> None:
    serverless_driver.create_endpoint(serverless_driver.add_release("r1", weights="42", config=SERVERLESS))
    (process,) = [process for process, _ in serverless_driver.runtime.pool._processes.values()]
    serverless_driver.services.wait_until(
        lambda: any("until the next request" in line for line in serverless_driver.services.log_lines(GROUP))
    )
    assert process.state == "asleep"
    response = serverless_driver.invoke()
    assert (response.status, response.body) == (200, b"r1 42")
    assert process.state == "ready"


def test_serverless_variant_is_charged_for_its_response_time(serverless_driver: RuntimeDriver) -> None:
    serverless_driver.create_endpoint(serverless_driver.add_release("r1", config=SERVERLESS))
    serverless_driver.runtime.meter.charge_all()
    assert serverless_driver.services.charges == []
    serverless_driver.invoke()
    (charge,) = serverless_driver.services.charges
    assert (charge.instance_type, charge.usage_type) == ("serverless.2048", "endpoint")
    assert 0 < charge.seconds < 10
