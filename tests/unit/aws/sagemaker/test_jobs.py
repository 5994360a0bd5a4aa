"""The requests that the jobs adapter sends to SageMaker, and how it reads jobs and logs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from bedplate.aws.sagemaker.jobs import SageMakerJobs
from bedplate.aws.session import Session
from bedplate.errors import NotFound
from bedplate.ports import ProcessingRequest, TrainingRequest

ROLE = "arn:aws:iam::123456789012:role/execution"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
TRAINING = TrainingRequest(
    name="bedplate-local-churn-0a1b2c3d4e5f-1",
    image_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/bedplate-local:1",
    role_arn=ROLE,
    entry_point="train.py",
    channels={"code": "s3://a/code/sourcedir.tar.gz", "training": "s3://d/train.parquet"},
    output_uri="s3://a/training/churn/",
    hyperparameters={"max_iter": "100", "seed": "7"},
    environment={"BEDPLATE_MODEL": "churn"},
    instance_type="ml.m5.xlarge",
    instance_count=1,
    volume_gb=30,
    max_runtime_s=900,
    tags={"Model": "churn", "Stack": "local"},
    kms_key_arn=KEY,
)
PROCESSING = ProcessingRequest(
    name="evaluate-1",
    image_uri="image",
    role_arn=ROLE,
    command=("python", "-m", "bedplate.container", "evaluate"),
    inputs={"holdout": ("s3://d/holdout.parquet", "/opt/ml/processing/input/holdout")},
    outputs={"output": ("/opt/ml/processing/output", "s3://a/evaluations/")},
    environment={"A": "1"},
    instance_type="ml.m5.large",
    max_runtime_s=600,
    tags={"Model": "churn"},
    kms_key_arn=KEY,
)


@pytest.fixture
def requests(session: Session) -> list[dict[str, Any]]:
    """The Create... requests to SageMaker."""
    captured: list[dict[str, Any]] = []
    events = session.boto3_session().events
    for name in ("CreateTrainingJob", "CreateProcessingJob"):
        events.register(f"provide-client-params.sagemaker.{name}", lambda params, **_: captured.append(params))
    return captured


def test_model_trainer_sends_exactly_the_request(session: Session, requests: list[dict[str, Any]]) -> None:
    job = SageMakerJobs(session).submit_training(TRAINING)
    (request,) = requests
    assert request["TrainingJobName"] == TRAINING.name == job.name
    assert request["RoleArn"] == ROLE
    assert request["HyperParameters"] == {"sagemaker_program": "train.py", "max_iter": "100", "seed": "7"}
    assert request["Environment"] == {"BEDPLATE_MODEL": "churn"}
    assert request["StoppingCondition"]["MaxRuntimeInSeconds"] == 900
    assert request["OutputDataConfig"]["S3OutputPath"] == "s3://a/training/churn/"
    assert request["OutputDataConfig"]["KmsKeyId"] == request["ResourceConfig"]["VolumeKmsKeyId"] == KEY
    assert (request["ResourceConfig"]["InstanceType"], request["ResourceConfig"]["InstanceCount"]) == (
        "ml.m5.xlarge",
        1,
    )
    channels = {c["ChannelName"]: c["DataSource"]["S3DataSource"]["S3Uri"] for c in request["InputDataConfig"]}
    assert channels == TRAINING.channels
    assert {tag["Key"]: tag["Value"] for tag in request["Tags"]} == TRAINING.tags
    specification = request["AlgorithmSpecification"]
    assert specification["TrainingImage"] == TRAINING.image_uri
    assert "ContainerEntrypoint" not in specification
    assert {"Name": "train_auc", "Regex": "metric: train_auc=([-+0-9.eE]+)"} in specification["MetricDefinitions"]
    assert len(specification["MetricDefinitions"]) <= 40


def test_only_a_spot_training_requests_spot_instances_and_checkpoints(
    session: Session, requests: list[dict[str, Any]]
) -> None:
    spot = replace(TRAINING, name="spot-1", spot_max_wait_s=1800, checkpoint_uri="s3://a/training/churn/checkpoints/1/")
    SageMakerJobs(session).submit_training(spot)
    SageMakerJobs(session).submit_training(replace(TRAINING, name="on-demand-1"))
    spot_request, request = requests
    assert spot_request["EnableManagedSpotTraining"] is True
    assert spot_request["StoppingCondition"] == {"MaxRuntimeInSeconds": 900, "MaxWaitTimeInSeconds": 1800}
    assert spot_request["CheckpointConfig"] == {"S3Uri": "s3://a/training/churn/checkpoints/1/"}
    assert not request.get("EnableManagedSpotTraining")
    assert "CheckpointConfig" not in request
    assert "MaxWaitTimeInSeconds" not in request["StoppingCondition"]


def test_a_processing_job_sends_exactly_the_request(session: Session, requests: list[dict[str, Any]]) -> None:
    SageMakerJobs(session).submit_processing(PROCESSING)
    (request,) = requests
    assert request["AppSpecification"] == {"ImageUri": "image", "ContainerEntrypoint": list(PROCESSING.command or ())}
    (job_input,) = request["ProcessingInputs"]
    assert (job_input["S3Input"]["S3Uri"], job_input["S3Input"]["LocalPath"]) == PROCESSING.inputs["holdout"]
    (output,) = request["ProcessingOutputConfig"]["Outputs"]
    assert (output["S3Output"]["LocalPath"], output["S3Output"]["S3Uri"]) == PROCESSING.outputs["output"]
    assert request["ProcessingOutputConfig"]["KmsKeyId"] == KEY
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 600}


def test_without_a_command_the_image_keeps_its_entry_point(session: Session, requests: list[dict[str, Any]]) -> None:
    SageMakerJobs(session).submit_processing(replace(PROCESSING, command=None, kms_key_arn=None))
    assert requests[0]["AppSpecification"] == {"ImageUri": "image"}


def test_jobs_that_do_not_exist_are_not_found(session: Session) -> None:
    jobs = SageMakerJobs(session)
    with pytest.raises(NotFound, match="nope"):
        jobs.get_training("nope")
    with pytest.raises(NotFound, match="nope"):
        jobs.get_processing("nope")


def test_a_log_is_empty_before_the_first_line_and_is_read_incrementally(session: Session) -> None:
    jobs, logs = SageMakerJobs(session), session.client("logs")
    assert jobs.list_log_lines("j", kind="training") == ()
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs")
    assert jobs.list_log_lines("j", kind="training") == ()
    stream = {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamName": "j/algo-1"}
    logs.create_log_stream(**stream)

    def write(*lines: str) -> None:
        now_ms = int(time.time() * 1000)
        logs.put_log_events(**stream, logEvents=[{"timestamp": now_ms, "message": line} for line in lines])

    write("one", "two")
    assert jobs.list_log_lines("j", kind="training") == ("one", "two")
    write("three")
    assert jobs.list_log_lines("j", kind="training", skip=2) == ("three",)
    assert jobs.list_log_lines("j", kind="training") == ("one", "two", "three")
