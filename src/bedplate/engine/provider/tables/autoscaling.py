"""Resource types of Application Auto Scaling: scalable targets, scaling policies and scheduled actions."""

from __future__ import annotations

from typing import Any

from bedplate.engine.protocol import Properties
from bedplate.engine.provider.resource_type import FollowUpCall, ResourceType, TagOperations

TARGET_KEYS = ("serviceNamespace", "scalableDimension", "resourceId")
MISSING_TARGET_CODES = ("ObjectNotFoundException", "No scalable target found")


def _parse_target_id(id: str) -> Properties:
    """Returns the keys in `sagemaker/endpoint/e/variant/v/sagemaker:variant:DesiredInstanceCount`, an import's id."""
    if id.count("/") != 5:
        return {"resourceId": id}
    namespace, remainder = id.split("/", 1)
    resource_id, dimension = remainder.rsplit("/", 1)
    return {"serviceNamespace": namespace, "scalableDimension": dimension, "resourceId": resource_id}


def _parse_policy_id(id: str) -> Properties:
    """Returns the keys in an import's id: that of the target, `/` and the policy's name."""
    target, _, name = id.rpartition("/")
    return {**(_parse_target_id(target) if target else {}), "name": name}


def _parse_action_id(id: str) -> Properties:
    """Returns the keys in `name/namespace/resource`, and the only scalable dimension that SageMaker's variants have."""
    name, namespace, resource_id = id.split("/", 2)
    dimension = "sagemaker:variant:DesiredInstanceCount"
    return {"name": name, "serviceNamespace": namespace, "resourceId": resource_id, "scalableDimension": dimension}


def _scaling_type(
    type: str, noun: str, plural: str, name_member: str, updatable: tuple[str, ...], **fields: Any
) -> ResourceType:
    """Returns the type of a scalable target's rule with the operations Put<noun>, Describe<plural>, Delete<noun>."""
    return ResourceType(
        type,
        "application-autoscaling",
        (f"Put{noun}", f"Describe{plural}", f"Delete{noun}"),
        key_properties=(*TARGET_KEYS, "name"),
        name_property="name",
        max_name_length=256,
        member_paths={"name": f"{name_member}|{name_member}s"},
        read_path=f"{plural}[{name_member}={{name}}]",
        update_calls=(FollowUpCall(f"Put{noun}", updatable),),
        replaces=(*TARGET_KEYS, "name"),
        **fields,
    )


RESOURCE_TYPES = (
    ResourceType(
        "aws:appautoscaling/target:Target",
        "application-autoscaling",
        ("RegisterScalableTarget", "DescribeScalableTargets", "DeregisterScalableTarget"),
        id_format="{resourceId}",
        key_properties=TARGET_KEYS,
        parse_id=_parse_target_id,
        read_path="ScalableTargets[ResourceId={resourceId}]",
        missing_codes=(*MISSING_TARGET_CODES, "No scaling policy found"),
        outputs={"arn": "=ScalableTargetARN|ScalableTargetARN"},
        update_calls=(
            FollowUpCall("RegisterScalableTarget", ("minCapacity", "maxCapacity", "suspendedState", "roleArn")),
        ),
        replaces=TARGET_KEYS,
        tags=TagOperations({"ResourceARN": "{arn}"}),
    ),
    _scaling_type(
        "aws:appautoscaling/policy:Policy",
        noun="ScalingPolicy",
        plural="ScalingPolicies",
        name_member="PolicyName",
        updatable=(
            *("policyType", "targetTrackingScalingPolicyConfiguration", "stepScalingPolicyConfiguration"),
            "predictiveScalingPolicyConfiguration",
        ),
        id_format="{name}",
        parse_id=_parse_policy_id,
        missing_codes=(*MISSING_TARGET_CODES, "No scaling policy found"),
        outputs={"arn": "=PolicyARN|PolicyARN"},
    ),
    _scaling_type(
        "aws:appautoscaling/scheduledAction:ScheduledAction",
        noun="ScheduledAction",
        plural="ScheduledActions",
        name_member="ScheduledActionName",
        updatable=("schedule", "timezone", "startTime", "endTime", "scalableTargetAction"),
        id_format="{name}/{serviceNamespace}/{resourceId}",
        parse_id=_parse_action_id,
        missing_codes=(*MISSING_TARGET_CODES, "No scheduled action found"),
    ),
)
