"""Builds the parts of SageMaker's endpoint requests, and reads traffic shares from its responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bedplate.ports import MultiVariantDraft, ReleaseDraft, TrafficRouting, VariantDraft

FLEET_START_S = 1800
"""Time for a new fleet to start, in addition to the time that its traffic bakes."""
MAX_EXECUTION_S = 28_800
"""SageMaker's limit on the time of a deployment."""


def traffic_shares(variants: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns each variant's share of the traffic, 0 to 1, from the weights."""
    weights = {v["VariantName"]: _weight(v) for v in variants}
    total = sum(weights.values())
    return {name: weight / total if total else 0.0 for name, weight in weights.items()}


def shadow_shares(variants: Sequence[Mapping[str, Any]], shadows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns the share of requests, 0 to 1, copied to each shadow: its weight by the sum of the variants' weights."""
    total = sum(_weight(v) for v in variants)
    return {v["VariantName"]: min(1.0, _weight(v) / total) if total else 0.0 for v in shadows}


def _weight(variant: Mapping[str, Any]) -> float:
    return float(variant.get("CurrentWeight", variant.get("DesiredWeight", 1.0)) or 0.0)


def release_variant(draft: ReleaseDraft) -> dict[str, Any]:
    """Returns the only production variant of a release: on instances, or serverless."""
    variant: dict[str, Any] = {"VariantName": draft.variant, "ModelName": draft.name, "InitialVariantWeight": 1.0}
    if draft.serverless is None:
        return {**variant, "InstanceType": draft.instance_type, "InitialInstanceCount": draft.instance_count}
    config = {"MemorySizeInMB": draft.serverless.memory_mb, "MaxConcurrency": draft.serverless.max_concurrency}
    if draft.serverless.provisioned_concurrency:
        config["ProvisionedConcurrency"] = draft.serverless.provisioned_concurrency
    return {**variant, "ServerlessConfig": config}


def instance_variant(draft: VariantDraft) -> dict[str, Any]:
    """Returns a variant of a multi-variant configuration."""
    return {
        "VariantName": draft.name,
        "ModelName": draft.release,
        "InstanceType": draft.instance_type,
        "InitialInstanceCount": draft.instance_count,
        "InitialVariantWeight": draft.weight,
    }


def pending_share(variants: Sequence[Mapping[str, Any]], fleet: Mapping[str, Any]) -> float | None:
    """Returns the new fleet's share of the traffic, 0 to 1.

    AWS reports the weights of both fleets only for some kinds of update; returns None without them.
    """
    if fleet.get("CurrentWeight") is None:
        return None
    new = float(fleet["CurrentWeight"])
    old = sum(float(v.get("CurrentWeight") or 0.0) for v in variants)
    return new / (old + new) if old + new else 0.0


def capture_config(draft: ReleaseDraft | MultiVariantDraft) -> dict[str, Any]:
    """Returns the DataCaptureConfig: the draft's per cent of requests and predictions, to its S3 prefix."""
    config: dict[str, Any] = {
        "EnableCapture": True,
        "InitialSamplingPercentage": round(draft.capture_pct),
        "DestinationS3Uri": draft.capture_uri,
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {
            "CsvContentTypes": ["text/csv"],
            "JsonContentTypes": ["application/json", "application/jsonlines"],
        },
    }
    return {**config, "KmsKeyId": draft.kms_key_arn} if draft.kms_key_arn else config


def deployment_config(traffic: TrafficRouting) -> dict[str, Any]:
    """Returns the DeploymentConfig: blue/green, with a time limit and the alarms that roll it back."""
    routing: dict[str, Any] = {"Type": traffic.kind, "WaitIntervalInSeconds": traffic.bake_s}
    size = {"Type": "CAPACITY_PERCENT", "Value": traffic.step_pct}
    if traffic.kind == "CANARY":
        routing["CanarySize"] = size
    if traffic.kind == "LINEAR":
        routing["LinearStepSize"] = size
    steps = -(-100 // traffic.step_pct) if traffic.kind == "LINEAR" else 2
    config: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": 0,
            "MaximumExecutionTimeoutInSeconds": min(MAX_EXECUTION_S, FLEET_START_S + steps * traffic.bake_s),
        }
    }
    if traffic.rollback_alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in traffic.rollback_alarms]}
    return config
