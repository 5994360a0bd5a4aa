"""Resource types of EventBridge: rules and their targets. Pulumi lists both under its `cloudwatch` module."""

from __future__ import annotations

from bedplate.engine.protocol import Properties
from bedplate.engine.provider.clients import AwsClients, Params
from bedplate.engine.provider.resource_type import FollowUpCall, ResourceType, TagOperations, named_type


def _target_params(_aws: AwsClients, operation: str, properties: Properties, params: Params) -> Params:
    if operation == "RemoveTargets":
        return {"Rule": properties["rule"], "Ids": [properties["targetId"]]}
    return {"Rule": properties["rule"]} if operation == "ListTargetsByRule" else params


RESOURCE_TYPES = (
    named_type(
        "aws:cloudwatch/eventRule:EventRule",
        "events",
        ("PutRule", "DescribeRule", "DeleteRule"),
        max_name_length=64,
        missing_codes=("ResourceNotFoundException",),
        outputs={"arn": "=RuleArn|Arn"},
        update_calls=(
            FollowUpCall("PutRule", ("description", "eventPattern", "scheduleExpression", "state", "roleArn")),
        ),
        replaces=("name", "eventBusName"),
        tags=TagOperations({"ResourceARN": "{arn}"}),
    ),
    ResourceType(
        "aws:cloudwatch/eventTarget:EventTarget",
        "events",
        ("PutTargets", "ListTargetsByRule", "RemoveTargets"),
        id_format="{rule}-{targetId}",
        key_properties=("rule", "targetId"),
        parse_id=lambda id: dict(zip(("rule", "targetId"), id.rsplit("/" if "/" in id else "-", 1), strict=False)),
        name_property="targetId",
        max_name_length=64,
        member_paths={
            "targetId": "Targets[0].Id",
            "sagemakerPipelineTarget": "Targets[0].SageMakerPipelineParameters",
        },
        payload_path="Targets[0]",
        read_path="Targets[Id={targetId}]",
        missing_codes=("ResourceNotFoundException",),
        update_calls=(
            FollowUpCall(
                "PutTargets",
                (
                    *("arn", "input", "inputPath", "inputTransformer", "roleArn"),
                    *("deadLetterConfig", "retryPolicy", "sagemakerPipelineTarget"),
                ),
            ),
        ),
        replaces=("rule", "targetId"),
        adjust_params=_target_params,
    ),
)
