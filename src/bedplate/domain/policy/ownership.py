"""Whose a thing is, and what it may lie beside: tags on everything, classes of data kept apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bedplate.domain import tags
from bedplate.domain.policy.rules import Finding, PlannedResource, PlannedStack

# Types of pulumi-aws without a `tags` argument; a test asks pulumi-aws itself.
TAGLESS = frozenset(
    f"aws:{type}"
    for type in (
        "appautoscaling/policy:Policy",
        "appautoscaling/scheduledAction:ScheduledAction",
        "cloudwatch/dashboard:Dashboard",
        "cloudwatch/eventTarget:EventTarget",
        "costexplorer/costAllocationTag:CostAllocationTag",
        "ec2/mainRouteTableAssociation:MainRouteTableAssociation",
        "ec2/routeTableAssociation:RouteTableAssociation",
        "ecr/lifecyclePolicy:LifecyclePolicy",
        "ecr/repositoryPolicy:RepositoryPolicy",
        "iam/rolePolicy:RolePolicy",
        "iam/rolePolicyAttachment:RolePolicyAttachment",
        "kms/alias:Alias",
        "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "s3/bucketLogging:BucketLogging",
        "s3/bucketNotification:BucketNotification",
        "s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        "s3/bucketOwnershipControls:BucketOwnershipControls",
        "s3/bucketPolicy:BucketPolicy",
        "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "s3/bucketVersioning:BucketVersioning",
        "sqs/queuePolicy:QueuePolicy",
        "sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
        "sns/topicPolicy:TopicPolicy",
        "sns/topicSubscription:TopicSubscription",
        "sqs/queuePolicy:QueuePolicy",
    )
)
_ALWAYS = tuple(key for key in tags.KEYS if key not in ("Model", "ModelVersion"))
_OF_A_MODEL = ("Endpoint", "EndpointConfiguration", "Model", "ModelPackageGroup", "DataQualityJobDefinition")
_S3 = re.compile(r"^s3://(?P<bucket>[^/]+)(?:/(?P<key>.*))?$")
_CLASS = re.compile(r"-(?P<purpose>artifacts|data|capture|ledger|logs|access-logs|audit|trail)(?:-\d{12})?$")


def tags_present(program: PlannedStack) -> Iterator[Finding]:
    """Everything says whose it is and who pays; what belongs to a model names it."""
    for resource in program.resources:
        if resource.type in TAGLESS:
            continue
        needed = (*_ALWAYS, "Model") if resource.type.split(":")[-1] in _OF_A_MODEL else _ALWAYS
        lacking = [key for key in needed if not resource.has(f"tags.{key}")]
        if lacking:
            yield resource, f"lacks the {'tag' if len(lacking) == 1 else 'tags'} {', '.join(lacking)}"


def buckets_versioned(program: PlannedStack) -> Iterator[Finding]:
    versioned = {
        v["bucket"]
        for v in program.of("s3/bucketVersioning:BucketVersioning")
        if v["versioningConfiguration.status"] == "Enabled"
    }
    for bucket in program.of("s3/bucket:Bucket"):
        if bucket["bucket"] not in versioned:
            yield bucket, "keeps no earlier versions: what is overwritten is gone"


def data_classes_apart(program: PlannedStack) -> Iterator[Finding]:
    """Captured requests, training data, models and the record lie in buckets of their own, and no model's jobs write
    or read below another model's prefix. A bucket's class is the purpose in its name."""
    for config in program.of("sagemaker/endpointConfiguration:EndpointConfiguration"):
        if config["dataCaptureConfig.enableCapture"]:
            yield from _belongs(config, "dataCaptureConfig.destinationS3Uri", "capture")
        if config.has("asyncInferenceConfig"):
            yield from _not_in(config, "asyncInferenceConfig.outputConfig.s3OutputPath", ("ledger", "data"))
    for job in program.resources:
        if job.type.endswith("JobDefinition"):
            for path in _uris(job.inputs, ""):
                if path.endswith("monitoringOutputs.s3Output.s3Uri"):
                    yield from _not_in(job, path, ("capture", "data", "ledger"))
    for rule in program.of("s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"):
        if _purpose(str(rule["bucket"])) == "ledger" and any("expiration" in each for each in rule["rules"] or ()):
            yield rule, "lets records of the ledger expire"
    for logging in program.of("s3/bucketLogging:BucketLogging"):
        if logging["bucket"] == logging["targetBucket"]:
            yield logging, "a bucket's access log lies in the bucket itself"
    yield from _models_apart(program)


def _models_apart(program: PlannedStack) -> Iterator[Finding]:
    """A role that is one model's (tag Model) has no statement about another model's prefix."""
    models = {str(e["tags.Model"]) for e in program.of("sagemaker/endpoint:Endpoint") if e.has("tags.Model")}
    owner = {}
    for role in program.of("iam/role:Role"):
        if role.has("tags.Model"):
            owner[role["name"]] = str(role["tags.Model"])
    for policy in program.of("iam/rolePolicy:RolePolicy"):
        own = owner.get(policy["role"])
        if own is None:
            continue
        for statement in policy.statements():
            if statement.get("Effect") != "Allow":
                continue
            reached = {part for arn in statement.get("Resource", []) for part in str(arn).split("/")[1:]}
            for other in sorted((models - {own}) & reached):
                yield policy, f"the role of {own} reaches what is {other}'s (statement {statement.get('Sid', '?')})"


def _belongs(resource: PlannedResource, path: str, purpose: str) -> Iterator[Finding]:
    match = _S3.match(str(resource[path] or ""))
    if match is None or _purpose(match["bucket"]) != purpose:
        yield resource, f"{path} is {resource[path]!r}: a bucket for {purpose} expected"
        return
    model = resource["tags.Model"] if resource.has("tags.Model") else None
    if model and str(model) not in (match["key"] or "").split("/"):
        yield resource, f"{path} is not below the prefix of {model}"


def _not_in(resource: PlannedResource, path: str, purposes: tuple[str, ...]) -> Iterator[Finding]:
    match = _S3.match(str(resource[path] or ""))
    if match is not None and _purpose(match["bucket"]) in purposes:
        yield resource, f"{path} writes into the bucket for {_purpose(match['bucket'])}"


def _purpose(bucket: str) -> str | None:
    match = _CLASS.search(bucket)
    return match["purpose"] if match else None


def _uris(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _uris(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _uris(inner, f"{path}.{at}")
    elif isinstance(value, str) and path.endswith("s3Uri"):
        yield path
