"""What an API call says of itself, as CloudTrail would: who made it, which operation it is, what it touched."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

Json = dict[str, Any]

_ACTOR = re.compile(r"\bbedplate-actor/(\S+)")
_KEY = re.compile(r"Credential=([^/,]+)/")
_SHOWN = 512  # characters of one request parameter; CloudTrail cuts long ones too
_SECRET = re.compile(r"(password|secret|token|plaintext)", re.I)

_SOURCES = {"cloudwatch": "monitoring", "application-autoscaling": "autoscaling", "stepfunctions": "states"}
_TITLES = {
    **{name: name.upper() for name in ("s3", "iam", "kms", "sns", "sqs", "ecr", "ssm", "ec2", "ce")},
    "sagemaker": "SageMaker", "cloudwatch": "CloudWatch", "cloudtrail": "CloudTrail", "events": "Events",
    "budgets": "Budgets", "application-autoscaling": "ApplicationAutoScaling", "logs": "Logs",
}  # fmt: skip

# Calls that move data instead of changing the platform: on AWS they are data events, read-only, or in no trail at all.
_DATA = {
    "sns": ("Publish", "PublishBatch"),
    "sqs": ("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"),
    "cloudwatch": ("PutMetricData",),
    "logs": ("PutLogEvents",),
    "events": ("PutEvents",),
    "kms": ("Decrypt", "Encrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
    "sts": ("AssumeRole", "AssumeRoleWithWebIdentity"),
    "sagemaker-metrics": ("BatchPutMetrics",),
}

# S3 says by the query what a request is about; CloudTrail's names of these operations.
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

_NAMING = re.compile(r"^(?P<noun>\w*?)(Names?|ARNs?|Arns?|Ids?)(\.\w+)*$", re.I)
_ALWAYS = {
    "name", "arn", "resourcearn", "resourceid", "resourcename", "keyid", "topicarn", "aliasname", "trailname",
    "repositoryname", "loggroupname", "modelpackagegroupname", "monitorarn", "subscriptionarn", "rulename",
}  # fmt: skip
_NEVER = {"metric", "client", "request", "targetkey", "kmskey", "volumekmskey", "version"}


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request as the gateway saw it; `error` is empty when it was done."""

    at: float
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
    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A call as the trail keeps it. `resources` are (type, name) pairs."""

    at: float
    service: str
    name: str
    access_key: str
    actor: str
    data_event: bool
    resources: tuple[tuple[str, str], ...] = ()
    error: str = ""
    region: str = "us-east-1"
    user_agent: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """
        >>> ApiCall(0, "cloudwatch", "PutMetricAlarm", "k", "", False).source
        'monitoring.amazonaws.com'
        """
        return f"{_SOURCES.get(self.service, self.service)}.amazonaws.com"


def read(request: ApiRequest) -> ApiCall | None:
    """The call of a request; None where it is none that a trail would name.

    >>> call = read(ApiRequest(0.0, "iam", "PutRolePolicy", body=b"Action=PutRolePolicy&RoleName=approver"))
    >>> call.name, call.resources
    ('PutRolePolicy', (('AWS::IAM::Role', 'approver'),))
    """
    name = s3_operation(request) if request.service == "s3" else request.action
    if not name or name in _DATA.get(request.service, ()):
        return None
    key, actor = _KEY.search(request.authorization), _ACTOR.search(request.user_agent)
    if request.service == "s3":
        parameters, resources = _of_s3(request)
        data = "/" in request.path.strip("/") or name == "DeleteObjects"
    else:
        parameters = _parameters(request)
        answered = _answered(request) if not request.error else {}
        found = dict.fromkeys(_named(request.service, name, parameters) | _named(request.service, name, answered))
        resources, data = tuple(found), False
    return ApiCall(
        at=request.at,
        service=request.service,
        name=name,
        access_key=key[1] if key else "",
        actor=unquote(actor[1]) if actor else "",
        data_event=data,
        resources=resources,
        error=request.error,
        region=request.region,
        user_agent=request.user_agent,
        parameters={k: _shown(k, v) for k, v in parameters.items()},
    )


def s3_operation(request: ApiRequest) -> str:
    """CloudTrail's name of a request to S3 that changes something; empty for what only reads.

    >>> s3_operation(ApiRequest(0.0, "s3", "", method="PUT", path="/a-bucket", query="versioning"))
    'PutBucketVersioning'
    >>> s3_operation(ApiRequest(0.0, "s3", "", method="DELETE", path="/a-bucket/a/key"))
    'DeleteObject'
    """
    asked = {pair.split("=", 1)[0] for pair in request.query.split("&") if pair}
    on_object = "/" in request.path.strip("/")
    verb = {"PUT": "Put", "DELETE": "Delete"}.get(request.method, "")
    if request.method == "POST":
        if "delete" in asked:
            return "DeleteObjects"
        if "uploads" in asked:
            return "CreateMultipartUpload"
        return "CompleteMultipartUpload" if "uploadId" in asked else "PutObject"
    if not verb:
        return ""
    for part, what in (_OBJECT_PARTS if on_object else _BUCKET_PARTS).items():
        if part in asked:
            return verb + what
    if not on_object:
        return "CreateBucket" if verb == "Put" else "DeleteBucket"
    if "uploadId" in asked:
        return "UploadPart" if verb == "Put" else "AbortMultipartUpload"
    return f"{verb}Object"


def _of_s3(request: ApiRequest) -> tuple[Json, tuple[tuple[str, str], ...]]:
    bucket, _, key = unquote(request.path).strip("/").partition("/")
    found = [("AWS::S3::Bucket", bucket), ("AWS::S3::Bucket", f"arn:aws:s3:::{bucket}")]
    if key:
        found.append(("AWS::S3::Object", f"arn:aws:s3:::{bucket}/{key}"))
    parameters = {"bucketName": bucket, **({"key": key} if key else {})}
    if not key and request.body:
        parameters["body"] = request.body.decode("utf-8", "replace")
    return parameters, tuple(found)


def _parameters(request: ApiRequest) -> Json:
    if "x-www-form-urlencoded" in request.content_type or request.body.startswith(b"Action="):
        pairs = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        return {key: value for key, value in pairs if key not in ("Action", "Version")}
    return _json(request.body)


def _answered(request: ApiRequest) -> Json:
    """What the answer names: the ids and ARNs that the service gave."""
    if request.answer[:1] == b"<":
        text = request.answer.decode("utf-8", "replace")
        return dict(re.findall(r"<(\w*(?:Arn|Id|Name))>([^<]+)</\1>", text, re.I))
    return _json(request.answer)


def _json(body: bytes) -> Json:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _named(service: str, action: str, members: Mapping[str, Any]) -> dict[tuple[str, str], None]:
    """The resources that a request's or an answer's members name, each also by what stands behind its ARN's type."""
    found: dict[tuple[str, str], None] = {}
    for key, value in _strings(members):
        noun = _noun(service, action, key)
        if noun is None:
            continue
        kind = f"AWS::{_TITLES.get(service, service.title())}::{noun or 'Resource'}"
        found[kind, value] = None
        if value.startswith("arn:"):
            local = value.split(":", 5)[-1]
            found[kind, re.split(r"[/:]", local, maxsplit=1)[-1]] = None
    return found


def _strings(members: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Texts at the top and one level below it (`Budget.BudgetName`), and in lists of texts (`AlarmNames`)."""
    for key, value in members.items():
        inner = value.items() if isinstance(value, Mapping) else ((key, value),)
        for name, each in inner:
            for text in each if isinstance(each, list) else (each,):
                if isinstance(text, str) and text:
                    yield name, text


def _noun(service: str, action: str, key: str) -> str | None:
    """What kind of resource a member names, where it names the one that the operation is about, else None.

    >>> _noun("sagemaker", "CreateEndpoint", "EndpointName"), _noun("sagemaker", "CreateEndpoint", "EndpointConfigName")
    ('Endpoint', None)
    >>> _noun("events", "PutTargets", "Rule"), _noun("cloudwatch", "DeleteAlarms", "AlarmNames")
    ('Rule', 'Alarm')
    """
    if service == "events" and key == "Rule":
        return "Rule"
    named = _NAMING.match(key)
    if not named:
        return None
    noun = named["noun"]
    if noun.lower() in _NEVER or (noun.lower().endswith("role") and "role" not in action.lower()):
        return None
    if noun and noun.lower() in action.lower():
        return noun[0].upper() + noun[1:]
    if key.split(".")[0].lower() in _ALWAYS:
        bare = re.sub(r"^[A-Z][a-z]+(?=[A-Z])", "", action) if noun.lower() in ("", "resource") else noun
        return bare[0].upper() + bare[1:] if bare else ""
    return None


def _shown(key: str, value: Any) -> Any:
    if _SECRET.search(key):
        return "HIDDEN_DUE_TO_SECURITY_REASONS"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return value if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
