"""An S3 bucket with encryption, versioning, TLS only, no public access, lifecycle rules, and access logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain import names
from iam import Statement, deny_without_tls, policy_document

NONCURRENT_DAYS = 30  # how long an overwritten or deleted object can be restored

LifecycleRule = aws.s3.BucketLifecycleConfigurationRuleArgsDict


@dataclass(frozen=True)
class BucketArgs:
    purpose: names.BucketPurpose
    name: str
    force_destroy: bool
    tags: dict[str, str]
    key_arn: pulumi.Input[str] | None
    """None uses S3's own key, because S3 cannot deliver access logs to a bucket with a KMS key."""
    keep_noncurrent: bool = False
    """Whether overwritten and deleted objects are kept for ever."""
    expiration: Sequence[LifecycleRule] = ()
    statements: Sequence[Statement] = ()
    """Further statements of the bucket's policy."""
    lock_days: int = 0
    """Days of Object Lock in governance mode; 0 is no lock."""
    log_bucket: pulumi.Input[str] | None = None
    """Bucket of the access logs; None for that bucket itself."""


def create_bucket(
    args: BucketArgs, child: pulumi.ResourceOptions, protected: pulumi.ResourceOptions
) -> tuple[aws.s3.Bucket, aws.s3.BucketPolicy]:
    """Creates a bucket and returns it with its policy, so that others can wait for the policy.

    `protected` are the resource options of the bucket, `child` those of its settings.
    """
    purpose = args.purpose
    bucket = aws.s3.Bucket(
        purpose,
        bucket=args.name,
        force_destroy=args.force_destroy,
        object_lock_enabled=bool(args.lock_days),
        tags=args.tags,
        opts=protected,
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
        policy=policy_document(
            deny_without_tls("s3:*", [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")]), *args.statements
        ),
        # S3 rejects concurrent changes of a bucket's access settings.
        opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[access])),
    )
    after_versioning = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[versioning]))
    aws.s3.BucketLifecycleConfiguration(
        purpose,
        bucket=bucket.bucket,
        rules=_lifecycle_rules(args),
        opts=after_versioning,  # S3 rejects rules for noncurrent versions before versioning is enabled
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
        "bucket_key_enabled": True,  # one KMS data key for the bucket instead of one KMS request per object
    }


def _lifecycle_rules(args: BucketArgs) -> list[LifecycleRule]:
    rules: list[LifecycleRule] = [
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
    return [*rules, *args.expiration]


def expiration_rule(rule_id: str, prefix: str, days: int) -> LifecycleRule:
    """Returns a rule that deletes the objects with this key prefix after `days`."""
    return {"id": rule_id, "status": "Enabled", "filter": {"prefix": prefix}, "expiration": {"days": days}}
