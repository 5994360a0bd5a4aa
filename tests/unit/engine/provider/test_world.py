"""What the provider sees when somebody else was at work, and what it does when the world says no."""

from __future__ import annotations

from typing import Any

import pytest

from bedplate.engine.protocol import INTENT_TAG, DiffChanges, OperationRejected, PartialFailure
from bedplate.engine.provider.aws import AwsProvider
from bedplate.engine.provider.cloud import Cloud
from bedplate.errors import PlatformError

from .cases import CASES, READ, TAGS, text
from .conftest import Applied, Apply

BY_NAME = {str(case): case for case in CASES}


@pytest.fixture
def made(apply: Apply, ground: dict[str, str]) -> Any:
    """A resource of a case, gone again after the test."""
    things: list[Applied] = []

    def make(name: str, **changes: Any) -> Applied:
        case = BY_NAME[name]
        tags = {"tags": TAGS} if case.tags else {}
        things.append(apply(case.type, {**case.inputs(ground), **tags, **changes}))
        return things[-1]

    yield make
    for thing in reversed(things):
        thing.delete()


# --- drift ----------------------------------------------------------------------------------------------------------


def drifted(thing: Applied) -> dict[str, tuple[Any, Any]]:
    diff = thing.drift()
    assert diff.changes == DiffChanges.SOME
    return dict(diff.detailed)


def test_a_changed_threshold_is_seen(made: Any, cloud: Cloud) -> None:
    alarm = made("MetricAlarm")
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocation5XXErrors", "Statistic": "Average"}
    when = {"Period": 60, "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 0.9}
    cloud.call("cloudwatch", "PutMetricAlarm", AlarmName=alarm.id, TreatMissingData="notBreaching", **metric, **when)
    found = drifted(alarm)
    assert found["threshold"] == (0.9, 0.01)
    assert "alarmActions" in found  # the second put left them out


def test_a_tag_added_by_hand_is_seen_and_taken_away(made: Any, cloud: Cloud) -> None:
    model = made("Model")
    cloud.call("sagemaker", "AddTags", ResourceArn=model.outputs["arn"], Tags=[{"Key": "By", "Value": "hand"}])
    assert drifted(model) == {"tags.By": ("hand", None)}
    found = model.read()
    wanted, model.inputs, model.outputs = model.inputs, found.inputs, found.outputs
    model.update(wanted)
    model.assert_no_drift()


def test_a_bucket_made_public_by_hand_is_seen(made: Any, cloud: Cloud) -> None:
    block = made("BucketPublicAccessBlock")
    off = {
        "BlockPublicAcls": False,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": False,
        "RestrictPublicBuckets": False,
    }
    cloud.call("s3", "PutPublicAccessBlock", Bucket=block.id, PublicAccessBlockConfiguration=off)
    assert drifted(block) == {"blockPublicAcls": (False, True)}


def test_a_statement_added_to_a_policy_is_seen(made: Any, cloud: Cloud) -> None:
    policy = made("RolePolicy")
    wider = text(READ, {"Effect": "Allow", "Action": "*", "Resource": "*"})
    cloud.call("iam", "PutRolePolicy", RoleName="ground", PolicyName="case", PolicyDocument=wider)
    assert list(drifted(policy)) == ["policy"]


def test_a_budget_raised_by_hand_is_seen(made: Any, cloud: Cloud) -> None:
    budget = made("Budget")
    held = cloud.call("budgets", "DescribeBudget", AccountId=cloud.account_id, BudgetName="case")["Budget"]
    raised = {k: v for k, v in held.items() if k in ("BudgetName", "BudgetType", "TimeUnit", "CostFilters")}
    raised["BudgetLimit"] = {"Amount": "1000", "Unit": "USD"}
    cloud.call("budgets", "UpdateBudget", AccountId=cloud.account_id, NewBudget=raised)
    assert drifted(budget)["limitAmount"][1] == "0.01"


def test_an_endpoint_that_another_release_serves_is_seen(made: Any, cloud: Cloud, ground: dict[str, str]) -> None:
    endpoint = made("Endpoint")
    cloud.call("sagemaker", "UpdateEndpoint", EndpointName="case", EndpointConfigName=ground["config_2"])
    cloud.wait("switch", lambda: endpoint.read().inputs["endpointConfigName"] == ground["config_2"])
    assert drifted(endpoint)["endpointConfigName"] == (ground["config_2"], ground["config"])


def test_a_resource_deleted_by_hand_is_gone(made: Any, cloud: Cloud) -> None:
    rule = made("EventRule")
    cloud.call("events", "DeleteRule", Name="case")
    assert rule.read().id is None


def test_a_key_that_waits_for_its_deletion_is_gone(made: Any) -> None:
    key = made("Key")
    key.delete()
    assert key.read().id is None


# --- importing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["Bucket", "Model", "EndpointConfiguration", "Role", "Budget", "EventRule", "Topic", "MetricAlarm", "Key"]
)
def test_an_import_says_what_a_program_would_have_to(name: str, made: Any, provider: AwsProvider) -> None:
    thing = made(name)
    found = provider.read(thing.urn, thing.id, thing.type, {}, {})
    assert found.id == thing.id
    assert found.inputs["tags"] == TAGS
    named = next((k for k in ("name", "bucket") if k in thing.inputs), None)
    assert named is None or found.inputs[named] == thing.inputs[named]


# --- refusals -------------------------------------------------------------------------------------------------------


def test_somebody_elses_bucket_is_not_taken_over(made: Any, apply: Apply) -> None:
    made("Bucket")
    with pytest.raises(OperationRejected, match="exists already"):
        apply("aws:s3/bucket:Bucket", {"bucket": "case-bucket"})


def test_a_second_of_the_same_name_is_refused(made: Any) -> None:
    made("Model")
    with pytest.raises(OperationRejected):
        made("Model")


def test_what_cannot_change_in_place_is_refused(made: Any) -> None:
    model = made("Model")
    with pytest.raises(OperationRejected, match="executionRoleArn"):
        model.update({**model.inputs, "executionRoleArn": "arn:aws:iam::123456789012:role/other"})


def test_a_full_bucket_is_kept_unless_it_may_be_destroyed(made: Any, cloud: Cloud) -> None:
    bucket = made("Bucket", forceDestroy=False)
    cloud.call("s3", "PutObject", Bucket=bucket.id, Key="k", Body=b"1")
    with pytest.raises(OperationRejected, match="BucketNotEmpty"):
        bucket.delete()
    bucket.inputs = {**bucket.inputs, "forceDestroy": True}


def test_force_destroy_empties_every_version_and_delete_marker(made: Any, cloud: Cloud) -> None:
    bucket = made("Bucket")
    cloud.call("s3", "PutBucketVersioning", Bucket=bucket.id, VersioningConfiguration={"Status": "Enabled"})
    for i in range(3):
        cloud.call("s3", "PutObject", Bucket=bucket.id, Key="k", Body=str(i).encode())
    cloud.call("s3", "DeleteObject", Bucket=bucket.id, Key="k")
    bucket.delete()
    assert bucket.read().id is None


def test_an_endpoint_that_never_serves_is_partly_done(apply: Apply, ground: dict[str, str], cloud: Cloud) -> None:
    endpoint = apply(
        "aws:sagemaker/endpoint:Endpoint", {"name": "late", "endpointConfigName": ground["config"]}, create=False
    )
    ticks = iter(range(10_000, 10_000_000, 10_000))
    impatient = Cloud(cloud.endpoint_url, cloud.region, sleep=lambda _: None, clock=lambda: float(next(ticks)))
    status: dict[str, str] = {"EndpointStatus": "Creating"}
    impatient.call = lambda service, operation, **params: (  # type: ignore[method-assign]
        status if operation == "DescribeEndpoint" else cloud.call(service, operation, **params)
    )
    endpoint.provider = AwsProvider(impatient)
    with pytest.raises(PartialFailure, match="took longer") as raised:
        endpoint.create()
    assert raised.value.id == "late"
    endpoint.provider, endpoint.id, endpoint.outputs = AwsProvider(cloud), "late", raised.value.outputs
    endpoint.delete()


def test_a_platform_that_does_not_answer_is_no_refusal(ground: dict[str, str]) -> None:
    nobody = AwsProvider(Cloud("http://127.0.0.1:9", "us-east-1"))
    with pytest.raises(PlatformError):
        nobody.create("urn::x", "aws:sns/topic:Topic", {"name": "x"}, False, "intent")


# --- kills ----------------------------------------------------------------------------------------------------------


def test_a_bucket_killed_before_its_tags_is_found(apply: Apply, provider: AwsProvider, cloud: Cloud) -> None:
    bucket = apply("aws:s3/bucket:Bucket", {"bucket": "half-made"}, create=False)
    cloud.call("s3", "CreateBucket", Bucket="half-made")
    assert provider.find_by_intent(bucket.type, bucket.intent, bucket.inputs) == "half-made"
    tagged = {"TagSet": [{"Key": INTENT_TAG, "Value": "somebody else's"}]}
    cloud.call("s3", "PutBucketTagging", Bucket="half-made", Tagging=tagged)
    assert provider.find_by_intent(bucket.type, bucket.intent, bucket.inputs) is None
    cloud.call("s3", "DeleteBucket", Bucket="half-made")


def test_two_keys_of_one_program_are_told_apart_by_intent(made: Any, provider: AwsProvider) -> None:
    first, second = made("Key"), made("Key")
    assert first.id != second.id
    assert provider.find_by_intent(first.type, first.intent, first.inputs) == first.id
    assert provider.find_by_intent(first.type, second.intent, first.inputs) == second.id
    assert provider.find_by_intent(first.type, "nobody", first.inputs) is None
