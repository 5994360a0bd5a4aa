"""Fixtures: a local platform for these tests, the provider on it, and the resources that most cases refer to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bedplate.engine.protocol import DiffChanges, DiffResult, Properties
from bedplate.engine.provider.aws_provider import AwsProvider
from bedplate.engine.provider.clients import AwsClients
from bedplate.local import lifecycle

from .cases import job_definition, policy_text

REGION = "us-east-1"
ACCOUNT_ID = "123456789012"
SEED = bytes(range(32))


@pytest.fixture(scope="session")
def platform_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    project = tmp_path_factory.mktemp("platform")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BEDPLATE_STATE_DIR", raising=False)
        yield str(lifecycle.start(project, port=0).url)
        lifecycle.stop(project)


@pytest.fixture(scope="session")
def aws(platform_url: str) -> AwsClients:
    return AwsClients(platform_url, REGION)


@pytest.fixture(scope="session")
def provider(aws: AwsClients) -> AwsProvider:
    return AwsProvider(aws)


@dataclass
class AppliedResource:
    """One resource under test, on which the tests call the provider as the deployment does."""

    provider: AwsProvider
    type: str
    urn: str
    intent: str
    inputs: Properties
    id: str = ""
    outputs: Properties | None = None

    def create(self) -> AppliedResource:
        result = self.provider.create(self.urn, self.type, self.inputs, False, self.intent)
        self.id, self.outputs = result.id, result.outputs
        return self

    def check(self, news: Properties) -> Properties:
        result = self.provider.check(self.urn, self.type, self.inputs, news, SEED)
        assert result.failures == ()
        return result.inputs

    def diff(self, news: Properties) -> DiffResult:
        return self.provider.diff(self.urn, self.id, self.type, self.inputs, self.outputs or {}, news, ())

    def read(self) -> Any:
        return self.provider.read(self.urn, self.id, self.type, self.inputs, self.outputs or {})

    def update(self, news: Properties) -> None:
        outputs = self.provider.update(self.urn, self.id, self.type, self.inputs, self.outputs or {}, news, False)
        self.inputs, self.outputs = news, outputs

    def delete(self) -> None:
        self.provider.delete(self.urn, self.id, self.type, self.inputs, self.outputs or {})

    def drift(self) -> DiffResult:
        """The difference that a refresh reports, of the inputs at AWS and the program's."""
        live = self.read()
        assert live.id == self.id
        return self.provider.diff(self.urn, self.id, self.type, live.inputs, live.outputs, self.inputs, ())

    def assert_no_drift(self) -> None:
        drift = self.drift()
        assert drift.changes == DiffChanges.NONE, dict(drift.detailed_diff)


Apply = Callable[..., AppliedResource]


@pytest.fixture(scope="session")
def apply(provider: AwsProvider) -> Apply:
    numbers = itertools.count()

    def apply_resource(type: str, inputs: Properties, name: str = "case", create: bool = True) -> AppliedResource:
        urn = f"urn:pulumi:test::shop::{type}::{name}"
        result = provider.check(urn, type, None, inputs, SEED)
        assert result.failures == ()
        resource = AppliedResource(provider, type, urn, f"intent-{next(numbers)}", result.inputs)
        return resource.create() if create else resource

    return apply_resource


@pytest.fixture(scope="session")
def shared_resources(apply: Apply) -> dict[str, str]:
    """Creates the resources that the cases refer to, and returns their names, ids and ARNs."""
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    key = apply("aws:kms/key:Key", {"description": "shared"}).outputs or {}
    bucket = apply("aws:s3/bucket:Bucket", {"bucket": "shared", "forceDestroy": True}).id
    locked = apply("aws:s3/bucket:Bucket", {"bucket": "shared-locked", "objectLockEnabled": True}).id
    role = apply("aws:iam/role:Role", {"name": "shared", "assumeRolePolicy": policy_text(trust)}).outputs or {}
    topic = apply("aws:sns/topic:Topic", {"name": "shared"}).id
    image = f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/shared:latest"
    environment = {"BEDPLATE_FALLBACK": "0.5", "BEDPLATE_RELEASE": "shared-v0", "BEDPLATE_VERSION": "0"}
    container = {"image": image, "environment": {**environment, "BEDPLATE_MODEL": "m", "BEDPLATE_ENDPOINT": "shared"}}
    model = apply(
        "aws:sagemaker/model:Model",
        {"name": "shared", "executionRoleArn": role["arn"], "primaryContainer": container},
    ).id
    variant = {"variantName": "live", "modelName": model, "instanceType": "ml.m5.large", "initialInstanceCount": 1}
    configuration = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    configs = [apply(configuration, {"name": f"shared-{i}", "productionVariants": [variant]}).id for i in (1, 2)]
    endpoint = apply("aws:sagemaker/endpoint:Endpoint", {"name": "shared", "endpointConfigName": configs[0]}).id
    definition = apply(
        "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition",
        {"name": "shared", **job_definition(image, role["arn"], endpoint)},
    ).id
    repository = apply("aws:ecr/repository:Repository", {"name": "shared"}).id
    for name in ("shared-a", "shared-b"):
        metric = {"namespace": "n", "metricName": "m", "statistic": "Sum", "period": 60, "evaluationPeriods": 1}
        bound = {"threshold": 1, "comparisonOperator": "GreaterThanThreshold"}
        apply("aws:cloudwatch/metricAlarm:MetricAlarm", {"name": name, **metric, **bound})
    rule = apply("aws:cloudwatch/eventRule:EventRule", {"name": "shared", "eventPattern": '{"source": ["a"]}'}).id
    stop = {"Effect": "Deny", "Action": "sagemaker:CreateTrainingJob", "Resource": "*"}
    policy = apply("aws:iam/policy:Policy", {"name": "shared-stop", "policy": policy_text(stop)}).id
    limit = {"budgetType": "COST", "timeUnit": "MONTHLY", "limitAmount": "10.00", "limitUnit": "USD"}
    apply("aws:budgets/budget:Budget", {"name": "shared", **limit})
    monitor = apply(
        "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
        {"name": "shared", "monitorType": "DIMENSIONAL", "monitorDimension": "SERVICE"},
    ).id
    return {
        "queue": apply("aws:sqs/queue:Queue", {"name": "shared"}).id,
        **_network(apply),
        "logs": _log_bucket(apply),
        "versions": apply("aws:sagemaker/modelPackageGroup:ModelPackageGroup", {"modelPackageGroupName": "shared"}).id,
        "stop_policy": policy,
        "anomaly_monitor": monitor,
        "key": key["arn"],
        "key_id": key["keyId"],
        "bucket": bucket,
        "locked": locked,
        "role": role["arn"],
        "role_name": "shared",
        "topic": topic,
        "image": image,
        "model": model,
        "config": configs[0],
        "config_2": configs[1],
        "endpoint": endpoint,
        "definition": definition,
        "repository": repository,
        "rule": rule,
    }


def _network(apply: Apply) -> dict[str, str]:
    vpc = apply("aws:ec2/vpc:Vpc", {"cidrBlock": "10.7.0.0/16"}).id
    zone = {"cidrBlock": "10.7.0.0/18", "availabilityZone": "us-east-1a"}
    gateway = {"vpcId": vpc, "serviceName": "com.amazonaws.us-east-1.s3", "vpcEndpointType": "Gateway"}
    prefixes = (apply("aws:ec2/vpcEndpoint:VpcEndpoint", gateway).outputs or {})["prefixListId"]
    groups = [
        apply("aws:ec2/securityGroup:SecurityGroup", {"name": name, "description": name, "vpcId": vpc}).id
        for name in ("shared", "shared-2")
    ]
    return {
        "vpc": vpc,
        "subnet": apply("aws:ec2/subnet:Subnet", {"vpcId": vpc, **zone}).id,
        "routes": apply("aws:ec2/routeTable:RouteTable", {"vpcId": vpc}).id,
        "group": groups[0],
        "other_group": groups[1],
        "prefixes": prefixes,
    }


def _log_bucket(apply: Apply) -> str:
    bucket = apply("aws:s3/bucket:Bucket", {"bucket": "shared-logs"}).id
    delivery = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::shared-logs/access/*",
    }
    apply("aws:s3/bucketPolicy:BucketPolicy", {"bucket": bucket, "policy": policy_text(delivery)})
    return bucket
