"""Resource types of Cost Explorer: anomaly monitors and subscriptions, and cost allocation tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bedplate.engine.protocol import INTENT_TAG, Properties
from bedplate.engine.provider.clients import AwsClients, Params
from bedplate.engine.provider.resource_type import FollowUpCall, ResourceType, TagOperations, default_param
from bedplate.engine.provider.shapes import prefer_declared


def _anomaly_params(_aws: AwsClients, operation: str, properties: Properties, params: Params) -> Params:
    """Sends the id as ARN, which Get takes in a list. A monitor's specification is JSON text in Pulumi only."""
    noun = "Monitor" if "Monitor" in operation else "Subscription"
    if operation.startswith("Get"):
        params[f"{noun}ArnList"] = [properties["id"]]
    elif not operation.startswith("Create"):
        params[f"{noun}Arn"] = properties["id"]
    elif properties.get("monitorSpecification"):
        params["AnomalyMonitor"]["MonitorSpecification"] = json.loads(properties["monitorSpecification"])
    return params


def _read_monitor(_aws: AwsClients, inputs: Properties, actual: Mapping[str, Any]) -> Properties:
    if not actual.get("MonitorSpecification"):
        return {}
    specification = json.dumps(actual["MonitorSpecification"], sort_keys=True)
    return {"monitorSpecification": prefer_declared(inputs.get("monitorSpecification"), specification)}


def _anomaly_type(noun: str, **fields: Any) -> ResourceType:
    """Returns the type of an anomaly monitor or subscription, whose id is its ARN."""
    operations = (f"CreateAnomaly{noun}", f"GetAnomaly{noun}s", f"DeleteAnomaly{noun}")

    def find_by_intent(aws: AwsClients, intent: str, _inputs: Properties) -> str | None:
        for resource in aws.call("ce", operations[1]).get(f"Anomaly{noun}s", ()):
            arn = resource[f"{noun}Arn"]
            tags = aws.call("ce", "ListTagsForResource", ResourceArn=arn).get("ResourceTags", ())
            if {"Key": INTENT_TAG, "Value": intent} in tags:
                return str(arn)
        return None

    return ResourceType(
        f"aws:costexplorer/anomaly{noun}:Anomaly{noun}",
        "ce",
        operations,
        id_format="{arn}",
        key_properties=("arn",),
        payload_path=f"Anomaly{noun}",
        read_path=f"Anomaly{noun}s[0]",
        missing_codes=(f"Unknown{noun}Exception",),
        outputs={"arn": f"={noun}Arn|{noun}Arn"},
        tags=TagOperations({"ResourceArn": "{arn}"}, tags_member="ResourceTags", keys_member="ResourceTagKeys"),
        has_generated_id=True,
        adjust_params=_anomaly_params,
        find_id=find_by_intent,
        **fields,
    )


def _deactivate_tag(aws: AwsClients, properties: Properties, _inputs: Properties) -> None:
    inactive = [{"TagKey": properties["tagKey"], "Status": "Inactive"}]
    aws.call("ce", "UpdateCostAllocationTagsStatus", CostAllocationTagsStatus=inactive)


RESOURCE_TYPES = (
    _anomaly_type(
        "Monitor",
        member_paths={"name": "AnomalyMonitor.MonitorName|MonitorName"},
        provider_only=("monitorSpecification",),
        update_calls=(FollowUpCall("UpdateAnomalyMonitor", ("name",)),),
        replaces=("monitorType", "monitorDimension", "monitorSpecification"),
        read_inputs=_read_monitor,
    ),
    _anomaly_type(
        "Subscription",
        member_paths={
            "name": "AnomalySubscription.SubscriptionName|SubscriptionName",
            "monitorArnLists": "AnomalySubscription.MonitorArnList|MonitorArnList",
        },
        update_calls=(
            FollowUpCall(
                "UpdateAnomalySubscription", ("frequency", "monitorArnLists", "subscribers", "thresholdExpression")
            ),
        ),
        replaces=("name",),
    ),
    ResourceType(
        "aws:costexplorer/costAllocationTag:CostAllocationTag",
        "ce",
        # A tag is never deleted, only deactivated, by `before_delete`: the third operation changes nothing.
        ("UpdateCostAllocationTagsStatus", "ListCostAllocationTags", "ListCostAllocationTags"),
        id_format="{tagKey}",
        key_properties=("tagKey",),
        member_paths={
            "tagKey": "CostAllocationTagsStatus[0].TagKey|TagKeys[0]",
            "status": "CostAllocationTagsStatus[0].Status",
        },
        read_path="CostAllocationTags[TagKey={tagKey}]",
        is_alive=lambda actual: actual.get("Status") == "Active",
        outputs={"type": "=Type"},
        update_calls=(FollowUpCall("UpdateCostAllocationTagsStatus", ("status",)),),
        replaces=("tagKey",),
        adjust_params=default_param("ListCostAllocationTags", "Type", "UserDefined"),
        before_delete=_deactivate_tag,
    ),
)
