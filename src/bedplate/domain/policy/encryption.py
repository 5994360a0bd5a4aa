"""Encryption everywhere: at rest with a key of the platform's, which rotates."""

from __future__ import annotations

from collections.abc import Iterator

from bedplate.domain.money.instances import has_local_disk
from bedplate.domain.policy.rules import Finding, PlannedStack, Undecided

# Per type the inputs of which one must name a key (or switch AWS's own encryption on).
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


def keys_named(program: PlannedStack) -> Iterator[Finding]:
    for resource in program.resources:
        for choice in _KEYS.get(resource.type, ()):
            if not any(resource.has(path) for path in choice):
                yield resource, f"{' or '.join(choice)} names no key: what it holds would lie unencrypted"
        if resource.type == "aws:sagemaker/endpointConfiguration:EndpointConfiguration":
            yield from _endpoint(program)


def _endpoint(program: PlannedStack) -> Iterator[Finding]:
    """Volumes of instances with disks of their own are encrypted in hardware, and serverless ones have none."""
    for config in program.of("sagemaker/endpointConfiguration:EndpointConfiguration"):
        instance = config["productionVariants.0.instanceType"]
        if instance and not has_local_disk(instance) and not config.has("kmsKeyArn"):
            yield config, f"kmsKeyArn names no key for the volumes of {instance}"
        if config["dataCaptureConfig.enableCapture"] and not config.has("dataCaptureConfig.kmsKeyId"):
            yield config, "dataCaptureConfig.kmsKeyId names no key: captured requests would lie unencrypted"
        if config.has("asyncInferenceConfig") and not config.has("asyncInferenceConfig.outputConfig.kmsKeyId"):
            yield config, "asyncInferenceConfig.outputConfig.kmsKeyId names no key for the answers"


def buckets_encrypted(program: PlannedStack) -> Iterator[Finding]:
    """Every bucket with a default of SSE-KMS; the configuration is a resource of its own.

    What S3's server access logs are delivered to can only have SSE-S3 (S3 user guide, "Enabling server access
    logging": destination buckets do not support SSE-KMS by default).
    """
    defaults = {}
    targets = {each["targetBucket"] for each in program.of("s3/bucketLogging:BucketLogging")}
    for config in program.of("s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"):
        defaults[config["bucket"]] = config["rules.0.applyServerSideEncryptionByDefault.sseAlgorithm"]
    for bucket in program.of("s3/bucket:Bucket"):
        found = defaults.get(bucket["bucket"])
        if found == "AES256" and bucket["bucket"] in targets:
            continue
        if found not in ("aws:kms", "aws:kms:dsse"):
            yield bucket, f"encrypted by {found or 'no key of the platform'}, aws:kms expected"


def keys_rotate(program: PlannedStack) -> Iterator[Finding]:
    """Only symmetric keys can rotate: those that sign cannot."""
    for key in program.of("kms/key:Key"):
        symmetric = (key["customerMasterKeySpec"] or "SYMMETRIC_DEFAULT") == "SYMMETRIC_DEFAULT"
        if symmetric and key["enableKeyRotation"] is not True:
            yield key, "enableKeyRotation is not on"


def tls_only(program: PlannedStack) -> Iterator[Finding]:
    """Buckets and topics answer no call without TLS: each has a policy that denies it."""
    guarded = set()
    for policy in program.of("s3/bucketPolicy:BucketPolicy"):
        if any(_denies_plain_text(s) for s in policy.statements()):
            guarded.add(policy["bucket"])
    for bucket in program.of("s3/bucket:Bucket"):
        if bucket["bucket"] not in guarded:
            yield bucket, "no bucket policy denies calls with aws:SecureTransport false"
    topics = list(program.of("sns/topic:Topic"))
    policies = list(program.of("sns/topicPolicy:TopicPolicy"))
    for policy in policies:
        if not any(_denies_plain_text(s) for s in policy.statements()):
            yield policy, "no statement denies calls with aws:SecureTransport false"
    if len(policies) < len(topics):
        try:
            having = {str(p["arn"]).rsplit(":", 1)[-1] for p in policies}
        except Undecided:
            having = {p.name for p in policies}
        for topic in topics:
            if not {topic["name"], topic.name} & having:
                yield topic, "has no topic policy, so nothing denies calls without TLS"


def _denies_plain_text(statement: dict[str, object]) -> bool:
    return (
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    )
