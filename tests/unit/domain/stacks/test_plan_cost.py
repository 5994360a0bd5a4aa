"""The cost and the risks of a plan."""

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
    ("region", "suffix"), [("eu-west-1", "in eu-west-1, where they differ"), ("us-east-1", "by hand")]
)
def test_prices_name_their_region_and_date(region: str, suffix: str) -> None:
    provider = AResource("create", "pulumi:providers:aws", after={"region": region})
    price_source = price_plan([provider, AResource("create", KEY, after={})]).price_source
    assert price_source.startswith("AWS list prices of us-east-1 as of 2025")
    assert price_source.endswith(suffix)


def test_a_new_endpoint_costs_its_instances_for_730_hours() -> None:
    endpoint = AResource("create", ENDPOINT, after={"endpointConfigName": UNKNOWN})
    other = AResource("create", CONFIG, after=config(count=9), parent="another model")
    line = only(endpoint, AResource("create", CONFIG, after=config()), other)
    assert line.difference_usd == 2 * 0.115 * 730
    assert line.after.note == "2 x ml.m5.large"


def test_the_price_note_contains_the_scaled_out_price() -> None:
    target = AResource("create", "aws:appautoscaling/target:Target", after={"maxCapacity": 4})
    line = only(AResource("create", ENDPOINT, after={}), AResource("create", CONFIG, after=config()), target)
    assert line.after.note == "2 x ml.m5.large, up to 335.80 USD when scaled out to 4"


def test_a_changed_configuration_changes_the_price_from_the_next_deployment() -> None:
    endpoint = AResource("same", ENDPOINT, {"endpointConfigName": "old"}, {"endpointConfigName": "old"})
    changed = AResource("replace", CONFIG, config(name="old"), config("ml.m5.xlarge", name="new"))
    line = only(endpoint, changed)
    assert (line.before.usd, line.after.usd) == (167.9, 335.8)
    assert line.after.note.endswith("from the next deployment on")


def test_an_endpoint_with_a_cli_release_is_priced_by_its_components_configuration() -> None:
    endpoint = AResource("delete", ENDPOINT, {"endpointConfigName": "a-release"})
    line = only(endpoint, AResource("same", CONFIG, config(name="v0"), config(name="v0")))
    assert (line.before.usd, line.after.usd) == (167.9, 0)


@pytest.mark.parametrize(
    ("resource", "note"),
    [
        (AResource("create", BUCKET, after={}), "by stored data, 0.023 USD per GB"),
        (AResource("create", "aws:sns/topic:Topic", after={}), "by messages"),
        (AResource("create", "aws:rds/cluster:Cluster", after={}), "the price of this type is not known"),
        (AResource("create", ENDPOINT, after={}), "its configuration is not part of the program"),
    ],
)
def test_an_unknown_price_has_a_note(resource: AResource, note: str) -> None:
    cost = price_plan([resource])
    assert (cost.lines[0].after.usd, cost.lines[0].after.note) == (None, note)
    assert (cost.difference_usd, cost.unknown_count) == (0, 1)


def test_an_instance_without_a_price_is_unknown() -> None:
    line = only(AResource("create", ENDPOINT, after={}), AResource("create", CONFIG, after=config("ml.x9.huge")))
    assert line.after.note == "the price of ml.x9.huge is not known"


def test_the_difference_adds_created_and_subtracts_deleted_resources() -> None:
    alarm = "aws:cloudwatch/metricAlarm:MetricAlarm"
    plan = [AResource("create", KEY, after={}), *(AResource("delete", alarm, {}, name=str(i)) for i in range(2))]
    assert price_plan(plan).difference_usd == pytest.approx(1 - 0.2)


def test_free_and_unchanged_resources_are_not_listed() -> None:
    free = AResource("create", "aws:iam/role:Role", after={})
    sub = AResource("create", "aws:s3/bucketPolicy:BucketPolicy", after={})
    assert price_plan([free, sub, AResource("same", KEY, {}, {})]).lines == ()


@pytest.mark.parametrize("op", ["delete", "replace"])
@pytest.mark.parametrize(("type", "kind"), [(BUCKET, "data"), (KEY, "data"), (ENDPOINT, "traffic")])
def test_deleting_or_replacing_data_and_endpoints_is_a_risk(op: str, type: str, kind: str) -> None:
    (risk,) = find_risks([AResource(op, type, {}, {})])
    assert (risk.kind, risk.op, risk.type) == (kind, op, type)


def test_an_update_of_the_same_resources_is_not_a_risk() -> None:
    assert find_risks([AResource("update", type, {}, {}) for type in (BUCKET, KEY, ENDPOINT)]) == ()


def test_suspending_versioning_or_enabling_force_destroy_is_a_risk() -> None:
    versioning = [{"versioningConfiguration": {"status": status}} for status in ("Enabled", "Suspended")]
    risks = find_risks(
        [
            AResource("update", "aws:s3/bucketVersioning:BucketVersioning", *versioning),
            AResource("update", "aws:s3/bucketVersioning:BucketVersioning", *reversed(versioning)),
            AResource("update", BUCKET, {"forceDestroy": False}, {"forceDestroy": True}),
        ]
    )
    assert [risk.reason.split(":")[0].split(" ")[0] for risk in risks] == ["objects", "force_destroy"]


def test_an_interface_endpoint_costs_per_zone_and_a_gateway_is_free() -> None:
    kind = "aws:ec2/vpcEndpoint:VpcEndpoint"
    interface = AResource("create", kind, after={"vpcEndpointType": "Interface", "subnetIds": [UNKNOWN, UNKNOWN]})
    gateway = AResource("create", kind, after={"vpcEndpointType": "Gateway"}, name="s3")
    assert only(interface, gateway).after.usd == 14.6
