"""CloudTrail and Cost Explorer's tags: who changed what, and by which tags money is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.provider.cloud import Cloud
from bedplate.engine.provider.kind import FollowUpCall, Props, ResourceType, Tags


def _trail_params(_cloud: Cloud, operation: str, _known: Props, params: Props) -> Props:
    """CloudTrail wants each selector's values; without selectors a trail is back at all management events."""
    if operation == "PutEventSelectors":
        params.setdefault("EventSelectors", [{"ReadWriteType": "All", "IncludeManagementEvents": True}])
    return params


def _found_trail(cloud: Cloud, inputs: Props, _found: Mapping[str, Any]) -> Props:
    seen: Props = {}
    if "enableLogging" in inputs:
        seen["enableLogging"] = cloud.call("cloudtrail", "GetTrailStatus", Name=inputs["name"])["IsLogging"]
    if "eventSelectors" in inputs:
        from bedplate.engine.provider.shapes import lift

        answer = cloud.call("cloudtrail", "GetEventSelectors", TrailName=inputs["name"])
        shape = cloud.operation("cloudtrail", "GetEventSelectors").output_shape.members["EventSelectors"]
        seen["eventSelectors"] = lift(inputs["eventSelectors"], answer.get("EventSelectors") or [], shape)
    return seen


def _tag_params(_cloud: Cloud, operation: str, _known: Props, params: Props) -> Props:
    if operation == "ListCostAllocationTags":
        params.setdefault("Type", "UserDefined")
    return params


def _switch_off(cloud: Cloud, known: Props, _inputs: Props) -> None:
    off = [{"TagKey": known["tagKey"], "Status": "Inactive"}]
    cloud.call("ce", "UpdateCostAllocationTagsStatus", CostAllocationTagsStatus=off)


KINDS = (
    ResourceType(
        type="aws:cloudtrail/trail:Trail",
        service="cloudtrail",
        create="CreateTrail",
        read="GetTrail",
        delete="DeleteTrail",
        id="{arn}",
        keys=("name",),
        from_id=lambda id: {"name": id.rsplit("/", 1)[1]},
        named="name",
        max_name=128,
        rename={"name": "Name|TrailName", "enableLogging": "none"},
        found="Trail",
        gone=("TrailNotFoundException",),
        outputs={
            "arn": "arn:aws:cloudtrail:{region}:{account}:trail/{name}",
            "homeRegion": "{region}",
        },
        extras=(
            FollowUpCall("PutEventSelectors", ("eventSelectors",)),
            FollowUpCall("StartLogging", ("enableLogging",)),
        ),
        updates=(
            FollowUpCall(
                "UpdateTrail",
                (
                    *("s3BucketName", "s3KeyPrefix", "snsTopicName", "includeGlobalServiceEvents", "kmsKeyId"),
                    *("isMultiRegionTrail", "enableLogFileValidation", "cloudWatchLogsGroupArn"),
                    *("cloudWatchLogsRoleArn", "isOrganizationTrail"),
                ),
            ),
            FollowUpCall("PutEventSelectors", ("eventSelectors",)),
            FollowUpCall("StartLogging", ("enableLogging",), when=lambda new: bool(new.get("enableLogging"))),
            FollowUpCall("StopLogging", ("enableLogging",), when=lambda new: not new.get("enableLogging")),
        ),
        replaces=("name",),
        tags=Tags(
            "AddTags",
            "RemoveTags",
            "ListTags",
            {"ResourceId": "{arn}", "ResourceIdList": ["{arn}"]},
            member="TagsList",
            keys="TagsList",
        ),
        to_params=_trail_params,
        to_inputs=_found_trail,
    ),
    ResourceType(
        type="aws:costexplorer/costAllocationTag:CostAllocationTag",
        service="ce",
        create="UpdateCostAllocationTagsStatus",
        read="ListCostAllocationTags",
        delete="ListCostAllocationTags",  # a tag is switched off, see before_delete
        id="{tagKey}",
        keys=("tagKey",),
        rename={
            "tagKey": "CostAllocationTagsStatus[0].TagKey|TagKeys[0]",
            "status": "CostAllocationTagsStatus[0].Status",
        },
        found="CostAllocationTags[TagKey={tagKey}]",
        alive=lambda found: found.get("Status") == "Active",
        outputs={"type": "=Type"},
        updates=(FollowUpCall("UpdateCostAllocationTagsStatus", ("status",)),),
        replaces=("tagKey",),
        to_params=_tag_params,
        before_delete=_switch_off,
    ),
)
