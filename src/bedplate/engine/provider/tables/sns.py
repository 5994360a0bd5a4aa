"""Resource types of SNS: topics, their access policies, and subscriptions."""

from __future__ import annotations

import json

from bedplate.engine.protocol import Properties
from bedplate.engine.provider.clients import AwsClients, Params
from bedplate.engine.provider.resource_type import FollowUpCall, ResourceType, TagOperations, named_type
from bedplate.engine.provider.shapes import is_equivalent, prefer_declared

MISSING_CODES = ("NotFound", "NotFoundException")
TOPIC_ATTRIBUTES = {
    "kmsMasterKeyId": "KmsMasterKeyId",
    "displayName": "DisplayName",
    "deliveryPolicy": "DeliveryPolicy",
}


def _update_topic(aws: AwsClients, old: Properties, new: Properties) -> None:
    """Updates the attributes that differ; SetTopicAttributes takes one attribute per call."""
    for key, name in TOPIC_ATTRIBUTES.items():
        if not is_equivalent(old.get(key), new.get(key)):
            value = str(new.get(key) or "")
            aws.call("sns", "SetTopicAttributes", TopicArn=new["arn"], AttributeName=name, AttributeValue=value)


def _topic_policy_params(_aws: AwsClients, operation: str, properties: Properties, _params: Params) -> Params:
    """Restores SNS's default policy (only the owner) on a delete, because a topic always has a policy."""
    arn = properties.get("arn") or properties["id"]
    if operation == "GetTopicAttributes":
        return {"TopicArn": arn}
    default_policy = {
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
    policy = json.dumps(default_policy) if properties.get("$delete") else properties.get("policy")
    return {"TopicArn": arn, "AttributeName": "Policy", "AttributeValue": policy}


def _find_subscription(aws: AwsClients, _intent: str, inputs: Properties) -> str | None:
    """Finds the subscription by protocol and endpoint, of which a topic has at most one."""
    page = aws.call_or_none("sns", "ListSubscriptionsByTopic", *MISSING_CODES, TopicArn=inputs["topic"]) or {}
    for subscription in page.get("Subscriptions", ()):
        if (subscription["Protocol"], subscription["Endpoint"]) == (inputs["protocol"], inputs["endpoint"]):
            return str(subscription["SubscriptionArn"])
    return None


RESOURCE_TYPES = (
    named_type(
        "aws:sns/topic:Topic",
        "sns",
        ("CreateTopic", "GetTopicAttributes", "DeleteTopic"),
        id_format="{arn}",
        parse_id=lambda id: {"name": id.rsplit(":", 1)[1]},
        max_name_length=256,
        member_paths={key: f"Attributes.{attribute}" for key, attribute in TOPIC_ATTRIBUTES.items()},
        fixed_params={"TopicArn": "arn:aws:sns:{region}:{account}:{name}"},
        read_path="Attributes",
        missing_codes=MISSING_CODES,
        outputs={"arn": "arn:aws:sns:{region}:{account}:{name}", "owner": "{account}"},
        on_update=_update_topic,
        on_update_properties=tuple(TOPIC_ATTRIBUTES),
        replaces=("name", "fifoTopic"),
        tags=TagOperations({"ResourceArn": "{arn}"}),
    ),
    ResourceType(
        "aws:sns/topicPolicy:TopicPolicy",
        "sns",
        ("SetTopicAttributes", "GetTopicAttributes", "SetTopicAttributes"),
        id_format="{arn}",
        key_properties=("arn",),
        member_paths={"arn": "TopicArn", "policy": "AttributeValue|Policy"},
        read_path="Attributes",
        missing_codes=MISSING_CODES,
        update_calls=(FollowUpCall("SetTopicAttributes", ("policy",)),),
        replaces=("arn",),
        adjust_params=_topic_policy_params,
        read_inputs=lambda _aws, inputs, actual: {"policy": prefer_declared(inputs.get("policy"), actual["Policy"])},
        before_delete=lambda _aws, properties, _inputs: properties.update({"$delete": True}),
    ),
    ResourceType(
        "aws:sns/topicSubscription:TopicSubscription",
        "sns",
        ("Subscribe", "GetSubscriptionAttributes", "Unsubscribe"),
        id_format="{arn}",
        key_properties=("id",),
        member_paths={"id": "SubscriptionArn", "topic": "TopicArn"},
        fixed_params={"ReturnSubscriptionArn": True},
        read_path="Attributes",
        missing_codes=(*MISSING_CODES, "ResourceNotFound"),
        outputs={"arn": "=SubscriptionArn|SubscriptionArn", "ownerId": "{account}"},
        replaces=("topic", "protocol", "endpoint"),
        has_generated_id=True,
        find_id=_find_subscription,
    ),
)
