"""CloudWatch, its logs, EventBridge, SNS and Budgets: what notices, and whom it tells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bedplate.engine.provider.cloud import Cloud
from bedplate.engine.provider.kind import FollowUpCall, Props, ResourceType, Tags
from bedplate.engine.provider.shapes import same

ALARM = (
    *("actionsEnabled", "alarmActions", "alarmDescription", "comparisonOperator", "datapointsToAlarm", "dimensions"),
    *("evaluateLowSampleCountPercentiles", "evaluationPeriods", "extendedStatistic", "insufficientDataActions"),
    *("metricName", "metricQueries", "namespace", "okActions", "period", "statistic", "threshold", "unit"),
    *("thresholdMetricId", "treatMissingData"),
)
CLOUDWATCH_TAGS = Tags("TagResource", "UntagResource", "ListTagsForResource", {"ResourceARN": "{arn}"})
TOPIC_ATTRIBUTES = {
    "kmsMasterKeyId": "KmsMasterKeyId",
    "displayName": "DisplayName",
    "deliveryPolicy": "DeliveryPolicy",
}

# --- SNS -------------------------------------------------------------------------------------------------------------


def _change_topic(cloud: Cloud, old: Props, new: Props) -> None:
    for key, attribute in TOPIC_ATTRIBUTES.items():
        if not same(old.get(key), new.get(key)):
            value = str(new.get(key) or "")
            cloud.call("sns", "SetTopicAttributes", TopicArn=new["arn"], AttributeName=attribute, AttributeValue=value)


def _topic_policy(_cloud: Cloud, operation: str, known: Props, _params: Props) -> Props:
    """A topic always has a policy; without the program's it is SNS's own: the owner and nobody else."""
    arn = known.get("arn") or known["id"]
    if operation == "GetTopicAttributes":
        return {"TopicArn": arn}
    own = {
        "Version": "2008-10-17",
        "Statement": [
            {
                "Sid": "__default_statement_ID",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": ["SNS:Publish", "SNS:Subscribe", "SNS:GetTopicAttributes", "SNS:SetTopicAttributes"],
                "Resource": arn,
                "Condition": {"StringEquals": {"AWS:SourceOwner": arn.split(":")[4] if ":" in arn else ""}},
            }
        ],
    }
    policy = json.dumps(own) if known.get("$delete") else known.get("policy")
    return {"TopicArn": arn, "AttributeName": "Policy", "AttributeValue": policy}


def _reset_topic_policy(_cloud: Cloud, known: Props, _inputs: Props) -> None:
    known["$delete"] = True


def _subscription_of_intent(cloud: Cloud, _intent: str, inputs: Props) -> str | None:
    """A topic has at most one subscription of a protocol and endpoint, so these find it."""
    gone = ("NotFound", "NotFoundException")
    listed = cloud.attempt("sns", "ListSubscriptionsByTopic", *gone, TopicArn=inputs["topic"]) or {}
    return next(
        (
            str(each["SubscriptionArn"])
            for each in listed.get("Subscriptions", ())
            if (each["Protocol"], each["Endpoint"]) == (inputs["protocol"], inputs["endpoint"])
        ),
        None,
    )


# --- EventBridge -----------------------------------------------------------------------------------------------------


def _target_params(_cloud: Cloud, operation: str, known: Props, params: Props) -> Props:
    if operation == "RemoveTargets":
        return {"Rule": known["rule"], "Ids": [known["targetId"]]}
    if operation == "ListTargetsByRule":
        return {"Rule": known["rule"]}
    return params


# --- Budgets ---------------------------------------------------------------------------------------------------------


def _budget_params(_cloud: Cloud, operation: str, known: Props, params: Props) -> Props:
    """Amount and unit are one member, cost filters a mapping, and notifications travel beside the budget."""
    holder = {"CreateBudget": "Budget", "UpdateBudget": "NewBudget"}.get(operation)
    if holder is None:
        return params
    budget = params[holder]
    budget["BudgetLimit"] = {"Amount": str(known.get("limitAmount", "")), "Unit": str(known.get("limitUnit", "USD"))}
    if known.get("costFilters"):
        budget["CostFilters"] = {each["name"]: list(each["values"]) for each in known["costFilters"]}
    if known.get("filterExpression"):
        budget["FilterExpression"] = _expression(known["filterExpression"])
        budget["Metrics"] = [known["metrics"]]
    if operation == "CreateBudget" and known.get("notifications"):
        params["NotificationsWithSubscribers"] = [
            {"Notification": _notification(each), "Subscribers": _subscribers(each)} for each in known["notifications"]
        ]
    return params


_EXPRESSION = {"ands": "And", "ors": "Or", "not": "Not", "dimensions": "Dimensions", "tags": "Tags"}
_CLAUSE = {"key": "Key", "values": "Values", "matchOptions": "MatchOptions"}


def _expression(said: Props) -> Props:
    """Cost Explorer's expression out of Pulumi's, whose lists have plural names."""
    made: Props = {}
    for key, value in said.items():
        if value is None:
            continue
        if key in ("ands", "ors"):
            made[_EXPRESSION[key]] = [_expression(each) for each in value]
        elif key == "not":
            made["Not"] = _expression(value)
        else:
            made[_EXPRESSION[key]] = {_CLAUSE[k]: v for k, v in value.items() if v is not None}
    return made


def _notification(said: Props) -> Props:
    return {
        "NotificationType": said["notificationType"],
        "ComparisonOperator": said["comparisonOperator"],
        "Threshold": said["threshold"],
        "ThresholdType": said["thresholdType"],
    }


def _subscribers(said: Props) -> list[Props]:
    kinds = (("SNS", "subscriberSnsTopicArns"), ("EMAIL", "subscriberEmailAddresses"))
    return [{"SubscriptionType": kind, "Address": address} for kind, key in kinds for address in said.get(key) or ()]


def _found_budget(cloud: Cloud, inputs: Props, found: Mapping[str, Any]) -> Props:
    limit = found["BudgetLimit"]
    filters = [{"name": name, "values": values} for name, values in (found.get("CostFilters") or {}).items()]
    amount = str(limit["Amount"])
    seen: Props = {
        "limitAmount": inputs["limitAmount"] if same(str(inputs.get("limitAmount")), amount) else amount,
        "limitUnit": limit["Unit"],
        "notifications": _like(inputs.get("notifications") or [], _found_notifications(cloud, inputs["name"])),
    }
    if filters or inputs.get("costFilters"):
        seen["costFilters"] = _like(inputs.get("costFilters") or [], filters)
    if inputs.get("filterExpression") and _expression(inputs["filterExpression"]) != found.get("FilterExpression"):
        seen["filterExpression"] = _back(found.get("FilterExpression") or {})
    return seen


def _back(found: Mapping[str, Any]) -> Props:
    """Pulumi's words for an expression of Cost Explorer's."""
    words = {member: key for key, member in _EXPRESSION.items()}
    clause = {member: key for key, member in _CLAUSE.items()}
    told: Props = {}
    for member, value in found.items():
        if member in ("And", "Or"):
            told[words[member]] = [_back(each) for each in value]
        elif member == "Not":
            told["not"] = _back(value)
        else:
            told[words[member]] = {clause[k]: v for k, v in value.items()}
    return told


def _found_notifications(cloud: Cloud, budget: str) -> list[Props]:
    where = {"AccountId": cloud.account_id, "BudgetName": budget}
    notifications = []
    for each in cloud.call("budgets", "DescribeNotificationsForBudget", **where).get("Notifications", ()):
        key = {k: each[k] for k in ("NotificationType", "ComparisonOperator", "Threshold")}
        key["ThresholdType"] = each.get("ThresholdType", "PERCENTAGE")
        listed = cloud.call("budgets", "DescribeSubscribersForNotification", **where, Notification=key)
        people: dict[str, list[str]] = {"SNS": [], "EMAIL": []}
        for subscriber in listed["Subscribers"]:
            people[subscriber["SubscriptionType"]].append(subscriber["Address"])
        found: Props = {f"{k[0].lower()}{k[1:]}": value for k, value in key.items()}
        for kind, name in (("SNS", "subscriberSnsTopicArns"), ("EMAIL", "subscriberEmailAddresses")):
            if people[kind]:
                found[name] = sorted(people[kind])
        notifications.append(found)
    return notifications


def _like(said: list[Props], found: list[Props]) -> list[Props]:
    """What was found, in the program's order and spelling where it means the same."""
    rest, kept = list(found), []
    for wanted in said:
        match = next((each for each in rest if _as_set(each) == _as_set(wanted)), None)
        if match is not None:
            rest.remove(match)
            kept.append(wanted)
    return kept + rest


def _as_set(said: Props) -> Props:
    return {k: sorted(v) if isinstance(v, list) else float(v) if k == "threshold" else v for k, v in said.items() if v}


def _change_notifications(cloud: Cloud, old: Props, new: Props) -> None:
    where = {"AccountId": cloud.account_id, "BudgetName": new["name"]}
    before, after = (list(each.get("notifications") or []) for each in (old, new))
    for said in before:
        if not any(_as_set(said) == _as_set(other) for other in after):
            gone = ("NotFoundException",)
            cloud.attempt("budgets", "DeleteNotification", *gone, **where, Notification=_notification(said))
    for said in after:
        if not any(_as_set(said) == _as_set(other) for other in before):
            params = {"Notification": _notification(said), "Subscribers": _subscribers(said)}
            cloud.attempt("budgets", "CreateNotification", "DuplicateRecordException", **where, **params)


TARGET_PARTS = ("deadLetterConfig", "retryPolicy", "sagemakerPipelineTarget")

KINDS = (
    ResourceType(
        type="aws:cloudwatch/metricAlarm:MetricAlarm",
        service="cloudwatch",
        create="PutMetricAlarm",
        read="DescribeAlarms",
        delete="DeleteAlarms",
        id="{name}",
        keys=("name",),
        named="name",
        max_name=255,
        rename={"name": "AlarmName|AlarmNames", "metricQueries": "Metrics"},
        found="MetricAlarms[AlarmName={name}]",
        gone=("ResourceNotFound",),
        outputs={"arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"},
        updates=(FollowUpCall("PutMetricAlarm", ALARM),),
        replaces=("name",),
        tags=CLOUDWATCH_TAGS,
    ),
    ResourceType(
        type="aws:cloudwatch/compositeAlarm:CompositeAlarm",
        service="cloudwatch",
        create="PutCompositeAlarm",
        read="DescribeAlarms",
        delete="DeleteAlarms",
        id="{alarmName}",
        keys=("alarmName",),
        named="alarmName",
        max_name=255,
        rename={"alarmName": "AlarmName|AlarmNames"},
        fixed={"AlarmTypes": ["CompositeAlarm"]},
        found="CompositeAlarms[AlarmName={alarmName}]",
        gone=("ResourceNotFound",),
        outputs={"arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{alarmName}"},
        updates=(
            FollowUpCall(
                "PutCompositeAlarm",
                ("alarmRule", "alarmDescription", "alarmActions", "okActions", "insufficientDataActions"),
            ),
        ),
        replaces=("alarmName", "actionsEnabled"),
        tags=CLOUDWATCH_TAGS,
    ),
    ResourceType(
        type="aws:cloudwatch/dashboard:Dashboard",
        service="cloudwatch",
        create="PutDashboard",
        read="GetDashboard",
        delete="DeleteDashboards",
        id="{dashboardName}",
        keys=("dashboardName",),
        named="dashboardName",
        max_name=255,
        rename={"dashboardName": "DashboardName|DashboardNames"},
        gone=("ResourceNotFound", "DashboardNotFoundError"),
        outputs={"dashboardArn": "arn:aws:cloudwatch::{account}:dashboard/{dashboardName}"},
        updates=(FollowUpCall("PutDashboard", ("dashboardBody",)),),
        replaces=("dashboardName",),
    ),
    ResourceType(
        type="aws:cloudwatch/logGroup:LogGroup",
        service="logs",
        create="CreateLogGroup",
        read="DescribeLogGroups",
        delete="DeleteLogGroup",
        id="{name}",
        keys=("name",),
        named="name",
        max_name=512,
        rename={"name": "logGroupName|logGroupNamePrefix"},
        found="logGroups[logGroupName={name}]",
        gone=("ResourceNotFoundException",),
        outputs={"arn": "arn:aws:logs:{region}:{account}:log-group:{name}"},
        extras=(FollowUpCall("PutRetentionPolicy", ("retentionInDays",)),),
        updates=(
            FollowUpCall("PutRetentionPolicy", ("retentionInDays",), when=lambda new: bool(new.get("retentionInDays"))),
            FollowUpCall(
                "DeleteRetentionPolicy", ("retentionInDays",), when=lambda new: not new.get("retentionInDays")
            ),
        ),
        replaces=("name", "logGroupClass", "kmsKeyId"),
        tags=Tags("TagResource", "UntagResource", "ListTagsForResource", {"resourceArn": "{arn}"}, "tags", "tagKeys"),
    ),
    ResourceType(
        type="aws:cloudwatch/eventRule:EventRule",
        service="events",
        create="PutRule",
        read="DescribeRule",
        delete="DeleteRule",
        id="{name}",
        keys=("name",),
        named="name",
        max_name=64,
        gone=("ResourceNotFoundException",),
        outputs={"arn": "=RuleArn|Arn"},
        updates=(FollowUpCall("PutRule", ("description", "eventPattern", "scheduleExpression", "state", "roleArn")),),
        replaces=("name", "eventBusName"),
        tags=Tags("TagResource", "UntagResource", "ListTagsForResource", {"ResourceARN": "{arn}"}),
    ),
    ResourceType(
        type="aws:cloudwatch/eventTarget:EventTarget",
        service="events",
        create="PutTargets",
        read="ListTargetsByRule",
        delete="RemoveTargets",
        id="{rule}-{targetId}",
        keys=("rule", "targetId"),
        from_id=lambda id: dict(zip(("rule", "targetId"), id.rsplit("/" if "/" in id else "-", 1), strict=False)),
        named="targetId",
        max_name=64,
        rename={
            "targetId": "Targets[0].Id",
            "sagemakerPipelineTarget": "Targets[0].SageMakerPipelineParameters",
        },
        payload="Targets[0]",
        found="Targets[Id={targetId}]",
        gone=("ResourceNotFoundException",),
        updates=(
            FollowUpCall("PutTargets", ("arn", "input", "inputPath", "inputTransformer", "roleArn", *TARGET_PARTS)),
        ),
        replaces=("rule", "targetId"),
        to_params=_target_params,
    ),
    ResourceType(
        type="aws:sns/topic:Topic",
        service="sns",
        create="CreateTopic",
        read="GetTopicAttributes",
        delete="DeleteTopic",
        id="{arn}",
        keys=("name",),
        from_id=lambda id: {"name": id.rsplit(":", 1)[1]},
        named="name",
        max_name=256,
        rename={key: f"Attributes.{attribute}" for key, attribute in TOPIC_ATTRIBUTES.items()},
        fixed={"TopicArn": "arn:aws:sns:{region}:{account}:{name}"},
        found="Attributes",
        gone=("NotFound", "NotFoundException"),
        outputs={"arn": "arn:aws:sns:{region}:{account}:{name}", "owner": "{account}"},
        on_update=_change_topic,
        by_hand=tuple(TOPIC_ATTRIBUTES),
        replaces=("name", "fifoTopic"),
        tags=Tags("TagResource", "UntagResource", "ListTagsForResource", {"ResourceArn": "{arn}"}),
    ),
    ResourceType(
        type="aws:sns/topicPolicy:TopicPolicy",
        service="sns",
        create="SetTopicAttributes",
        read="GetTopicAttributes",
        delete="SetTopicAttributes",
        id="{arn}",
        keys=("arn",),
        rename={"arn": "TopicArn", "policy": "AttributeValue|Policy"},
        found="Attributes",
        gone=("NotFound", "NotFoundException"),
        updates=(FollowUpCall("SetTopicAttributes", ("policy",)),),
        replaces=("arn",),
        to_params=_topic_policy,
        to_inputs=lambda _cloud, inputs, found: {
            "policy": inputs["policy"] if same(inputs.get("policy"), found["Policy"]) else found["Policy"]
        },
        before_delete=_reset_topic_policy,
    ),
    ResourceType(
        type="aws:sns/topicSubscription:TopicSubscription",
        service="sns",
        create="Subscribe",
        read="GetSubscriptionAttributes",
        delete="Unsubscribe",
        id="{arn}",
        keys=("id",),
        rename={"id": "SubscriptionArn", "topic": "TopicArn"},
        fixed={"ReturnSubscriptionArn": True},
        found="Attributes",
        gone=("NotFound", "NotFoundException", "ResourceNotFound"),
        outputs={"arn": "=SubscriptionArn|SubscriptionArn", "ownerId": "{account}"},
        replaces=("topic", "protocol", "endpoint"),
        server_named=True,
        find=_subscription_of_intent,
    ),
    ResourceType(
        type="aws:budgets/budget:Budget",
        service="budgets",
        create="CreateBudget",
        read="DescribeBudget",
        delete="DeleteBudget",
        id="{account}:{name}",
        keys=("name",),
        from_id=lambda id: {"name": id.split(":", 1)[1]},
        named="name",
        max_name=100,
        rename={
            "name": "Budget.BudgetName|NewBudget.BudgetName|BudgetName",
            "budgetType": "Budget.BudgetType|NewBudget.BudgetType",
            "timeUnit": "Budget.TimeUnit|NewBudget.TimeUnit",
        },
        local=("limitAmount", "limitUnit", "costFilters", "filterExpression", "metrics", "notifications"),
        fixed={"AccountId": "{account}"},
        found="Budget",
        gone=("NotFoundException",),
        outputs={"arn": "arn:aws:budgets::{account}:budget/{name}"},
        updates=(
            FollowUpCall(
                "UpdateBudget",
                ("limitAmount", "limitUnit", "costFilters", "filterExpression", "metrics", "budgetType", "timeUnit"),
            ),
        ),
        on_update=_change_notifications,
        replaces=("name",),
        tags=Tags(
            "TagResource",
            "UntagResource",
            "ListTagsForResource",
            {"ResourceARN": "{arn}"},
            "ResourceTags",
            "ResourceTagKeys",
        ),
        to_params=_budget_params,
        to_inputs=_found_budget,
    ),
)
