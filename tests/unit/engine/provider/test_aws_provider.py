"""What the provider decides without calling AWS: names, differences, replacements, check failures, conversions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedplate.engine.protocol import UNKNOWN, DiffChanges
from bedplate.engine.provider import provider_factory, shapes
from bedplate.engine.provider.aws_provider import AwsProvider
from bedplate.engine.provider.clients import AwsClients
from bedplate.errors import UsageError

UNREACHABLE_URL = "http://127.0.0.1:9"
ENDPOINT_CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
MODEL = "aws:sagemaker/model:Model"
ROLE, OTHER_ROLE = "arn:aws:iam::123456789012:role/one", "arn:aws:iam::123456789012:role/two"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


@pytest.fixture(scope="module")
def offline() -> AwsProvider:
    return AwsProvider(AwsClients(UNREACHABLE_URL, "us-east-1"))


def build_urn(type: str, name: str = "churn-v0") -> str:
    return f"urn:pulumi:test::shop::{type}::{name}"


def check_inputs(provider: AwsProvider, type: str, olds: Any, news: Any, seed: bytes = b"1" * 32) -> dict[str, Any]:
    result = provider.check(build_urn(type), type, olds, news, seed)
    assert result.failures == ()
    return result.inputs


# --- names ----------------------------------------------------------------------------------------------------------


def test_a_generated_name_depends_on_the_seed_and_is_kept(offline: AwsProvider) -> None:
    first = check_inputs(offline, MODEL, None, {"executionRoleArn": ROLE})
    assert first["name"].startswith("churn-v0-")
    assert len(first["name"]) == len("churn-v0-1234567")
    assert check_inputs(offline, MODEL, None, {"executionRoleArn": ROLE})["name"] == first["name"]
    assert check_inputs(offline, MODEL, None, {"executionRoleArn": ROLE}, b"2" * 32)["name"] != first["name"]
    assert check_inputs(offline, MODEL, first, {"executionRoleArn": OTHER_ROLE}, b"2" * 32)["name"] == first["name"]


def test_a_long_logical_name_is_cut_to_the_maximum_of_the_service(offline: AwsProvider) -> None:
    result = offline.check(build_urn(MODEL, "x" * 80), MODEL, None, {"executionRoleArn": ROLE}, b"1" * 32)
    assert len(result.inputs["name"]) == 63
    rechecked = offline.check(build_urn(MODEL, "x" * 80), MODEL, result.inputs, {"executionRoleArn": ROLE}, b"2" * 32)
    assert rechecked.inputs["name"] == result.inputs["name"]


def test_a_program_that_removes_its_name_gets_a_generated_one(offline: AwsProvider) -> None:
    olds = check_inputs(offline, MODEL, None, {"name": "mine", "executionRoleArn": ROLE})
    assert check_inputs(offline, MODEL, olds, {"executionRoleArn": ROLE})["name"] != "mine"


# --- differences ----------------------------------------------------------------------------------------------------


def diff_inputs(provider: AwsProvider, type: str, old: dict[str, Any], new: dict[str, Any]) -> Any:
    return provider.diff(build_urn(type), "id", type, old, old, new, ())


def test_an_ignored_change_is_not_a_difference_even_with_an_unknown_value(offline: AwsProvider) -> None:
    type = "aws:sagemaker/endpoint:Endpoint"
    old, tags = {"name": "e", "endpointConfigName": "v0", "tags": {"a": "1"}}, {"a": "2"}
    for config in ("v1", UNKNOWN):
        new = {**old, "endpointConfigName": config}
        diff = offline.diff(build_urn(type), "e", type, old, old, new, ("endpointConfigName",))
        assert diff.changes == DiffChanges.NONE
        assert diff_inputs(offline, type, old, new).diffs == ("endpointConfigName",)
    changed = {**old, "endpointConfigName": "v1", "tags": tags}
    assert offline.diff(build_urn(type), "e", type, old, old, changed, ("endpointConfigName",)).diffs == ("tags.a",)


def test_equivalent_spellings_are_equal(offline: AwsProvider) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Action": ["a", "b"], "Effect": "Allow"}]}
    respelled = {"Statement": {"Effect": "Allow", "Action": ["b", "a"]}, "Version": "2012-10-17"}
    old = {"role": "r", "policy": json.dumps(policy, indent=2)}
    new = {**old, "policy": json.dumps(respelled)}
    assert diff_inputs(offline, "aws:iam/rolePolicy:RolePolicy", old, new).changes == DiffChanges.NONE
    old, new = {"name": "b", "limitAmount": "2500.0"}, {"name": "b", "limitAmount": "2500.00"}
    assert diff_inputs(offline, "aws:budgets/budget:Budget", old, new).changes == DiffChanges.NONE


def test_a_nested_change_is_reported_with_its_path(offline: AwsProvider) -> None:
    old = {"name": "c", "productionVariants": [{"variantName": "live", "initialInstanceCount": 1}]}
    new = {"name": "c", "productionVariants": [{"variantName": "live", "initialInstanceCount": 2}]}
    diff = diff_inputs(offline, ENDPOINT_CONFIG, old, new)
    assert diff.diffs == ("productionVariants[0].initialInstanceCount",)
    assert diff.replaces == diff.diffs
    assert diff.detailed_diff["productionVariants[0].initialInstanceCount"] == (1, 2)


def test_tags_never_replace(offline: AwsProvider) -> None:
    diff = diff_inputs(
        offline, ENDPOINT_CONFIG, {"name": "c", "tags": {"a.b": "1"}}, {"name": "c", "tags": {"a.b": "2"}}
    )
    assert diff.diffs == ('tags["a.b"]',)
    assert diff.replaces == ()


def test_an_unknown_value_is_a_change(offline: AwsProvider) -> None:
    diff = diff_inputs(offline, ALARM, {"name": "a", "alarmActions": ["x"]}, {"name": "a", "alarmActions": [UNKNOWN]})
    assert diff.changes == DiffChanges.SOME


def test_a_declared_name_is_deleted_before_its_replacement_and_a_generated_one_after(offline: AwsProvider) -> None:
    fixed = {"name": "mine", "executionRoleArn": ROLE}
    assert diff_inputs(offline, MODEL, fixed, {**fixed, "executionRoleArn": OTHER_ROLE}).delete_before_replace
    assert not diff_inputs(offline, MODEL, fixed, {**fixed, "name": "other"}).delete_before_replace
    generated = {"name": "churn-v0-1a2b3c4", "executionRoleArn": ROLE}
    assert not diff_inputs(
        offline, MODEL, generated, {**generated, "executionRoleArn": OTHER_ROLE}
    ).delete_before_replace
    key = {"keyUsage": "ENCRYPT_DECRYPT"}
    assert not diff_inputs(offline, "aws:kms/key:Key", key, {"keyUsage": "SIGN_VERIFY"}).delete_before_replace


# --- check failures ---------------------------------------------------------------------------------------------------


def format_failures(provider: AwsProvider, type: str, news: dict[str, Any]) -> str:
    failures = provider.check(build_urn(type), type, None, news, b"1" * 32).failures
    return " ".join(f"{failure.property}: {failure.reason}" for failure in failures)


def test_an_unknown_nested_member_is_reported_with_its_path(offline: AwsProvider) -> None:
    message = format_failures(
        offline, MODEL, {"executionRoleArn": ROLE, "primaryContainer": {"image": "i", "colour": "red"}}
    )
    assert "primaryContainer.colour" in message


def test_a_missing_required_member_fails_the_check(offline: AwsProvider) -> None:
    role = "aws:iam/role:Role"
    assert "AssumeRolePolicyDocument" in format_failures(offline, role, {"name": "a"})
    not_resolved = {"name": "a", "assumeRolePolicy": UNKNOWN}
    assert format_failures(offline, role, not_resolved) == ""


def test_another_region_is_rejected(offline: AwsProvider) -> None:
    assert "region" in format_failures(offline, MODEL, {"executionRoleArn": ROLE, "region": "eu-west-1"})
    with pytest.raises(UsageError, match="eu-west-1"):
        offline.configure({"region": "eu-west-1"})


def test_an_unsupported_type_and_function_are_errors(offline: AwsProvider) -> None:
    with pytest.raises(UsageError, match="aws:ec2/instance:Instance"):
        offline.check(build_urn("aws:ec2/instance:Instance"), "aws:ec2/instance:Instance", None, {}, b"")
    with pytest.raises(UsageError, match="getAmi"):
        offline.invoke("aws:ec2/getAmi:getAmi", {})


def test_an_endpoint_on_another_machine_is_an_error() -> None:
    for url in ("https://sagemaker.us-east-1.amazonaws.com", "http://10.0.0.1:4566", "http://127.0.0.1.example.com"):
        with pytest.raises(UsageError, match="only to this machine"):
            provider_factory(url, "us-east-1")


def test_another_package_is_an_error() -> None:
    with pytest.raises(UsageError, match="random"):
        provider_factory(UNREACHABLE_URL, "us-east-1")("random")


# --- conversions ------------------------------------------------------------------------------------------------------


def find_shape(service: str, operation: str, *path: str) -> Any:
    shape = AwsClients(UNREACHABLE_URL, "us-east-1").operation_model(service, operation).input_shape
    for name in path:
        shape = shape.members[name]
    return shape


def test_values_are_converted_to_the_shape_that_aws_expects() -> None:
    alarm = find_shape("cloudwatch", "PutMetricAlarm")
    params = shapes.to_aws({"dimensions": {"EndpointName": "e"}, "period": "60", "threshold": 1}, alarm, "")
    assert params == {"Dimensions": [{"Name": "EndpointName", "Value": "e"}], "Period": 60, "Threshold": 1.0}
    outputs = find_shape("sagemaker", "CreateDataQualityJobDefinition", "DataQualityJobOutputConfig")
    properties = {"monitoringOutputs": {"s3Output": {"s3Uri": "s3://b", "localPath": "/p"}}}
    assert shapes.to_aws(properties, outputs, "") == {
        "MonitoringOutputs": [{"S3Output": {"S3Uri": "s3://b", "LocalPath": "/p"}}]
    }
    scanning = find_shape("ecr", "CreateRepository", "encryptionConfiguration")
    assert shapes.to_aws([{"encryptionType": "KMS"}], scanning, "") == {"encryptionType": "KMS"}
    with pytest.raises(shapes.UnknownMember):
        shapes.to_aws([{"encryptionType": "KMS"}, {"encryptionType": "AES256"}], scanning, "")


def test_another_order_is_not_a_difference_but_an_extra_element_is() -> None:
    targets = find_shape("cloudwatch", "PutMetricAlarm", "AlarmActions")
    assert shapes.from_aws(["a", "b"], ["b", "a"], targets) == ["a", "b"]
    assert shapes.from_aws(["a", "b"], ["b", "a", "c"], targets) == ["a", "b", "c"]
    assert shapes.from_aws(["a", "b"], ["b"], targets) == ["b"]
    assert shapes.from_aws([], None, targets) == []
    assert shapes.from_aws(["a"], None, targets) is None


def test_functions_return_what_the_real_provider_returns(offline: AwsProvider) -> None:
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
