"""Serverless and asynchronous endpoints, by `serving.mode`."""

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
RunStack = Callable[..., Program]


def inputs_of(program: Program, type_end: str, model: str = "churn") -> list[dict[str, Any]]:
    return [r.inputs for r in program.of_type(type_end) if model in r.name]


def test_a_serverless_endpoint_has_no_instances_scaling_capture_or_monitoring(run_stack: RunStack) -> None:
    program = run_stack(overrides={"churn": SERVERLESS})
    (config,) = inputs_of(program, "EndpointConfiguration")
    (variant,) = config["productionVariants"]
    assert variant["serverlessConfig"] == {"memorySizeInMb": 4096, "maxConcurrency": 20}
    assert "instanceType" not in variant
    assert config.get("dataCaptureConfig") is None
    assert config.get("kmsKeyArn") is None
    (model,) = inputs_of(program, "model:Model")
    assert model["enableNetworkIsolation"] is False
    (endpoint,) = inputs_of(program, "endpoint:Endpoint")
    assert endpoint.get("deploymentConfig") is None
    assert inputs_of(program, "appautoscaling/target:Target") == []
    assert inputs_of(program, "DataQualityJobDefinition") == []
    assert inputs_of(program, "appautoscaling/target:Target", "prices"), "the other model has its instances"


def test_an_asynchronous_endpoint_writes_to_s3_and_scales_from_zero(run_stack: RunStack) -> None:
    program = run_stack(overrides={"churn": ASYNC})
    (config,) = inputs_of(program, "EndpointConfiguration")
    output = config["asyncInferenceConfig"]["outputConfig"]
    assert output["s3OutputPath"].endswith("/capture/churn/async/output")
    assert output["notificationConfig"] == {"errorTopic": program.exports["alerts_topic_arn"]}
    (target,) = inputs_of(program, "appautoscaling/target:Target")
    assert (target["minCapacity"], target["maxCapacity"]) == (0, 4)
    policies = {p["name"]: p for p in inputs_of(program, "appautoscaling/policy:Policy")}
    tracking = policies["bedplate-prod-churn-backlog"]["targetTrackingScalingPolicyConfiguration"]
    assert tracking["customizedMetricSpecification"]["metricName"] == "ApproximateBacklogSizePerInstance"
    alarm = next(a for a in inputs_of(program, "MetricAlarm") if a["name"] == "bedplate-prod-churn-backlog")
    assert alarm["metricName"] == "HasBacklogWithoutCapacity"
    (night,) = inputs_of(program, "ScheduledAction")
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
def test_contradictions_are_rejected_with_their_key(run_stack: RunStack, serving: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingsError, match=key):
        run_stack(overrides={"churn": {"serving": serving, "rollout": {"strategy": "all-at-once"}}})


def test_a_serverless_endpoint_cannot_have_a_canary(run_stack: RunStack) -> None:
    with pytest.raises(SettingsError, match="shifts traffic between instances"):
        run_stack(overrides={"churn": {"serving": {"mode": "serverless", "capture_pct": 0}}})
