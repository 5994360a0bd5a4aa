"""A bucket with what every bucket here has: encryption, versions, TLS only, nothing public, rules of expiry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from bedplate.domain import names
from documents import policy_document

NONCURRENT_DAYS = 30  # how long an overwritten or deleted object can be brought back

Rule = aws.s3.BucketLifecycleConfigurationRuleArgsDict


@dataclass(frozen=True)
class BucketArgs:
    purpose: names.BucketPurpose
    name: str
    force_destroy: bool
    tags: dict[str, str]
    key_arn: pulumi.Input[str] | None
    """None is S3's own key: the log delivery of S3 writes to no bucket with a KMS key."""
    keep_noncurrent: bool = False
    """Whether overwritten and deleted objects stay for ever."""
    expiry: Sequence[Rule] = ()
    statements: Sequence[Any] = ()
    """Of the bucket's policy, beside TLS only."""
    lock_days: int = 0
    log_bucket: pulumi.Input[str] | None = None
    """Where S3 writes who asked for what; None for the log bucket itself."""


def secure_bucket(
    args: BucketArgs, child: pulumi.ResourceOptions, kept: pulumi.ResourceOptions
) -> tuple[aws.s3.Bucket, aws.s3.BucketPolicy]:
    """The bucket, and its policy for those who must wait for it. `child` are the options of the settings, `kept` those
    of the bucket itself."""
    purpose = args.purpose
    bucket = aws.s3.Bucket(
        purpose,
        bucket=args.name,
        force_destroy=args.force_destroy,
        object_lock_enabled=bool(args.lock_days),
        tags=args.tags,
        opts=kept,
    )
    versioning = aws.s3.BucketVersioning(
        purpose, bucket=bucket.bucket, versioning_configuration={"status": "Enabled"}, opts=child
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        purpose, bucket=bucket.bucket, rules=[_encryption(args.key_arn)], opts=child
    )
    access = aws.s3.BucketPublicAccessBlock(
        purpose,
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=child,
    )
    aws.s3.BucketOwnershipControls(
        purpose, bucket=bucket.bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
    )
    policy = aws.s3.BucketPolicy(
        purpose,
        bucket=bucket.bucket,
        policy=policy_document(_tls_only(bucket.arn), *args.statements),
        # S3 refuses two changes of a bucket's access at once.
        opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[access])),
    )
    after_versioning = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[versioning]))
    aws.s3.BucketLifecycleConfiguration(
        purpose,
        bucket=bucket.bucket,
        rules=_lifecycle(args),
        opts=after_versioning,  # rules for noncurrent versions are refused while versioning is not on
    )
    if args.lock_days:
        aws.s3.BucketObjectLockConfiguration(
            purpose,
            bucket=bucket.bucket,
            rule={"default_retention": {"mode": "GOVERNANCE", "days": args.lock_days}},
            opts=after_versioning,
        )
    if args.log_bucket is not None:
        aws.s3.BucketLogging(
            purpose,
            bucket=bucket.bucket,
            target_bucket=args.log_bucket,
            target_prefix=f"access/{purpose}/",
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[policy])),
        )
    return bucket, policy


def _encryption(
    key_arn: pulumi.Input[str] | None,
) -> aws.s3.BucketServerSideEncryptionConfigurationRuleArgsDict:
    if key_arn is None:
        return {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}
    return {
        "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms", "kms_master_key_id": key_arn},
        "bucket_key_enabled": True,  # one data key per bucket instead of one KMS request per object
    }


def _tls_only(bucket_arn: pulumi.Output[str]) -> dict[str, object]:
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket_arn, pulumi.Output.concat(bucket_arn, "/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _lifecycle(args: BucketArgs) -> list[Rule]:
    rules: list[Rule] = [
        {
            "id": "abandoned-uploads",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
        }
    ]
    if not args.keep_noncurrent:
        rules.append(
            {
                "id": "noncurrent",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "noncurrent_version_expiration": {"noncurrent_days": NONCURRENT_DAYS},
            }
        )
    return [*rules, *args.expiry]


def expires(rule_id: str, prefix: str, days: int) -> Rule:
    """Objects below a prefix go after so many days."""
    return {"id": rule_id, "status": "Enabled", "filter": {"prefix": prefix}, "expiration": {"days": days}}
