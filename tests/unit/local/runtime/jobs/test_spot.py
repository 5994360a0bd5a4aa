"""Training on spot instances: taken away on demand, restored from checkpoints, billed at a share."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedplate.errors import UsageError
from bedplate.local.faults import Fault
from bedplate.local.runtime.jobs.training import LOG_GROUP, SPOT_SHARE
from unit.local.runtime.rig import Rig

KEPT = "s3://artifacts/checkpoints/job"


def spot(rig: Rig, **parameters: Any) -> dict[str, Any]:
    rig.train(
        EnableManagedSpotTraining=True,
        CheckpointConfig={"S3Uri": KEPT},
        HyperParameters={key: str(value) for key, value in parameters.items()},
    )
    return rig.world.status("training-job", "job", "Completed", "Failed", "Stopped")


def begun_after(rig: Rig) -> list[str]:
    return [line.rpartition(" ")[2] for line in rig.world.lines(LOG_GROUP) if line.startswith("begins")]


def test_a_training_that_loses_its_instance_goes_on_from_its_checkpoints(rig: Rig) -> None:
    rig.world.reclaims = [True, True]
    record = spot(rig, blocks=3, wait_after=json.dumps([1, 2]))
    assert record["TrainingJobStatus"] == "Completed"
    assert begun_after(rig) == ["0", "1", "2"]
    phases = [each["Status"] for each in record["SecondaryStatusTransitions"]]
    assert phases.count("Interrupted") == 2
    assert phases[phases.index("Interrupted") + 1] == "Starting"
    assert rig.world.get_object("artifacts", "checkpoints/job/done") == b"3"
    assert "out/job/output/model.tar.gz" in rig.world.objects["artifacts"]


def test_nobody_takes_the_instance_away_unasked(rig: Rig) -> None:
    record = spot(rig, blocks=2)
    assert begun_after(rig) == ["0"]
    assert "Interrupted" not in [each["Status"] for each in record["SecondaryStatusTransitions"]]


def test_spot_is_billed_at_a_share_and_says_both_times(rig: Rig) -> None:
    start = rig.world.now()
    moments = iter(range(10_000))
    rig.world.clock = lambda: start + 10.0 * next(moments)
    record = spot(rig, blocks=1)
    assert record["TrainingTimeInSeconds"] >= 20
    expected = SPOT_SHARE * record["TrainingTimeInSeconds"]
    assert record["BillableTimeInSeconds"] == pytest.approx(expected, abs=1)
    assert sum(usage.seconds for usage in rig.world.charges) == pytest.approx(expected, rel=0.5)


def test_a_job_that_waited_too_long_says_so(rig: Rig) -> None:
    rig.world.reclaims = [True]
    rig.train(
        EnableManagedSpotTraining=True,
        CheckpointConfig={"S3Uri": KEPT},
        HyperParameters={"blocks": "3", "wait_after": "[1, 2]"},
        StoppingCondition={"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1},
    )
    record = rig.world.status("training-job", "job", "Stopped")
    assert record["SecondaryStatus"] == "MaxWaitTimeExceeded"


def test_an_ordinary_training_has_no_checkpoint_folder(rig: Rig) -> None:
    rig.train(HyperParameters={"blocks": "1"})
    record = rig.world.status("training-job", "job", "Failed", "Completed")
    assert record["TrainingJobStatus"] == "Failed"
    assert "checkpoints" in record["FailureReason"]


def test_an_interruption_is_a_fault_of_spot_trainings_only() -> None:
    assert Fault.parse({"operation": "sagemaker:SpotTraining", "kind": "interrupt"}).times == 1
    for told in (
        {"operation": "sagemaker:UpdateEndpoint", "kind": "interrupt"},
        {"operation": "sagemaker:SpotTraining", "kind": "throttle"},
    ):
        with pytest.raises(UsageError, match="belong together"):
            Fault.parse(told)
