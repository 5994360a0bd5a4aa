"""What a release, a split of traffic and a deployment look like in SageMaker's requests, and shares in its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bedplate.ports import ReleaseDraft, SplitDraft, TrafficRouting, VariantDraft

START_UP_S = 1800
"""What a new fleet is given to start, on top of the time that its traffic is watched."""
MAX_EXECUTION_S = 28_800
"""SageMaker's bound on the time of a deployment."""


def shares(variants: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Variant -> its share of the traffic, 0 to 1, by weight."""
    weights = {v["VariantName"]: _weight(v) for v in variants}
    total = sum(weights.values())
    return {name: weight / total if total else 0.0 for name, weight in weights.items()}


def mirrored(variants: Sequence[Mapping[str, Any]], shadows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The share of requests that each shadow gets a copy of: its weight by the production variants' together."""
    total = sum(_weight(v) for v in variants)
    return {v["VariantName"]: min(1.0, _weight(v) / total) if total else 0.0 for v in shadows}


def _weight(variant: Mapping[str, Any]) -> float:
    return float(variant.get("CurrentWeight", variant.get("DesiredWeight", 1.0)) or 0.0)


def live_variant(draft: ReleaseDraft) -> dict[str, Any]:
    """The one production variant of a release: on instances, or serverless."""
    variant: dict[str, Any] = {
        "VariantName": draft.variant,
        "ModelName": draft.name,
        "InitialVariantWeight": 1.0,
    }
    if draft.on_demand is None:
        return {**variant, "InstanceType": draft.instance_type, "InitialInstanceCount": draft.instance_count}
    config = {"MemorySizeInMB": draft.on_demand.memory_mb, "MaxConcurrency": draft.on_demand.max_concurrency}
    if draft.on_demand.provisioned_concurrency:
        config["ProvisionedConcurrency"] = draft.on_demand.provisioned_concurrency
    return {**variant, "ServerlessConfig": config}


def variant_of(draft: VariantDraft) -> dict[str, Any]:
    """A variant of a split."""
    return {
        "VariantName": draft.name,
        "ModelName": draft.release,
        "InstanceType": draft.instance_type,
        "InitialInstanceCount": draft.instance_count,
        "InitialVariantWeight": draft.weight,
    }


def pending_share(variants: Sequence[Mapping[str, Any]], fleet: Mapping[str, Any]) -> float | None:
    """The new fleet's share. AWS gives weights of both fleets only for some kinds of update; without them None."""
    if fleet.get("CurrentWeight") is None:
        return None
    new = float(fleet["CurrentWeight"])
    old = sum(float(v.get("CurrentWeight") or 0.0) for v in variants)
    return new / (old + new) if old + new else 0.0


def capture_config(draft: ReleaseDraft | SplitDraft) -> dict[str, Any]:
    """Every request and answer, or as many percent as asked for, to the draft's place in S3."""
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
    """Blue/green, with the time that it may take, and the alarms that undo it."""
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
            "MaximumExecutionTimeoutInSeconds": min(MAX_EXECUTION_S, START_UP_S + steps * traffic.bake_s),
        }
    }
    if traffic.rollback_alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in traffic.rollback_alarms]}
    return config


def tags_of(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
