"""Training and processing jobs that run: directories, data, logs, metrics, artifacts, failures, limits, restarts."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from unit.local.runtime.rig import Rig


def members(body: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}  # type: ignore[union-attr]


def test_training_leaves_model_output_metrics_log_and_a_charge(rig: Rig) -> None:
    rig.train(HyperParameters={"weights": "7"})
    done = rig.world.status("training-job", "job", "Completed", "Failed")
    assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
    assert members(rig.world.objects["artifacts"]["out/job/output/model.tar.gz"]) == {"weights.txt": b"7"}
    assert members(rig.world.objects["artifacts"]["out/job/output/output.tar.gz"]) == {"report.txt": b"report"}
    assert [(m["MetricName"], m["Value"]) for m in done["FinalMetricDataList"]] == [("auc", 0.75)]
    assert "metric: rows=5" in rig.world.lines("/aws/sagemaker/TrainingJobs")
    assert [t["Status"] for t in done["SecondaryStatusTransitions"]] == [
        "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    assert done["BillableTimeInSeconds"] >= 1
    [usage] = rig.world.charges
    assert (usage.usage_type, usage.instance_type) == ("training", "ml.m5.large")


def test_the_same_model_is_packed_to_the_same_bytes(rig: Rig) -> None:
    for name in ("one", "two"):
        rig.train(name)
        rig.world.status("training-job", name, "Completed", "Failed")
    packed = rig.world.objects["artifacts"]
    assert packed["out/one/output/model.tar.gz"] == packed["out/two/output/model.tar.gz"]


def test_no_credentials_and_no_endpoint_of_aws_reach_a_script(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "secret")
    rig.train()
    rig.world.status("training-job", "job", "Completed")
    lines = rig.world.lines("/aws/sagemaker/TrainingJobs")
    assert "secrets: ['AWS_SHARED_CREDENTIALS_FILE']" in lines or "secrets: []" in lines


def test_failure_file_of_the_container_is_the_reason(rig: Rig) -> None:
    rig.train(HyperParameters={"fail": "no such column: hour"})
    done = rig.world.status("training-job", "job", "Completed", "Failed")
    assert done["FailureReason"] == "AlgorithmError: ValueError: no such column: hour, exit code: 1"
    assert "out/job/output/model.tar.gz" not in rig.world.objects["artifacts"]


def test_channel_without_objects_fails_before_anything_runs(rig: Rig) -> None:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/nothing/"}}
    rig.train(InputDataConfig=[{"ChannelName": "training", "DataSource": source}])
    done = rig.world.status("training-job", "job", "Completed", "Failed")
    assert "ClientError: Data download failed" in done["FailureReason"]
    assert "s3://data/nothing/" in done["FailureReason"]
    assert not rig.world.logs


def test_stopped_training_ends_as_stopped(rig: Rig) -> None:
    rig.train(HyperParameters={"hang": "yes"})
    rig.world.until(lambda: "hanging" in rig.world.lines("/aws/sagemaker/TrainingJobs"))
    rig.hooks.training_stopped("job")
    assert rig.world.status("training-job", "job", "Stopped")["SecondaryStatus"] == "Stopped"


def test_training_that_runs_too_long_is_stopped(rig: Rig) -> None:
    rig.train(HyperParameters={"hang": "yes"}, StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert rig.world.status("training-job", "job", "Stopped")["SecondaryStatus"] == "MaxRuntimeExceeded"


def test_third_job_waits_until_there_is_room(rig: Rig) -> None:
    for name in ("a", "b"):
        rig.train(name, HyperParameters={"hang": "yes"})
    rig.train("c")
    assert rig.world.tables["training-job"]["c"]["SecondaryStatus"] == "Pending"
    rig.hooks.training_stopped("a")
    assert rig.world.status("training-job", "c", "Completed", "Failed")["TrainingJobStatus"] == "Completed"


def test_waiting_job_can_be_stopped(rig: Rig) -> None:
    for name in ("a", "b"):
        rig.train(name, HyperParameters={"hang": "yes"})
    rig.train("c")
    rig.hooks.training_stopped("c")
    assert rig.world.status("training-job", "c", "Stopped")


def test_job_that_ran_when_the_platform_ended_has_failed_and_says_why(rig: Rig) -> None:
    rig.train(HyperParameters={"hang": "yes"})
    rig.world.until(lambda: "hanging" in rig.world.lines("/aws/sagemaker/TrainingJobs"))
    killed = dict(rig.world.tables["training-job"]["job"])
    rig.close()
    assert rig.world.status("training-job", "job", "Failed")
    rig.world.put("training-job", "job", killed)  # as a kill leaves it
    again = rig.again()
    again.hooks.restore()
    try:
        reason = rig.world.status("training-job", "job", "Failed")["FailureReason"]
        assert "the local platform ended while the job was running" in reason
    finally:
        again.close()


def test_nothing_of_a_job_is_left_on_the_disk(rig: Rig) -> None:
    rig.train()
    rig.world.status("training-job", "job", "Completed")
    rig.close()
    assert not list((rig.world.state_dir / "runtime" / "jobs").rglob("*.json"))


def test_processing_runs_the_monitor_and_its_message_outputs_and_metrics_arrive(rig: Rig) -> None:
    rig.world.put_object("capture", "x/2026/01/01/00/a.jsonl", b"{}\n{}\n")
    source = {"S3Uri": "s3://capture/x/", "LocalPath": "/opt/ml/processing/input/endpoint"}
    rig.process(ProcessingInputs=[{"InputName": "endpoint", "S3Input": source}])
    done = rig.world.status("processing-job", "analysis", "Completed", "Failed")
    assert done["ProcessingJobStatus"] == "Completed", done.get("FailureReason")
    assert done["ExitMessage"].startswith("CompletedWithViolations")
    assert json.loads(rig.world.objects["artifacts"]["report/drift.json"])["records"] == 2
    assert rig.world.values("bedplate_max_psi") == [0.4]
    assert rig.world.charges[0].usage_type == "processing"


def test_processing_runs_the_command_that_it_is_given_with_paths_moved(rig: Rig) -> None:
    code = "import pathlib,sys; pathlib.Path(sys.argv[1], 'said').write_text(sys.executable)"
    app = {"ImageUri": "i", "ContainerEntrypoint": ["python", "-c", code]}
    rig.process(AppSpecification={**app, "ContainerArguments": ["/opt/ml/processing/output"]})
    assert rig.world.status("processing-job", "analysis", "Completed", "Failed")["ProcessingJobStatus"] == "Completed"
    assert rig.world.objects["artifacts"]["report/said"].decode() == sys.executable


def test_processing_that_exits_with_an_error_has_failed_with_its_code(rig: Rig) -> None:
    rig.process(AppSpecification={"ImageUri": "i", "ContainerEntrypoint": ["python", "-c", "raise SystemExit(3)"]})
    done = rig.world.status("processing-job", "analysis", "Completed", "Failed")
    assert done["FailureReason"].endswith("exit code: 3")


def test_command_that_does_not_exist_fails_the_job_by_name(rig: Rig) -> None:
    rig.process(AppSpecification={"ImageUri": "i", "ContainerEntrypoint": ["no-such-program"]})
    done = rig.world.status("processing-job", "analysis", "Failed")
    assert "no-such-program" in done["FailureReason"]


def test_local_path_outside_of_opt_ml_is_refused(rig: Rig) -> None:
    source = {"S3Uri": "s3://capture/x/", "LocalPath": "/etc/passwd"}
    rig.process(ProcessingInputs=[{"InputName": "endpoint", "S3Input": source}])
    assert "/etc/passwd" in rig.world.status("processing-job", "analysis", "Failed")["FailureReason"]
    assert Path("/etc/passwd").is_file()
