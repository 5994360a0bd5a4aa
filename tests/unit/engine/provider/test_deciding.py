"""What the provider decides without asking the platform: names, differences, replacements, translations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedplate.engine.protocol import UNKNOWN, DiffChanges
from bedplate.engine.provider import provider_factory, shapes
from bedplate.engine.provider.aws import AwsProvider
from bedplate.engine.provider.cloud import Cloud
from bedplate.errors import UsageError

NOWHERE = "http://127.0.0.1:9"
CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
MODEL = "aws:sagemaker/model:Model"
ROLE, OTHER_ROLE = "arn:aws:iam::123456789012:role/one", "arn:aws:iam::123456789012:role/two"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


@pytest.fixture(scope="module")
def offline() -> AwsProvider:
    return AwsProvider(Cloud(NOWHERE, "us-east-1"))


def urn(type: str, name: str = "churn-v0") -> str:
    return f"urn:pulumi:test::shop::{type}::{name}"


def checked(provider: AwsProvider, type: str, olds: Any, news: Any, seed: bytes = b"1" * 32) -> dict[str, Any]:
    result = provider.check(urn(type), type, olds, news, seed)
    assert result.failures == ()
    return result.inputs


# --- names ----------------------------------------------------------------------------------------------------------


def test_a_made_up_name_comes_from_the_seed_and_is_kept(offline: AwsProvider) -> None:
    first = checked(offline, MODEL, None, {"executionRoleArn": ROLE})
    assert first["name"].startswith("churn-v0-")
    assert len(first["name"]) == len("churn-v0-1234567")
    assert checked(offline, MODEL, None, {"executionRoleArn": ROLE})["name"] == first["name"]
    assert checked(offline, MODEL, None, {"executionRoleArn": ROLE}, b"2" * 32)["name"] != first["name"]
    assert checked(offline, MODEL, first, {"executionRoleArn": OTHER_ROLE}, b"2" * 32)["name"] == first["name"]


def test_a_long_logical_name_is_cut_to_what_the_service_takes(offline: AwsProvider) -> None:
    result = offline.check(urn(MODEL, "x" * 80), MODEL, None, {"executionRoleArn": ROLE}, b"1" * 32)
    assert len(result.inputs["name"]) == 63
    again = offline.check(urn(MODEL, "x" * 80), MODEL, result.inputs, {"executionRoleArn": ROLE}, b"2" * 32)
    assert again.inputs["name"] == result.inputs["name"]


def test_giving_up_a_name_of_ones_own_makes_a_new_one(offline: AwsProvider) -> None:
    olds = checked(offline, MODEL, None, {"name": "mine", "executionRoleArn": ROLE})
    assert checked(offline, MODEL, olds, {"executionRoleArn": ROLE})["name"] != "mine"


# --- differences ----------------------------------------------------------------------------------------------------


def differ(provider: AwsProvider, type: str, old: dict[str, Any], new: dict[str, Any]) -> Any:
    return provider.diff(urn(type), "id", type, old, old, new, ())


def test_what_is_to_be_ignored_is_no_difference_even_when_it_is_not_known_yet(offline: AwsProvider) -> None:
    type = "aws:sagemaker/endpoint:Endpoint"
    old, tags = {"name": "e", "endpointConfigName": "v0", "tags": {"a": "1"}}, {"a": "2"}
    for config in ("v1", UNKNOWN):
        new = {**old, "endpointConfigName": config}
        ignoring = offline.diff(urn(type), "e", type, old, old, new, ("endpointConfigName",))
        assert ignoring.changes == DiffChanges.NONE
        assert differ(offline, type, old, new).diffs == ("endpointConfigName",)
    changed = {**old, "endpointConfigName": "v1", "tags": tags}
    assert offline.diff(urn(type), "e", type, old, old, changed, ("endpointConfigName",)).diffs == ("tags.a",)


def test_what_means_the_same_is_no_difference(offline: AwsProvider) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Action": ["a", "b"], "Effect": "Allow"}]}
    spelled = {"Statement": {"Effect": "Allow", "Action": ["b", "a"]}, "Version": "2012-10-17"}
    old = {"role": "r", "policy": json.dumps(policy, indent=2)}
    assert (
        differ(offline, "aws:iam/rolePolicy:RolePolicy", old, {**old, "policy": json.dumps(spelled)}).changes == "none"
    )
    budget = {"name": "b", "limitAmount": "2500.0"}
    assert (
        differ(offline, "aws:budgets/budget:Budget", budget, {**budget, "limitAmount": "2500.00"}).changes
        == DiffChanges.NONE
    )


def test_a_nested_change_is_named_by_its_path(offline: AwsProvider) -> None:
    old = {"name": "c", "productionVariants": [{"variantName": "live", "initialInstanceCount": 1}]}
    new = {"name": "c", "productionVariants": [{"variantName": "live", "initialInstanceCount": 2}]}
    diff = differ(offline, CONFIG, old, new)
    assert diff.diffs == ("productionVariants[0].initialInstanceCount",)
    assert diff.replaces == diff.diffs
    assert diff.detailed["productionVariants[0].initialInstanceCount"] == (1, 2)


def test_tags_never_replace(offline: AwsProvider) -> None:
    diff = differ(offline, CONFIG, {"name": "c", "tags": {"a.b": "1"}}, {"name": "c", "tags": {"a.b": "2"}})
    assert diff.diffs == ('tags["a.b"]',)
    assert diff.replaces == ()


def test_an_unknown_value_is_a_change(offline: AwsProvider) -> None:
    diff = differ(offline, ALARM, {"name": "a", "alarmActions": ["x"]}, {"name": "a", "alarmActions": [UNKNOWN]})
    assert diff.changes == DiffChanges.SOME


def test_a_fixed_name_is_deleted_before_its_replacement_and_a_made_up_one_after(offline: AwsProvider) -> None:
    fixed = {"name": "mine", "executionRoleArn": ROLE}
    assert differ(offline, MODEL, fixed, {**fixed, "executionRoleArn": OTHER_ROLE}).delete_before_replace
    assert not differ(offline, MODEL, fixed, {**fixed, "name": "other"}).delete_before_replace
    made_up = {"name": "churn-v0-1a2b3c4", "executionRoleArn": ROLE}
    assert not differ(offline, MODEL, made_up, {**made_up, "executionRoleArn": OTHER_ROLE}).delete_before_replace
    key = {"keyUsage": "ENCRYPT_DECRYPT"}
    assert not differ(offline, "aws:kms/key:Key", key, {"keyUsage": "SIGN_VERIFY"}).delete_before_replace


# --- refusals before anything is touched ------------------------------------------------------------------------------


def failures(provider: AwsProvider, type: str, news: dict[str, Any]) -> str:
    return " ".join(
        f"{f.property}: {f.reason}" for f in provider.check(urn(type), type, None, news, b"1" * 32).failures
    )


def test_an_unknown_member_deep_inside_is_named(offline: AwsProvider) -> None:
    said = failures(offline, MODEL, {"executionRoleArn": ROLE, "primaryContainer": {"image": "i", "colour": "red"}})
    assert "primaryContainer.colour" in said


def test_what_aws_requires_is_missed_at_once(offline: AwsProvider) -> None:
    role = "aws:iam/role:Role"
    assert "AssumeRolePolicyDocument" in failures(offline, role, {"name": "a"})
    assert failures(offline, role, {"name": "a", "assumeRolePolicy": UNKNOWN}) == ""  # not judged before it is known


def test_another_region_is_refused(offline: AwsProvider) -> None:
    assert "region" in failures(offline, MODEL, {"executionRoleArn": ROLE, "region": "eu-west-1"})
    with pytest.raises(UsageError, match="eu-west-1"):
        offline.configure({"region": "eu-west-1"})


def test_an_unknown_type_and_an_unknown_function_are_refused(offline: AwsProvider) -> None:
    with pytest.raises(UsageError, match="aws:ec2/instance:Instance"):
        offline.check(urn("aws:ec2/instance:Instance"), "aws:ec2/instance:Instance", None, {}, b"")
    with pytest.raises(UsageError, match="getAmi"):
        offline.invoke("aws:ec2/getAmi:getAmi", {})


def test_an_endpoint_off_this_machine_is_refused() -> None:
    for url in ("https://sagemaker.us-east-1.amazonaws.com", "http://10.0.0.1:4566", "http://127.0.0.1.example.com"):
        with pytest.raises(UsageError, match="only to this machine"):
            provider_factory(url, "us-east-1")


def test_another_package_is_refused() -> None:
    with pytest.raises(UsageError, match="random"):
        provider_factory(NOWHERE, "us-east-1")("random")


# --- translations -----------------------------------------------------------------------------------------------------


def shape(service: str, operation: str, *path: str) -> Any:
    found = Cloud(NOWHERE, "us-east-1").operation(service, operation).input_shape
    for name in path:
        found = found.members[name]
    return found


def test_values_take_the_shape_that_aws_expects() -> None:
    alarm = shape("cloudwatch", "PutMetricAlarm")
    lowered = shapes.lower({"dimensions": {"EndpointName": "e"}, "period": "60", "threshold": 1}, alarm, "")
    assert lowered == {"Dimensions": [{"Name": "EndpointName", "Value": "e"}], "Period": 60, "Threshold": 1.0}
    outputs = shape("sagemaker", "CreateDataQualityJobDefinition", "DataQualityJobOutputConfig")
    said = {"monitoringOutputs": {"s3Output": {"s3Uri": "s3://b", "localPath": "/p"}}}
    assert shapes.lower(said, outputs, "") == {
        "MonitoringOutputs": [{"S3Output": {"S3Uri": "s3://b", "LocalPath": "/p"}}]
    }
    scanning = shape("ecr", "CreateRepository", "encryptionConfiguration")
    assert shapes.lower([{"encryptionType": "KMS"}], scanning, "") == {"encryptionType": "KMS"}
    with pytest.raises(shapes.UnknownMember):
        shapes.lower([{"encryptionType": "KMS"}, {"encryptionType": "AES256"}], scanning, "")


def test_what_comes_back_in_another_order_is_the_same_and_an_extra_element_is_not() -> None:
    targets = shape("cloudwatch", "PutMetricAlarm", "AlarmActions")
    assert shapes.lift(["a", "b"], ["b", "a"], targets) == ["a", "b"]
    assert shapes.lift(["a", "b"], ["b", "a", "c"], targets) == ["a", "b", "c"]
    assert shapes.lift(["a", "b"], ["b"], targets) == ["b"]
    assert shapes.lift([], None, targets) == []
    assert shapes.lift(["a"], None, targets) is None


def test_functions_answer_as_the_real_provider_does(offline: AwsProvider) -> None:
    assert offline.invoke("aws:index/getRegion:getRegion", {})["name"] == "us-east-1"
    assert offline.invoke("aws:index/getPartition:getPartition", {})["partition"] == "aws"
    statement = {
        "actions": ["s3:GetObject"],
        "resources": ["arn:aws:s3:::b/*"],
        "principals": [{"type": "Service", "identifiers": ["sagemaker.amazonaws.com"]}],
        "conditions": [{"test": "StringEquals", "variable": "aws:SourceAccount", "values": ["1"]}],
    }
    text = offline.invoke("aws:iam/getPolicyDocument:getPolicyDocument", {"statements": [statement]})["json"]
    assert json.loads(text)["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::b/*",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Condition": {"StringEquals": {"aws:SourceAccount": "1"}},
        }
    ]
