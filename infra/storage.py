"""Where everything is kept: a KMS key, one that signs datasets, and four buckets (artifacts, data, capture, ledger)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain import names
from bedplate.settings import Storage as Retention

NONCURRENT_DAYS = 30  # how long an overwritten or deleted object can be brought back
LEDGER_LOCK_DAYS = 365  # governance mode: only a principal with s3:BypassGovernanceRetention deletes earlier


@dataclass(frozen=True)
class StorageArgs:
    project: str
    stack: str
    region: str
    account_id: str
    retention: Retention
    model_retention_days: Mapping[str, int]
    """The data contract of each model may ask for less than the stack's retention, never for more."""
    model_names: Mapping[str, names.ModelNames]
    lock_ledger: bool
    tags: Mapping[str, str]


class Storage(pulumi.ComponentResource):
    """Outputs: `key_arn`, `signing_key_arn`; `buckets` and `bucket_arns` by purpose."""

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Storage", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # What holds data is protected: `destroy` refuses it until somebody says so twice. Throw-away stacks are not.
        kept = pulumi.ResourceOptions(parent=self, protect=not args.retention.force_destroy)
        key = aws.kms.Key(
            "key",
            description=f"Everything that {args.project}-{args.stack} keeps",
            enable_key_rotation=True,
            deletion_window_in_days=7 if args.retention.force_destroy else 30,
            policy=pulumi.Output.json_dumps(_key_policy(args)),
            tags=args.tags,
            opts=kept,
        )
        aws.kms.Alias("key", name=f"alias/{args.project}-{args.stack}", target_key_id=key.key_id, opts=child)
        self.key_arn = key.arn
        self.signing_key_arn = _signing_key(args, kept, child)
        self.buckets: dict[str, pulumi.Output[str]] = {}
        self.bucket_arns: dict[str, pulumi.Output[str]] = {}
        for purpose in names.BUCKET_PURPOSES:
            bucket = self._bucket(purpose, args, key, child, kept)
            self.buckets[purpose], self.bucket_arns[purpose] = bucket.bucket, bucket.arn
        self.register_outputs({"keyArn": self.key_arn, "signingKeyArn": self.signing_key_arn, "buckets": self.buckets})

    def _bucket(
        self,
        purpose: names.BucketPurpose,
        args: StorageArgs,
        key: aws.kms.Key,
        child: pulumi.ResourceOptions,
        kept: pulumi.ResourceOptions,
    ) -> aws.s3.Bucket:
        locked = args.lock_ledger and purpose == "ledger"
        bucket = aws.s3.Bucket(
            purpose,
            bucket=names.bucket(args.project, args.stack, purpose, args.account_id),
            force_destroy=args.retention.force_destroy,
            object_lock_enabled=locked,
            tags=args.tags,
            opts=kept,
        )
        versioning = aws.s3.BucketVersioning(
            purpose, bucket=bucket.bucket, versioning_configuration={"status": "Enabled"}, opts=child
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            purpose,
            bucket=bucket.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": key.arn,
                    },
                    "bucket_key_enabled": True,  # one data key per bucket instead of one KMS request per object
                }
            ],
            opts=child,
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
        aws.s3.BucketPolicy(
            purpose,
            bucket=bucket.bucket,
            policy=pulumi.Output.json_dumps(_tls_only(bucket.arn)),
            # S3 refuses two changes of a bucket's access at once.
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[access])),
        )
        aws.s3.BucketLifecycleConfiguration(
            purpose,
            bucket=bucket.bucket,
            rules=_lifecycle(purpose, args),
            # Rules for noncurrent versions are refused while versioning is not on.
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[versioning])),
        )
        if locked:
            aws.s3.BucketObjectLockConfiguration(
                purpose,
                bucket=bucket.bucket,
                rule={"default_retention": {"mode": "GOVERNANCE", "days": LEDGER_LOCK_DAYS}},
                opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[versioning])),
            )
        return bucket


def _signing_key(args: StorageArgs, kept: pulumi.ResourceOptions, child: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Signs manifests of registered datasets. Its private half never leaves KMS; AWS does not rotate keys of pairs."""
    key = aws.kms.Key(
        "signing",
        description=f"Signs the datasets of {args.project}-{args.stack}",
        key_usage="SIGN_VERIFY",
        customer_master_key_spec="ECC_NIST_P256",
        deletion_window_in_days=7 if args.retention.force_destroy else 30,
        policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [_account_decides(args)]}),
        tags=args.tags,
        opts=kept,
    )
    aws.kms.Alias("signing", name=f"alias/{args.project}-{args.stack}-signing", target_key_id=key.key_id, opts=child)
    return key.arn


def _account_decides(args: StorageArgs) -> dict[str, object]:
    """AWS's default: the account's IAM policies decide. In a key's policy "*" is this key and no other."""
    return {
        "Sid": "AccountDecidesByIam",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{args.account_id}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }


def _key_policy(args: StorageArgs) -> dict[str, object]:
    account_id, logs = args.account_id, f"arn:aws:logs:{args.region}:{args.account_id}:log-group"
    use = ["kms:Decrypt", "kms:GenerateDataKey*"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            _account_decides(args),
            {  # Alarms and budgets publish to the encrypted topic.
                "Sid": "AlertsFromThisAccount",
                "Effect": "Allow",
                "Principal": {
                    "Service": ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "costalerts.amazonaws.com"]
                },
                "Action": use,
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:SourceAccount": account_id}},
            },
            {  # EventBridge does not send aws:SourceAccount or aws:SourceArn when it uses a topic's key.
                "Sid": "AlertsFromEventRules",
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": use,
                "Resource": "*",
            },
            {  # What this environment's endpoints log.
                "Sid": "EndpointLogs",
                "Effect": "Allow",
                "Principal": {"Service": f"logs.{args.region}.amazonaws.com"},
                "Action": ["kms:Encrypt", "kms:ReEncrypt*", "kms:DescribeKey", *use],
                "Resource": "*",
                "Condition": {
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": (
                            f"{logs}:/aws/sagemaker/Endpoints/{args.project}-{args.stack}-*"
                        )
                    }
                },
            },
        ],
    }


def _tls_only(bucket_arn: pulumi.Output[str]) -> dict[str, object]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket_arn, pulumi.Output.concat(bucket_arn, "/*")],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def _lifecycle(
    purpose: names.BucketPurpose, args: StorageArgs
) -> list[aws.s3.BucketLifecycleConfigurationRuleArgsDict]:
    """What goes when. Models and ledger records never expire: a release that serves needs its artifact for ever."""
    rules: list[aws.s3.BucketLifecycleConfigurationRuleArgsDict] = [
        {
            "id": "abandoned-uploads",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
        }
    ]
    if purpose == "ledger":
        return rules
    rules.append(
        {
            "id": "noncurrent",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "noncurrent_version_expiration": {"noncurrent_days": NONCURRENT_DAYS},
        }
    )
    for model, name in args.model_names.items():
        for what, prefix, days in _expiring(purpose, name, args.retention, args.model_retention_days[model]):
            rules.append(
                {
                    "id": f"{model}-{what}",
                    "status": "Enabled",
                    "filter": {"prefix": prefix},
                    "expiration": {"days": days},
                }
            )
    return rules


def _expiring(
    purpose: names.BucketPurpose, name: names.ModelNames, stack: Retention, contract_days: int
) -> tuple[tuple[str, str, int], ...]:
    if purpose == "artifacts":
        return (("reports", name.monitoring_prefix, stack.artifact_retention_days),)
    if purpose == "data":
        days = min(stack.data_retention_days, contract_days)
        return (("datasets", name.datasets_prefix, days), ("labels", name.labels_prefix, days))
    return (("capture", name.capture_prefix, min(stack.capture_retention_days, contract_days)),)
