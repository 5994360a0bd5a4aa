"""The Resource Groups Tagging API finds and tags the resources of all services on the local platform."""

from __future__ import annotations

import pytest

from builders import ACCOUNT
from platform_client import ClientFactory

ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"
TAG = {"Key": "Project", "Value": "tagged"}


def find_tagged(client: ClientFactory, *kinds: str, value: str = "tagged") -> dict[str, dict[str, str]]:
    """Returns the tags by ARN of the resources with this Project tag, read in pages of two."""
    paginator = client("resourcegroupstaggingapi").get_paginator("get_resources")
    pages = paginator.paginate(
        TagFilters=[{"Key": "Project", "Values": [value]}],
        ResourceTypeFilters=list(kinds),
        ResourcesPerPage=2,
    )
    rows = [row for page in pages for row in page["ResourceTagMappingList"]]
    assert len({row["ResourceARN"] for row in rows}) == len(rows)
    return {row["ResourceARN"]: {t["Key"]: t["Value"] for t in row["Tags"]} for row in rows}


@pytest.fixture
def tagged_client(client: ClientFactory) -> ClientFactory:
    """Creates one resource of every taggable kind with the same tag, unless an earlier test has."""
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


def arn_of(kind: str) -> str:
    service, _, resource = kind.partition(" ")
    return f"arn:aws:{service}:us-east-1:{ACCOUNT}:{resource}"


EVERYTHING = {
    arn_of("sagemaker model-package-group/tagged"),
    arn_of("sagemaker model/tagged"),
    arn_of("cloudwatch alarm:tagged"),
    arn_of("cloudwatch alarm:tagged-both"),
    arn_of("ecr repository/tagged"),
    arn_of("cloudtrail trail/tagged"),
    arn_of("sns tagged"),
}


def test_tagged_resources_are_listed_from_every_service(tagged_client: ClientFactory) -> None:
    assert set(find_tagged(tagged_client)) == EVERYTHING
    assert find_tagged(tagged_client, value="unused") == {}


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
def test_resources_can_be_filtered_by_type(tagged_client: ClientFactory, kinds: list[str], count: int) -> None:
    assert len(find_tagged(tagged_client, *kinds)) == count


@pytest.mark.parametrize("kind", ["sagemaker model/tagged", "cloudwatch alarm:tagged", "ecr repository/tagged"])
def test_tag_set_by_the_tagging_api_is_the_services_own_tag_until_it_is_removed(
    tagged_client: ClientFactory, kind: str
) -> None:
    tagging, arn = tagged_client("resourcegroupstaggingapi"), arn_of(kind)
    assert not tagging.tag_resources(ResourceARNList=[arn], Tags={"Stage": "late"})["FailedResourcesMap"]
    assert find_tagged(tagged_client)[arn] == {"Project": "tagged", "Stage": "late"}
    assert {"Key": "Stage", "Value": "late"} in list_own_tags(tagged_client, kind, arn)
    assert not tagging.untag_resources(ResourceARNList=[arn], TagKeys=["Stage"])["FailedResourcesMap"]
    assert list_own_tags(tagged_client, kind, arn) == [TAG]


def list_own_tags(client: ClientFactory, kind: str, arn: str) -> list[dict[str, str]]:
    if kind.startswith("sagemaker"):
        return list(client("sagemaker").list_tags(ResourceArn=arn)["Tags"])
    if kind.startswith("ecr"):
        return list(client("ecr").list_tags_for_resource(resourceArn=arn)["tags"])
    return list(client("cloudwatch").list_tags_for_resource(ResourceARN=arn)["Tags"])


def test_deleted_resources_are_no_longer_listed(client: ClientFactory) -> None:
    sagemaker, cloudwatch = client("sagemaker"), client("cloudwatch")
    tag = [{"Key": "Project", "Value": "passing"}]
    sagemaker.create_model_package_group(ModelPackageGroupName="passing", Tags=tag)
    cloudwatch.put_composite_alarm(AlarmName="passing", AlarmRule="FALSE", Tags=tag)
    assert len(find_tagged(client, value="passing")) == 2
    sagemaker.delete_model_package_group(ModelPackageGroupName="passing")
    cloudwatch.delete_alarms(AlarmNames=["passing"])
    assert find_tagged(client, value="passing") == {}
