"""What a plan costs, and what it risks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from bedplate.domain.stacks.plan import UNKNOWN
from bedplate.domain.stacks.plan_cost import CostLine, price_plan
from bedplate.domain.stacks.plan_risk import find_risks

BUCKET, KEY = "aws:s3/bucket:Bucket", "aws:kms/key:Key"
ENDPOINT, CONFIG = "aws:sagemaker/endpoint:Endpoint", "aws:sagemaker/endpointConfiguration:EndpointConfiguration"


@dataclass(frozen=True)
class AResource:
    op: str
    type: str
    before: Any = None
    after: Any = None
    name: str = "x"
    parent: str = "model"

    @property
    def urn(self) -> str:
        return f"urn:{self.type}:{self.name}"


def config(instance: str = "ml.m5.large", count: int = 2, name: str = UNKNOWN) -> dict[str, Any]:
    return {"name": name, "productionVariants": [{"instanceType": instance, "initialInstanceCount": count}]}


def only(*resources: AResource) -> CostLine:
    (line,) = price_plan(resources).lines
    return line


@pytest.mark.parametrize(
    ("region", "told"), [("eu-west-1", "this is eu-west-1, where they differ"), ("us-east-1", "by hand")]
)
def test_prices_say_whose_and_of_when_they_are(region: str, told: str) -> None:
    provider = AResource("create", "pulumi:providers:aws", after={"region": region})
    basis = price_plan([provider, AResource("create", KEY, after={})]).price_source
    assert basis.startswith("AWS list prices of us-east-1 as noted in 2025")
    assert basis.endswith(told)


def test_a_new_endpoint_costs_its_instances_for_730_hours_though_its_configuration_has_no_name_yet() -> None:
    endpoint = AResource("create", ENDPOINT, after={"endpointConfigName": UNKNOWN})
    other = AResource("create", CONFIG, after=config(count=9), parent="another model")
    line = only(endpoint, AResource("create", CONFIG, after=config()), other)
    assert line.difference_usd == 2 * 0.115 * 730
    assert line.after.note == "2 x ml.m5.large"


def test_scaling_out_is_told_beside_the_price() -> None:
    target = AResource("create", "aws:appautoscaling/target:Target", after={"maxCapacity": 4})
    line = only(AResource("create", ENDPOINT, after={}), AResource("create", CONFIG, after=config()), target)
    assert line.after.note == "2 x ml.m5.large, up to 335.80 USD when scaled out to 4"


def test_a_larger_configuration_is_the_untouched_endpoints_price_from_the_next_deployment_on() -> None:
    endpoint = AResource("same", ENDPOINT, {"endpointConfigName": "old"}, {"endpointConfigName": "old"})
    changed = AResource("replace", CONFIG, config(name="old"), config("ml.m5.xlarge", name="new"))
    line = only(endpoint, changed)
    assert (line.before.usd, line.after.usd) == (167.9, 335.8)
    assert line.after.note.endswith("from the next deployment on")


def test_an_endpoint_that_serves_a_release_of_the_command_line_is_priced_by_its_components_configuration() -> None:
    endpoint = AResource("delete", ENDPOINT, {"endpointConfigName": "a-release"})
    line = only(endpoint, AResource("same", CONFIG, config(name="v0"), config(name="v0")))
    assert (line.before.usd, line.after.usd) == (167.9, 0)


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        (AResource("create", BUCKET, after={}), "by what is stored, 0.023 USD per GB"),
        (AResource("create", "aws:sns/topic:Topic", after={}), "by what is sent"),
        (AResource("create", "aws:rds/cluster:Cluster", after={}), "no price is known for this type"),
        (AResource("create", ENDPOINT, after={}), "its configuration is not the program's"),
    ],
)
def test_what_cannot_be_known_is_unknown_and_says_why(resource: AResource, why: str) -> None:
    cost = price_plan([resource])
    assert (cost.lines[0].after.usd, cost.lines[0].after.note) == (None, why)
    assert (cost.difference_usd, cost.unknown_count) == (0, 1)


def test_an_instance_without_a_price_is_unknown() -> None:
    line = only(AResource("create", ENDPOINT, after={}), AResource("create", CONFIG, after=config("ml.x9.huge")))
    assert line.after.note == "the price of ml.x9.huge is not known"


def test_the_difference_adds_what_comes_and_takes_off_what_goes() -> None:
    alarm = "aws:cloudwatch/metricAlarm:MetricAlarm"
    plan = [AResource("create", KEY, after={}), *(AResource("delete", alarm, {}, name=str(i)) for i in range(2))]
    assert price_plan(plan).difference_usd == pytest.approx(1 - 0.2)


def test_what_is_free_or_stays_the_same_is_not_listed() -> None:
    free = AResource("create", "aws:iam/role:Role", after={})
    sub = AResource("create", "aws:s3/bucketPolicy:BucketPolicy", after={})
    assert price_plan([free, sub, AResource("same", KEY, {}, {})]).lines == ()


@pytest.mark.parametrize("op", ["delete", "replace"])
@pytest.mark.parametrize(("type", "kind"), [(BUCKET, "data"), (KEY, "data"), (ENDPOINT, "traffic")])
def test_deletion_and_replacement_of_what_holds_data_or_serves_are_risks(op: str, type: str, kind: str) -> None:
    (risk,) = find_risks([AResource(op, type, {}, {})])
    assert (risk.kind, risk.op, risk.type) == (kind, op, type)


def test_an_update_of_the_same_resources_is_none() -> None:
    assert find_risks([AResource("update", type, {}, {}) for type in (BUCKET, KEY, ENDPOINT)]) == ()


def test_losing_versioning_or_gaining_force_destroy_is_a_risk() -> None:
    versioning = [{"versioningConfiguration": {"status": status}} for status in ("Enabled", "Suspended")]
    found = find_risks(
        [
            AResource("update", "aws:s3/bucketVersioning:BucketVersioning", *versioning),
            AResource("update", "aws:s3/bucketVersioning:BucketVersioning", *reversed(versioning)),
            AResource("update", BUCKET, {"forceDestroy": False}, {"forceDestroy": True}),
        ]
    )
    assert [risk.reason.split(":")[0].split(" ")[0] for risk in found] == ["what", "force_destroy"]


def test_an_interface_endpoint_costs_by_zone_and_a_gateway_nothing() -> None:
    kind = "aws:ec2/vpcEndpoint:VpcEndpoint"
    interface = AResource("create", kind, after={"vpcEndpointType": "Interface", "subnetIds": [UNKNOWN, UNKNOWN]})
    gateway = AResource("create", kind, after={"vpcEndpointType": "Gateway"}, name="s3")
    assert only(interface, gateway).after.usd == 14.6
