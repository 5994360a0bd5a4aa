"""The resource type of CloudTrail trails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.protocol import Properties
from bedplate.engine.provider.clients import AwsClients
from bedplate.engine.provider.resource_type import (
    FollowUpCall,
    TagOperations,
    default_param,
    named_type,
    toggle_calls,
)
from bedplate.engine.provider.shapes import from_aws


def _read_trail(aws: AwsClients, inputs: Properties, _actual: Mapping[str, Any]) -> Properties:
    live_inputs: Properties = {}
    if "enableLogging" in inputs:
        live_inputs["enableLogging"] = aws.call("cloudtrail", "GetTrailStatus", Name=inputs["name"])["IsLogging"]
    if "eventSelectors" in inputs:
        selectors = aws.call("cloudtrail", "GetEventSelectors", TrailName=inputs["name"]).get("EventSelectors") or []
        shape = aws.operation_model("cloudtrail", "GetEventSelectors").output_shape.members["EventSelectors"]
        live_inputs["eventSelectors"] = from_aws(inputs["eventSelectors"], selectors, shape)
    return live_inputs


RESOURCE_TYPES = (
    named_type(
        "aws:cloudtrail/trail:Trail",
        "cloudtrail",
        ("CreateTrail", "GetTrail", "DeleteTrail"),
        id_format="{arn}",
        parse_id=lambda id: {"name": id.rsplit("/", 1)[1]},
        max_name_length=128,
        member_paths={"name": "Name|TrailName", "enableLogging": "none"},
        read_path="Trail",
        missing_codes=("TrailNotFoundException",),
        outputs={
            "arn": "arn:aws:cloudtrail:{region}:{account}:trail/{name}",
            "homeRegion": "{region}",
        },
        create_follow_ups=(
            FollowUpCall("PutEventSelectors", ("eventSelectors",)),
            FollowUpCall("StartLogging", ("enableLogging",)),
        ),
        update_calls=(
            FollowUpCall(
                "UpdateTrail",
                (
                    *("s3BucketName", "s3KeyPrefix", "snsTopicName", "includeGlobalServiceEvents", "kmsKeyId"),
                    *("isMultiRegionTrail", "enableLogFileValidation", "cloudWatchLogsGroupArn"),
                    *("cloudWatchLogsRoleArn", "isOrganizationTrail"),
                ),
            ),
            FollowUpCall("PutEventSelectors", ("eventSelectors",)),
            *toggle_calls("enableLogging", "StartLogging", "StopLogging"),
        ),
        tags=TagOperations(
            {"ResourceId": "{arn}", "ResourceIdList": ["{arn}"]},
            *("AddTags", "RemoveTags", "ListTags"),
            tags_member="TagsList",
            keys_member="TagsList",
        ),
        # Removing the selectors restores CloudTrail's default, all management events.
        adjust_params=default_param(
            "PutEventSelectors", "EventSelectors", [{"ReadWriteType": "All", "IncludeManagementEvents": True}]
        ),
        read_inputs=_read_trail,
    ),
)
