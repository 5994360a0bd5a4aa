"""What starts by itself: SageMaker pipelines, the queue for events that nobody could take, the project's snapshot."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from bedplate.engine.protocol import INTENT_TAG
from bedplate.engine.provider.cloud import Cloud
from bedplate.engine.provider.kind import FollowUpCall, Props, ResourceType, Tags
from bedplate.engine.provider.shapes import same
from bedplate.engine.provider.tables.models import GONE, TAGS

NO_QUEUE = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue")
NO_OBJECT = ("NoSuchKey", "404", "NotFound", "NoSuchBucket")


def _object_params(_cloud: Cloud, operation: str, known: Props, params: Props) -> Props:
    if operation == "PutObject":
        params["Body"] = base64.b64decode(known["contentBase64"])
        if known.get("tags"):
            params["Tagging"] = urlencode(known["tags"])
    return params


def _found_object(cloud: Cloud, inputs: Props, _found: Mapping[str, Any]) -> Props:
    """The object itself: S3's ETag says nothing of one that a key encrypts."""
    said = base64.b64decode(inputs["contentBase64"]) if inputs.get("contentBase64") else b""
    held = cloud.call("s3", "GetObject", Bucket=inputs["bucket"], Key=inputs["key"])["Body"].read()
    if hashlib.sha256(said).digest() == hashlib.sha256(held).digest():
        return {"contentBase64": inputs["contentBase64"]}
    return {"contentBase64": base64.b64encode(held).decode()}


def _queue_policy(_cloud: Cloud, operation: str, known: Props, _params: Props) -> Props:
    if operation == "GetQueueAttributes":
        return {"QueueUrl": known["queueUrl"], "AttributeNames": ["Policy"]}
    policy = "" if known.get("$delete") else known.get("policy")
    return {"QueueUrl": known["queueUrl"], "Attributes": {"Policy": policy}}


def _remove_policy(_cloud: Cloud, known: Props, _inputs: Props) -> None:
    known["$delete"] = True


def _queue_params(_cloud: Cloud, operation: str, known: Props, params: Props) -> Props:
    if operation == "CreateQueue":
        return params
    shown = {"QueueUrl": known["id"]}
    if operation == "GetQueueAttributes":
        return {**shown, "AttributeNames": ["All"]}
    return {**params, **shown}


def _queue_of_intent(cloud: Cloud, intent: str, inputs: Props) -> str | None:
    """By its name; tags come after the create, so one without an intent may be what a kill left."""
    answer = cloud.attempt("sqs", "GetQueueUrl", *NO_QUEUE, QueueName=inputs["name"])
    if answer is None:
        return None
    tags = cloud.call("sqs", "ListQueueTags", QueueUrl=answer["QueueUrl"]).get("Tags") or {}
    return str(answer["QueueUrl"]) if tags.get(INTENT_TAG, intent) == intent else None


def _found_queue(_cloud: Cloud, inputs: Props, found: Mapping[str, Any]) -> Props:
    kept, sealed = found.get("MessageRetentionPeriod"), found.get("SqsManagedSseEnabled", "false")
    return {
        "messageRetentionSeconds": int(kept) if kept is not None else inputs.get("messageRetentionSeconds"),
        "sqsManagedSseEnabled": str(sealed).lower() == "true",
    }


def _found_pipeline(_cloud: Cloud, inputs: Props, found: Mapping[str, Any]) -> Props:
    definition = found.get("PipelineDefinition", "")
    said = inputs.get("pipelineDefinition")
    alike = said is not None and definition and json.loads(said) == json.loads(definition)
    return {"pipelineDefinition": said if alike else definition}


KINDS = (
    ResourceType(
        type="aws:sagemaker/pipeline:Pipeline",
        service="sagemaker",
        create="CreatePipeline",
        read="DescribePipeline",
        delete="DeletePipeline",
        id="{pipelineName}",
        keys=("pipelineName",),
        from_id=lambda id: {"pipelineName": id},
        named="pipelineName",
        max_name=256,
        fixed={"ClientRequestToken": "bedplate-client-request-token-{pipelineName}"},
        gone=GONE,
        outputs={"arn": "=PipelineArn|PipelineArn"},
        updates=(
            FollowUpCall(
                "UpdatePipeline", ("pipelineDisplayName", "pipelineDefinition", "pipelineDescription", "roleArn")
            ),
        ),
        replaces=("pipelineName",),
        tags=TAGS,
        to_inputs=_found_pipeline,
    ),
    ResourceType(
        type="aws:sqs/queue:Queue",
        service="sqs",
        create="CreateQueue",
        read="GetQueueAttributes",
        delete="DeleteQueue",
        id="{url}",
        keys=("name",),
        from_id=lambda id: {"name": id.rsplit("/", 1)[-1]},
        named="name",
        max_name=80,
        rename={
            "name": "QueueName",
            "messageRetentionSeconds": "Attributes.MessageRetentionPeriod",
            "sqsManagedSseEnabled": "Attributes.SqsManagedSseEnabled",
        },
        found="Attributes",
        gone=NO_QUEUE,
        outputs={"url": "=QueueUrl", "arn": "arn:aws:sqs:{region}:{account}:{name}"},
        updates=(FollowUpCall("SetQueueAttributes", ("messageRetentionSeconds", "sqsManagedSseEnabled")),),
        replaces=("name",),
        tags=Tags("TagQueue", "UntagQueue", "ListQueueTags", {"QueueUrl": "{url}"}, "Tags", "TagKeys", on_create=False),
        to_params=_queue_params,
        to_inputs=_found_queue,
        find=_queue_of_intent,
    ),
    ResourceType(
        type="aws:sqs/queuePolicy:QueuePolicy",
        service="sqs",
        create="SetQueueAttributes",
        read="GetQueueAttributes",
        delete="SetQueueAttributes",
        id="{queueUrl}",
        keys=("queueUrl",),
        local=("policy",),
        found="Attributes",
        alive=lambda found: bool(found.get("Policy")),
        gone=NO_QUEUE,
        updates=(FollowUpCall("SetQueueAttributes", ("policy",)),),
        replaces=("queueUrl",),
        to_params=_queue_policy,
        to_inputs=lambda _cloud, inputs, found: {
            "policy": inputs["policy"] if same(inputs.get("policy"), found["Policy"]) else found["Policy"]
        },
        before_delete=_remove_policy,
    ),
    ResourceType(
        type="aws:s3/bucketObjectv2:BucketObjectv2",
        service="s3",
        create="PutObject",
        read="HeadObject",
        delete="DeleteObject",
        id="{bucket}/{key}",
        keys=("bucket", "key"),
        from_id=lambda id: dict(zip(("bucket", "key"), id.split("/", 1), strict=True)),
        local=("contentBase64",),
        gone=NO_OBJECT,
        outputs={"arn": "arn:aws:s3:::{bucket}/{key}"},
        updates=(FollowUpCall("PutObject", ("contentBase64", "contentType")),),
        replaces=("bucket", "key"),
        tags=Tags(
            "PutObjectTagging",
            "DeleteObjectTagging",
            "GetObjectTagging",
            {"Bucket": "{bucket}", "Key": "{key}"},
            on_create=False,
        ),
        to_params=_object_params,
        to_inputs=_found_object,
    ),
)
