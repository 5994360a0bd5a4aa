"""Policies on monitoring: capture, alarms and budgets for every endpoint, image scans and log retention."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bedplate.domain.policy.rules import PlannedResource, PlannedStack, PolicyFinding

_ENDPOINT = "sagemaker/endpoint:Endpoint"
_CONFIG = "sagemaker/endpointConfiguration:EndpointConfiguration"


def endpoint_capture(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every endpoint captures requests and predictions; SageMaker has no capture for serverless endpoints."""
    for config in program.of_type(_CONFIG):
        if config.has("productionVariants.0.serverlessConfig"):
            continue
        if config["dataCaptureConfig.enableCapture"] is not True:
            yield config, "does not capture requests (dataCaptureConfig.enableCapture)"
            continue
        modes = {option["captureMode"] for option in config["dataCaptureConfig.captureOptions"] or ()}
        if not ({"Input", "Output"} <= modes or "InputAndOutput" in modes):
            yield config, f"captures {', '.join(sorted(modes)) or 'nothing'}: expected Input and Output"
        if not config["dataCaptureConfig.initialSamplingPercentage"]:
            yield config, "captures 0 % of the requests"


def endpoint_alarms(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every endpoint has an alarm on errors and one on latency, and endpoints with blue/green deployments roll back on
    alarms."""
    metrics_by_endpoint: dict[str, set[str]] = {}
    for alarm in program.of_type("cloudwatch/metricAlarm:MetricAlarm"):
        endpoint = alarm["dimensions.EndpointName"]
        if endpoint:
            metrics_by_endpoint.setdefault(endpoint, set()).add(str(alarm["metricName"]))
    for endpoint in program.of_type(_ENDPOINT):
        metrics = metrics_by_endpoint.get(endpoint["name"], set())
        if not any("Error" in metric for metric in metrics):
            yield endpoint, "has no alarm on errors"
        if not any("Latency" in metric for metric in metrics):
            yield endpoint, "has no alarm on latency"
        has_traffic_shift = endpoint.has("deploymentConfig.blueGreenUpdatePolicy")
        if has_traffic_shift and not endpoint.has("deploymentConfig.autoRollbackConfiguration.alarms"):
            yield endpoint, "has no alarm that rolls a deployment back (deploymentConfig.autoRollbackConfiguration)"


def alarm_actions(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every alarm notifies someone, itself or through a composite alarm that includes it."""
    composed: set[str] = set()
    for composite in program.of_type("cloudwatch/compositeAlarm:CompositeAlarm"):
        if composite.has("alarmActions"):
            composed |= set(re.findall(r"ALARM\([\"']?([^\"')]+)", str(composite["alarmRule"])))
        else:
            yield composite, "notifies no one (alarmActions)"
    for alarm in program.of_type("cloudwatch/metricAlarm:MetricAlarm"):
        if not alarm.has("alarmActions") and alarm["name"] not in composed:
            yield alarm, "notifies no one (alarmActions, or a composite alarm that includes it)"


def endpoint_budgets(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every endpoint's model has a budget that filters by its tag and sends notifications."""
    budget_tags: set[str] = set()
    for budget in program.of_type("budgets/budget:Budget"):
        for cost_filter in budget["costFilters"] or ():
            if cost_filter.get("name") == "TagKeyValue" and budget.has("notifications"):
                budget_tags |= set(cost_filter.get("values") or ())
    for endpoint in program.of_type(_ENDPOINT):
        model = _model(endpoint)
        if f"user:Model${model}" not in budget_tags:
            yield endpoint, f"has no budget with notifications for the tag Model={model}"


def image_scans(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Images are scanned on push, and tags are immutable."""
    for repository in program.of_type("ecr/repository:Repository"):
        if repository["imageScanningConfiguration.scanOnPush"] is not True:
            yield repository, "does not scan images on push"
        if repository["imageTagMutability"] != "IMMUTABLE":
            yield repository, "allows a tag to move to another image (imageTagMutability)"


def log_retention(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every log group has a retention period."""
    for group in program.of_type("cloudwatch/logGroup:LogGroup"):
        if not group["retentionInDays"]:
            yield group, "keeps its logs forever (retentionInDays)"


def _model(endpoint: PlannedResource) -> str:
    return str(endpoint["tags.Model"] or endpoint["name"])
