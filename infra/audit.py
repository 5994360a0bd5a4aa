"""Who changed what: a CloudTrail trail into a bucket of its own, and the tags that say who pays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain import names
from bedplate.settings import Audit as Settings
from buckets import BucketArgs, expires, secure_bucket


@dataclass(frozen=True)
class AuditArgs:
    project: str
    stack: str
    region: str
    account_id: str
    settings: Settings
    force_destroy: bool
    kms_key_arn: pulumi.Input[str]
    log_bucket: pulumi.Input[str]
    ledger_bucket_arn: pulumi.Input[str]
    cost_tags: tuple[str, ...]
    """Keys to activate as cost-allocation tags; empty where this is not the payer account."""
    tags: Mapping[str, str]


class Audit(pulumi.ComponentResource):
    """Output: `trail_bucket`, None when the stack keeps no trail of its own."""

    def __init__(self, name: str, args: AuditArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Audit", name, None, opts)
        self.trail_bucket: pulumi.Output[str] | None = None
        if args.settings.enabled:
            self.trail_bucket = self._trail(args)
        for key in args.cost_tags:
            # One setting of the whole account, for every stack in it: no stack's end may switch it off.
            aws.costexplorer.CostAllocationTag(
                key,
                tag_key=key,
                status="Active",
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
        self.register_outputs({"trailBucket": self.trail_bucket})

    def _trail(self, args: AuditArgs) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        arn = names.trail_arn(args.project, args.stack, args.region, args.account_id)
        name = names.bucket(args.project, args.stack, "trail", args.account_id)
        bucket, policy = secure_bucket(
            BucketArgs(
                purpose="trail",
                name=name,
                force_destroy=args.force_destroy,
                tags=dict(args.tags),
                key_arn=args.kms_key_arn,
                expiry=[expires("events", "AWSLogs/", args.settings.retention_days)],
                statements=_delivery(name, args.account_id, arn),
                log_bucket=args.log_bucket,
            ),
            child,
            pulumi.ResourceOptions(parent=self, protect=not args.force_destroy),
        )
        trail = aws.cloudtrail.Trail(
            "trail",
            name=f"{args.project}-{args.stack}",
            s3_bucket_name=bucket.bucket,
            kms_key_id=args.kms_key_arn,
            enable_logging=True,
            enable_log_file_validation=True,  # hourly digests, signed: nobody alters a file unseen
            include_global_service_events=True,  # IAM and STS
            is_multi_region_trail=args.settings.multi_region,
            event_selectors=[
                {
                    "read_write_type": "WriteOnly",  # who changed what; reads are many, cost as much, and say little
                    "include_management_events": True,
                    "data_resources": [
                        {"type": "AWS::S3::Object", "values": [pulumi.Output.concat(args.ledger_bucket_arn, "/")]}
                    ],
                }
            ],
            tags=args.tags,
            # CloudTrail tries the bucket's policy when the trail is made.
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[policy])),
        )
        return pulumi.Output.all(bucket.bucket, trail.arn).apply(lambda both: str(both[0]))


def _delivery(bucket: str, account_id: str, trail_arn: str) -> list[dict[str, object]]:
    service, only = {"Service": "cloudtrail.amazonaws.com"}, {"aws:SourceArn": trail_arn}
    return [
        {
            "Sid": "TrailLooks",
            "Effect": "Allow",
            "Principal": service,
            "Action": "s3:GetBucketAcl",
            "Resource": f"arn:aws:s3:::{bucket}",
            "Condition": {"StringEquals": only},
        },
        {
            "Sid": "TrailWrites",
            "Effect": "Allow",
            "Principal": service,
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bucket}/AWSLogs/{account_id}/*",
            "Condition": {"StringEquals": {**only, "s3:x-amz-acl": "bucket-owner-full-control"}},
        },
    ]
