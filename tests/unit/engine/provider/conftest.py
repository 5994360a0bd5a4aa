"""A local platform of the tests' own, the provider on it, and what most resources lean on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bedplate.engine.protocol import DiffChanges, DiffResult, Properties
from bedplate.engine.provider.aws import AwsProvider
from bedplate.engine.provider.cloud import Cloud
from bedplate.local import lifecycle

REGION = "us-east-1"
ACCOUNT = "123456789012"
SEED = bytes(range(32))


@pytest.fixture(scope="session")
def platform_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    project = tmp_path_factory.mktemp("platform")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BEDPLATE_STATE_DIR", raising=False)
        yield str(lifecycle.start(project, port=0).url)
        lifecycle.stop(project)


@pytest.fixture(scope="session")
def cloud(platform_url: str) -> Cloud:
    return Cloud(platform_url, REGION)


@pytest.fixture(scope="session")
def provider(cloud: Cloud) -> AwsProvider:
    return AwsProvider(cloud)


@dataclass
class Applied:
    """One resource under test, driven through the verbs as the deployment half drives them."""

    provider: AwsProvider
    type: str
    urn: str
    intent: str
    inputs: Properties
    id: str = ""
    outputs: Properties | None = None

    def create(self) -> Applied:
        result = self.provider.create(self.urn, self.type, self.inputs, False, self.intent)
        self.id, self.outputs = result.id, result.outputs
        return self

    def checked(self, news: Properties) -> Properties:
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
        """What a refresh would say: the world's inputs against the program's."""
        found = self.read()
        assert found.id == self.id
        return self.provider.diff(self.urn, self.id, self.type, found.inputs, found.outputs, self.inputs, ())

    def assert_no_drift(self) -> None:
        drift = self.drift()
        assert drift.changes == DiffChanges.NONE, dict(drift.detailed)


Apply = Callable[..., Applied]


@pytest.fixture(scope="session")
def apply(provider: AwsProvider) -> Apply:
    count = iter(range(10_000))

    def make(type: str, inputs: Properties, name: str = "thing", create: bool = True) -> Applied:
        urn = f"urn:pulumi:test::shop::{type}::{name}"
        intent = f"intent-{next(count)}"
        checked = provider.check(urn, type, None, inputs, SEED)
        assert checked.failures == ()
        applied = Applied(provider, type, urn, intent, checked.inputs)
        return applied.create() if create else applied

    return make


@pytest.fixture(scope="session")
def ground(apply: Apply) -> dict[str, str]:
    """What other resources refer to."""
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    key = apply("aws:kms/key:Key", {"description": "ground"}).outputs or {}
    bucket = apply("aws:s3/bucket:Bucket", {"bucket": "ground", "forceDestroy": True}).id
    locked = apply("aws:s3/bucket:Bucket", {"bucket": "ground-locked", "objectLockEnabled": True}).id
    role = apply("aws:iam/role:Role", {"name": "ground", "assumeRolePolicy": document(trust)}).outputs or {}
    topic = apply("aws:sns/topic:Topic", {"name": "ground"}).id
    image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/ground:latest"
    environment = {"BEDPLATE_FALLBACK": "0.5", "BEDPLATE_RELEASE": "ground-v0", "BEDPLATE_VERSION": "0"}
    container = {"image": image, "environment": {**environment, "BEDPLATE_MODEL": "m", "BEDPLATE_ENDPOINT": "ground"}}
    model = apply(
        "aws:sagemaker/model:Model",
        {"name": "ground", "executionRoleArn": role["arn"], "primaryContainer": container},
    ).id
    variant = {"variantName": "live", "modelName": model, "instanceType": "ml.m5.large", "initialInstanceCount": 1}
    configuration = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    configs = [apply(configuration, {"name": f"ground-{i}", "productionVariants": [variant]}).id for i in (1, 2)]
    endpoint = apply("aws:sagemaker/endpoint:Endpoint", {"name": "ground", "endpointConfigName": configs[0]}).id
    definition = apply(
        "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition",
        {"name": "ground", **job_definition(image, role["arn"], endpoint)},
    ).id
    repository = apply("aws:ecr/repository:Repository", {"name": "ground"}).id
    for name in ("ground-a", "ground-b"):
        metric = {"namespace": "n", "metricName": "m", "statistic": "Sum", "period": 60, "evaluationPeriods": 1}
        bound = {"threshold": 1, "comparisonOperator": "GreaterThanThreshold"}
        apply("aws:cloudwatch/metricAlarm:MetricAlarm", {"name": name, **metric, **bound})
    rule = apply("aws:cloudwatch/eventRule:EventRule", {"name": "ground", "eventPattern": '{"source": ["a"]}'}).id
    stop = {"Effect": "Deny", "Action": "sagemaker:CreateTrainingJob", "Resource": "*"}
    policy = apply("aws:iam/policy:Policy", {"name": "ground-stop", "policy": document(stop)}).id
    limit = {"budgetType": "COST", "timeUnit": "MONTHLY", "limitAmount": "10.00", "limitUnit": "USD"}
    apply("aws:budgets/budget:Budget", {"name": "ground", **limit})
    monitor = apply(
        "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
        {"name": "ground", "monitorType": "DIMENSIONAL", "monitorDimension": "SERVICE"},
    ).id
    return {
        "queue": apply("aws:sqs/queue:Queue", {"name": "ground"}).id,
        **_network(apply),
        "logs": _log_bucket(apply),
        "versions": apply("aws:sagemaker/modelPackageGroup:ModelPackageGroup", {"modelPackageGroupName": "ground"}).id,
        "stop_policy": policy,
        "anomaly_monitor": monitor,
        "key": key["arn"],
        "key_id": key["keyId"],
        "bucket": bucket,
        "locked": locked,
        "role": role["arn"],
        "role_name": "ground",
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


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def job_definition(image: str, role: str, endpoint: str) -> dict[str, Any]:
    cluster = {"instanceType": "ml.m5.large", "instanceCount": 1, "volumeSizeInGb": 20}
    output = {"s3Uri": "s3://ground/monitoring", "localPath": "/opt/ml/processing/output"}
    return {
        "roleArn": role,
        "dataQualityAppSpecification": {"imageUri": image, "environment": {"A": "1"}},
        "dataQualityBaselineConfig": {"statisticsResource": {"s3Uri": "s3://ground/baseline/statistics.json"}},
        "dataQualityJobInput": {"endpointInput": {"endpointName": endpoint, "localPath": "/opt/ml/processing/input"}},
        "dataQualityJobOutputConfig": {"monitoringOutputs": {"s3Output": output}},
        "jobResources": {"clusterConfig": cluster},
        "networkConfig": {"enableNetworkIsolation": True},
        "stoppingCondition": {"maxRuntimeInSeconds": 3600},
    }


def _network(apply: Apply) -> dict[str, str]:
    vpc = apply("aws:ec2/vpc:Vpc", {"cidrBlock": "10.7.0.0/16"}).id
    zone = {"cidrBlock": "10.7.0.0/18", "availabilityZone": "us-east-1a"}
    gateway = {"vpcId": vpc, "serviceName": "com.amazonaws.us-east-1.s3", "vpcEndpointType": "Gateway"}
    prefixes = (apply("aws:ec2/vpcEndpoint:VpcEndpoint", gateway).outputs or {})["prefixListId"]
    groups = [
        apply("aws:ec2/securityGroup:SecurityGroup", {"name": name, "description": name, "vpcId": vpc}).id
        for name in ("ground", "ground-2")
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
    bucket = apply("aws:s3/bucket:Bucket", {"bucket": "ground-logs"}).id
    delivery = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::ground-logs/access/*",
    }
    apply("aws:s3/bucketPolicy:BucketPolicy", {"bucket": bucket, "policy": document(delivery)})
    return bucket
