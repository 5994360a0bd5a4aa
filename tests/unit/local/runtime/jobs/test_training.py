"""Training jobs get their data, produce artifacts, logs and metrics, and fail, stop and restart."""

from __future__ import annotations

import io
import tarfile

import pytest

from runtime_driver import RuntimeDriver


def members(body: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}  # type: ignore[union-attr]


def test_training_produces_model_output_metrics_logs_and_a_charge(driver: RuntimeDriver) -> None:
    driver.train(HyperParameters={"weights": "7"})
    job = driver.services.wait_for_status("training-job", "job", "Completed", "Failed")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert members(driver.services.objects["artifacts"]["out/job/output/model.tar.gz"]) == {"weights.txt": b"7"}
    assert members(driver.services.objects["artifacts"]["out/job/output/output.tar.gz"]) == {"report.txt": b"report"}
    assert [(m["MetricName"], m["Value"]) for m in job["FinalMetricDataList"]] == [("auc", 0.75)]
    assert "metric: rows=5" in driver.services.log_lines("/aws/sagemaker/TrainingJobs")
    assert [t["Status"] for t in job["SecondaryStatusTransitions"]] == [
        "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    assert job["BillableTimeInSeconds"] >= 1
    [usage] = driver.services.charges
    assert (usage.usage_type, usage.instance_type) == ("training", "ml.m5.large")


def test_the_same_model_is_packed_to_the_same_bytes(driver: RuntimeDriver) -> None:
    for name in ("one", "two"):
        driver.train(name)
        driver.services.wait_for_status("training-job", name, "Completed", "Failed")
    packed = driver.services.objects["artifacts"]
    assert packed["out/one/output/model.tar.gz"] == packed["out/two/output/model.tar.gz"]


def test_script_gets_no_aws_credentials_and_no_endpoint(driver: RuntimeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "secret")
    driver.train()
    driver.services.wait_for_status("training-job", "job", "Completed")
    lines = driver.services.log_lines("/aws/sagemaker/TrainingJobs")
    assert "secrets: ['AWS_SHARED_CREDENTIALS_FILE']" in lines or "secrets: []" in lines


def test_failure_file_of_the_container_becomes_the_failure_reason(driver: RuntimeDriver) -> None:
    driver.train(HyperParameters={"fail": "no such column: hour"})
    job = driver.services.wait_for_status("training-job", "job", "Completed", "Failed")
    assert job["FailureReason"] == "AlgorithmError: ValueError: no such column: hour, exit code: 1"
    assert "out/job/output/model.tar.gz" not in driver.services.objects["artifacts"]


def test_channel_without_objects_fails_before_anything_runs(driver: RuntimeDriver) -> None:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/nothing/"}}
    driver.train(InputDataConfig=[{"ChannelName": "training", "DataSource": source}])
    job = driver.services.wait_for_status("training-job", "job", "Completed", "Failed")
    assert "ClientError: Data download failed" in job["FailureReason"]
    assert "s3://data/nothing/" in job["FailureReason"]
    assert not driver.services.logs


def test_stopped_training_has_status_stopped(driver: RuntimeDriver) -> None:
    driver.train(HyperParameters={"hang": "yes"})
    driver.services.wait_until(lambda: "hanging" in driver.services.log_lines("/aws/sagemaker/TrainingJobs"))
    driver.hooks.training_stopped("job")
    assert driver.services.wait_for_status("training-job", "job", "Stopped")["SecondaryStatus"] == "Stopped"


def test_training_that_runs_too_long_is_stopped(driver: RuntimeDriver) -> None:
    driver.train(HyperParameters={"hang": "yes"}, StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert driver.services.wait_for_status("training-job", "job", "Stopped")["SecondaryStatus"] == "MaxRuntimeExceeded"


def test_third_job_waits_for_a_free_slot(driver: RuntimeDriver) -> None:
    for name in ("a", "b"):
        driver.train(name, HyperParameters={"hang": "yes"})
    driver.train("c")
    assert driver.services.tables["training-job"]["c"]["SecondaryStatus"] == "Pending"
    driver.hooks.training_stopped("a")
    assert (
        driver.services.wait_for_status("training-job", "c", "Completed", "Failed")["TrainingJobStatus"] == "Completed"
    )


def test_waiting_job_can_be_stopped(driver: RuntimeDriver) -> None:
    for name in ("a", "b"):
        driver.train(name, HyperParameters={"hang": "yes"})
    driver.train("c")
    driver.hooks.training_stopped("c")
    assert driver.services.wait_for_status("training-job", "c", "Stopped")


def test_job_that_ran_when_the_platform_ended_is_failed_after_restart(driver: RuntimeDriver) -> None:
    driver.train(HyperParameters={"hang": "yes"})
    driver.services.wait_until(lambda: "hanging" in driver.services.log_lines("/aws/sagemaker/TrainingJobs"))
    killed = dict(driver.services.tables["training-job"]["job"])
    driver.close()
    assert driver.services.wait_for_status("training-job", "job", "Failed")
    driver.services.put_record("training-job", "job", killed)  # the state after a kill
    restarted = driver.restart()
    restarted.hooks.restore()
    try:
        reason = driver.services.wait_for_status("training-job", "job", "Failed")["FailureReason"]
        assert "the local platform ended while the job was running" in reason
    finally:
        restarted.close()


def test_finished_job_leaves_no_files_on_disk(driver: RuntimeDriver) -> None:
    driver.train()
    driver.services.wait_for_status("training-job", "job", "Completed")
    driver.close()
    assert not list((driver.services.state_dir / "runtime" / "jobs").rglob("*.json"))
