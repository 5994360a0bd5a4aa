"""Resource types of SQS: queues and their access policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.protocol import INTENT_TAG, Properties
from bedplate.engine.provider.clients import AwsClients, Params
from bedplate.engine.provider.resource_type import FollowUpCall, ResourceType, TagOperations, named_type
from bedplate.engine.provider.shapes import prefer_declared

MISSING_CODES = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue")


def _queue_params(_aws: AwsClients, operation: str, properties: Properties, params: Params) -> Params:
    """Identifies the queue by its URL, which is the id, in every operation except the create."""
    if operation == "CreateQueue":
        return params
    params = {"AttributeNames": ["All"]} if operation == "GetQueueAttributes" else params
    return {**params, "QueueUrl": properties["id"]}


def _find_queue_by_intent(aws: AwsClients, intent: str, inputs: Properties) -> str | None:
    """Returns the URL of the queue with this name if its intent tag is `intent`, or missing.

    The tag is missing after a kill between the create and the tagging.
    """
    response = aws.call_or_none("sqs", "GetQueueUrl", *MISSING_CODES, QueueName=inputs["name"])
    if response is None:
        return None
    url = response["QueueUrl"]
    tags = aws.call("sqs", "ListQueueTags", QueueUrl=url).get("Tags") or {}
    return str(url) if tags.get(INTENT_TAG, intent) == intent else None


def _read_queue(_aws: AwsClients, inputs: Properties, actual: Mapping[str, Any]) -> Properties:
    """Returns the attributes with Pulumi's types; SQS returns each as text."""
    retention_s = actual.get("MessageRetentionPeriod", inputs.get("messageRetentionSeconds"))
    return {
        "messageRetentionSeconds": retention_s if retention_s is None else int(retention_s),
        "sqsManagedSseEnabled": str(actual.get("SqsManagedSseEnabled")).lower() == "true",
    }


def _queue_policy_params(_aws: AwsClients, operation: str, properties: Properties, _params: Params) -> Params:
    """Deletes the policy by setting it to an empty text, because it has no delete operation."""
    url = properties["queueUrl"]
    if operation == "GetQueueAttributes":
        return {"QueueUrl": url, "AttributeNames": ["Policy"]}
    policy = "" if properties.get("$delete") else properties.get("policy")
    return {"QueueUrl": url, "Attributes": {"Policy": policy}}


RESOURCE_TYPES = (
    named_type(
        "aws:sqs/queue:Queue",
        "sqs",
        ("CreateQueue", "GetQueueAttributes", "DeleteQueue"),
        id_format="{url}",
        parse_id=lambda id: {"name": id.rsplit("/", 1)[-1]},
        max_name_length=80,
        member_paths={
            "name": "QueueName",
            "messageRetentionSeconds": "Attributes.MessageRetentionPeriod",
            "sqsManagedSseEnabled": "Attributes.SqsManagedSseEnabled",
        },
        read_path="Attributes",
        missing_codes=MISSING_CODES,
        outputs={"url": "=QueueUrl", "arn": "arn:aws:sqs:{region}:{account}:{name}"},
        update_calls=(FollowUpCall("SetQueueAttributes", ("messageRetentionSeconds", "sqsManagedSseEnabled")),),
        tags=TagOperations({"QueueUrl": "{url}"}, "TagQueue", "UntagQueue", "ListQueueTags", on_create=False),
        adjust_params=_queue_params,
        read_inputs=_read_queue,
        find_id=_find_queue_by_intent,
    ),
    ResourceType(
        "aws:sqs/queuePolicy:QueuePolicy",
        "sqs",
        ("SetQueueAttributes", "GetQueueAttributes", "SetQueueAttributes"),
        id_format="{queueUrl}",
        key_properties=("queueUrl",),
        provider_only=("policy",),
        read_path="Attributes",
        is_alive=lambda actual: bool(actual.get("Policy")),
        missing_codes=MISSING_CODES,
        update_calls=(FollowUpCall("SetQueueAttributes", ("policy",)),),
        replaces=("queueUrl",),
        adjust_params=_queue_policy_params,
        read_inputs=lambda _aws, inputs, actual: {"policy": prefer_declared(inputs.get("policy"), actual["Policy"])},
        before_delete=lambda _aws, properties, _inputs: properties.update({"$delete": True}),
    ),
)
