"""What watches money beyond a budget's letters: budget actions, and Cost Explorer's anomaly detection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bedplate.engine.protocol import INTENT_TAG
from bedplate.engine.provider.cloud import Cloud
from bedplate.engine.provider.kind import FollowUpCall, Props, ResourceType, Tags

GONE = ("NotFoundException",)
CE_TAGS = Tags(
    "TagResource", "UntagResource", "ListTagsForResource", {"ResourceArn": "{arn}"}, "ResourceTags", "ResourceTagKeys"
)

# --- budget actions --------------------------------------------------------------------------------------------------


def _action_of(id: str) -> Props:
    """`account:action id:budget`, as imports spell it."""
    _, action, budget = id.split(":", 2)
    return {"actionId": action, "budgetName": budget}


def _action_of_intent(cloud: Cloud, intent: str, inputs: Props) -> str | None:
    account, budget = cloud.account_id, inputs["budgetName"]
    where = {"AccountId": account, "BudgetName": budget}
    found = cloud.attempt("budgets", "DescribeBudgetActionsForBudget", *GONE, **where) or {}
    for action in found.get("Actions", ()):
        arn = f"arn:aws:budgets::{account}:budget/{budget}/action/{action['ActionId']}"
        tags = cloud.call("budgets", "ListTagsForResource", ResourceARN=arn).get("ResourceTags", ())
        if {"Key": INTENT_TAG, "Value": intent} in tags:
            return f"{account}:{action['ActionId']}:{budget}"
    return None


def _undo_action(cloud: Cloud, known: Props, _inputs: Props) -> None:
    """An action that was executed has its policy attached; without this nobody could delete policy or roles."""
    where = {"AccountId": cloud.account_id, "BudgetName": known["budgetName"], "ActionId": known["actionId"]}
    found = cloud.attempt("budgets", "DescribeBudgetAction", *GONE, **where)
    if found and found["Action"]["Status"] == "EXECUTION_SUCCESS":
        cloud.call("budgets", "ExecuteBudgetAction", **where, ExecutionType="REVERSE_BUDGET_ACTION")


def _found_action(_cloud: Cloud, inputs: Props, found: Mapping[str, Any]) -> Props:
    """AWS answers with subscribers in an order of its own."""
    said = inputs.get("subscribers") or []
    seen = [{"subscriptionType": s["SubscriptionType"], "address": s["Address"]} for s in found.get("Subscribers", ())]
    key = lambda s: (s["subscriptionType"], s["address"])  # noqa: E731
    return {"subscribers": said if sorted(said, key=key) == sorted(seen, key=key) else seen}


# --- cost anomalies --------------------------------------------------------------------------------------------------


def _monitor_params(_cloud: Cloud, operation: str, known: Props, params: Props) -> Props:
    if operation == "CreateAnomalyMonitor" and known.get("monitorSpecification"):
        params["AnomalyMonitor"]["MonitorSpecification"] = json.loads(known["monitorSpecification"])
    elif operation == "GetAnomalyMonitors":
        params["MonitorArnList"] = [known["id"]]
    elif operation in ("UpdateAnomalyMonitor", "DeleteAnomalyMonitor"):
        params["MonitorArn"] = known["id"]
    return params


def _found_monitor(_cloud: Cloud, inputs: Props, found: Mapping[str, Any]) -> Props:
    specification = found.get("MonitorSpecification")
    if not specification:
        return {}
    said = inputs.get("monitorSpecification")
    same = said is not None and json.loads(said) == specification
    return {"monitorSpecification": said if same else json.dumps(specification, sort_keys=True)}


def _subscription_params(_cloud: Cloud, operation: str, known: Props, params: Props) -> Props:
    if operation == "GetAnomalySubscriptions":
        params["SubscriptionArnList"] = [known["id"]]
    elif operation in ("UpdateAnomalySubscription", "DeleteAnomalySubscription"):
        params["SubscriptionArn"] = known["id"]
    return params


def _by_intent(list_operation: str, listed: str, arn: str) -> Any:
    def find(cloud: Cloud, intent: str, _inputs: Props) -> str | None:
        for row in cloud.call("ce", list_operation).get(listed, ()):
            tags = cloud.call("ce", "ListTagsForResource", ResourceArn=row[arn]).get("ResourceTags", ())
            if {"Key": INTENT_TAG, "Value": intent} in tags:
                return str(row[arn])
        return None

    return find


KINDS = (
    ResourceType(
        type="aws:budgets/budgetAction:BudgetAction",
        service="budgets",
        create="CreateBudgetAction",
        read="DescribeBudgetAction",
        delete="DeleteBudgetAction",
        id="{account}:{actionId}:{budgetName}",
        keys=("budgetName", "actionId"),
        from_id=_action_of,
        fixed={"AccountId": "{account}"},
        found="Action",
        gone=GONE,
        outputs={
            "actionId": "=ActionId|ActionId",
            "arn": "arn:aws:budgets::{account}:budget/{budgetName}/action/{actionId}",
        },
        updates=(
            FollowUpCall(
                "UpdateBudgetAction",
                (
                    *("notificationType", "actionThreshold", "definition", "executionRoleArn", "approvalModel"),
                    "subscribers",
                ),
            ),
        ),
        replaces=("budgetName", "actionType"),
        tags=Tags(
            "TagResource",
            "UntagResource",
            "ListTagsForResource",
            {"ResourceARN": "{arn}"},
            "ResourceTags",
            "ResourceTagKeys",
        ),
        server_named=True,
        to_inputs=_found_action,
        before_delete=_undo_action,
        find=_action_of_intent,
    ),
    ResourceType(
        type="aws:costexplorer/anomalyMonitor:AnomalyMonitor",
        service="ce",
        create="CreateAnomalyMonitor",
        read="GetAnomalyMonitors",
        delete="DeleteAnomalyMonitor",
        id="{arn}",
        keys=("arn",),
        rename={"name": "AnomalyMonitor.MonitorName|MonitorName"},
        payload="AnomalyMonitor",
        local=("monitorSpecification",),
        found="AnomalyMonitors[0]",
        gone=("UnknownMonitorException",),
        outputs={"arn": "=MonitorArn|MonitorArn"},
        updates=(FollowUpCall("UpdateAnomalyMonitor", ("name",)),),
        replaces=("monitorType", "monitorDimension", "monitorSpecification"),
        tags=CE_TAGS,
        server_named=True,
        to_params=_monitor_params,
        to_inputs=_found_monitor,
        find=_by_intent("GetAnomalyMonitors", "AnomalyMonitors", "MonitorArn"),
    ),
    ResourceType(
        type="aws:costexplorer/anomalySubscription:AnomalySubscription",
        service="ce",
        create="CreateAnomalySubscription",
        read="GetAnomalySubscriptions",
        delete="DeleteAnomalySubscription",
        id="{arn}",
        keys=("arn",),
        rename={
            "name": "AnomalySubscription.SubscriptionName|SubscriptionName",
            "monitorArnLists": "AnomalySubscription.MonitorArnList|MonitorArnList",
        },
        payload="AnomalySubscription",
        found="AnomalySubscriptions[0]",
        gone=("UnknownSubscriptionException",),
        outputs={"arn": "=SubscriptionArn|SubscriptionArn"},
        updates=(
            FollowUpCall(
                "UpdateAnomalySubscription", ("frequency", "monitorArnLists", "subscribers", "thresholdExpression")
            ),
        ),
        replaces=("name",),
        tags=CE_TAGS,
        server_named=True,
        to_params=_subscription_params,
        find=_by_intent("GetAnomalySubscriptions", "AnomalySubscriptions", "SubscriptionArn"),
    ),
)
