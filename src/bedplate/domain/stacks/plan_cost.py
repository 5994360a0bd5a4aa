"""Estimates what a plan costs a month: each resource's price before and after, or the reason that it is unknown.

Instances are priced by `bedplate.domain.money.prices`, with 730 hours a month. The other prices are AWS's list prices
of US East (N. Virginia) that docs/platform.md names, entered by hand: verify them before relying on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedplate.domain.money.prices import AS_OF, REGION, S3_USD_PER_GB_MONTH, hourly_usd
from bedplate.domain.stacks.plan import UNKNOWN, ResourceChange

HOURS_A_MONTH = 730
KMS_KEY_USD_MONTH = 1.0
VPC_ENDPOINT_USD_HOUR = 0.01
"""An interface endpoint in one availability zone (https://aws.amazon.com/privatelink/pricing/, from memory in 2025);
its traffic costs a further 0.01 USD per GB. A gateway endpoint is free."""
ALARM_USD_MONTH = 0.10
"""A standard alarm on one metric. Metric math is charged for each metric, and its price is reported as unknown."""

COMPOSITE_ALARM_USD_MONTH = 0.50
TRACKING_USD_HOUR = {"Small": 0.60, "Medium": 1.04, "Large": 1.44}
"""A managed MLflow server, whether it is used or not; its storage is charged separately."""
DASHBOARD_USD_MONTH = 3.00
"""From the account's fourth dashboard on; the first three are free, and the plan does not show how many there are."""

ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
ENDPOINT_CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
VPC_ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
SCALING_TARGET = "aws:appautoscaling/target:Target"
JOB_DEFINITION = "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition"

_FREE_SERVICES = ("aws:iam/", "aws:vpc/", "aws:appautoscaling/", "pulumi:", "bedplate:")
_FREE = frozenset({
    "aws:budgets/budget:Budget", "aws:ec2/routeTable:RouteTable",
    "aws:ec2/routeTableAssociation:RouteTableAssociation", "aws:ec2/securityGroup:SecurityGroup",
    "aws:ec2/subnet:Subnet", "aws:ec2/vpc:Vpc", "aws:costexplorer/costAllocationTag:CostAllocationTag",
    "aws:ecr/repositoryPolicy:RepositoryPolicy", "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor", "aws:costexplorer/anomalySubscription:AnomalySubscription",
    "aws:cloudwatch/eventRule:EventRule", "aws:cloudwatch/eventTarget:EventTarget",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy", "aws:kms/alias:Alias", "aws:sagemaker/pipeline:Pipeline",
    "aws:sqs/queuePolicy:QueuePolicy", "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    "aws:sagemaker/model:Model", "aws:sagemaker/modelPackageGroup:ModelPackageGroup",
    "aws:sagemaker/monitoringSchedule:MonitoringSchedule", "aws:sns/topicPolicy:TopicPolicy",
    "aws:sns/topicSubscription:TopicSubscription", "aws:ssm/parameter:Parameter",
})  # fmt: skip
"""Types without a price of their own. A schedule's jobs are priced at the job definition."""
_BY_USE = {
    "aws:sqs/queue:Queue": "by requests, 0.40 USD a million",
    "aws:budgets/budgetAction:BudgetAction": "two are free, each further one is 0.10 USD a day",
    "aws:cloudtrail/trail:Trail": "the first copy of management events is free, data events are 0.10 USD per 100,000",
    "aws:s3/bucket:Bucket": f"by stored data, {S3_USD_PER_GB_MONTH:g} USD per GB",
    "aws:ecr/repository:Repository": "by stored images, 0.10 USD per GB",
    "aws:cloudwatch/logGroup:LogGroup": "by log volume",
    "aws:sns/topic:Topic": "by messages",
}
_DELETE_OPS = ("delete", "delete-replaced", "discard", "discard-replaced")


@dataclass(frozen=True, slots=True)
class Price:
    """USD a month; None if it is unknown, and `note` says why. A known price may have a note too."""

    usd: float | None
    note: str = ""


NO_COST = Price(0.0)


@dataclass(frozen=True, slots=True)
class CostLine:
    """The monthly price of one resource before and after the update."""

    op: str
    urn: str
    type: str
    name: str
    before: Price
    after: Price

    @property
    def difference_usd(self) -> float | None:
        """Returns None if either price is unknown."""
        if self.before.usd is None or self.after.usd is None:
            return None
        return self.after.usd - self.before.usd


@dataclass(frozen=True, slots=True)
class PlanCost:
    """The resources that the plan changes and that cost, or may cost, money."""

    lines: tuple[CostLine, ...]
    region: str | None = None
    """The stack's region if the plan contains it; the prices are always those of `prices.REGION`."""

    @property
    def price_source(self) -> str:
        """Returns the region and the date of the prices.

        >>> PlanCost((), "eu-west-1").price_source
        'AWS list prices of us-east-1 as of 2025, entered by hand; this stack is in eu-west-1, where they differ'
        """
        text = f"AWS list prices of {REGION} as of {AS_OF}, entered by hand"
        return (
            f"{text}; this stack is in {self.region}, where they differ" if self.region not in (None, REGION) else text
        )

    @property
    def difference_usd(self) -> float:
        """Returns the sum of the known differences; `unknown_count` is the number of lines without one."""
        return sum(line.difference_usd or 0.0 for line in self.lines)

    @property
    def unknown_count(self) -> int:
        return sum(line.difference_usd is None for line in self.lines)


def price_plan(resources: Sequence[ResourceChange]) -> PlanCost:
    """Prices resources that are created, updated, replaced or deleted, and endpoints whose configuration is."""
    lines = []
    for resource in resources:
        before = _price(resource, resources, after=False)
        after = _price(resource, resources, after=True)
        touched = resource.op not in ("same", "read") or (resource.type == ENDPOINT and before != after)
        if touched and not before.usd == after.usd == 0:
            if resource.type == ENDPOINT and resource.op == "same":
                after = Price(after.usd, f"{after.note}; from the next deployment on")
            lines.append(CostLine(resource.op, resource.urn, resource.type, resource.name, before, after))
    return PlanCost(tuple(lines), _find_region(resources))


def _find_region(resources: Sequence[ResourceChange]) -> str | None:
    """Returns the region of the AWS provider that Pulumi creates from the stack's configuration."""
    regions = [
        (change.after or change.before or {}).get("region")
        for change in resources
        if change.type == "pulumi:providers:aws"
    ]
    return next((region for region in regions if isinstance(region, str)), None)


def _price(resource: ResourceChange, resources: Sequence[ResourceChange], *, after: bool) -> Price:
    inputs = _inputs(resource, after)
    resource_type = resource.type
    if inputs is None or resource_type in _FREE:
        return NO_COST
    if resource_type.startswith((*_FREE_SERVICES, "aws:s3/bucket")) and resource_type not in _BY_USE:
        return NO_COST
    if resource_type == ENDPOINT:
        return _endpoint_price(resource, inputs, resources, after)
    if resource_type == VPC_ENDPOINT:
        return _vpc_endpoint_price(inputs)
    if resource_type == JOB_DEFINITION:
        return _monitoring_price(inputs)
    if resource_type == "aws:kms/key:Key":
        return Price(KMS_KEY_USD_MONTH)
    if resource_type == "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer":
        hourly = TRACKING_USD_HOUR.get(str(inputs.get("trackingServerSize") or "Small"))
        monthly = None if hourly is None else round(hourly * HOURS_A_MONTH, 2)
        return Price(monthly, "whether used or not; storage is extra")
    if resource_type == "aws:cloudwatch/compositeAlarm:CompositeAlarm":
        return Price(COMPOSITE_ALARM_USD_MONTH)
    if resource_type == "aws:cloudwatch/dashboard:Dashboard":
        return Price(DASHBOARD_USD_MONTH, "the account's first three are free")
    if resource_type == "aws:cloudwatch/metricAlarm:MetricAlarm" and inputs.get("metricQueries"):
        return Price(None, "by the metrics in its expression")
    if resource_type == "aws:cloudwatch/metricAlarm:MetricAlarm":
        return Price(ALARM_USD_MONTH)
    return Price(None, _BY_USE.get(resource_type, "the price of this type is not known"))


def _endpoint_price(
    resource: ResourceChange, inputs: Mapping[str, Any], resources: Sequence[ResourceChange], after: bool
) -> Price:
    """Prices the instances of the configuration that the endpoint names. A name that is not known yet, or is a release
    of the CLI, refers to the configuration under the same component."""
    configs = [r for r in resources if r.type == ENDPOINT_CONFIGURATION and _inputs(r, after) is not None]
    siblings = [r for r in configs if r.parent == resource.parent]
    matches = [r for r in configs if (_inputs(r, after) or {}).get("name") == inputs.get("endpointConfigName")]
    candidates = siblings if siblings and (after or not matches) else matches
    if len(candidates) != 1:
        return Price(None, "its configuration is not part of the program")
    return _instances_price(_inputs(candidates[0], after) or {}, _max_capacity(resource, resources, after))


def _instances_price(config: Mapping[str, Any], max_capacity: float | None) -> Price:
    total, parts = 0.0, []
    for variant in config.get("productionVariants") or []:
        instance, count = variant.get("instanceType"), variant.get("initialInstanceCount")
        if variant.get("serverlessConfig"):
            return Price(None, "serverless: by requests")
        if not isinstance(count, int | float) or not isinstance(instance, str) or instance == UNKNOWN:
            return Price(None, "instances are not known before the run")
        hourly = hourly_usd(instance, "endpoint")
        if hourly is None:
            return Price(None, f"the price of {instance} is not known")
        total += count * hourly * HOURS_A_MONTH
        text = f"{count:g} x {instance}"
        if max_capacity is not None and max_capacity > count:
            text += f", up to {max_capacity * hourly * HOURS_A_MONTH:,.2f} USD when scaled out to {max_capacity:g}"
        parts.append(text)
    return Price(round(total, 2), "; ".join(parts))


def _max_capacity(endpoint: ResourceChange, resources: Sequence[ResourceChange], after: bool) -> float | None:
    for resource in resources:
        if resource.type == SCALING_TARGET and resource.parent == endpoint.parent:
            capacity = (_inputs(resource, after) or {}).get("maxCapacity")
            return capacity if isinstance(capacity, int | float) else None
    return None


def _vpc_endpoint_price(inputs: Mapping[str, Any]) -> Price:
    if inputs.get("vpcEndpointType", "Gateway") == "Gateway":
        return NO_COST
    subnet_ids = inputs.get("subnetIds")
    if not isinstance(subnet_ids, list | tuple):
        return Price(None, "its subnets are not known before the run")
    return Price(
        round(len(subnet_ids) * VPC_ENDPOINT_USD_HOUR * HOURS_A_MONTH, 2),
        f"in {len(subnet_ids)} zones, without traffic",
    )


def _monitoring_price(inputs: Mapping[str, Any]) -> Price:
    cluster = (inputs.get("jobResources") or {}).get("clusterConfig") or {}
    instance, count = cluster.get("instanceType"), cluster.get("instanceCount", 1)
    hourly = hourly_usd(instance, "processing") if isinstance(instance, str) else None
    if hourly is None:
        return Price(None, "by the duration of its runs")
    return Price(None, f"by the duration of its runs, {hourly * count:g} USD an hour on {count:g} x {instance}")


def _inputs(resource: ResourceChange, after: bool) -> Mapping[str, Any] | None:
    if after:
        return None if resource.op in _DELETE_OPS else resource.after
    return None if resource.op in ("create", "import") else resource.before
