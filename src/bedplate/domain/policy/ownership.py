"""Policies on ownership: tags on every resource, versioned buckets, and separate places for each class of data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bedplate.domain import tags
from bedplate.domain.policy.rules import PlannedResource, PlannedStack, PolicyFinding

# Types of pulumi-aws without a `tags` argument; a test compares them with pulumi-aws.
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
        "sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
        "sns/topicPolicy:TopicPolicy",
        "sns/topicSubscription:TopicSubscription",
        "sqs/queuePolicy:QueuePolicy",
    )
)
_REQUIRED_TAGS = tuple(key for key in tags.KEYS if key not in ("Model", "ModelVersion"))
_MODEL_TYPES = ("Endpoint", "EndpointConfiguration", "Model", "ModelPackageGroup", "DataQualityJobDefinition")
_S3 = re.compile(r"^s3://(?P<bucket>[^/]+)(?:/(?P<key>.*))?$")
_PURPOSE = re.compile(r"-(?P<purpose>artifacts|data|capture|ledger|logs|access-logs|audit|trail)(?:-\d{12})?$")


def required_tags(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every resource has the tags of its owner and cost center; a model's resources have the model's tag."""
    for resource in program.resources:
        if resource.type in TAGLESS:
            continue
        needed = (*_REQUIRED_TAGS, "Model") if resource.type.split(":")[-1] in _MODEL_TYPES else _REQUIRED_TAGS
        missing = [key for key in needed if not resource.has(f"tags.{key}")]
        if missing:
            yield resource, f"lacks the {'tag' if len(missing) == 1 else 'tags'} {', '.join(missing)}"


def versioned_buckets(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every bucket is versioned."""
    versioned = {
        versioning["bucket"]
        for versioning in program.of_type("s3/bucketVersioning:BucketVersioning")
        if versioning["versioningConfiguration.status"] == "Enabled"
    }
    for bucket in program.of_type("s3/bucket:Bucket"):
        if bucket["bucket"] not in versioned:
            yield bucket, "is not versioned: overwritten objects are lost"


def separate_data_classes(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Captured requests, training data, models and the ledger are in separate buckets, and no model's jobs use another
    model's prefix. A bucket's class is the purpose in its name."""
    for config in program.of_type("sagemaker/endpointConfiguration:EndpointConfiguration"):
        if config["dataCaptureConfig.enableCapture"]:
            yield from _require_purpose(config, "dataCaptureConfig.destinationS3Uri", "capture")
        if config.has("asyncInferenceConfig"):
            yield from _forbid_purposes(config, "asyncInferenceConfig.outputConfig.s3OutputPath", ("ledger", "data"))
    for job in program.resources:
        if job.type.endswith("JobDefinition"):
            for path in _list_uri_paths(job.inputs, ""):
                if path.endswith("monitoringOutputs.s3Output.s3Uri"):
                    yield from _forbid_purposes(job, path, ("capture", "data", "ledger"))
    for rule in program.of_type("s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"):
        if _purpose(str(rule["bucket"])) == "ledger" and any("expiration" in entry for entry in rule["rules"] or ()):
            yield rule, "lets records of the ledger expire"
    for logging in program.of_type("s3/bucketLogging:BucketLogging"):
        if logging["bucket"] == logging["targetBucket"]:
            yield logging, "writes its access log into the bucket itself"
    yield from _separate_models(program)


def _separate_models(program: PlannedStack) -> Iterator[PolicyFinding]:
    """No role of a model (tag Model) has a statement about another model's prefix."""
    models = {str(e["tags.Model"]) for e in program.of_type("sagemaker/endpoint:Endpoint") if e.has("tags.Model")}
    roles = (role for role in program.of_type("iam/role:Role") if role.has("tags.Model"))
    model_by_role = {role["name"]: str(role["tags.Model"]) for role in roles}
    for policy in program.of_type("iam/rolePolicy:RolePolicy"):
        model = model_by_role.get(policy["role"])
        if model is None:
            continue
        for statement in policy.statements():
            if statement.get("Effect") != "Allow":
                continue
            path_parts = {part for arn in statement.get("Resource", []) for part in str(arn).split("/")[1:]}
            for other in sorted((models - {model}) & path_parts):
                yield policy, f"the role of {model} can access data of {other} (statement {statement.get('Sid', '?')})"


def _require_purpose(resource: PlannedResource, path: str, purpose: str) -> Iterator[PolicyFinding]:
    match = _S3.match(str(resource[path] or ""))
    if match is None or _purpose(match["bucket"]) != purpose:
        yield resource, f"{path} is {resource[path]!r}: expected a bucket for {purpose}"
        return
    model = resource["tags.Model"] if resource.has("tags.Model") else None
    if model and str(model) not in (match["key"] or "").split("/"):
        yield resource, f"{path} is not below the prefix of {model}"


def _forbid_purposes(resource: PlannedResource, path: str, purposes: tuple[str, ...]) -> Iterator[PolicyFinding]:
    match = _S3.match(str(resource[path] or ""))
    if match is not None and _purpose(match["bucket"]) in purposes:
        yield resource, f"{path} writes into the bucket for {_purpose(match['bucket'])}"


def _purpose(bucket: str) -> str | None:
    match = _PURPOSE.search(bucket)
    return match["purpose"] if match else None


def _list_uri_paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _list_uri_paths(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _list_uri_paths(item, f"{path}.{index}")
    elif isinstance(value, str) and path.endswith("s3Uri"):
        yield path
