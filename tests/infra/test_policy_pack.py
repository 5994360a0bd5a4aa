"""The policies of bedplate.domain.policy: the program violates none, and each policy finds its violation."""

from __future__ import annotations

import importlib
import inspect
import json
import runpy
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from bedplate.domain.policy import POLICIES, PlannedResource, Policy, PolicyReport, evaluate
from bedplate.domain.policy.ownership import TAGLESS
from bedplate.domain.stacks.plan import UNKNOWN
from repository import ROOT

from .conftest import Program

BY_NAME = {policy.name: policy for policy in POLICIES}
ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}]}
OPEN = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Principal": "*"}]}
WILD = {"Statement": [{"Sid": "Wild", "Effect": "Allow", "Action": ["sagemaker:*"], "Resource": ["*"]}]}
EVERY_VPC = {
    "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "arn:aws:ec2:us-east-1:123456789012:vpc/*"}]
}


def resources(program: Program) -> list[PlannedResource]:
    planned = [PlannedResource(r.type, r.name, r.inputs, urn=f"urn::{r.type}::{r.name}") for r in program.resources]
    return sorted(planned, key=lambda r: (r.type, r.name))  # the program registers independent resources in any order


def violated_policies(judgement: PolicyReport) -> set[str]:
    return {violation.policy for violation in judgement.violations}


def without(type_end: str) -> Callable[[list[PlannedResource]], list[PlannedResource]]:
    """Return a change that removes the first resource of this type."""

    def change(all: list[PlannedResource]) -> list[PlannedResource]:
        removed = next(r for r in all if r.type.endswith(type_end))
        return [r for r in all if r is not removed]

    return change


def without_all(type_end: str) -> Callable[[list[PlannedResource]], list[PlannedResource]]:
    return lambda all: [r for r in all if not r.type.endswith(type_end)]


def with_input(type_end: str, **inputs: Any) -> Callable[[list[PlannedResource]], list[PlannedResource]]:
    """Return a change of the inputs of the first resource of this type; None removes an input."""

    def change(all: list[PlannedResource]) -> list[PlannedResource]:
        i = next(i for i, r in enumerate(all) if r.type.endswith(type_end))
        old = all[i]
        return [*all[:i], PlannedResource(old.type, old.name, {**old.inputs, **inputs}, old.urn), *all[i + 1 :]]

    return change


def plus(type: str, **inputs: Any) -> Callable[[list[PlannedResource]], list[PlannedResource]]:
    return lambda all: [*all, PlannedResource(type, "added", inputs, "urn::added")]


def capture(all: list[PlannedResource], **changes: Any) -> Mapping[str, Any]:
    config = next(r for r in all if r.type.endswith(":EndpointConfiguration"))
    return {"dataCaptureConfig": {**config.inputs["dataCaptureConfig"], **changes}}


def captures(**changes: Any) -> Callable[[list[PlannedResource]], list[PlannedResource]]:
    return lambda all: with_input(":EndpointConfiguration", **capture(all, **changes))(all)


def a_role_that_reads_another_models_data(all: list[PlannedResource]) -> list[PlannedResource]:
    role = PlannedResource("aws:iam/role:Role", "churn", {"name": "r-churn", "tags": {"Model": "churn"}})
    reads = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b-data-1/datasets/prices/*"}
    policy = PlannedResource(
        "aws:iam/rolePolicy:RolePolicy", "churn", {"role": "r-churn", "policy": json.dumps({"Statement": reads})}
    )
    return [*all, role, policy]


CASES = [
    ("encrypted-at-rest", with_input("topic:Topic", kmsMasterKeyId=None)),
    ("encrypted-at-rest", with_input("LogGroup", kmsKeyId="")),
    ("encrypted-at-rest", with_input("ecr/repository:Repository", encryptionConfigurations=[])),
    ("encrypted-at-rest", with_input(":EndpointConfiguration", kmsKeyArn=None)),
    ("encrypted-at-rest", captures(kmsKeyId=None)),
    ("encrypted-at-rest", with_input("DataQualityJobDefinition", dataQualityJobOutputConfig={})),
    ("buckets-encrypted", without("BucketServerSideEncryptionConfiguration")),
    ("buckets-encrypted", with_input("BucketServerSideEncryptionConfiguration", rules=[])),
    ("keys-rotate", plus("aws:kms/key:Key", enableKeyRotation=False)),
    ("tls-only", without("BucketPolicy")),
    ("tls-only", without_all("TopicPolicy")),
    ("tls-only", with_input("TopicPolicy", policy=json.dumps({"Statement": []}))),
    ("no-public-buckets", without("BucketPublicAccessBlock")),
    ("no-public-buckets", with_input("BucketPublicAccessBlock", blockPublicPolicy=False)),
    ("no-public-buckets", without("BucketOwnershipControls")),
    ("no-public-access", with_input("BucketPolicy", policy=json.dumps(OPEN))),
    (
        "no-public-access",
        plus("aws:ec2/securityGroup:SecurityGroup", ingress=[{"cidrBlocks": ["0.0.0.0/0"], "fromPort": 22}]),
    ),
    ("no-public-access", plus("aws:ec2/subnet:Subnet", mapPublicIpOnLaunch=True)),
    ("no-wildcard-admin", with_input("iam/rolePolicy:RolePolicy", policy=json.dumps(ALLOW_ALL))),
    ("no-wildcard-admin", with_input("iam/rolePolicy:RolePolicy", policy=json.dumps(WILD))),
    ("no-wildcard-admin", with_input("iam/rolePolicy:RolePolicy", policy=json.dumps(EVERY_VPC))),
    (
        "no-wildcard-admin",
        plus(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment", policyArn="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
    ),
    ("roles-bounded", with_input("iam/role:Role", permissionsBoundary=None)),
    ("tags-present", with_input("s3/bucket:Bucket", tags={"Project": "p"})),
    ("tags-present", plus("aws:sqs/queue:Queue", kmsMasterKeyId="key")),
    ("data-classes-separated", captures(destinationS3Uri="s3://bedplate-prod-ledger-123456789012/capture/churn")),
    ("data-classes-separated", captures(destinationS3Uri="s3://bedplate-prod-capture-123456789012/capture/prices/")),
    ("data-classes-separated", a_role_that_reads_another_models_data),
    ("capture-on", captures(enableCapture=False)),
    ("capture-on", captures(captureOptions=[{"captureMode": "Output"}])),
    ("capture-on", captures(initialSamplingPercentage=0)),
    ("alarms-present", without_all("MetricAlarm")),
    ("alarms-present", with_input("endpoint:Endpoint", deploymentConfig={"blueGreenUpdatePolicy": {"x": 1}})),
    ("budgets-present", without_all("Budget")),
    ("alarms-notify", plus("aws:cloudwatch/metricAlarm:MetricAlarm", name="lonely")),
    ("buckets-versioned", without("BucketVersioning")),
    ("images-scanned", with_input("ecr/repository:Repository", imageTagMutability="MUTABLE")),
    ("logs-expire", with_input("LogGroup", retentionInDays=None)),
]


@pytest.mark.parametrize("which", ["prod", "local"])
def test_the_platform_violates_no_policy_and_none_is_undecided(which: str, request: pytest.FixtureRequest) -> None:
    judgement = evaluate(resources(request.getfixturevalue(which)), POLICIES)
    assert [f"{v.policy}: {v.name}: {v.detail}" for v in judgement.violations] == []
    assert judgement.undecided == ()


@pytest.mark.parametrize(("policy", "change"), CASES, ids=[f"{name}-{at}" for at, (name, _) in enumerate(CASES)])
def test_a_violation_is_found_by_its_policy(prod: Program, policy: str, change: Any) -> None:
    judgement = evaluate(change(resources(prod)), POLICIES)
    assert policy in violated_policies(judgement)
    assert judgement.is_blocking is (BY_NAME[policy].level == "mandatory" or violated_policies(judgement) != {policy})


def test_every_policy_has_a_program_that_violates_it() -> None:
    assert {name for name, _ in CASES} == set(BY_NAME)


def test_unknown_values_are_undecided_and_not_a_violation(prod: Program) -> None:
    unknown = with_input("BucketPolicy", policy=UNKNOWN)(resources(prod))
    judgement = evaluate(unknown, POLICIES)
    assert judgement.violations == ()
    assert {policy for policy, _ in judgement.undecided} == {"tls-only", "no-public-access"}


def test_an_unknown_key_arn_counts_as_a_key(prod: Program) -> None:
    judgement = evaluate(with_input("topic:Topic", kmsMasterKeyId=UNKNOWN)(resources(prod)), POLICIES)
    assert judgement.violations == judgement.undecided == ()


def test_mandatory_violations_come_first(prod: Program) -> None:
    change = without("BucketVersioning")(without("BucketPolicy")(resources(prod)))
    levels = [violation.level for violation in evaluate(change, POLICIES).violations]
    assert levels == ["mandatory", "advisory"]


def test_tagless_types_are_those_of_pulumi_aws(prod: Program, local: Program) -> None:
    for type in {r.type for r in (*prod.resources, *local.resources)} | TAGLESS:
        _, path, name = type.split(":")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pulumi_aws warns about its own names
            module = importlib.import_module(f"pulumi_aws.{path.split('/')[0]}")
            arguments = inspect.signature(getattr(module, f"{name}Args")).parameters
        assert ("tags" not in arguments) is (type in TAGLESS), type


@pytest.fixture(scope="module")
def to_pulumi_policy() -> Any:
    """The function of infra/policy_pack that converts a policy to Pulumi's."""
    return runpy.run_path(str(ROOT / "infra" / "policy_pack" / "__main__.py"), run_name="pack")["to_pulumi_policy"]


def pulumi_messages(to_pulumi_policy: Any, policy: Policy, all: list[PlannedResource]) -> list[str]:
    """Run the policy as Pulumi's engine does, with the SDK's arguments and proxies, and return its messages."""
    from pulumi_policy import PolicyResource, PolicyResourceOptions, ResourceValidationArgs, StackValidationArgs
    from pulumi_policy.proxy import unknown_checking_proxy

    messages: list[str] = []
    converted = to_pulumi_policy(policy)
    assert converted.enforcement_level.value == policy.level
    options = PolicyResourceOptions(False, [], None, [], None, [])  # type: ignore[arg-type]
    if policy.scope == "stack":
        proxied = [
            PolicyResource(r.type, unknown_checking_proxy(dict(r.inputs)), r.urn, r.name, options, None, None, [], {})  # type: ignore[arg-type]
            for r in all
        ]
        converted.validate(StackValidationArgs(proxied), lambda message, urn=None: messages.append(message))
        return messages
    for r in all:
        args = ResourceValidationArgs(r.type, unknown_checking_proxy(dict(r.inputs)), r.urn, r.name, options, None)
        converted.validate(args, lambda message, urn=None: messages.append(message))
    return messages


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_the_pulumi_pack_reports_the_same_violations(prod: Program, policy: Policy, to_pulumi_policy: Any) -> None:
    change = next(change for name, change in CASES if name == policy.name)
    unknown = with_input("topic:Topic", name=UNKNOWN)
    assert pulumi_messages(to_pulumi_policy, policy, unknown(resources(prod))) == []
    violations = evaluate(change(resources(prod)), [policy]).violations
    pulumi_violations = pulumi_messages(to_pulumi_policy, policy, change(resources(prod)))
    assert len(pulumi_violations) == len(violations) > 0
    assert all(violation.detail in message for violation, message in zip(violations, pulumi_violations, strict=True))
