"""Where everything is kept: a KMS key, one that signs datasets, four buckets, and a fifth for their access logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain import names
from bedplate.settings import Storage as Retention
from buckets import BucketArgs, Rule, expires, secure_bucket
from documents import document, policy_document

LEDGER_LOCK_DAYS = 365  # governance mode: only a principal with s3:BypassGovernanceRetention deletes earlier


@dataclass(frozen=True)
class StorageArgs:
    project: str
    stack: str
    region: str
    account_id: str
    retention: Retention
    model_retention_days: Mapping[str, int]
    """Days that contract and privacy class allow; they may shorten the stack's retention, never lengthen it."""
    model_names: Mapping[str, names.ModelNames]
    lock_ledger: bool
    reader_account_ids: tuple[str, ...]
    """Accounts that may read model artifacts, to promote them."""
    tags: Mapping[str, str]


class Storage(pulumi.ComponentResource):
    """Outputs: `key_arn`, `signing_key_arn`; `buckets` and `bucket_arns` by purpose; `log_bucket`."""

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
            policy=document(_key_policy(args)),
            tags=args.tags,
            opts=kept,
        )
        aws.kms.Alias("key", name=f"alias/{args.project}-{args.stack}", target_key_id=key.key_id, opts=child)
        self.key_arn = key.arn
        self.signing_key_arn = _signing_key(args, kept, child)
        self.buckets: dict[str, pulumi.Output[str]] = {}
        self.bucket_arns: dict[str, pulumi.Output[str]] = {}
        self.log_bucket = _log_bucket(args, child, kept)
        for purpose in names.BUCKET_PURPOSES:
            bucket = self._bucket(purpose, args, child, kept)
            self.buckets[purpose], self.bucket_arns[purpose] = bucket.bucket, bucket.arn
        self.register_outputs({"keyArn": self.key_arn, "signingKeyArn": self.signing_key_arn, "buckets": self.buckets})

    def _bucket(
        self,
        purpose: names.BucketPurpose,
        args: StorageArgs,
        child: pulumi.ResourceOptions,
        kept: pulumi.ResourceOptions,
    ) -> aws.s3.Bucket:
        bucket, _ = secure_bucket(
            BucketArgs(
                purpose=purpose,
                name=names.bucket(args.project, args.stack, purpose, args.account_id),
                force_destroy=args.retention.force_destroy,
                tags=dict(args.tags),
                key_arn=self.key_arn,
                keep_noncurrent=purpose == "ledger",
                expiry=_expiry(purpose, args),
                statements=_readers(args) if purpose == "artifacts" else (),
                lock_days=LEDGER_LOCK_DAYS if args.lock_ledger and purpose == "ledger" else 0,
                log_bucket=self.log_bucket,
            ),
            child,
            kept,
        )
        return bucket


def _log_bucket(args: StorageArgs, child: pulumi.ResourceOptions, kept: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Where S3 writes the access logs of every other bucket. Log delivery knows no KMS key, so it has S3's own."""
    name = names.bucket(args.project, args.stack, "logs", args.account_id)
    delivery = {
        "Sid": "AccessLogs",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{name}/access/*",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": args.account_id},
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{args.project}-{args.stack}-*"},
        },
    }
    bucket, policy = secure_bucket(
        BucketArgs(
            purpose="logs",
            name=name,
            force_destroy=args.retention.force_destroy,
            tags=dict(args.tags),
            key_arn=None,
            expiry=[expires("access", "access/", args.retention.access_log_retention_days)],
            statements=[delivery],
        ),
        child,
        kept,
    )
    # S3 looks at this policy when another bucket is told to log here.
    return pulumi.Output.all(bucket.bucket, policy.id).apply(lambda both: str(both[0]))


def _signing_key(args: StorageArgs, kept: pulumi.ResourceOptions, child: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Signs manifests of registered datasets. Its private half never leaves KMS; AWS does not rotate keys of pairs."""
    key = aws.kms.Key(
        "signing",
        description=f"Signs the datasets of {args.project}-{args.stack}",
        key_usage="SIGN_VERIFY",
        customer_master_key_spec="ECC_NIST_P256",
        deletion_window_in_days=7 if args.retention.force_destroy else 30,
        policy=policy_document(_account_decides(args)),
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
    trail = names.trail_arn(args.project, args.stack, args.region, account_id)
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
            {  # The account's event history on its way to its bucket.
                "Sid": "Trail",
                "Effect": "Allow",
                "Principal": {"Service": "cloudtrail.amazonaws.com"},
                "Action": ["kms:GenerateDataKey*", "kms:DescribeKey"],
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:SourceArn": trail}},
            },
            *_decrypting_readers(args),
        ],
    }


def _decrypting_readers(args: StorageArgs) -> list[dict[str, object]]:
    if not args.reader_account_ids:
        return []
    return [
        {
            "Sid": "PromoteFromHere",
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam::{account}:root" for account in args.reader_account_ids]},
            "Action": ["kms:Decrypt", "kms:DescribeKey"],
            "Resource": "*",
            "Condition": {"StringEquals": {"kms:ViaService": f"s3.{args.region}.amazonaws.com"}},
        }
    ]


def _readers(args: StorageArgs) -> list[dict[str, object]]:
    """Other environments' accounts copy a model's artifact when they promote it; they see models and nothing else."""
    if not args.reader_account_ids:
        return []
    bucket = names.bucket(args.project, args.stack, "artifacts", args.account_id)
    return [
        {
            "Sid": "PromoteFromHere",
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam::{account}:root" for account in args.reader_account_ids]},
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": [f"arn:aws:s3:::{bucket}/training/*", f"arn:aws:s3:::{bucket}/evaluations/*"],
            "Condition": {"StringEquals": {"aws:PrincipalAccount": list(args.reader_account_ids)}},
        }
    ]


def _expiry(purpose: names.BucketPurpose, args: StorageArgs) -> list[Rule]:
    """What goes when. Models and ledger records never expire: a release that serves needs its artifact for ever."""
    if purpose == "ledger":
        return []
    return [
        expires(f"{model}-{what}", prefix, days)
        for model, name in args.model_names.items()
        for what, prefix, days in _expiring(purpose, name, args.retention, args.model_retention_days[model])
    ]


def _expiring(
    purpose: names.BucketPurpose, name: names.ModelNames, stack: Retention, contract_days: int
) -> tuple[tuple[str, str, int], ...]:
    captured = min(stack.capture_retention_days, contract_days)
    if purpose == "artifacts":
        # SageMaker puts the requests that it merged with their ground truth below the output of these two kinds.
        merged = (
            ("model-quality", f"{name.monitoring_prefix}model-quality/"),
            ("bias", f"{name.monitoring_prefix}bias/"),
        )
        reports = ("reports", name.monitoring_prefix, stack.artifact_retention_days)
        return (reports, *((kind, prefix, min(captured, stack.artifact_retention_days)) for kind, prefix in merged))
    if purpose == "data":
        days = min(stack.data_retention_days, contract_days)
        return (
            ("datasets", name.datasets_prefix, days),
            ("labels", name.labels_prefix, days),
            ("ground-truth", name.ground_truth_prefix, days),
        )
    return (("capture", name.capture_prefix, captured),)
