"""Policies on encryption: data at rest is encrypted with a rotating key, and calls use TLS."""

from __future__ import annotations

from collections.abc import Iterator

from bedplate.domain.money.instances import has_local_disk
from bedplate.domain.policy.rules import PlannedStack, PolicyFinding, UnknownInput

# For each type, groups of inputs; one input of each group must name a key or enable AWS's own encryption.
_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "aws:sns/topic:Topic": (("kmsMasterKeyId",),),
    "aws:sqs/queue:Queue": (("kmsMasterKeyId", "sqsManagedSseEnabled"),),
    "aws:cloudwatch/logGroup:LogGroup": (("kmsKeyId",),),
    "aws:cloudtrail/trail:Trail": (("kmsKeyId",),),
    "aws:ecr/repository:Repository": (("encryptionConfigurations.0.kmsKey",),),
    "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": (
        ("jobResources.clusterConfig.volumeKmsKeyId",),
        ("dataQualityJobOutputConfig.kmsKeyId",),
    ),
    "aws:dynamodb/table:Table": (("serverSideEncryption.kmsKeyArn",),),
    "aws:ebs/volume:Volume": (("kmsKeyId",),),
    "aws:efs/fileSystem:FileSystem": (("kmsKeyId",),),
    "aws:rds/instance:Instance": (("kmsKeyId",),),
    "aws:sagemaker/notebookInstance:NotebookInstance": (("kmsKeyId",),),
    "aws:sagemaker/domain:Domain": (("kmsKeyId",),),
}


def encryption_keys(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every resource that can be encrypted names a key."""
    for resource in program.resources:
        for paths in _KEYS.get(resource.type, ()):
            if not any(resource.has(path) for path in paths):
                yield resource, f"{' or '.join(paths)} names no key: its data would not be encrypted"
        if resource.type == "aws:sagemaker/endpointConfiguration:EndpointConfiguration":
            yield from _endpoint(program)


def _endpoint(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Instances with local disks encrypt them in hardware, and serverless endpoints have no volumes."""
    for config in program.of_type("sagemaker/endpointConfiguration:EndpointConfiguration"):
        instance = config["productionVariants.0.instanceType"]
        if instance and not has_local_disk(instance) and not config.has("kmsKeyArn"):
            yield config, f"kmsKeyArn names no key for the volumes of {instance}"
        if config["dataCaptureConfig.enableCapture"] and not config.has("dataCaptureConfig.kmsKeyId"):
            yield config, "dataCaptureConfig.kmsKeyId names no key: captured requests would not be encrypted"
        if config.has("asyncInferenceConfig") and not config.has("asyncInferenceConfig.outputConfig.kmsKeyId"):
            yield config, "asyncInferenceConfig.outputConfig.kmsKeyId names no key for the predictions"


def encrypted_buckets(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every bucket is encrypted with SSE-KMS by default; the configuration is a separate resource.

    The target of S3 server access logs can only have SSE-S3 (S3 user guide, "Enabling server access logging":
    destination buckets do not support SSE-KMS by default).
    """
    defaults = {}
    log_buckets = {logging["targetBucket"] for logging in program.of_type("s3/bucketLogging:BucketLogging")}
    for config in program.of_type("s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"):
        defaults[config["bucket"]] = config["rules.0.applyServerSideEncryptionByDefault.sseAlgorithm"]
    for bucket in program.of_type("s3/bucket:Bucket"):
        algorithm = defaults.get(bucket["bucket"])
        if algorithm == "AES256" and bucket["bucket"] in log_buckets:
            continue
        if algorithm not in ("aws:kms", "aws:kms:dsse"):
            yield bucket, f"encrypted with {algorithm or 'no key of the platform'}, expected aws:kms"


def key_rotation(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every symmetric key rotates; signing keys cannot."""
    for key in program.of_type("kms/key:Key"):
        is_symmetric = (key["customerMasterKeySpec"] or "SYMMETRIC_DEFAULT") == "SYMMETRIC_DEFAULT"
        if is_symmetric and key["enableKeyRotation"] is not True:
            yield key, "enableKeyRotation is not true"


def tls_only(program: PlannedStack) -> Iterator[PolicyFinding]:
    """Every bucket and topic has a policy that denies calls without TLS."""
    protected = set()
    for policy in program.of_type("s3/bucketPolicy:BucketPolicy"):
        if any(_denies_plain_text(statement) for statement in policy.statements()):
            protected.add(policy["bucket"])
    for bucket in program.of_type("s3/bucket:Bucket"):
        if bucket["bucket"] not in protected:
            yield bucket, "no bucket policy denies calls with aws:SecureTransport false"
    topics = list(program.of_type("sns/topic:Topic"))
    policies = list(program.of_type("sns/topicPolicy:TopicPolicy"))
    for policy in policies:
        if not any(_denies_plain_text(statement) for statement in policy.statements()):
            yield policy, "no statement denies calls with aws:SecureTransport false"
    if len(policies) < len(topics):
        try:
            covered = {str(p["arn"]).rsplit(":", 1)[-1] for p in policies}
        except UnknownInput:
            covered = {p.name for p in policies}
        for topic in topics:
            if not {topic["name"], topic.name} & covered:
                yield topic, "has no topic policy that denies calls without TLS"


def _denies_plain_text(statement: dict[str, object]) -> bool:
    return (
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    )
