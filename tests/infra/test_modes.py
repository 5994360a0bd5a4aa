"""Endpoints that are not instances: what the program asks for where `serving.mode` is serverless or async."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bedplate.errors import SettingsError

from .conftest import Program

SERVERLESS = {
    "serving": {"mode": "serverless", "capture_pct": 0, "serverless": {"memory_mb": 4096}},
    "rollout": {"strategy": "all-at-once"},
}
ASYNC = {
    "serving": {
        "mode": "async",
        "min_instances": 0,
        "schedule": [{"name": "night", "at": "cron(0 22 * * ? *)", "min_instances": 0, "max_instances": 1}],
    }
}
Ran = Callable[..., Program]


def of(program: Program, type_end: str, model: str = "churn") -> list[dict[str, Any]]:
    return [r.inputs for r in program.of(type_end) if model in r.name]


def test_a_serverless_endpoint_has_neither_instances_nor_what_follows_from_them(ran: Ran) -> None:
    program = ran(overrides={"churn": SERVERLESS})
    (config,) = of(program, "EndpointConfiguration")
    (variant,) = config["productionVariants"]
    assert variant["serverlessConfig"] == {"memorySizeInMb": 4096, "maxConcurrency": 20}
    assert "instanceType" not in variant
    assert config.get("dataCaptureConfig") is None
    assert config.get("kmsKeyArn") is None
    (model,) = of(program, "model:Model")
    assert model["enableNetworkIsolation"] is False
    (endpoint,) = of(program, "endpoint:Endpoint")
    assert endpoint.get("deploymentConfig") is None
    assert of(program, "appautoscaling/target:Target") == []
    assert of(program, "DataQualityJobDefinition") == []
    assert of(program, "appautoscaling/target:Target", "prices"), "the other model has its instances"


def test_an_asynchronous_endpoint_answers_to_s3_and_scales_from_nothing(ran: Ran) -> None:
    program = ran(overrides={"churn": ASYNC})
    (config,) = of(program, "EndpointConfiguration")
    output = config["asyncInferenceConfig"]["outputConfig"]
    assert output["s3OutputPath"].endswith("/capture/churn/async/output")
    assert output["notificationConfig"] == {"errorTopic": program.exports["alerts_topic_arn"]}
    (target,) = of(program, "appautoscaling/target:Target")
    assert (target["minCapacity"], target["maxCapacity"]) == (0, 4)
    policies = {p["name"]: p for p in of(program, "appautoscaling/policy:Policy")}
    tracked = policies["bedplate-prod-churn-backlog"]["targetTrackingScalingPolicyConfiguration"]
    assert tracked["customizedMetricSpecification"]["metricName"] == "ApproximateBacklogSizePerInstance"
    alarm = next(a for a in of(program, "MetricAlarm") if a["name"] == "bedplate-prod-churn-backlog")
    assert alarm["metricName"] == "HasBacklogWithoutCapacity"
    (night,) = of(program, "ScheduledAction")
    assert night["scalableTargetAction"] == {"minCapacity": 0, "maxCapacity": 1}


@pytest.mark.parametrize(
    ("serving", "key"),
    [
        ({"mode": "serverless", "instance_count": 3}, "instance_count"),
        ({"mode": "serverless", "capture_pct": 100}, "capture_pct"),
        ({"min_instances": 0}, "min_instances"),
        ({"serverless": {"memory_mb": 1024}}, "serverless"),
        ({"mode": "serverless", "serverless": {"max_concurrency": 1, "provisioned_concurrency": 2}}, "provisioned"),
        ({"schedule": [{"name": "a", "at": "rate(1 day)", "min_instances": 3, "max_instances": 2}]}, "min_instances"),
        ({"schedule": [{"name": "a", "at": "rate(1 day)", "min_instances": 0, "max_instances": 2}]}, "min_instances"),
    ],
)
def test_what_does_not_go_together_is_refused_with_its_key(ran: Ran, serving: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingsError, match=key):
        ran(overrides={"churn": {"serving": serving, "rollout": {"strategy": "all-at-once"}}})


def test_traffic_of_a_serverless_endpoint_cannot_be_shifted_in_parts(ran: Ran) -> None:
    with pytest.raises(SettingsError, match="shifts traffic between instances"):
        ran(overrides={"churn": {"serving": {"mode": "serverless", "capture_pct": 0}}})
