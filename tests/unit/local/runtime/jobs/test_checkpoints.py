"""Spot trainings are interrupted, continue from their checkpoints and are billed at a share."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedplate.errors import UsageError
from bedplate.local.faults import Fault
from bedplate.local.runtime.jobs.training import LOG_GROUP, SPOT_PRICE_SHARE
from runtime_driver import RuntimeDriver

CHECKPOINTS = "s3://artifacts/checkpoints/job"


def spot(driver: RuntimeDriver, **parameters: Any) -> dict[str, Any]:
    driver.train(
        EnableManagedSpotTraining=True,
        CheckpointConfig={"S3Uri": CHECKPOINTS},
        HyperParameters={key: str(value) for key, value in parameters.items()},
    )
    return driver.services.wait_for_status("training-job", "job", "Completed", "Failed", "Stopped")


def blocks_at_start(driver: RuntimeDriver) -> list[str]:
    return [line.rpartition(" ")[2] for line in driver.services.log_lines(LOG_GROUP) if line.startswith("begins")]


def test_interrupted_spot_training_continues_from_its_checkpoints(driver: RuntimeDriver) -> None:
    driver.services.spot_reclaims = [True, True]
    record = spot(driver, blocks=3, wait_after=json.dumps([1, 2]))
    assert record["TrainingJobStatus"] == "Completed"
    assert blocks_at_start(driver) == ["0", "1", "2"]
    phases = [transition["Status"] for transition in record["SecondaryStatusTransitions"]]
    assert phases.count("Interrupted") == 2
    assert phases[phases.index("Interrupted") + 1] == "Starting"
    assert driver.services.get_object("artifacts", "checkpoints/job/last_block") == b"3"
    assert "out/job/output/model.tar.gz" in driver.services.objects["artifacts"]


def test_spot_training_is_not_interrupted_without_a_fault(driver: RuntimeDriver) -> None:
    record = spot(driver, blocks=2)
    assert blocks_at_start(driver) == ["0"]
    assert "Interrupted" not in [transition["Status"] for transition in record["SecondaryStatusTransitions"]]


def test_spot_training_is_billed_at_a_share_of_its_training_time(driver: RuntimeDriver) -> None:
    start = driver.services.now()
    moments = iter(range(10_000))
    driver.services.clock = lambda: start + 10.0 * next(moments)
    record = spot(driver, blocks=1)
    assert record["TrainingTimeInSeconds"] >= 20
    expected = SPOT_PRICE_SHARE * record["TrainingTimeInSeconds"]
    assert record["BillableTimeInSeconds"] == pytest.approx(expected, abs=1)
    assert sum(usage.seconds for usage in driver.services.charges) == pytest.approx(expected, rel=0.5)


def test_spot_training_that_waits_too_long_is_stopped(driver: RuntimeDriver) -> None:
    driver.services.spot_reclaims = [True]
    driver.train(
        EnableManagedSpotTraining=True,
        CheckpointConfig={"S3Uri": CHECKPOINTS},
        HyperParameters={"blocks": "3", "wait_after": "[1, 2]"},
        StoppingCondition={"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1},
    )
    record = driver.services.wait_for_status("training-job", "job", "Stopped")
    assert record["SecondaryStatus"] == "MaxWaitTimeExceeded"


def test_on_demand_training_has_no_checkpoint_folder(driver: RuntimeDriver) -> None:
    driver.train(HyperParameters={"blocks": "1"})
    record = driver.services.wait_for_status("training-job", "job", "Failed", "Completed")
    assert record["TrainingJobStatus"] == "Failed"
    assert "checkpoints" in record["FailureReason"]


def test_interrupt_fault_applies_to_spot_training_only() -> None:
    assert Fault.parse({"operation": "sagemaker:SpotTraining", "kind": "interrupt"}).times == 1
    for fault in (
        {"operation": "sagemaker:UpdateEndpoint", "kind": "interrupt"},
        {"operation": "sagemaker:SpotTraining", "kind": "throttle"},
    ):
        with pytest.raises(UsageError, match="applies to sagemaker:SpotTraining only"):
            Fault.parse(fault)
