"""Resource types of AWS Budgets: budgets with their notifications, and budget actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.protocol import INTENT_TAG, Properties
from bedplate.engine.provider.clients import AwsClients, Params
from bedplate.engine.provider.resource_type import FollowUpCall, ResourceType, TagOperations, named_type
from bedplate.engine.provider.shapes import is_equivalent, match_items

MISSING_CODES = ("NotFoundException",)
TAGS = TagOperations({"ResourceARN": "{arn}"}, tags_member="ResourceTags", keys_member="ResourceTagKeys")
SUBSCRIBER_PROPERTIES = {"SNS": "subscriberSnsTopicArns", "EMAIL": "subscriberEmailAddresses"}
_OPERATORS = {"ands": "And", "ors": "Or", "not": "Not", "dimensions": "Dimensions", "tags": "Tags"}
_CLAUSE_MEMBERS = {"key": "Key", "values": "Values", "matchOptions": "MatchOptions"}

# --- budgets ---------------------------------------------------------------------------------------------------------


def _budget_params(_aws: AwsClients, operation: str, properties: Properties, params: Params) -> Params:
    """Converts Pulumi's properties: AWS groups amount and unit, maps filters, and takes notifications separately."""
    member = {"CreateBudget": "Budget", "UpdateBudget": "NewBudget"}.get(operation)
    if member is None:
        return params
    budget = params[member]
    amount, unit = str(properties.get("limitAmount", "")), str(properties.get("limitUnit", "USD"))
    budget["BudgetLimit"] = {"Amount": amount, "Unit": unit}
    if properties.get("costFilters"):
        budget["CostFilters"] = {item["name"]: list(item["values"]) for item in properties["costFilters"]}
    if properties.get("filterExpression"):
        budget["FilterExpression"] = _to_cost_expression(properties["filterExpression"])
        budget["Metrics"] = [properties["metrics"]]
    if operation == "CreateBudget" and properties.get("notifications"):
        params["NotificationsWithSubscribers"] = [
            {"Notification": _notification_key(notification), "Subscribers": _list_subscribers(notification)}
            for notification in properties["notifications"]
        ]
    return params


def _to_cost_expression(expression: Properties) -> Params:
    """Converts Pulumi's filter expression, whose lists have plural names, to Cost Explorer's."""
    converted: Params = {}
    for key, value in expression.items():
        if value is None:
            continue
        if key in ("ands", "ors"):
            converted[_OPERATORS[key]] = [_to_cost_expression(operand) for operand in value]
        elif key == "not":
            converted["Not"] = _to_cost_expression(value)
        else:
            converted[_OPERATORS[key]] = {_CLAUSE_MEMBERS[k]: v for k, v in value.items() if v is not None}
    return converted


def _from_cost_expression(expression: Mapping[str, Any]) -> Properties:
    """Converts Cost Explorer's expression to Pulumi's filter expression."""
    operators = {member: key for key, member in _OPERATORS.items()}
    properties = {member: key for key, member in _CLAUSE_MEMBERS.items()}
    converted: Properties = {}
    for member, value in expression.items():
        if member in ("And", "Or"):
            converted[operators[member]] = [_from_cost_expression(operand) for operand in value]
        elif member == "Not":
            converted["not"] = _from_cost_expression(value)
        else:
            converted[operators[member]] = {properties[k]: v for k, v in value.items()}
    return converted


def _read_budget(aws: AwsClients, inputs: Properties, actual: Mapping[str, Any]) -> Properties:
    limit, declared_amount = actual["BudgetLimit"], inputs.get("limitAmount")
    amount = str(limit["Amount"])
    filters = [{"name": name, "values": values} for name, values in (actual.get("CostFilters") or {}).items()]
    notifications = _list_notifications(aws, inputs["name"])
    live_inputs: Properties = {
        "limitAmount": declared_amount if is_equivalent(str(declared_amount), amount) else amount,
        "limitUnit": limit["Unit"],
        "notifications": _match_objects(inputs.get("notifications") or [], notifications),
    }
    if filters or inputs.get("costFilters"):
        live_inputs["costFilters"] = _match_objects(inputs.get("costFilters") or [], filters)
    expression, declared = actual.get("FilterExpression"), inputs.get("filterExpression")
    if declared and _to_cost_expression(declared) != expression:
        live_inputs["filterExpression"] = _from_cost_expression(expression or {})
    return live_inputs


# --- notifications ---------------------------------------------------------------------------------------------------


def _notification_key(notification: Properties) -> Params:
    """Returns the members that identify a notification of a budget."""
    names = ("notificationType", "comparisonOperator", "threshold", "thresholdType")
    return {f"{name[0].upper()}{name[1:]}": notification[name] for name in names}


def _list_subscribers(notification: Properties) -> list[Params]:
    return [
        {"SubscriptionType": type, "Address": address}
        for type, name in SUBSCRIBER_PROPERTIES.items()
        for address in notification.get(name) or ()
    ]


def _list_notifications(aws: AwsClients, budget: str) -> list[Properties]:
    """Returns the notifications of a budget at AWS, with their subscribers, as Pulumi's properties."""
    target = {"AccountId": aws.account_id, "BudgetName": budget}
    notifications = []
    for notification in aws.call("budgets", "DescribeNotificationsForBudget", **target).get("Notifications", ()):
        key = {member: notification[member] for member in ("NotificationType", "ComparisonOperator", "Threshold")}
        key["ThresholdType"] = notification.get("ThresholdType", "PERCENTAGE")
        response = aws.call("budgets", "DescribeSubscribersForNotification", **target, Notification=key)
        properties: Properties = {f"{member[0].lower()}{member[1:]}": value for member, value in key.items()}
        for subscriber in sorted(response["Subscribers"], key=lambda subscriber: str(subscriber["Address"])):
            name = SUBSCRIBER_PROPERTIES[subscriber["SubscriptionType"]]
            properties.setdefault(name, []).append(subscriber["Address"])
        notifications.append(properties)
    return notifications


def _match_objects(declared: list[Properties], actual: list[Properties]) -> list[Properties]:
    """Returns the actual objects, in the order and spelling of the declared ones that are equivalent."""
    matched, unmatched = match_items(
        declared, actual, lambda item, candidate: _normalize(item) == _normalize(candidate)
    )
    return matched + unmatched


def _normalize(properties: Properties) -> Properties:
    """Sorts lists, converts the threshold to a number and drops empty values, so that equivalent objects are equal."""
    return {
        k: sorted(v) if isinstance(v, list) else float(v) if k == "threshold" else v for k, v in properties.items() if v
    }


def _update_notifications(aws: AwsClients, old: Properties, new: Properties) -> None:
    """Deletes and creates the notifications that differ."""
    target = {"AccountId": aws.account_id, "BudgetName": new["name"]}
    before, after = old.get("notifications") or [], new.get("notifications") or []
    for notification in _without(before, after):
        key = _notification_key(notification)
        aws.call_or_none("budgets", "DeleteNotification", *MISSING_CODES, **target, Notification=key)
    for notification in _without(after, before):
        params = {"Notification": _notification_key(notification), "Subscribers": _list_subscribers(notification)}
        aws.call_or_none("budgets", "CreateNotification", "DuplicateRecordException", **target, **params)


def _without(notifications: list[Properties], others: list[Properties]) -> list[Properties]:
    normalized = [_normalize(other) for other in others]
    return [notification for notification in notifications if _normalize(notification) not in normalized]


# --- budget actions --------------------------------------------------------------------------------------------------


def _parse_action_id(id: str) -> Properties:
    """Returns the keys in `account:action id:budget`, the id for imports."""
    _, action_id, budget = id.split(":", 2)
    return {"actionId": action_id, "budgetName": budget}


def _find_action_by_intent(aws: AwsClients, intent: str, inputs: Properties) -> str | None:
    account_id, budget = aws.account_id, inputs["budgetName"]
    target = {"AccountId": account_id, "BudgetName": budget}
    response = aws.call_or_none("budgets", "DescribeBudgetActionsForBudget", *MISSING_CODES, **target) or {}
    for action in response.get("Actions", ()):
        arn = f"arn:aws:budgets::{account_id}:budget/{budget}/action/{action['ActionId']}"
        tags = aws.call("budgets", "ListTagsForResource", ResourceARN=arn).get("ResourceTags", ())
        if {"Key": INTENT_TAG, "Value": intent} in tags:
            return f"{account_id}:{action['ActionId']}:{budget}"
    return None


def _reverse_action(aws: AwsClients, properties: Properties, _inputs: Properties) -> None:
    """Detaches the policy of an executed action: with it attached, neither the policy nor its roles can be deleted."""
    budget, action_id = properties["budgetName"], properties["actionId"]
    target = {"AccountId": aws.account_id, "BudgetName": budget, "ActionId": action_id}
    response = aws.call_or_none("budgets", "DescribeBudgetAction", *MISSING_CODES, **target)
    if response and response["Action"]["Status"] == "EXECUTION_SUCCESS":
        aws.call("budgets", "ExecuteBudgetAction", **target, ExecutionType="REVERSE_BUDGET_ACTION")


RESOURCE_TYPES = (
    named_type(
        "aws:budgets/budget:Budget",
        "budgets",
        ("CreateBudget", "DescribeBudget", "DeleteBudget"),
        id_format="{account}:{name}",
        parse_id=lambda id: {"name": id.split(":", 1)[1]},
        max_name_length=100,
        member_paths={
            "name": "Budget.BudgetName|NewBudget.BudgetName|BudgetName",
            "budgetType": "Budget.BudgetType|NewBudget.BudgetType",
            "timeUnit": "Budget.TimeUnit|NewBudget.TimeUnit",
        },
        provider_only=("limitAmount", "limitUnit", "costFilters", "filterExpression", "metrics", "notifications"),
        fixed_params={"AccountId": "{account}"},
        read_path="Budget",
        missing_codes=MISSING_CODES,
        outputs={"arn": "arn:aws:budgets::{account}:budget/{name}"},
        update_calls=(
            FollowUpCall(
                "UpdateBudget",
                ("limitAmount", "limitUnit", "costFilters", "filterExpression", "metrics", "budgetType", "timeUnit"),
            ),
        ),
        on_update=_update_notifications,
        tags=TAGS,
        adjust_params=_budget_params,
        read_inputs=_read_budget,
    ),
    ResourceType(
        "aws:budgets/budgetAction:BudgetAction",
        "budgets",
        ("CreateBudgetAction", "DescribeBudgetAction", "DeleteBudgetAction"),
        id_format="{account}:{actionId}:{budgetName}",
        key_properties=("budgetName", "actionId"),
        parse_id=_parse_action_id,
        fixed_params={"AccountId": "{account}"},
        read_path="Action",
        missing_codes=MISSING_CODES,
        outputs={
            "actionId": "=ActionId|ActionId",
            "arn": "arn:aws:budgets::{account}:budget/{budgetName}/action/{actionId}",
        },
        update_calls=(
            FollowUpCall(
                "UpdateBudgetAction",
                (
                    *("notificationType", "actionThreshold", "definition", "executionRoleArn", "approvalModel"),
                    "subscribers",
                ),
            ),
        ),
        replaces=("budgetName", "actionType"),
        tags=TAGS,
        has_generated_id=True,
        before_delete=_reverse_action,
        find_id=_find_action_by_intent,
    ),
)
