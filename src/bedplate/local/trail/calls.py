"""Parses API requests into CloudTrail's terms: the caller, the event name and the resources."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, unquote

Json = dict[str, Any]

_ACTOR = re.compile(r"\bbedplate-actor/(\S+)")
_KEY = re.compile(r"Credential=([^/,]+)/")
_MAX_PARAMETER_CHARS = 512  # characters of one request parameter; CloudTrail cuts long ones too
_SECRET = re.compile(r"(password|secret|token|plaintext)", re.I)

_SOURCES = {"cloudwatch": "monitoring", "application-autoscaling": "autoscaling", "stepfunctions": "states"}
_TITLES = {
    **{name: name.upper() for name in ("s3", "iam", "kms", "sns", "sqs", "ecr", "ssm", "ec2", "ce")},
    "sagemaker": "SageMaker", "cloudwatch": "CloudWatch", "cloudtrail": "CloudTrail", "events": "Events",
    "budgets": "Budgets", "application-autoscaling": "ApplicationAutoScaling", "logs": "Logs",
}  # fmt: skip

# Calls that move data instead of changing resources: in AWS data events, read-only events, or not in CloudTrail at all.
_DATA_CALLS = {
    "sns": ("Publish", "PublishBatch"),
    "sqs": ("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"),
    "cloudwatch": ("PutMetricData",),
    "logs": ("PutLogEvents",),
    "events": ("PutEvents",),
    "kms": ("Decrypt", "Encrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
    "sts": ("AssumeRole", "AssumeRoleWithWebIdentity"),
    "sagemaker-metrics": ("BatchPutMetrics",),
}

# S3's query parameters that select an operation -> the noun of CloudTrail's event name.
_BUCKET_PARTS = {
    "acl": "BucketAcl", "policy": "BucketPolicy", "versioning": "BucketVersioning", "encryption": "BucketEncryption",
    "lifecycle": "BucketLifecycle", "publicAccessBlock": "BucketPublicAccessBlock", "tagging": "BucketTagging",
    "ownershipControls": "BucketOwnershipControls", "logging": "BucketLogging", "cors": "BucketCors",
    "object-lock": "BucketObjectLockConfiguration", "notification": "BucketNotification", "website": "BucketWebsite",
    "replication": "BucketReplication", "accelerate": "BucketAccelerateConfiguration",
    "intelligent-tiering": "BucketIntelligentTieringConfiguration", "inventory": "BucketInventoryConfiguration",
    "metrics": "BucketMetricsConfiguration", "requestPayment": "BucketRequestPayment",
}  # fmt: skip
_OBJECT_PARTS = {
    "acl": "ObjectAcl", "tagging": "ObjectTagging", "retention": "ObjectRetention", "legal-hold": "ObjectLegalHold",
}  # fmt: skip

_NAMING_MEMBER = re.compile(r"^(?P<noun>\w*?)(Names?|ARNs?|Arns?|Ids?)(\.\w+)*$", re.I)
_NAMING_MEMBERS = {
    "name", "arn", "resourcearn", "resourceid", "resourcename", "keyid", "topicarn", "aliasname", "trailname",
    "repositoryname", "loggroupname", "modelpackagegroupname", "monitorarn", "subscriptionarn", "rulename",
}  # fmt: skip
_OTHER_NOUNS = {"metric", "client", "request", "targetkey", "kmskey", "volumekmskey", "version"}


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request that the gateway received; `error` is empty when it succeeded."""

    time: float
    service: str
    action: str
    error: str = ""
    method: str = "POST"
    path: str = "/"
    query: str = ""
    content_type: str = ""
    user_agent: str = ""
    authorization: str = ""
    region: str = "us-east-1"
    body: bytes = b""
    response: bytes = b""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A call for the event history. `resources` are (type, name) pairs."""

    time: float
    service: str
    name: str
    access_key: str
    actor: str
    is_data_event: bool
    resources: tuple[tuple[str, str], ...] = ()
    error: str = ""
    region: str = "us-east-1"
    user_agent: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """CloudTrail's event source.

        >>> ApiCall(0, "cloudwatch", "PutMetricAlarm", "k", "", False).source
        'monitoring.amazonaws.com'
        """
        return f"{_SOURCES.get(self.service, self.service)}.amazonaws.com"


def parse_call(request: ApiRequest) -> ApiCall | None:
    """Returns the call of a request; None for a request that CloudTrail would not record.

    >>> call = parse_call(ApiRequest(0.0, "iam", "PutRolePolicy", body=b"Action=PutRolePolicy&RoleName=approver"))
    >>> call.name, call.resources
    ('PutRolePolicy', (('AWS::IAM::Role', 'approver'),))
    """
    name = s3_event_name(request) if request.service == "s3" else request.action
    if not name or name in _DATA_CALLS.get(request.service, ()):
        return None
    key, actor = _KEY.search(request.authorization), _ACTOR.search(request.user_agent)
    if request.service == "s3":
        parameters, resources = _s3_members(request)
    else:
        parameters = _parameters(request)
        members = _response_members(request) if not request.error else {}
        named = (_find_resources(request.service, name, part) for part in (parameters, members))
        resources = tuple(dict.fromkeys(chain.from_iterable(named)))
    return ApiCall(
        time=request.time,
        service=request.service,
        name=name,
        access_key=key[1] if key else "",
        actor=unquote(actor[1]) if actor else "",
        is_data_event=request.service == "s3" and ("/" in request.path.strip("/") or name == "DeleteObjects"),
        resources=resources,
        error=request.error,
        region=request.region,
        user_agent=request.user_agent,
        parameters={k: _redact(k, v) for k, v in parameters.items()},
    )


def s3_event_name(request: ApiRequest) -> str:
    """Returns CloudTrail's event name of a request to S3 that changes something; empty for a reading request.

    >>> s3_event_name(ApiRequest(0.0, "s3", "", method="PUT", path="/a-bucket", query="versioning"))
    'PutBucketVersioning'
    >>> s3_event_name(ApiRequest(0.0, "s3", "", method="DELETE", path="/a-bucket/a/key"))
    'DeleteObject'
    """
    parameters = {pair.split("=", 1)[0] for pair in request.query.split("&") if pair}
    is_object = "/" in request.path.strip("/")
    verb = {"PUT": "Put", "DELETE": "Delete"}.get(request.method, "")
    if request.method == "POST":
        if "delete" in parameters:
            return "DeleteObjects"
        if "uploads" in parameters:
            return "CreateMultipartUpload"
        return "CompleteMultipartUpload" if "uploadId" in parameters else "PutObject"
    if not verb:
        return ""
    for parameter, noun in (_OBJECT_PARTS if is_object else _BUCKET_PARTS).items():
        if parameter in parameters:
            return verb + noun
    if not is_object:
        return "CreateBucket" if verb == "Put" else "DeleteBucket"
    if "uploadId" in parameters:
        return "UploadPart" if verb == "Put" else "AbortMultipartUpload"
    return f"{verb}Object"


def _s3_members(request: ApiRequest) -> tuple[Json, tuple[tuple[str, str], ...]]:
    bucket, _, key = unquote(request.path).strip("/").partition("/")
    resources = [("AWS::S3::Bucket", bucket), ("AWS::S3::Bucket", f"arn:aws:s3:::{bucket}")]
    if key:
        resources.append(("AWS::S3::Object", f"arn:aws:s3:::{bucket}/{key}"))
    parameters = {"bucketName": bucket, **({"key": key} if key else {})}
    if not key and request.body:
        parameters["body"] = request.body.decode("utf-8", "replace")
    return parameters, tuple(resources)


def _parameters(request: ApiRequest) -> Json:
    if "x-www-form-urlencoded" in request.content_type or request.body.startswith(b"Action="):
        pairs = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        return {key: value for key, value in pairs if key not in ("Action", "Version")}
    return _json(request.body)


def _response_members(request: ApiRequest) -> Json:
    """Returns the members of the response, of an XML response only its names, ids and ARNs."""
    if request.response[:1] == b"<":
        text = request.response.decode("utf-8", "replace")
        return dict(re.findall(r"<(\w*(?:Arn|Id|Name))>([^<]+)</\1>", text, re.I))
    return _json(request.response)


def _json(body: bytes) -> Json:
    try:
        members = json.loads(body or b"{}")
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}


def _find_resources(service: str, action: str, members: Mapping[str, Any]) -> dict[tuple[str, str], None]:
    """Returns (type, name) of the resources in a request's or response's members; a resource's ARN adds its name."""
    resources: dict[tuple[str, str], None] = {}
    for key, value in _iter_strings(members):
        noun = _resource_type(service, action, key)
        if noun is None:
            continue
        kind = f"AWS::{_TITLES.get(service, service.title())}::{noun or 'Resource'}"
        resources[kind, value] = None
        if value.startswith("arn:"):
            resources[kind, re.split(r"[/:]", value.split(":", 5)[-1], maxsplit=1)[-1]] = None
    return resources


def _iter_strings(members: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the strings of the top level, of the level below (`Budget.BudgetName`), and of lists (`AlarmNames`)."""
    for key, value in members.items():
        nested = value.items() if isinstance(value, Mapping) else ((key, value),)
        for name, item in nested:
            for text in item if isinstance(item, list) else (item,):
                if isinstance(text, str) and text:
                    yield name, text


def _resource_type(service: str, action: str, key: str) -> str | None:
    """Returns the type of the resource that a member names; None unless the operation is about that resource.

    >>> [_resource_type("sagemaker", "CreateEndpoint", key) for key in ("EndpointName", "EndpointConfigName")]
    ['Endpoint', None]
    >>> _resource_type("events", "PutTargets", "Rule"), _resource_type("cloudwatch", "DeleteAlarms", "AlarmNames")
    ('Rule', 'Alarm')
    """
    if service == "events" and key == "Rule":
        return "Rule"
    match = _NAMING_MEMBER.match(key)
    if not match:
        return None
    noun = match["noun"]
    if noun.lower() in _OTHER_NOUNS or (noun.lower().endswith("role") and "role" not in action.lower()):
        return None
    if noun and noun.lower() in action.lower():
        return noun[0].upper() + noun[1:]
    if key.split(".")[0].lower() in _NAMING_MEMBERS:
        bare = re.sub(r"^[A-Z][a-z]+(?=[A-Z])", "", action) if noun.lower() in ("", "resource") else noun
        return bare[0].upper() + bare[1:] if bare else ""
    return None


def _redact(key: str, value: Any) -> Any:
    if _SECRET.search(key):
        return "HIDDEN_DUE_TO_SECURITY_REASONS"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return value if len(text) <= _MAX_PARAMETER_CHARS else f"{text[:_MAX_PARAMETER_CHARS]}... ({len(text)} characters)"
