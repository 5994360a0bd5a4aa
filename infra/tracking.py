"""Where experiments are kept: a managed MLflow tracking server, for those who want one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.settings import Tracking as TrackingSettings
from documents import policy_document

PREFIX = "tracking"


@dataclass(frozen=True)
class TrackingArgs:
    name: str
    account_id: str
    settings: TrackingSettings
    artifacts_bucket: pulumi.Input[str]
    artifacts_bucket_arn: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    boundary_arn: pulumi.Input[str]
    tags: Mapping[str, str]


class Tracking(pulumi.ComponentResource):
    """Outputs: `server_arn`, `url`."""

    def __init__(self, name: str, args: TrackingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Tracking", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        server = aws.sagemaker.MlflowTrackingServer(
            "tracking",
            tracking_server_name=args.name,
            artifact_store_uri=pulumi.Output.format("s3://{0}/{1}", args.artifacts_bucket, PREFIX),
            role_arn=self._role(args),
            tracking_server_size=args.settings.size,
            automatic_model_registration=False,  # versions are registered by `bedplate train`, with their lineage
            tags=args.tags,
            opts=self._child,
        )
        self.server_arn, self.url = server.arn, server.tracking_server_url
        self.register_outputs({"serverArn": self.server_arn, "url": self.url})

    def _role(self, args: TrackingArgs) -> pulumi.Output[str]:
        """The server's own role: its artifacts, and the key that they are encrypted with."""
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": args.account_id}},
        }
        role = aws.iam.Role(
            "tracking",
            name=f"{args.name}-tracking",
            description="SageMaker's MLflow tracking server",
            assume_role_policy=policy_document(trust),
            permissions_boundary=args.boundary_arn,
            tags=args.tags,
            opts=self._child,
        )
        find = {
            "Sid": "FindArtifacts",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": args.artifacts_bucket_arn,
            "Condition": {"StringLike": {"s3:prefix": [PREFIX, f"{PREFIX}/*"]}},
        }
        keep = {
            "Sid": "KeepArtifacts",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
            "Resource": pulumi.Output.concat(args.artifacts_bucket_arn, f"/{PREFIX}/*"),
        }
        encrypt = {
            "Sid": "Encrypt",
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
            "Resource": args.kms_key_arn,
        }
        policy = aws.iam.RolePolicy(
            "tracking", name="tracking", role=role.name, policy=policy_document(find, keep, encrypt), opts=self._child
        )
        return pulumi.Output.all(role.arn, policy.id).apply(lambda both: str(both[0]))
