"""KMS keys and S3 buckets: an encryption key, a signing key, four data buckets, and a bucket for access logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain import names
from bedplate.settings import Storage as StorageSettings
from buckets import BucketArgs, LifecycleRule, create_bucket, expiration_rule
from iam import Statement, account_root, allow, policy_document
from outputs import output_after

LEDGER_LOCK_DAYS = 365  # governance mode: deleting earlier needs s3:BypassGovernanceRetention


@dataclass(frozen=True)
class StorageArgs:
    project: str
    stack: str
    region: str
    account_id: str
    settings: StorageSettings
    model_retention_days: Mapping[str, int]
    """By model: days that its data contract and privacy class allow. They only shorten the stack's retention."""
    model_names: Mapping[str, names.ModelNames]
    lock_ledger: bool
    """Whether the ledger bucket has Object Lock."""
    reader_account_ids: tuple[str, ...]
    """Accounts that may read model artifacts, to promote them."""
    tags: Mapping[str, str]


class Storage(pulumi.ComponentResource):
    """Outputs: `key_arn`, `signing_key_arn`; `buckets` and `bucket_arns` by purpose; `log_bucket`."""

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Storage", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # Pulumi protects keys and buckets of stacks that are not disposable: `destroy` needs --including-data for them.
        protected = pulumi.ResourceOptions(parent=self, protect=not args.settings.force_destroy)
        key = aws.kms.Key(
            "key",
            description=f"Encrypts the data of {args.project}-{args.stack}",
            enable_key_rotation=True,
            deletion_window_in_days=7 if args.settings.force_destroy else 30,
            policy=policy_document(*_key_statements(args)),
            tags=args.tags,
            opts=protected,
        )
        aws.kms.Alias("key", name=f"alias/{args.project}-{args.stack}", target_key_id=key.key_id, opts=child)
        self.key_arn = key.arn
        self.signing_key_arn = _create_signing_key(args, child, protected)
        self.buckets: dict[str, pulumi.Output[str]] = {}
        self.bucket_arns: dict[str, pulumi.Output[str]] = {}
        self.log_bucket = _create_log_bucket(args, child, protected)
        for purpose in names.BUCKET_PURPOSES:
            bucket = self._create_bucket(purpose, args, child, protected)
            self.buckets[purpose], self.bucket_arns[purpose] = bucket.bucket, bucket.arn
        self.register_outputs({"keyArn": self.key_arn, "signingKeyArn": self.signing_key_arn, "buckets": self.buckets})

    def _create_bucket(
        self,
        purpose: names.BucketPurpose,
        args: StorageArgs,
        child: pulumi.ResourceOptions,
        protected: pulumi.ResourceOptions,
    ) -> aws.s3.Bucket:
        bucket, _ = create_bucket(
            BucketArgs(
                purpose=purpose,
                name=names.bucket(args.project, args.stack, purpose, args.account_id),
                force_destroy=args.settings.force_destroy,
                tags=dict(args.tags),
                key_arn=self.key_arn,
                keep_noncurrent=purpose == "ledger",
                expiration=_expiration_rules(purpose, args),
                statements=_reader_statements(args) if purpose == "artifacts" else (),
                lock_days=LEDGER_LOCK_DAYS if args.lock_ledger and purpose == "ledger" else 0,
                log_bucket=self.log_bucket,
            ),
            child,
            protected,
        )
        return bucket


def _create_log_bucket(
    args: StorageArgs, child: pulumi.ResourceOptions, protected: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Creates the bucket for the access logs of all other buckets, and returns its name.

    It is encrypted with S3's own key, because S3 cannot deliver access logs to a bucket with a KMS key.
    """
    name = names.bucket(args.project, args.stack, "logs", args.account_id)
    delivery = allow(
        "AccessLogs",
        "s3:PutObject",
        f"arn:aws:s3:::{name}/access/*",
        {
            "StringEquals": {"aws:SourceAccount": args.account_id},
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{args.project}-{args.stack}-*"},
        },
        principal={"Service": "logging.s3.amazonaws.com"},
    )
    bucket, policy = create_bucket(
        BucketArgs(
            purpose="logs",
            name=name,
            force_destroy=args.settings.force_destroy,
            tags=dict(args.tags),
            key_arn=None,
            expiration=[expiration_rule("access", "access/", args.settings.access_log_retention_days)],
            statements=[delivery],
        ),
        child,
        protected,
    )
    return output_after(bucket.bucket, policy.id)  # S3 checks this policy when another bucket starts to log here


def _create_signing_key(
    args: StorageArgs, child: pulumi.ResourceOptions, protected: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Creates the key pair that signs the manifests of datasets, and returns its ARN.

    Its private key never leaves KMS. AWS does not rotate asymmetric keys.
    """
    key = aws.kms.Key(
        "signing",
        description=f"Signs the datasets of {args.project}-{args.stack}",
        key_usage="SIGN_VERIFY",
        customer_master_key_spec="ECC_NIST_P256",
        deletion_window_in_days=7 if args.settings.force_destroy else 30,
        policy=policy_document(_iam_decides(args)),
        tags=args.tags,
        opts=protected,
    )
    aws.kms.Alias("signing", name=f"alias/{args.project}-{args.stack}-signing", target_key_id=key.key_id, opts=child)
    return key.arn


def _iam_decides(args: StorageArgs) -> Statement:
    """Returns AWS's default key policy: IAM policies of the account decide. Resource "*" is the key itself."""
    return allow("AccountDecidesByIam", "kms:*", "*", principal={"AWS": account_root(args.account_id)})


def _key_statements(args: StorageArgs) -> list[Statement]:
    """Returns the encryption key's policy: IAM of the account, and the services that use the key by themselves."""
    trail = names.trail_arn(args.project, args.stack, args.region, args.account_id)
    endpoint_logs = (
        f"arn:aws:logs:{args.region}:{args.account_id}:log-group:/aws/sagemaker/Endpoints/{args.project}-{args.stack}-*"
    )
    publishers = [f"{service}.amazonaws.com" for service in ("cloudwatch", "budgets", "costalerts")]
    use = ["kms:Decrypt", "kms:GenerateDataKey*"]
    statements = [
        _iam_decides(args),
        # Alarms and budgets publish to the encrypted alerts topic.
        allow(
            "AlertsFromThisAccount",
            use,
            "*",
            {"StringEquals": {"aws:SourceAccount": args.account_id}},
            principal={"Service": publishers},
        ),
        # EventBridge sends neither aws:SourceAccount nor aws:SourceArn when it uses the key of a topic.
        allow("AlertsFromEventRules", use, "*", principal={"Service": "events.amazonaws.com"}),
        allow(
            "EndpointLogs",
            ["kms:Encrypt", "kms:ReEncrypt*", "kms:DescribeKey", *use],
            "*",
            {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": endpoint_logs}},
            principal={"Service": f"logs.{args.region}.amazonaws.com"},
        ),
        allow(
            "Trail",
            ["kms:GenerateDataKey*", "kms:DescribeKey"],
            "*",
            {"StringEquals": {"aws:SourceArn": trail}},
            principal={"Service": "cloudtrail.amazonaws.com"},
        ),
    ]
    if args.reader_account_ids:
        readers = {"AWS": [account_root(account) for account in args.reader_account_ids]}
        via_s3 = {"StringEquals": {"kms:ViaService": f"s3.{args.region}.amazonaws.com"}}
        statements.append(allow("PromoteFromHere", ["kms:Decrypt", "kms:DescribeKey"], "*", via_s3, principal=readers))
    return statements


def _reader_statements(args: StorageArgs) -> list[Statement]:
    """Allows the accounts of other environments to copy only the artifacts of versions that they promote."""
    if not args.reader_account_ids:
        return []
    bucket = names.bucket(args.project, args.stack, "artifacts", args.account_id)
    return [
        allow(
            "PromoteFromHere",
            ["s3:GetObject", "s3:GetObjectVersion"],
            [f"arn:aws:s3:::{bucket}/training/*", f"arn:aws:s3:::{bucket}/evaluations/*"],
            {"StringEquals": {"aws:PrincipalAccount": list(args.reader_account_ids)}},
            principal={"AWS": [account_root(account) for account in args.reader_account_ids]},
        )
    ]


def _expiration_rules(purpose: names.BucketPurpose, args: StorageArgs) -> list[LifecycleRule]:
    """Returns the rules that delete old objects. Models and ledger records never expire: a live release needs them."""
    if purpose == "ledger":
        return []
    return [
        expiration_rule(f"{model}-{kind}", prefix, days)
        for model, model_names in args.model_names.items()
        for kind, prefix, days in _expirations(purpose, model_names, args.settings, args.model_retention_days[model])
    ]


def _expirations(
    purpose: names.BucketPurpose, model: names.ModelNames, settings: StorageSettings, contract_days: int
) -> tuple[tuple[str, str, int], ...]:
    """Returns (kind, key prefix, days) of one model's objects in a bucket."""
    capture_days = min(settings.capture_retention_days, contract_days)
    if purpose == "artifacts":
        # SageMaker stores captured requests merged with their ground truth in the output of these two kinds.
        merged_days = min(capture_days, settings.artifact_retention_days)
        return (
            ("reports", model.monitoring_prefix, settings.artifact_retention_days),
            *((kind, f"{model.monitoring_prefix}{kind}/", merged_days) for kind in ("model-quality", "bias")),
        )
    if purpose == "data":
        days = min(settings.data_retention_days, contract_days)
        return (
            ("datasets", model.datasets_prefix, days),
            ("labels", model.labels_prefix, days),
            ("ground-truth", model.ground_truth_prefix, days),
        )
    return (("capture", model.capture_prefix, capture_days),)
