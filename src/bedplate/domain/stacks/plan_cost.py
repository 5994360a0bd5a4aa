"""What a plan costs a month: each resource before and after, and what cannot be known beforehand said as unknown.

Instances are priced by `bedplate.domain.money.prices`, a month of 730 hours. The other figures are AWS's list prices of
US East (N. Virginia) that docs/platform.md names, entered by hand: check them before money depends on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedplate.domain.money.prices import NOTED, REGION, S3_USD_PER_GB_MONTH, hourly_usd
from bedplate.domain.stacks.plan import UNKNOWN, ResourceChange

HOURS_A_MONTH = 730
KMS_KEY_USD_MONTH = 1.0
VPC_ENDPOINT_USD_HOUR = 0.01
"""An interface endpoint in one availability zone (https://aws.amazon.com/privatelink/pricing/, as remembered in 2025);
what passes through it is 0.01 USD per GB more. A gateway endpoint costs nothing."""
ALARM_USD_MONTH = 0.10
"""A standard metric alarm on one metric; metric math counts each metric, and is said as unknown."""

COMPOSITE_ALARM_USD_MONTH = 0.50
TRACKING_USD_HOUR = {"Small": 0.60, "Medium": 1.04, "Large": 1.44}
"""A managed MLflow server, used or not; what it stores comes on top."""
DASHBOARD_USD_MONTH = 3.00
"""From the account's fourth dashboard on; the first three are free, and nobody here can count them."""

ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
ENDPOINT_CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
VPC_ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
SCALING_TARGET = "aws:appautoscaling/target:Target"
JOB_DEFINITION = "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition"

_FREE_SERVICES = ("aws:iam/", "aws:vpc/", "aws:appautoscaling/", "pulumi:", "bedplate:")
_FREE = frozenset(
    {
        "aws:budgets/budget:Budget",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:costexplorer/costAllocationTag:CostAllocationTag",
        "aws:ecr/repositoryPolicy:RepositoryPolicy",
        "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
        "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
        "aws:costexplorer/anomalySubscription:AnomalySubscription",
        "aws:cloudwatch/eventRule:EventRule",
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        "aws:kms/alias:Alias",
        "aws:sagemaker/pipeline:Pipeline",
        "aws:sqs/queuePolicy:QueuePolicy",
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        "aws:sagemaker/model:Model",
        "aws:sagemaker/modelPackageGroup:ModelPackageGroup",
        "aws:sagemaker/monitoringSchedule:MonitoringSchedule",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:sns/topicSubscription:TopicSubscription",
        "aws:ssm/parameter:Parameter",
    }
)
"""Cost nothing by being there. What they cause is counted where it is run: a schedule's jobs at the job definition."""
_BY_USE = {
    "aws:sqs/queue:Queue": "by what is sent, 0.40 USD a million requests",
    "aws:budgets/budgetAction:BudgetAction": "two are free, a further one is 0.10 USD a day",
    "aws:cloudtrail/trail:Trail": "the first copy of management events is free, data events are 0.10 USD per 100,000",
    "aws:s3/bucket:Bucket": f"by what is stored, {S3_USD_PER_GB_MONTH:g} USD per GB",
    "aws:ecr/repository:Repository": "by what is stored, 0.10 USD per GB of images",
    "aws:cloudwatch/logGroup:LogGroup": "by what is logged",
    "aws:sns/topic:Topic": "by what is sent",
}
_GOES = ("delete", "delete-replaced", "discard", "discard-replaced")


@dataclass(frozen=True, slots=True)
class Price:
    """USD a month; None when it cannot be known, and `why` says why. `why` may explain a known figure, too."""

    usd: float | None
    why: str = ""


NOTHING = Price(0.0)


@dataclass(frozen=True, slots=True)
class CostLine:
    """One resource's month before and after the run."""

    op: str
    urn: str
    type: str
    name: str
    before: Price
    after: Price

    @property
    def difference_usd(self) -> float | None:
        """None when either side is unknown."""
        if self.before.usd is None or self.after.usd is None:
            return None
        return self.after.usd - self.before.usd


@dataclass(frozen=True, slots=True)
class PlanCost:
    """Every resource that something happens to and that costs, or may cost, money."""

    lines: tuple[CostLine, ...]
    region: str | None = None
    """Where the resources are, when the plan says so; the prices are of `prices.REGION`, whatever it is."""

    @property
    def basis(self) -> str:
        """Whose prices they are, and of when.

        >>> PlanCost((), "eu-west-1").basis
        'AWS list prices of us-east-1 as noted in 2025, entered by hand; this is eu-west-1, where they differ'
        """
        text = f"AWS list prices of {REGION} as noted in {NOTED}, entered by hand"
        return f"{text}; this is {self.region}, where they differ" if self.region not in (None, REGION) else text

    @property
    def difference_usd(self) -> float:
        """Of what is known; `unknown` says how much is not in it."""
        return sum(line.difference_usd or 0.0 for line in self.lines)

    @property
    def unknown(self) -> int:
        return sum(line.difference_usd is None for line in self.lines)


def price_plan(resources: Sequence[ResourceChange]) -> PlanCost:
    """Price what is created, updated, replaced or deleted, and an endpoint whose configuration is."""
    lines = []
    for resource in resources:
        before = _price(resource, resources, after=False)
        after = _price(resource, resources, after=True)
        touched = resource.op not in ("same", "read") or (resource.type == ENDPOINT and before != after)
        if touched and not before.usd == after.usd == 0:
            if resource.type == ENDPOINT and resource.op == "same":
                after = Price(after.usd, f"{after.why}; from the next deployment on")
            lines.append(CostLine(resource.op, resource.urn, resource.type, resource.name, before, after))
    return PlanCost(tuple(lines), _region(resources))


def _region(resources: Sequence[ResourceChange]) -> str | None:
    """The region of the provider that the stack's configuration makes."""
    told = [(r.after or r.before or {}).get("region") for r in resources if r.type == "pulumi:providers:aws"]
    return next((region for region in told if isinstance(region, str)), None)


def _price(resource: ResourceChange, resources: Sequence[ResourceChange], *, after: bool) -> Price:
    inputs = _side(resource, after)
    kind = resource.type
    if inputs is None or kind in _FREE or (kind.startswith((*_FREE_SERVICES, "aws:s3/bucket")) and kind not in _BY_USE):
        return NOTHING
    if kind == ENDPOINT:
        return _endpoint(resource, inputs, resources, after)
    if kind == VPC_ENDPOINT:
        return _vpc_endpoint(inputs)
    if kind == JOB_DEFINITION:
        return _monitoring(inputs)
    if kind == "aws:kms/key:Key":
        return Price(KMS_KEY_USD_MONTH)
    if kind == "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer":
        hourly = TRACKING_USD_HOUR.get(str(inputs.get("trackingServerSize") or "Small"))
        return Price(None if hourly is None else round(hourly * HOURS_A_MONTH, 2), "used or not; storage comes on top")
    if kind == "aws:cloudwatch/compositeAlarm:CompositeAlarm":
        return Price(COMPOSITE_ALARM_USD_MONTH)
    if kind == "aws:cloudwatch/dashboard:Dashboard":
        return Price(DASHBOARD_USD_MONTH, "the account's first three are free")
    if kind == "aws:cloudwatch/metricAlarm:MetricAlarm":
        return (
            Price(None, "by the metrics in its expression") if inputs.get("metricQueries") else Price(ALARM_USD_MONTH)
        )
    return Price(None, _BY_USE.get(kind, "no price is known for this type"))


def _endpoint(
    resource: ResourceChange, inputs: Mapping[str, Any], resources: Sequence[ResourceChange], after: bool
) -> Price:
    """The instances of the configuration that it names, or, when a release of the command line is what it names or
    nothing is known yet, of the one under the same component."""
    held = [r for r in resources if r.type == ENDPOINT_CONFIGURATION and _side(r, after) is not None]
    own = [r for r in held if r.parent == resource.parent]
    named = [r for r in held if (_side(r, after) or {}).get("name") == inputs.get("endpointConfigName")]
    chosen = own if own and (after or not named) else named
    if len(chosen) != 1:
        return Price(None, "its configuration is not the program's")
    return _instances(_side(chosen[0], after) or {}, _ceiling(resource, resources, after))


def _instances(config: Mapping[str, Any], ceiling: float | None) -> Price:
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
        if ceiling is not None and ceiling > count:
            text += f", up to {ceiling * hourly * HOURS_A_MONTH:,.2f} USD when scaled out to {ceiling:g}"
        parts.append(text)
    return Price(round(total, 2), "; ".join(parts))


def _ceiling(endpoint: ResourceChange, resources: Sequence[ResourceChange], after: bool) -> float | None:
    for resource in resources:
        if resource.type == SCALING_TARGET and resource.parent == endpoint.parent:
            most = (_side(resource, after) or {}).get("maxCapacity")
            return most if isinstance(most, int | float) else None
    return None


def _vpc_endpoint(inputs: Mapping[str, Any]) -> Price:
    if inputs.get("vpcEndpointType", "Gateway") == "Gateway":
        return NOTHING
    zones = inputs.get("subnetIds")
    if not isinstance(zones, list | tuple):
        return Price(None, "its subnets are not known before the run")
    return Price(
        round(len(zones) * VPC_ENDPOINT_USD_HOUR * HOURS_A_MONTH, 2), f"in {len(zones)} zones, traffic not counted"
    )


def _monitoring(inputs: Mapping[str, Any]) -> Price:
    cluster = (inputs.get("jobResources") or {}).get("clusterConfig") or {}
    instance, count = cluster.get("instanceType"), cluster.get("instanceCount", 1)
    hourly = hourly_usd(instance, "processing") if isinstance(instance, str) else None
    if hourly is None:
        return Price(None, "by the time its runs take")
    return Price(None, f"by the time its runs take, {hourly * count:g} USD an hour on {count:g} x {instance}")


def _side(resource: ResourceChange, after: bool) -> Mapping[str, Any] | None:
    if after:
        return None if resource.op in _GOES else resource.after
    return None if resource.op in ("create", "import") else resource.before
