"""Destroying a stack with data, and the list of what remains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import ACCOUNT
from provisioned_site import Site, site_environment, start_site

pytestmark = pytest.mark.filterwarnings("ignore:.* has been deprecated in favor of:DeprecationWarning")
TAGS = [{"Key": "Project", "Value": "bedplate"}, {"Key": "Stack", "Value": "local"}]
PURPOSES = ("artifacts", "data", "capture", "ledger")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with start_site(tmp_path) as site, site_environment(tmp_path):
        yield site


def test_protected_data_needs_the_flag_and_remaining_resources_are_listed(site: Site) -> None:
    site.configure(storage={"force_destroy": False})
    assert site.run("up", "--yes").code == 0
    s3, sagemaker = site.client("s3"), site.client("sagemaker")
    for purpose in PURPOSES:
        for text in (b"one", b"two"):
            s3.put_object(Bucket=f"bedplate-local-{purpose}-{ACCOUNT}", Key="some/object.json", Body=text)
    group = "bedplate-local-churn"
    sagemaker.create_model_package(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    create_training_job(sagemaker, "bedplate-local-churn-1")
    manual_alarm = "bedplate-local-by-hand"
    site.client("cloudwatch").put_composite_alarm(AlarmName=manual_alarm, AlarmRule="FALSE", Tags=TAGS)

    refusal = site.run("destroy", "--yes")
    assert refusal.code == 2, refusal.stdout
    assert "protects its data (storage.force_destroy is false) and holds 1 version" in refusal.stderr
    assert "1 record of the ledger" in refusal.stderr
    assert "--including-data, which deletes all of it permanently" in refusal.stderr
    assert s3.get_object(Bucket=f"bedplate-local-ledger-{ACCOUNT}", Key="some/object.json")["Body"].read() == b"two"

    destroyed = site.run("destroy", "--including-data", "--yes", "--json")
    assert destroyed.code == 0, destroyed.stderr
    assert s3.list_buckets()["Buckets"] == []
    assert sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    assert sagemaker.list_endpoints()["Endpoints"] == []
    remaining = {r["arn"]: r["removal"] for r in destroyed.json["remaining"] if ":kms:" not in r["arn"]}
    alarm = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:{manual_alarm}"
    job = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job/bedplate-local-churn-1"
    assert set(remaining) == {alarm, job}
    assert remaining[alarm] == f"aws cloudwatch delete-alarms --alarm-names {manual_alarm}"
    assert "aws sagemaker delete-training-job --training-job-name bedplate-local-churn-1" in remaining[job]

    repeated = site.run("destroy", "--including-data", "--yes")
    assert repeated.code == 0, repeated.stderr
    assert "Job records remain, which cost nothing: 1 training job" in repeated.stdout
    assert "delete-alarms" in repeated.stdout


def create_training_job(sagemaker: Any, name: str) -> None:
    """Creates a training job that fails at once, because its image is unknown; its record remains."""
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/bedplate-local-execution",
        AlgorithmSpecification={"TrainingImage": "i", "TrainingInputMode": "File"},
        OutputDataConfig={"S3OutputPath": "s3://b/o"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
        Tags=TAGS,
    )
