"""Destroy with all that a life has left behind, and what is told of what it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from standing_stack import Site, at_home, start_site

pytestmark = pytest.mark.filterwarnings("ignore:.* has been deprecated in favor of:DeprecationWarning")
ACCOUNT = "123456789012"
TAGS = [{"Key": "Project", "Value": "bedplate"}, {"Key": "Stack", "Value": "local"}]
PURPOSES = ("artifacts", "data", "capture", "ledger")


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[Site]:
    with start_site(tmp_path) as made, at_home(tmp_path):
        yield made


def arn(rest: str) -> str:
    return f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:{rest}"


def test_protected_data_is_lost_only_when_somebody_says_so_and_what_stays_is_told(doomed: Site) -> None:
    doomed.configure(storage={"force_destroy": False})
    assert doomed.run("up", "--yes").code == 0
    s3, sagemaker = doomed.client("s3"), doomed.client("sagemaker")
    for purpose in PURPOSES:
        for text in (b"one", b"two"):
            s3.put_object(Bucket=f"bedplate-local-{purpose}-{ACCOUNT}", Key="some/thing.json", Body=text)
    group = "bedplate-local-churn"
    sagemaker.create_model_package(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    a_job(sagemaker, "bedplate-local-churn-1")
    by_hand = "bedplate-local-by-hand"
    doomed.client("cloudwatch").put_composite_alarm(AlarmName=by_hand, AlarmRule="FALSE", Tags=TAGS)

    refused = doomed.run("destroy", "--yes")
    assert refused.code == 2, refused.stdout
    assert "protects its data (storage.force_destroy is false) and holds 1 version" in refused.stderr
    assert "1 record of the ledger" in refused.stderr
    assert "--including-data, which loses all of it for ever" in refused.stderr
    assert s3.get_object(Bucket=f"bedplate-local-ledger-{ACCOUNT}", Key="some/thing.json")["Body"].read() == b"two"

    told = doomed.run("destroy", "--including-data", "--yes", "--json")
    assert told.code == 0, told.stderr
    assert s3.list_buckets()["Buckets"] == []
    assert sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    assert sagemaker.list_endpoints()["Endpoints"] == []
    stays = {each["arn"]: each["removal"] for each in told.json["remaining"] if ":kms:" not in each["arn"]}
    alarm, job = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:{by_hand}", arn("training-job/bedplate-local-churn-1")
    assert set(stays) == {alarm, job}
    assert stays[alarm] == f"aws cloudwatch delete-alarms --alarm-names {by_hand}"
    assert "aws sagemaker delete-training-job --training-job-name bedplate-local-churn-1" in stays[job]

    again = doomed.run("destroy", "--including-data", "--yes")
    assert again.code == 0, again.stderr
    assert "Job records remain, which cost nothing: 1 training job" in again.stdout
    assert "delete-alarms" in again.stdout


def a_job(sagemaker: Any, name: str) -> None:
    """A training that fails at once, as its image is no image of ours; its record stays."""
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/bedplate-local-execution",
        AlgorithmSpecification={"TrainingImage": "i", "TrainingInputMode": "File"},
        OutputDataConfig={"S3OutputPath": "s3://b/o"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
        Tags=TAGS,
    )
