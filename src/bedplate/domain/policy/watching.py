"""Nothing answers unwatched or unpaid: capture, alarms and budgets for every endpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bedplate.domain.policy.rules import Finding, PlannedResource, PlannedStack

_ENDPOINT = "sagemaker/endpoint:Endpoint"
_CONFIG = "sagemaker/endpointConfiguration:EndpointConfiguration"


def capture_on(program: PlannedStack) -> Iterator[Finding]:
    """Every endpoint keeps what it was asked and what it said; SageMaker has no capture for serverless ones."""
    for config in program.of(_CONFIG):
        if config.has("productionVariants.0.serverlessConfig"):
            continue
        if config["dataCaptureConfig.enableCapture"] is not True:
            yield config, "captures nothing (dataCaptureConfig.enableCapture)"
            continue
        modes = {option["captureMode"] for option in config["dataCaptureConfig.captureOptions"] or ()}
        if not ({"Input", "Output"} <= modes or "InputAndOutput" in modes):
            yield config, f"captures {', '.join(sorted(modes)) or 'neither side'}: Input and Output expected"
        if not config["dataCaptureConfig.initialSamplingPercentage"]:
            yield config, "captures 0 % of the requests"


def alarms_present(program: PlannedStack) -> Iterator[Finding]:
    """Every endpoint has an alarm on errors and one on latency, and those that can be shifted roll back by them."""
    measured: dict[str, set[str]] = {}
    for alarm in program.of("cloudwatch/metricAlarm:MetricAlarm"):
        endpoint = alarm["dimensions.EndpointName"]
        if endpoint:
            measured.setdefault(endpoint, set()).add(str(alarm["metricName"]))
    for endpoint in program.of(_ENDPOINT):
        metrics = measured.get(endpoint["name"], set())
        if not any("Error" in metric for metric in metrics):
            yield endpoint, "no alarm watches its errors"
        if not any("Latency" in metric for metric in metrics):
            yield endpoint, "no alarm watches its latency"
        shifts = endpoint.has("deploymentConfig.blueGreenUpdatePolicy")
        if shifts and not endpoint.has("deploymentConfig.autoRollbackConfiguration.alarms"):
            yield endpoint, "no alarm rolls a deployment back (deploymentConfig.autoRollbackConfiguration)"


def alarms_tell(program: PlannedStack) -> Iterator[Finding]:
    """Every alarm tells somebody, itself or by a composite alarm that counts it."""
    spoken_for: set[str] = set()
    for composite in program.of("cloudwatch/compositeAlarm:CompositeAlarm"):
        if composite.has("alarmActions"):
            spoken_for |= set(re.findall(r"ALARM\([\"']?([^\"')]+)", str(composite["alarmRule"])))
        else:
            yield composite, "tells nobody (alarmActions)"
    for alarm in program.of("cloudwatch/metricAlarm:MetricAlarm"):
        if not alarm.has("alarmActions") and alarm["name"] not in spoken_for:
            yield alarm, "tells nobody (alarmActions, or a composite alarm that counts it)"


def budgets_present(program: PlannedStack) -> Iterator[Finding]:
    """Every endpoint's model has a budget that counts by its tag and tells somebody."""
    counted: set[str] = set()
    for budget in program.of("budgets/budget:Budget"):
        for each in budget["costFilters"] or ():
            if each.get("name") == "TagKeyValue" and budget.has("notifications"):
                counted |= set(each.get("values") or ())
    for endpoint in program.of(_ENDPOINT):
        model = _model(endpoint)
        if f"user:Model${model}" not in counted:
            yield endpoint, f"no budget with notifications counts what carries the tag Model={model}"


def images_scanned(program: PlannedStack) -> Iterator[Finding]:
    """Images are scanned when they come in, and what a tag means never changes."""
    for repository in program.of("ecr/repository:Repository"):
        if repository["imageScanningConfiguration.scanOnPush"] is not True:
            yield repository, "images are not scanned on push"
        if repository["imageTagMutability"] != "IMMUTABLE":
            yield repository, "a tag can be given to another image later (imageTagMutability)"


def logs_forget(program: PlannedStack) -> Iterator[Finding]:
    for group in program.of("cloudwatch/logGroup:LogGroup"):
        if not group["retentionInDays"]:
            yield group, "keeps its lines for ever (retentionInDays)"


def _model(endpoint: PlannedResource) -> str:
    return str(endpoint["tags.Model"] or endpoint["name"])
