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
def sent(session: Session) -> list[dict[str, Any]]:
    """What goes to SageMaker as Create... requests."""
    heard: list[dict[str, Any]] = []
    events = session.boto3_session().events
    for name in ("CreateTrainingJob", "CreateProcessingJob"):
        events.register(f"provide-client-params.sagemaker.{name}", lambda params, **_: heard.append(params))
    return heard


def test_model_trainer_asks_for_exactly_what_was_requested(session: Session, sent: list[dict[str, Any]]) -> None:
    job = SageMakerJobs(session).submit_training(TRAINING)
    (asked,) = sent
    assert asked["TrainingJobName"] == TRAINING.name == job.name
    assert asked["RoleArn"] == ROLE
    assert asked["HyperParameters"] == {"sagemaker_program": "train.py", "max_iter": "100", "seed": "7"}
    assert asked["Environment"] == {"BEDPLATE_MODEL": "churn"}
    assert asked["StoppingCondition"]["MaxRuntimeInSeconds"] == 900
    assert asked["OutputDataConfig"]["S3OutputPath"] == "s3://a/training/churn/"
    assert asked["OutputDataConfig"]["KmsKeyId"] == asked["ResourceConfig"]["VolumeKmsKeyId"] == KEY
    assert (asked["ResourceConfig"]["InstanceType"], asked["ResourceConfig"]["InstanceCount"]) == ("ml.m5.xlarge", 1)
    channels = {c["ChannelName"]: c["DataSource"]["S3DataSource"]["S3Uri"] for c in asked["InputDataConfig"]}
    assert channels == TRAINING.channels
    assert {tag["Key"]: tag["Value"] for tag in asked["Tags"]} == TRAINING.tags
    specification = asked["AlgorithmSpecification"]
    assert specification["TrainingImage"] == TRAINING.image_uri
    assert "ContainerEntrypoint" not in specification
    assert {"Name": "train_auc", "Regex": "metric: train_auc=([-+0-9.eE]+)"} in specification["MetricDefinitions"]
    assert len(specification["MetricDefinitions"]) <= 40


def test_a_spot_training_asks_for_spot_with_checkpoints_and_an_ordinary_one_does_not(
    session: Session, sent: list[dict[str, Any]]
) -> None:
    spot = replace(TRAINING, name="spot-1", spot_max_wait_s=1800, checkpoint_uri="s3://a/training/churn/checkpoints/1/")
    SageMakerJobs(session).submit_training(spot)
    SageMakerJobs(session).submit_training(replace(TRAINING, name="on-demand-1"))
    asked, ordinary = sent
    assert asked["EnableManagedSpotTraining"] is True
    assert asked["StoppingCondition"] == {"MaxRuntimeInSeconds": 900, "MaxWaitTimeInSeconds": 1800}
    assert asked["CheckpointConfig"] == {"S3Uri": "s3://a/training/churn/checkpoints/1/"}
    assert not ordinary.get("EnableManagedSpotTraining")
    assert "CheckpointConfig" not in ordinary
    assert "MaxWaitTimeInSeconds" not in ordinary["StoppingCondition"]


def test_a_processing_job_asks_for_what_was_requested(session: Session, sent: list[dict[str, Any]]) -> None:
    SageMakerJobs(session).submit_processing(PROCESSING)
    (asked,) = sent
    assert asked["AppSpecification"] == {"ImageUri": "image", "ContainerEntrypoint": list(PROCESSING.command or ())}
    (given,) = asked["ProcessingInputs"]
    assert (given["S3Input"]["S3Uri"], given["S3Input"]["LocalPath"]) == PROCESSING.inputs["holdout"]
    (made,) = asked["ProcessingOutputConfig"]["Outputs"]
    assert (made["S3Output"]["LocalPath"], made["S3Output"]["S3Uri"]) == PROCESSING.outputs["output"]
    assert asked["ProcessingOutputConfig"]["KmsKeyId"] == KEY
    assert asked["StoppingCondition"] == {"MaxRuntimeInSeconds": 600}


def test_without_a_command_the_image_starts_what_it_starts(session: Session, sent: list[dict[str, Any]]) -> None:
    SageMakerJobs(session).submit_processing(replace(PROCESSING, command=None, kms_key_arn=None))
    assert sent[0]["AppSpecification"] == {"ImageUri": "image"}


def test_jobs_that_do_not_exist_are_not_found(session: Session) -> None:
    jobs = SageMakerJobs(session)
    with pytest.raises(NotFound, match="nope"):
        jobs.training("nope")
    with pytest.raises(NotFound, match="nope"):
        jobs.processing("nope")


def test_a_log_is_empty_until_the_job_speaks_and_is_then_read_on_where_it_was_left(session: Session) -> None:
    jobs, logs = SageMakerJobs(session), session.client("logs")
    assert jobs.log_lines("j", kind="training") == ()
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs")
    assert jobs.log_lines("j", kind="training") == ()
    stream = {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamName": "j/algo-1"}
    logs.create_log_stream(**stream)

    def speak(*lines: str) -> None:
        logs.put_log_events(**stream, logEvents=[{"timestamp": int(time.time() * 1000), "message": x} for x in lines])

    speak("one", "two")
    assert jobs.log_lines("j", kind="training") == ("one", "two")
    speak("three")
    assert jobs.log_lines("j", kind="training", after=2) == ("three",)
    assert jobs.log_lines("j", kind="training") == ("one", "two", "three")
