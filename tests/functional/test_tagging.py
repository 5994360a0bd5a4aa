"""Looking for resources by their tags, over all services, as AWS's tagging API answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Client = Callable[[str], Any]
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"
TAG = {"Key": "Project", "Value": "tagged"}


def found(client: Client, *kinds: str, value: str = "tagged") -> dict[str, dict[str, str]]:
    """Tags by ARN, of what carries the tag; over pages of two."""
    pages = client("resourcegroupstaggingapi").get_paginator("get_resources")
    answer = pages.paginate(
        TagFilters=[{"Key": "Project", "Values": [value]}],
        ResourceTypeFilters=list(kinds),
        ResourcesPerPage=2,
    )
    rows = [row for page in answer for row in page["ResourceTagMappingList"]]
    assert len({row["ResourceARN"] for row in rows}) == len(rows)
    return {row["ResourceARN"]: {t["Key"]: t["Value"] for t in row["Tags"]} for row in rows}


@pytest.fixture
def made(client: Client) -> Client:
    """One of each kind that the platform keeps by itself, all with the same tag; made once."""
    sagemaker, cloudwatch = client("sagemaker"), client("cloudwatch")
    if sagemaker.list_model_package_groups(NameContains="tagged")["ModelPackageGroupSummaryList"]:
        return client
    sagemaker.create_model_package_group(ModelPackageGroupName="tagged", Tags=[TAG])
    container = {"Image": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/i:1"}
    sagemaker.create_model(ModelName="tagged", ExecutionRoleArn=ROLE, PrimaryContainer=container, Tags=[TAG])
    sagemaker.create_model_package_group(ModelPackageGroupName="untagged")
    alarm = {"EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
    metric = {"Namespace": "tagged", "MetricName": "m", "Period": 60, "Statistic": "Sum"}
    cloudwatch.put_metric_alarm(AlarmName="tagged", Tags=[TAG], **alarm, **metric)
    cloudwatch.put_composite_alarm(AlarmName="tagged-both", AlarmRule="ALARM(tagged)", Tags=[TAG])
    client("ecr").create_repository(repositoryName="tagged", tags=[TAG])
    client("s3").create_bucket(Bucket="tagged-trail")
    client("cloudtrail").create_trail(Name="tagged", S3BucketName="tagged-trail", TagsList=[TAG])
    client("sns").create_topic(Name="tagged", Tags=[TAG])
    return client


def of(kind: str) -> str:
    service, _, rest = kind.partition(" ")
    return f"arn:aws:{service}:us-east-1:{ACCOUNT}:{rest}"


EVERYTHING = {
    of("sagemaker model-package-group/tagged"),
    of("sagemaker model/tagged"),
    of("cloudwatch alarm:tagged"),
    of("cloudwatch alarm:tagged-both"),
    of("ecr repository/tagged"),
    of("cloudtrail trail/tagged"),
    of("sns tagged"),
}


def test_what_carries_a_tag_is_found_in_every_service(made: Client) -> None:
    assert set(found(made)) == EVERYTHING
    assert found(made, value="nobody") == {}


@pytest.mark.parametrize(
    ("kinds", "count"),
    [
        (["sagemaker"], 2),
        (["sagemaker:model"], 1),
        (["cloudwatch:alarm"], 2),
        (["ecr:repository", "cloudtrail:trail"], 2),
        (["sagemaker:endpoint"], 0),
    ],
)
def test_kinds_can_be_asked_for(made: Client, kinds: list[str], count: int) -> None:
    assert len(found(made, *kinds)) == count


@pytest.mark.parametrize("kind", ["sagemaker model/tagged", "cloudwatch alarm:tagged", "ecr repository/tagged"])
def test_a_tag_set_across_services_is_the_services_own_tag_until_it_is_taken_off(made: Client, kind: str) -> None:
    tagging, arn = made("resourcegroupstaggingapi"), of(kind)
    assert not tagging.tag_resources(ResourceARNList=[arn], Tags={"Stage": "late"})["FailedResourcesMap"]
    assert found(made)[arn] == {"Project": "tagged", "Stage": "late"}
    assert {"Key": "Stage", "Value": "late"} in own(made, kind, arn)
    assert not tagging.untag_resources(ResourceARNList=[arn], TagKeys=["Stage"])["FailedResourcesMap"]
    assert own(made, kind, arn) == [TAG]


def own(client: Client, kind: str, arn: str) -> list[dict[str, str]]:
    if kind.startswith("sagemaker"):
        return list(client("sagemaker").list_tags(ResourceArn=arn)["Tags"])
    if kind.startswith("ecr"):
        return list(client("ecr").list_tags_for_resource(resourceArn=arn)["tags"])
    return list(client("cloudwatch").list_tags_for_resource(ResourceARN=arn)["Tags"])


def test_what_is_deleted_is_found_no_more(client: Client) -> None:
    sagemaker, cloudwatch = client("sagemaker"), client("cloudwatch")
    tag = [{"Key": "Project", "Value": "passing"}]
    sagemaker.create_model_package_group(ModelPackageGroupName="passing", Tags=tag)
    cloudwatch.put_composite_alarm(AlarmName="passing", AlarmRule="FALSE", Tags=tag)
    assert len(found(client, value="passing")) == 2
    sagemaker.delete_model_package_group(ModelPackageGroupName="passing")
    cloudwatch.delete_alarms(AlarmNames=["passing"])
    assert found(client, value="passing") == {}
