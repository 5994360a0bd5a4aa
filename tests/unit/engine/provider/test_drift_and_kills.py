"""The provider on a running local platform: drift, imports, rejected requests, and creates that were killed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bedplate.engine.protocol import INTENT_TAG, DiffChanges, OperationRejected, PartialFailure
from bedplate.engine.provider.aws_provider import AwsProvider
from bedplate.engine.provider.clients import AwsClients
from bedplate.errors import PlatformError

from .cases import CASES, READ, TAGS, policy_text
from .conftest import AppliedResource, Apply

BY_NAME = {str(case): case for case in CASES}


@pytest.fixture
def create(apply: Apply, shared_resources: dict[str, str]) -> Iterator[Apply]:
    """Creates the resource of a case, and deletes it after the test."""
    resources: list[AppliedResource] = []

    def create_case(name: str, **changes: Any) -> AppliedResource:
        case = BY_NAME[name]
        tags = {"tags": TAGS} if case.has_tags else {}
        resources.append(apply(case.type, {**case.inputs(shared_resources), **tags, **changes}))
        return resources[-1]

    yield create_case
    for resource in reversed(resources):
        resource.delete()


# --- drift ----------------------------------------------------------------------------------------------------------


def list_drift(resource: AppliedResource) -> dict[str, tuple[Any, Any]]:
    diff = resource.drift()
    assert diff.changes == DiffChanges.SOME
    return dict(diff.detailed_diff)


def test_a_changed_threshold_is_drift(create: Apply, aws: AwsClients) -> None:
    alarm = create("MetricAlarm")
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocation5XXErrors", "Statistic": "Average"}
    when = {"Period": 60, "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 0.9}
    aws.call("cloudwatch", "PutMetricAlarm", AlarmName=alarm.id, TreatMissingData="notBreaching", **metric, **when)
    drift = list_drift(alarm)
    assert drift["threshold"] == (0.9, 0.01)
    assert "alarmActions" in drift  # the second put has removed them


def test_a_tag_added_by_hand_is_drift_and_is_removed(create: Apply, aws: AwsClients) -> None:
    model = create("Model")
    aws.call("sagemaker", "AddTags", ResourceArn=model.outputs["arn"], Tags=[{"Key": "By", "Value": "hand"}])
    assert list_drift(model) == {"tags.By": ("hand", None)}
    live = model.read()
    declared, model.inputs, model.outputs = model.inputs, live.inputs, live.outputs
    model.update(declared)
    model.assert_no_drift()


def test_a_bucket_made_public_by_hand_is_drift(create: Apply, aws: AwsClients) -> None:
    block = create("BucketPublicAccessBlock")
    off = {
        "BlockPublicAcls": False,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": False,
        "RestrictPublicBuckets": False,
    }
    aws.call("s3", "PutPublicAccessBlock", Bucket=block.id, PublicAccessBlockConfiguration=off)
    assert list_drift(block) == {"blockPublicAcls": (False, True)}


def test_a_statement_added_to_a_policy_is_drift(create: Apply, aws: AwsClients) -> None:
    policy = create("RolePolicy")
    wider_policy = policy_text(READ, {"Effect": "Allow", "Action": "*", "Resource": "*"})
    aws.call("iam", "PutRolePolicy", RoleName="shared", PolicyName="case", PolicyDocument=wider_policy)
    assert list(list_drift(policy)) == ["policy"]


def test_a_budget_raised_by_hand_is_drift(create: Apply, aws: AwsClients) -> None:
    budget = create("Budget")
    current = aws.call("budgets", "DescribeBudget", AccountId=aws.account_id, BudgetName="case")["Budget"]
    raised = {k: v for k, v in current.items() if k in ("BudgetName", "BudgetType", "TimeUnit", "CostFilters")}
    raised["BudgetLimit"] = {"Amount": "1000", "Unit": "USD"}
    aws.call("budgets", "UpdateBudget", AccountId=aws.account_id, NewBudget=raised)
    assert list_drift(budget)["limitAmount"][1] == "0.01"


def test_an_endpoint_with_another_release_is_drift(
    create: Apply, aws: AwsClients, shared_resources: dict[str, str]
) -> None:
    endpoint = create("Endpoint")
    aws.call("sagemaker", "UpdateEndpoint", EndpointName="case", EndpointConfigName=shared_resources["config_2"])
    aws.wait_until("switch", lambda: endpoint.read().inputs["endpointConfigName"] == shared_resources["config_2"])
    assert list_drift(endpoint)["endpointConfigName"] == (shared_resources["config_2"], shared_resources["config"])


def test_a_resource_deleted_by_hand_does_not_exist(create: Apply, aws: AwsClients) -> None:
    rule = create("EventRule")
    aws.call("events", "DeleteRule", Name="case")
    assert rule.read().id is None


def test_a_key_scheduled_for_deletion_does_not_exist(create: Apply) -> None:
    key = create("Key")
    key.delete()
    assert key.read().id is None


# --- importing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["Bucket", "Model", "EndpointConfiguration", "Role", "Budget", "EventRule", "Topic", "MetricAlarm", "Key"]
)
def test_an_import_returns_the_inputs_that_a_program_declares(name: str, create: Apply, provider: AwsProvider) -> None:
    resource = create(name)
    live = provider.read(resource.urn, resource.id, resource.type, {}, {})
    assert live.id == resource.id
    assert live.inputs["tags"] == TAGS
    name_property = next((k for k in ("name", "bucket") if k in resource.inputs), None)
    assert name_property is None or live.inputs[name_property] == resource.inputs[name_property]


# --- rejections -----------------------------------------------------------------------------------------------------


def test_an_existing_bucket_is_not_adopted(create: Apply, apply: Apply) -> None:
    create("Bucket")
    with pytest.raises(OperationRejected, match="already exists"):
        apply("aws:s3/bucket:Bucket", {"bucket": "case-bucket"})


def test_a_second_resource_of_the_same_name_is_rejected(create: Apply) -> None:
    create("Model")
    with pytest.raises(OperationRejected):
        create("Model")


def test_an_update_of_an_immutable_property_is_rejected(create: Apply) -> None:
    model = create("Model")
    with pytest.raises(OperationRejected, match="executionRoleArn"):
        model.update({**model.inputs, "executionRoleArn": "arn:aws:iam::123456789012:role/other"})


def test_a_bucket_with_objects_is_deleted_only_with_force_destroy(create: Apply, aws: AwsClients) -> None:
    bucket = create("Bucket", forceDestroy=False)
    aws.call("s3", "PutObject", Bucket=bucket.id, Key="k", Body=b"1")
    with pytest.raises(OperationRejected, match="BucketNotEmpty"):
        bucket.delete()
    bucket.inputs = {**bucket.inputs, "forceDestroy": True}


def test_force_destroy_empties_every_version_and_delete_marker(create: Apply, aws: AwsClients) -> None:
    bucket = create("Bucket")
    aws.call("s3", "PutBucketVersioning", Bucket=bucket.id, VersioningConfiguration={"Status": "Enabled"})
    for i in range(3):
        aws.call("s3", "PutObject", Bucket=bucket.id, Key="k", Body=str(i).encode())
    aws.call("s3", "DeleteObject", Bucket=bucket.id, Key="k")
    bucket.delete()
    assert bucket.read().id is None


def test_an_endpoint_that_is_never_in_service_is_a_partial_failure(
    apply: Apply, shared_resources: dict[str, str], aws: AwsClients
) -> None:
    endpoint = apply(
        "aws:sagemaker/endpoint:Endpoint",
        {"name": "late", "endpointConfigName": shared_resources["config"]},
        create=False,
    )
    ticks = iter(range(10_000, 10_000_000, 10_000))
    timed_out = AwsClients(aws.endpoint_url, aws.region, sleep=lambda _: None, clock=lambda: float(next(ticks)))
    status: dict[str, str] = {"EndpointStatus": "Creating"}
    timed_out.call = lambda service, operation, **params: (  # type: ignore[method-assign]
        status if operation == "DescribeEndpoint" else aws.call(service, operation, **params)
    )
    endpoint.provider = AwsProvider(timed_out)
    with pytest.raises(PartialFailure, match="took longer") as raised:
        endpoint.create()
    assert raised.value.id == "late"
    endpoint.provider, endpoint.id, endpoint.outputs = AwsProvider(aws), "late", raised.value.outputs
    endpoint.delete()


def test_an_unreachable_platform_is_not_a_rejection(shared_resources: dict[str, str]) -> None:
    unreachable = AwsProvider(AwsClients("http://127.0.0.1:9", "us-east-1"))
    with pytest.raises(PlatformError):
        unreachable.create("urn::x", "aws:sns/topic:Topic", {"name": "x"}, False, "intent")


# --- kills ----------------------------------------------------------------------------------------------------------


def test_a_bucket_from_a_create_killed_before_its_tags_is_found(
    apply: Apply, provider: AwsProvider, aws: AwsClients
) -> None:
    bucket = apply("aws:s3/bucket:Bucket", {"bucket": "half-created"}, create=False)
    aws.call("s3", "CreateBucket", Bucket="half-created")
    assert provider.find_by_intent(bucket.type, bucket.intent, bucket.inputs) == "half-created"
    tagged = {"TagSet": [{"Key": INTENT_TAG, "Value": "somebody else's"}]}
    aws.call("s3", "PutBucketTagging", Bucket="half-created", Tagging=tagged)
    assert provider.find_by_intent(bucket.type, bucket.intent, bucket.inputs) is None
    aws.call("s3", "DeleteBucket", Bucket="half-created")


def test_equal_keys_are_distinguished_by_intent(create: Apply, provider: AwsProvider) -> None:
    first, second = create("Key"), create("Key")
    assert first.id != second.id
    assert provider.find_by_intent(first.type, first.intent, first.inputs) == first.id
    assert provider.find_by_intent(first.type, second.intent, first.inputs) == second.id
    assert provider.find_by_intent(first.type, "another intent", first.inputs) is None
