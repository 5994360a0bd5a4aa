"""A CloudTrail trail with its own bucket, and the cost-allocation tags of the account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain import names
from bedplate.settings import Audit as Settings
from buckets import BucketArgs, create_bucket, expiration_rule
from iam import Statement, allow
from outputs import output_after


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
    """Tag keys to activate for cost allocation; empty unless this is the payer account."""
    tags: Mapping[str, str]


class Audit(pulumi.ComponentResource):
    """Output: `trail_bucket`, None where `audit.enabled` is false."""

    def __init__(self, name: str, args: AuditArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Audit", name, None, opts)
        self.trail_bucket: pulumi.Output[str] | None = None
        if args.settings.enabled:
            self.trail_bucket = self._trail(args)
        for key in args.cost_tags:
            # An account-wide setting for all stacks in the account, so destroying one stack must keep it.
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
        bucket, policy = create_bucket(
            BucketArgs(
                purpose="trail",
                name=name,
                force_destroy=args.force_destroy,
                tags=dict(args.tags),
                key_arn=args.kms_key_arn,
                expiration=[expiration_rule("events", "AWSLogs/", args.settings.retention_days)],
                statements=_delivery_statements(name, args.account_id, arn),
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
            enable_log_file_validation=True,  # signed hourly digests, which show whether a file was changed
            include_global_service_events=True,  # IAM and STS
            is_multi_region_trail=args.settings.multi_region,
            event_selectors=[
                {
                    "read_write_type": "WriteOnly",  # changes only: reads are many and cost as much per event
                    "include_management_events": True,
                    "data_resources": [
                        {"type": "AWS::S3::Object", "values": [pulumi.Output.concat(args.ledger_bucket_arn, "/")]}
                    ],
                }
            ],
            tags=args.tags,
            # CloudTrail checks the bucket's policy when it creates the trail.
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[policy])),
        )
        return output_after(bucket.bucket, trail.arn)


def _delivery_statements(bucket: str, account_id: str, trail_arn: str) -> list[Statement]:
    """Allows this trail to check the bucket and to write its files."""
    cloudtrail, trail = {"Service": "cloudtrail.amazonaws.com"}, {"aws:SourceArn": trail_arn}
    bucket_arn, owner = f"arn:aws:s3:::{bucket}", {"s3:x-amz-acl": "bucket-owner-full-control"}
    files = f"{bucket_arn}/AWSLogs/{account_id}/*"
    return [
        allow("TrailLooks", "s3:GetBucketAcl", bucket_arn, {"StringEquals": trail}, principal=cloudtrail),
        allow("TrailWrites", "s3:PutObject", files, {"StringEquals": {**trail, **owner}}, principal=cloudtrail),
    ]
